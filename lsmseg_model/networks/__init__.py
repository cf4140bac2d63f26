"""The networks and their parts, one file each."""
