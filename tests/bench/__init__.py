"""Measurements of the house, against budgets and against Postfix on the same machine."""
