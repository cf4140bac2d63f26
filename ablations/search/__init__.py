"""Stages 3 and 4: single attributes, and the search for combinations."""
