"""Scorers: prompt sets x pictures -> confusion counts."""
