"""Which of the nine attributes a sentence speaks of, by the words in it.

The lists in attribute_words.json are of general words: they name no class. In them "*"
stands for letters and hyphens ("*-shaped"). A word may be in several lists ("long" is both size
and shape), so a sentence usually names more than one attribute.
"""

import re
from functools import cache

from lsmseg_prompts.english import plural
from lsmseg_prompts.files import packaged_json

# Plurals that are other words than their singulars.
NOT_PLURALS = {"shorts", "glasses", "oranges", "leads", "irons", "papers", "tins", "limes", "dates"}


def named_attributes(text: str) -> dict[str, list[str]]:
    """The attributes that `text` names: attribute -> its words in lower case, each once.

    In the paper's order, only attributes with a word. Whole words, in any case, singular or
    plural; where several begin at the same place, the longest.
    """
    named = {}
    for attribute, pattern in _patterns().items():
        words = {" ".join(match.lower().split()): None for match in pattern.findall(text)}
        if words:
            named[attribute] = list(words)
    return named


def names(text: str, attribute: str) -> bool:
    """Whether `text` names one of the nine attributes."""
    return _patterns()[attribute].search(text) is not None


@cache
def _patterns() -> dict[str, re.Pattern[str]]:
    raw = packaged_json("lsmseg_prompts.attributes", "attribute_words.json")
    return {attribute: _pattern(words) for attribute, words in raw.items()}


def _pattern(words: list[str]) -> re.Pattern[str]:
    forms = {*words, *({plural(word) for word in words} - NOT_PLURALS)}
    parts = [
        re.escape(form).replace(r"\*", r"[\w-]+").replace(r"\ ", r"\s+")
        for form in sorted(forms, key=lambda form: (-len(form), form))
    ]
    return re.compile(rf"(?<![\w-])(?:{'|'.join(parts)})(?![\w-])", re.IGNORECASE)
