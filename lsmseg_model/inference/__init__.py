"""Whole pictures through a model: windows, the sliding protocol, kept features."""
