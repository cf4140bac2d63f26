"""Putting one class's name where a description names another.

For the `shuffled` control, and for texts that vocabularies share which call a class differently.
"""

import re
from functools import lru_cache

from lsmseg_prompts.english import (
    article,
    is_named,
    is_plural,
    names_pattern,
    normalise,
    plural,
    verb_in_number,
)
from lsmseg_prompts.vocabularies import ClassEntry

_ARTICLE = re.compile(r"^(?:an?|the|some)\s+(?=\S)", re.IGNORECASE)
# "A huge aircraft" is one, "huge aircraft" are several.
_ONE = re.compile(
    r"\b(?:an?|the|one|each|every|this|another)\s+(?:[\w-]+,?\s+){0,3}$", re.IGNORECASE
)


def rename(text: str, donor: ClassEntry, receiver: ClassEntry) -> str:
    """`text` about `donor` with every mention of it, under any name, made one of `receiver`.

    Singular stays singular and plural plural where the receiver's name has both, articles follow
    ("a zebra" -> "an apple", -> "grass"), and so does the first verb if it is a common one.
    """
    name = _ARTICLE.sub("", receiver.readable)  # a phrase of a user's, such as "a red stop sign"
    mention, singulars, unchanging = _mentions(donor.names)

    def replace(match: re.Match[str]) -> str:
        starts = not text[: match.start()].strip(" \"'(")
        many = normalise(match["name"]) not in singulars
        if normalise(match["name"]) in unchanging:
            many = not _ONE.search(text[: match.start("name")])
        new = plural(name) if many and article(name) in ("a", "an") else name
        lead = (match["article"] or "").lower()
        bare = starts and not many and not lead and not article(donor.readable)
        if bare or lead in ("a", "an"):
            lead = article(new)
        owner = ("'" if new.endswith("s") else "'s") if match["owner"] else ""
        put = f"{lead} {new}{owner}".strip()
        if starts:
            put = put[:1].upper() + put[1:]
        return put

    renamed = mention.sub(replace, text)
    return _agree(renamed, name)


@lru_cache(maxsize=4096)
def _mentions(
    names: tuple[str, ...],
) -> tuple[re.Pattern[str], frozenset[str], frozenset[str]]:
    """What finds the names in a text, those that are singular, and those with no other plural."""
    mention = re.compile(
        rf"(?:\b(?P<article>an?|the)\s+)?(?P<name>{names_pattern(names).pattern})"
        rf"(?P<owner>'s\b|'(?!\w))?",
        re.IGNORECASE,
    )
    singulars = frozenset(normalise(form) for form in names if not is_plural(form))
    unchanging = frozenset(form for form in singulars if plural(form) == form and article(form))
    return mention, singulars, unchanging


def call_it(text: str, shipped: ClassEntry, entry: ClassEntry) -> str:
    """`text` about `shipped`, with the class called by the readable name of `entry`.

    Where both go by the same names, or the text has that name, it stays as it is.
    """
    same = entry.names == shipped.names or is_named(text, (entry.readable,))
    return text if same else rename(text, shipped, entry)


def _agree(text: str, name: str) -> str:
    """The verb right behind the name at the start of the sentence, in the name's number."""
    forms = "|".join(map(re.escape, sorted({name, plural(name)}, key=len, reverse=True)))
    head = re.match(
        rf"((?:(?:an?|the|most|many|some)\s+)?)({forms})(\s+(?:\w+ly\s+|often\s+)?)(\w+)\b",
        text,
        re.IGNORECASE,
    )
    if head is None:
        return text
    many = normalise(head[2]) == plural(normalise(name)) and (
        is_plural(name) or normalise(head[2]) != normalise(name)
    )
    verb = verb_in_number(head[4], "plural" if many else "singular")
    return text[: head.start(4)] + verb + text[head.end(4) :]
