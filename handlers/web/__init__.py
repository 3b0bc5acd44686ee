"""The HTTP API: what programs may see of the house, and switch in it."""
