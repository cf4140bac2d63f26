"""What a run leaves for people: tables, plots, pages."""
