"""Imported texts that a person should look at: of another sense of the name, or of a photo.

Words that mean several things are in homonyms.json with their senses. A text is of another sense
where it has a word of that one and none of the class's own; where most texts of a class that tell
the sense tell another, so do all of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from lsmseg_prompts.attributes.words import named_attributes
from lsmseg_prompts.english import names_pattern
from lsmseg_prompts.vocabularies import ClassEntry
from lsmseg_prompts.vocabularies.names import ambiguous_word, homonyms

_PICTURES = (
    r"(?:photo(?:graph)?|picture|image|snapshot|drawing|painting|sketch|illustration|cartoon)"
)
_DEPICTED = re.compile(
    rf"\b(?:(?:{_PICTURES}s?\s+(?:of|shows?|showing|depicts?|depicting|features?)"
    rf"|(?:in|from) (?:an?|the|this|most) (?:\w+ )?{_PICTURES}s?"
    rf"|(?:black[- ]and[- ]white|colou?r|close-up|stock) {_PICTURES}s?"
    r"|pictured|depicted|photographed)\b)",
    re.IGNORECASE,
)
_SAYING_NOTHING = {
    *("a", "an", "the", "of", "for", "in", "on", "at", "to", "or", "and", "by", "with"),
    *("thing", "things", "part"),
}


def picture_doubt(text: str, entry: ClassEntry) -> str | None:
    """What a text says of a photo or a drawing, where the class is not one."""
    found = _DEPICTED.search(names_pattern(entry.names).sub(" ", text))
    return f'it speaks of a photo or drawing: "{found[0]}"' if found else None


def text_doubt(text: str, entry: ClassEntry) -> str | None:
    """Why a person should look at a text; None where nothing speaks against it."""
    return picture_doubt(text, entry) or sense_doubt([text], entry)


def sense_doubt(texts: Iterable[str], entry: ClassEntry) -> str | None:
    """Which other sense of the class's name most of the texts that tell one speak of."""
    own, others = _senses(entry.readable, entry.sense)
    if not others:
        return None
    words = [_stems(text) for text in texts]
    mine = sum(bool(own & some) for some in words)
    for sense, telling in others.items():
        theirs = [some & telling for some in words if some & telling and not own & some]
        if len(theirs) > mine:
            return f'it speaks of "{sense}", not of "{entry.sense}"'
    return None


@lru_cache(maxsize=4096)
def _senses(name: str, sense: str | None) -> tuple[frozenset[str], dict[str, frozenset[str]]]:
    """The telling words of a class's own sense, and those of each other one."""
    word = ambiguous_word(name)
    if word is None or not sense:
        return frozenset(), {}
    own = _telling(sense)
    listed = {gloss: _telling(gloss) for gloss in homonyms()[word]}
    same = max(listed, key=lambda gloss: len(listed[gloss] & own))
    if not listed[same] & own:
        return frozenset(), {}
    own |= listed.pop(same)
    return own, {gloss: words - own for gloss, words in listed.items() if words - own}


def _telling(gloss: str) -> frozenset[str]:
    """The words of a sense that tell it from others: none of its looks, which things share."""
    looks = {word for words in named_attributes(gloss).values() for word in words}
    words = re.findall(r"[a-z]+", gloss.lower())
    return _stems(" ".join(w for w in words if w not in looks and w not in _SAYING_NOTHING))


def _stems(text: str) -> frozenset[str]:
    """The words of a text by their first letters: vehicles and vehicle, armoured and armored."""
    words = re.findall(r"[a-z]{3,}", text.lower().replace("our", "or"))
    return frozenset(word[:5] if len(word) > 5 else word.removesuffix("s") for word in words)
