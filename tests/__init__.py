"""The proofs: one file or folder for each room, real servers in servers/."""
