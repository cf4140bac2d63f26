"""The page Texts: the texts of a vocabulary."""
