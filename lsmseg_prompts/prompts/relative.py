"""A description behind "which", as classification by description (DCLIP) reads it.

Its reader builds "NAME, which has DESCRIPTOR", but "which is" before a descriptor that begins with
"a" or "used", and "which" alone before "has", "often", "typically", "may" and "can". So "A zebra is
black and white." becomes "typically is black and white", and "Zebras have manes." "has manes".
"""

from __future__ import annotations

import re

from lsmseg_prompts.english import MODALS, PLURAL_OF, SINGULAR_OF, article, is_plural
from lsmseg_prompts.prompts.clauses import Clause, parse, to_number
from lsmseg_prompts.prompts.noun_phrase import described
from lsmseg_prompts.vocabularies import ClassEntry

_ALONE = ("has", "often", "typically", "may", "can")
_IS = ("a", "used")
_ADVERB = re.compile(r"(usually|generally|commonly|sometimes|often|typically)\s+(.+)", re.DOTALL)
_VERB = re.compile(r"(\w+)\b(?![-'])")


def relative(text: str, entry: ClassEntry) -> str:
    """The name of the class, and what a description says of it behind "which"."""
    whole = text.strip().rstrip(" .!?;:,")
    said = descriptor(whole, entry.readable)
    if whole == f"{entry.readable}, {which(said)}":  # it is such a text already
        return whole
    clause = parse(text, entry.names)
    said = _predicate(clause, entry) if clause.predicate else _other(described(text, entry))
    return f"{entry.readable}, {which(said)}"


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


def _predicate(clause: Clause, entry: ClassEntry) -> str:
    """A predicate of the class, beginning with one of the words that the reader knows."""
    one = clause.number == "plural" and not is_plural(entry.readable)
    words = (one and to_number(clause, "singular")) or clause.predicate
    front = _ADVERB.match(words)
    adverb, rest = (front[1], front[2]) if front else ("", words)
    verb = _VERB.match(rest)
    if verb is None:
        return f"typically {words}"
    word, behind = verb[1].lower(), rest[verb.end() :].lstrip()
    if word in MODALS:
        return words if words.startswith(_ALONE) else f"typically {words}"
    if adverb == "sometimes":
        base = "be" if word in ("is", "are") else PLURAL_OF.get(word, word)
        return f"may {base} {behind}"
    if word in ("is", "are"):
        return _is(behind, adverb)
    if word in ("has", "have") and not adverb:
        return f"has {behind}"
    verb_form = SINGULAR_OF.get(word, word) if one else word
    return f"{_how(adverb)} {verb_form} {behind}"


def _how(adverb: str) -> str:
    return "often" if adverb == "often" else "typically"


def _is(said: str, adverb: str = "") -> str:
    """For "is X" X itself where the reader puts "is" before it, else "typically is X"."""
    front = _ADVERB.match(said)
    if front:
        adverb, said = front[1], front[2]
    if adverb == "sometimes":
        return f"may be {said}"
    return said if not adverb and said.startswith(_IS) else f"{_how(adverb)} is {said}"


def _other(said: str) -> str:
    """What a sentence about something else says, as its noun phrase (noun_phrase.py) words it."""
    if said.startswith("with "):
        return f"has {said.removeprefix('with ')}"
    if said.startswith("whose "):
        part = re.match(r"whose ((?:[\w'-]+,? )+?)([\w']+ )(.+)", said)
        while part and part[2].strip() not in {*PLURAL_OF, *SINGULAR_OF, *MODALS}:
            part = re.match(rf"whose ({re.escape(part[1] + part[2])})([\w']+ )(.+)", said)
        if part:
            noun = part[1].strip()
            many = is_plural(noun) or part[2].strip() in SINGULAR_OF
            return f"has {'' if many else article(noun) + ' '}{noun} that {part[2]}{part[3]}"
        return f"may be a thing {said}"
    if said.startswith("where "):
        return f"may be so that {said.removeprefix('where ')}"
    return _is(said)
