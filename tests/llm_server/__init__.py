"""A local server that speaks both LLM protocols."""
