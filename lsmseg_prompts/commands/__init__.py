"""Groups of commands that cli.py mounts, and what its longer commands do."""
