"""Runs: from a request to a folder of results."""
