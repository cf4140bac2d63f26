"""The attribute store: one SQLite file with vocabularies, attempts, descriptions and scores."""
