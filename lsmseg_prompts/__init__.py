"""The language room: vocabularies, LLMs, the attribute store, prompt sets and their export.

Nothing here imports torch at import time, and nothing here knows the vision room.
"""

__version__ = "0.2.0"
