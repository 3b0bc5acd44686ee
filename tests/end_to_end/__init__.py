"""The whole house as a process, between real servers."""
