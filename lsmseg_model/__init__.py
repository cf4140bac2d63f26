"""Vision: pictures and texts in, masks out. Knows no LLM and no attribute store."""
