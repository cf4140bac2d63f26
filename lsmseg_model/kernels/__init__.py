"""Fast CPU implementations of what takes most of the time."""
