"""Descriptions as a noun phrase, for readers that put a text into "a photo of a {}".

    "A zebra is black and white all over." and "Zebras have a stiff mane."
 -> "zebra, black and white all over; with a stiff mane"

The class's name, then what each description says of it: "is X" becomes "X" and "has X" "with X".
Any other sentence stays one, behind a colon: "zebra: tall; bold stripes wrap a zebra's body".
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from lsmseg_prompts.english import is_plural, names_pattern
from lsmseg_prompts.prompts.clauses import (
    bare,
    clauses,
    has_further_verb,
    is_finished,
    is_person,
    lower_first,
    parse,
)
from lsmseg_prompts.vocabularies import ClassEntry

_HEAD = re.compile(
    r"((?:(?:\w+ly|often|sometimes|always|also|just|most often)\s+)*)(is|are|has|have)\s"
)
# "A pair of scissors is" says it of scissors, "the inside of a pipe is" of something else.
_UNIT = r"pair|piece|strand|sheet|length|bunch|set|roll|block|stretch|patch|heap|pile|slice|grain"
_UNIT_OF = re.compile(
    rf"(?:an?|one|each|the)\s+(?:[\w-]+\s+)?(?:{_UNIT})s? of\s+(?!an?\s|the\s)", re.IGNORECASE
)


def phrase(descriptions: Sequence[str], entry: ClassEntry) -> str:
    """The name of the class and what the descriptions say of it, as one noun phrase."""
    said = [said_of(text, entry) for text in parts(descriptions)]
    mark = "," if all(short for _, short in said) else ":"
    return f"{entry.readable}{mark} {'; '.join(text for text, _ in said)}"


def parts(descriptions: Sequence[str]) -> list[str]:
    """The sentences of all the descriptions; what does not end as one stays whole."""
    found: list[str] = []
    for text in descriptions:
        found += [f"{part}." for part in clauses(text)] if is_finished(text) else [text]
    return found


@lru_cache(maxsize=65536)
def said_of(text: str, entry: ClassEntry) -> tuple[str, bool]:
    """What one sentence says of its class, and whether that is without the sentence's verb."""
    whole = bare(text)
    if made := re.match(rf"{re.escape(entry.readable)}([,:])\s+", whole, re.IGNORECASE):
        return whole[made.end() :], made[1] == ","  # it is such a phrase already
    of_one = _UNIT_OF.match(whole)
    clause = parse(whole[of_one.end() :] if of_one else whole, entry.names)
    head = clause and _HEAD.match(clause.predicate)
    if clause and head and not has_further_verb(clause.predicate):
        with_ = "with " if head[2].startswith("ha") else ""
        said = f"{head[1]}{with_}{clause.predicate[head.end() :]}"
        plural = is_plural(entry.readable) or is_person(entry.names)
        return said if plural else re.sub(r"\btheir\b", "its", said), True
    named = re.match(
        rf"(?:(?:an?|the)\s+)?{names_pattern(entry.names).pattern}(:|(?=\s))\s*",
        whole,
        re.IGNORECASE,
    )
    finished = is_finished(text) and not (named and whole[named.end() - 2] == ":")
    return whole[named.end() :] if named and not finished else lower_first(whole), not finished
