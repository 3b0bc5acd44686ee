"""Where tickets wait in line: one contract, in memory or in Redis."""
