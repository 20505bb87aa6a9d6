"""The user's Python process: runs cells, shows values, and survives what they do."""
