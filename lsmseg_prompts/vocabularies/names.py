"""Reading one class name as a person or a language model would.

What is odd about it, and how it would better be written.

Its words are in name_words.json and homonyms.json.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache

from lsmseg_prompts.english import plural
from lsmseg_prompts.files import packaged_json
from lsmseg_prompts.tokens import is_whole_word, token_ids

SHORTEST_PART = 3  # letters of a word inside a glued compound
SHORTEST_COMPOUND = 6
LONGEST_COMPOUND = 40
UNSURE_PART = 5  # a shorter one must be in the list of short words


@cache
def name_words(kind: str) -> frozenset[str]:
    """One of the lists of name_words.json."""
    return frozenset(packaged_json("lsmseg_prompts.vocabularies", "name_words.json")[kind])


@cache
def homonyms() -> dict[str, list[str]]:
    """Words that mean several visible things -> their senses, in a few words each."""
    listed = packaged_json("lsmseg_prompts.vocabularies", "homonyms.json")
    return {**{plural(word): senses for word, senses in listed.items()}, **listed}


def ambiguous_word(name: str) -> str | None:
    """The word that leaves open what `name` means, if there is one.

    In a name of several words it is the head, and only where the others say nothing of its
    kind ("large crane", but not "baseball bat").
    """
    words = name.lower().split()
    if not words or "of" in words or words[-1] not in homonyms():
        return None
    return words[-1] if all(w in name_words("plain_modifiers") for w in words[:-1]) else None


@cache
def unglued(word: str) -> str | None:
    """The two or three words that are glued together in `word`, with spaces.

    None if it is one word, for all CLIP's vocabulary and the lists say.
    """
    low = word.lower()
    if not SHORTEST_COMPOUND <= len(low) <= LONGEST_COMPOUND or not low.isascii():
        return None
    if not low.isalpha() or _is_word(low):
        return None
    splits = _splits(low, 3)
    # Few parts, then common ones: CLIP's tokens are numbered from common to rare.
    best = min(splits, key=lambda s: (len(s), max(token_ids(p)[0] for p in s)), default=None)
    return None if best is None else " ".join(best)


def _is_word(low: str) -> bool:
    singulars = {low, low.removesuffix("s"), low.removesuffix("es")}
    return bool(singulars & name_words("whole_words")) or is_whole_word(low)


def _splits(low: str, most: int) -> list[tuple[str, ...]]:
    splits: list[tuple[str, ...]] = []
    for end in range(SHORTEST_PART if low[:2] not in ("tv", "cd") else 2, len(low) - 2):
        first, rest = low[:end], low[end:]
        if not _is_part(first) or first in name_words("prefixes"):
            continue
        if _is_part(rest) and rest not in name_words("word_endings"):
            splits.append((first, rest))
        elif most > 2:
            splits += [(first, *more) for more in _splits(rest, most - 1)]
    return splits


def _is_part(part: str) -> bool:
    if len(part) < UNSURE_PART:
        return part in name_words("short_words") or part in ("tv", "cd")
    return _is_word(part)


def spaced(name: str) -> str:
    """`name` with camelCase, underscores, slashes and glued compounds made words."""
    text = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).replace("_", " ").replace("/", " ")
    words = [unglued(word) or word for word in text.split()]
    return " ".join(
        word.lower() if text != name or (word.isupper() and len(word) > 4) else word
        for word in words
    )


def is_code_abbreviation(word: str) -> bool:
    """Whether `word` reads as an abbreviation that is not generally known."""
    if word.lower() in name_words("abbreviations") or not word.isalpha() or len(word) < 2:
        return False
    if word.isupper() and len(word) <= 4:
        return True
    return len(word) <= 5 and word.isascii() and not re.search(r"[aeiouy]", word.lower())


def to_ascii(name: str) -> str | None:
    """`name` in ASCII where that only takes accents off; None where letters would be lost."""
    plain = unicodedata.normalize("NFKD", name)
    kept = "".join(c for c in plain if not unicodedata.combining(c))
    for odd, usual in (("’", "'"), ("‘", "'"), ("–", "-"), ("—", "-"), ("ß", "ss"), ("ø", "o")):
        kept = kept.replace(odd, usual)
    return kept if kept.isascii() and any(c.isalpha() for c in kept) else None
