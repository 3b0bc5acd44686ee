"""Strangers' bytes, mutated at random, against everything that reads them."""
