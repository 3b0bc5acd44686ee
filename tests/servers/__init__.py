"""The real servers that tests, benchmarks and kill campaigns start on loopback."""
