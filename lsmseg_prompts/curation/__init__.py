"""People at work on the store: edits, imports, reports, checks, backups."""
