"""The page Compare: two prompt sets side by side."""
