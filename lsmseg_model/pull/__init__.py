"""Files of others, fetched on request: whole or not at all, going on where they were cut short."""
