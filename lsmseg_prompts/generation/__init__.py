"""Stage 2: asking LLMs for the descriptions that the store lacks; beside it, stage 1."""
