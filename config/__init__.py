"""Settings at the bottom of the house, wiring at its top."""
