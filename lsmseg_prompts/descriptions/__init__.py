"""Descriptions: loading, cleaning and checking them, and those that ship inside."""
