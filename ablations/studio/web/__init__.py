"""Requests in, replies out: nothing here knows what the pages are about."""
