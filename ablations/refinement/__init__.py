"""Refinement: prompts that learn, class by class, from what the model confuses."""
