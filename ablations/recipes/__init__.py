"""Recipes: the published tables run again, beside what was published."""
