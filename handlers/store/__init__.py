"""The database: what we owe, what we did, and everything sealed that a mail was."""
