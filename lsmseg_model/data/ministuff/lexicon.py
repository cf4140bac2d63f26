"""Words for captions of invented things, from lexicon.json beside this file.

A phrase beginning with a verb ("is ", "has ") is used as it stands; without one it follows "has".
Phrases about a pattern may name its two colours as {a} and {b}. The order matters: captions are
drawn by position.
"""

import json
from importlib.resources import files

_WORDS = json.loads((files(__package__) / "lexicon.json").read_text("utf-8"))


def _table(name: str) -> dict[str, tuple[str, ...]]:
    return {key: tuple(phrases) for key, phrases in _WORDS[name].items()}


SHAPE_WORDS = _table("shape_words")
PART_WORDS = _table("part_words")
SIZE_WORDS = _table("size_words")
NOUNS = _table("nouns")
COLOUR_WORDS = _table("colour_words")
PATTERN_WORDS = _table("pattern_words")
TEXTURE_WORDS = _table("texture_words")
SIMILAR = _table("similar")
"""Colours close enough that a caption about one might be said of the other."""
FILLERS: tuple[str, ...] = tuple(_WORDS["fillers"])
"""Clauses that say nothing about how a thing looks."""
