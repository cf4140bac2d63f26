"""Prompt sets: what a model is scored with, made from descriptions."""
