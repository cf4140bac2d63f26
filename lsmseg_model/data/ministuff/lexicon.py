"""Words for captions of invented things, from lexicon.json beside this file.

A phrase beginning with a verb ("is ", "has ") is used as it stands; without one it follows "has".
Phrases about a pattern may name its two colours as {a} and {b}. The order matters: captions are
drawn by position.
"""

from lsmseg_model.data.ministuff.tables import read_table

Words = dict[str, list[str]]
_WORDS = read_table("lexicon")

SHAPE_WORDS: Words = _WORDS["shape_words"]
PART_WORDS: Words = _WORDS["part_words"]
SIZE_WORDS: Words = _WORDS["size_words"]
NOUNS: Words = _WORDS["nouns"]
COLOUR_WORDS: Words = _WORDS["colour_words"]
COLOUR_FORMS: Words = _WORDS["colour_forms"]
PATTERN_WORDS: Words = _WORDS["pattern_words"]
TEXTURE_WORDS: Words = _WORDS["texture_words"]
TURNED_FORMS: Words = _WORDS["turned_forms"]
WHOLES: Words = _WORDS["wholes"]
FRAGMENT_NOUNS: Words = _WORDS["fragment_nouns"]
HEDGES: list[str] = _WORDS["hedges"]
VERBS: dict[str, str] = _WORDS["verbs"]
"""Verbs that begin a phrase, with their plurals."""
FILLERS: list[str] = _WORDS["fillers"]
"""Clauses that say nothing about how a thing looks."""
SIMILAR: Words = _WORDS["similar"]
"""Colours close enough that a caption about one might be said of the other."""
ALIKE: Words = _WORDS["alike"]
"""Shapes and patterns a caption might confuse: with the key in the picture, these are not false."""
PART_COLOURS: Words = _WORDS["part_colours"]
"""Colours that parts of a shape have: black wheels."""
CLEAR_PATTERNS: list[str] = _WORDS["clear_patterns"]
VAGUE = ("region", "blob", "heap")
"""Shapes that another thing may be said to have too."""
