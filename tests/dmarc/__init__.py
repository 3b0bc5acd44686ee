"""Vectors for RFC 9989."""
