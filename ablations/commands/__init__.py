"""Commands that need the vision room; cli.py mounts them."""
