"""A description behind "which", as classification by description (DCLIP) reads it.

Its reader builds "NAME, which has DESCRIPTOR", but "which is" before a descriptor that begins with
"a" or "used", and "which" alone before "has", "often", "typically", "may" and "can". So "A zebra is
black and white." becomes "typically is black and white", "Zebras have manes." "has manes", and a
sentence about something else "this look: bold bands wrap a zebra's legs".
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from lsmseg_prompts.english import MODALS, PLURAL_OF, SINGULAR_OF
from lsmseg_prompts.prompts.clauses import bare, has_further_verb, parse
from lsmseg_prompts.prompts.noun_phrase import parts, said_of
from lsmseg_prompts.vocabularies import ClassEntry

_ALONE = ("has", "often", "typically", "may", "can")
_IS = ("a", "used")
_ADVERB = re.compile(r"(usually|generally|commonly|sometimes|often|typically)\s+(.+)", re.DOTALL)


def relative(descriptions: Sequence[str], entry: ClassEntry) -> str:
    """The name of the class, and what the descriptions say of it behind "which"."""
    first, *more = parts(descriptions)
    whole = bare(first)
    said = descriptor(whole, entry.readable)
    if whole != f"{entry.readable}, {which(said)}":  # it is not such a text already
        whole = f"{entry.readable}, {which(_said(first, entry))}"
    return "; ".join([whole, *(said_of(text, entry)[0] for text in more)])


def which(descriptor: str) -> str:
    """A descriptor as the reader words it."""
    if descriptor.startswith(_IS):
        return f"which is {descriptor}"
    return f"which {descriptor}" if descriptor.startswith(_ALONE) else f"which has {descriptor}"


def descriptor(text: str, name: str) -> str:
    """What stands in the file for "NAME, which ..."; the reader makes the same text of it."""
    said = text[len(name) :].removeprefix(", which ")
    for verb in ("is ", "has "):
        if said.startswith(verb) and which(said.removeprefix(verb)) == f"which {said}":
            return said.removeprefix(verb)
    return said


def _said(text: str, entry: ClassEntry) -> str:
    """What a description says, beginning with one of the words that the reader knows."""
    clause = parse(text, entry.names)
    if clause and (clause.number == "singular" or not has_further_verb(clause.predicate)):
        return _known(clause.predicate)
    said, short = said_of(text, entry)
    if not short:
        return f"this look: {said}"
    return f"has {said.removeprefix('with ')}" if said.startswith("with ") else _is(said)


def _known(predicate: str) -> str:
    """A predicate that begins with one of the words that the reader knows."""
    front = _ADVERB.match(predicate)
    adverb, rest = (front[1], front[2]) if front else ("", predicate)
    verb, _, behind = rest.partition(" ")
    verb = SINGULAR_OF.get(verb, verb)
    if verb in MODALS:
        return predicate if predicate.startswith(_ALONE) else f"typically {predicate}"
    if adverb == "sometimes":
        return f"may {'be' if verb == 'is' else PLURAL_OF.get(verb, verb)} {behind}"
    if verb == "is":
        return _is(behind, adverb)
    if verb == "has" and not adverb:
        return f"has {behind}"
    return f"{'often' if adverb == 'often' else 'typically'} {verb} {behind}"


def _is(said: str, adverb: str = "") -> str:
    """For "is X" X itself where the reader puts "is" before it, else "typically is X"."""
    front = _ADVERB.match(said)
    if front:
        adverb, said = front[1], front[2]
    if adverb == "sometimes":
        return f"may be {said}"
    if not adverb and said.startswith(_IS):
        return said
    return f"{'often' if adverb == 'often' else 'typically'} is {said}"
