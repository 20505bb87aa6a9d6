"""The documentation's programs, run as they stand there."""
