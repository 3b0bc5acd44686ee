"""The demonstration: the whole house on loopback, with neighbours made for the occasion."""
