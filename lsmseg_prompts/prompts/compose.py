"""The `concat` composition: several descriptions of a class as one sentence.

The paper's example: "A cat has a small, sleek, and agile shape with a long tail and pointed ears,
is small to medium-sized, weighing between 3 to 7 kg, has soft, fluffy fur, and is often black,
white, orange, or gray." Each description is a clause; those with the class as their subject share
it, the others follow as clauses of their own. Over CLIP's 77 tokens first trailing parts of the
descriptions are left out (shortening.py), then whole descriptions, the last first.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from lsmseg_prompts.english import names_pattern
from lsmseg_prompts.errors import RefusedError
from lsmseg_prompts.prompts.clauses import Clause, Number, alternatives, is_person, parse, to_number
from lsmseg_prompts.prompts.noun_phrase import phrase
from lsmseg_prompts.prompts.relative import relative
from lsmseg_prompts.prompts.shortening import shorten
from lsmseg_prompts.tokens import CONTEXT_LENGTH, count_tokens
from lsmseg_prompts.vocabularies import ClassEntry

SLACK = 2  # see `_at_least`; tests compare with joining everything

# First words that keep their capital inside a sentence.
_PROPER = re.compile(rf"(?:[A-Z][A-Z0-9-]+|I|[A-Z]-\w+|{alternatives('proper')})\b")
# "while" can stand before it: no introductory phrase before its subject.
_PLAIN_START = re.compile(r"(?:the|its|their|an?|each|one|two|most|some)\s")


@dataclass
class _Main:
    """A main clause under construction: a subject with predicates, or a whole clause."""

    parts: list[str]
    number: Number | None = None  # of the class, if it is the subject
    closed: bool = False
    whole: bool = False  # its subject is something other than the class

    def text(self) -> str:
        """The predicates joined as in a list: "A cat has ..., is ..., and is ..."."""
        if len(self.parts) == 1:
            return self.parts[0]
        return ", ".join(self.parts[:-1]) + ", and " + self.parts[-1]


@dataclass(frozen=True)
class Writing:
    """How descriptions become one text.

    form: "sentence"; "phrase" for readers that put it into a template (noun_phrase.py);
    "descriptor" for one that puts it behind "which" (relative.py).
    room: the tokens that it may take, start and end included.
    """

    form: str = "sentence"
    room: int = CONTEXT_LENGTH

    def write(self, descriptions: Sequence[str], entry: ClassEntry) -> str:
        """All the descriptions as one text, however long."""
        if self.form == "phrase":
            return phrase(descriptions, entry)
        if self.form == "descriptor":
            alone = descriptions[0] if len(descriptions) == 1 else join(descriptions, entry)
            return relative(alone, entry)
        return join(descriptions, entry)


SENTENCE = Writing()


class Composed(NamedTuple):
    """A composed sentence.

    kept: how many of the descriptions are in it. cuts: how many parts of those were left out.
    """

    text: str
    kept: int
    cuts: int


def compose(
    descriptions: Sequence[str], entry: ClassEntry, writing: Writing = SENTENCE
) -> Composed:
    """One text of the descriptions, in their order, within the tokens that there is room for.

    Too long, it loses trailing parts of the longest description first, one at a time, and whole
    descriptions, the last first, only where that does not suffice. Raises RefusedError if not
    even the first fits.
    """
    composed = _composed(tuple(descriptions), entry, writing)
    if composed is None:
        tokens = count_tokens(writing.write(descriptions[:1], entry))
        raise RefusedError(
            f"The description of {entry.readable!r} takes {tokens} tokens where {writing.room} fit "
            "and cannot be shortened by whole clauses: write a shorter one."
        )
    return composed


# A set that loses its last description is the set without it: among all combinations of
# attributes that one has been composed before.
@lru_cache(maxsize=65536)
def _composed(
    descriptions: tuple[str, ...], entry: ClassEntry, writing: Writing
) -> Composed | None:
    """`compose`, or None where not even the first description fits."""
    held, room = list(descriptions), writing.room
    if writing.form == "sentence" and _at_least(held, entry) > room:
        return _composed(descriptions[:-1], entry, writing)
    text = writing.write(held, entry)
    if count_tokens(text) <= room:
        return Composed(text, len(held), 0)
    shortest = [_shortest(sentence, entry.names) for sentence in held]
    if count_tokens(writing.write(shortest, entry)) <= room:
        cuts = 0
        while count_tokens(text) > room:
            places = [place for place, sentence in enumerate(held) if sentence != shortest[place]]
            longest = max(places, key=lambda place: (count_tokens(held[place]), place))
            held[longest] = shorten(held[longest], entry.names) or held[longest]
            text = writing.write(held, entry)
            cuts += 1
        return Composed(text, len(held), cuts)
    return _composed(descriptions[:-1], entry, writing) if len(held) > 1 else None


def _at_least(descriptions: Sequence[str], entry: ClassEntry) -> int:
    """Fewer tokens than this no joining of the shortest forms takes.

    Clauses lose their subject, and at most SLACK tokens in turns of phrase; lists their head.
    """
    if len(descriptions) == 1 or _listed(descriptions, entry):
        return 0
    kept = 2
    for sentence in descriptions:
        clause = parse(_shortest(sentence, entry.names), entry.names)
        kept += count_tokens(clause.text) - count_tokens(clause.subject) - SLACK
    return kept


@lru_cache(maxsize=65536)
def _shortest(sentence: str, names: tuple[str, ...]) -> str:
    """Without any of the parts that can be left out."""
    while shorter := shorten(sentence, names):
        sentence = shorter
    return sentence


def join(descriptions: Sequence[str], entry: ClassEntry) -> str:
    """All the descriptions as one sentence, however long; a single one stays as it is worded."""
    if listed := _listed(descriptions, entry):
        return listed
    clauses = [parse(description, entry.names) for description in descriptions]
    person = is_person(entry.names)
    first = clauses[0]
    number = first.number if first.predicate else None
    mains = [_Main([first.text], number, first.closed, whole=not first.predicate)]
    for clause in clauses[1:]:
        _add(mains, clause, entry, person)
    text = _link(mains)
    return text[:1].upper() + text[1:] + "."


def _listed(descriptions: Sequence[str], entry: ClassEntry) -> str | None:
    """Imported lists of phrases (phrases.py), "A zebra: ...", as one such list."""
    head = _list_head(entry.names)
    matches = [head.fullmatch(parse(text, entry.names).text) for text in descriptions]
    phrases = [match[2] for match in matches if match]
    if not matches[0] or len(phrases) < len(matches):
        return None
    return f"{matches[0][1]}: {', '.join(phrases)}."


# Patterns of a class are kept: all combinations of attributes ask for each hundreds of times.
@lru_cache(maxsize=4096)
def _list_head(names: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"((?:(?:an?|the) )?{names_pattern(names).pattern}): (.+)", re.IGNORECASE)


@lru_cache(maxsize=4096)
def _single_mention(names: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile(rf"\b(?:an?|the)\s+({names_pattern(names).pattern})", re.IGNORECASE)


def _add(mains: list[_Main], clause: Clause, entry: ClassEntry, person: bool) -> None:
    """Put `clause` into the last main clause if it can share its subject, else behind it."""
    last = mains[-1]
    # "Zebras are ..., and a zebra has ...", but "A zebra is ..., and the zebra has ...".
    so_far = " ".join(main.text() for main in mains)
    mentioned = _single_mention(entry.names).search(so_far) is not None
    subject = re.sub(r"^an?\s+", "the ", clause.subject) if mentioned else clause.subject
    if clause.predicate:
        if not last.whole and not last.closed and last.number is not None:
            predicate = to_number(clause, last.number, person)
            if predicate is not None:
                last.parts.append(predicate)
                last.closed = clause.closed
                return
        mains.append(_Main([f"{subject} {clause.predicate}"], clause.number, clause.closed))
    elif clause.owned:
        if not last.whole and last.number == clause.number:
            owner = "their" if person or clause.number == "plural" else "its"
        else:
            owner = subject + ("'" if subject.endswith("s") else "'s")
        mains.append(_Main([f"{owner} {clause.owned}"], closed=clause.closed, whole=True))
    else:
        text = clause.text
        if not _PROPER.match(text):
            text = text[:1].lower() + text[1:]
        if mentioned:
            text = _single_mention(entry.names).sub(r"the \1", text, count=1)
        mains.append(_Main([text], closed=clause.closed, whole=True))


def _link(mains: Sequence[_Main]) -> str:
    """Main clauses in one sentence: "..., while ..., and ..."."""
    linked = mains[0].text()
    for place, main in enumerate(mains[1:], 1):
        before, text = mains[place - 1], main.text()
        # "while" varies the joints, where it cannot be mistaken: not before the class itself, an
        # introductory phrase, or a clause that already contrasts, and not at the very end.
        varied = place < len(mains) - 1 or (len(mains) == 2 and len(before.parts) > 1)
        loose = before.closed or main.closed
        plain = main.whole and _PLAIN_START.match(text) is not None and place % 2 == 1
        linked += f", {'while' if varied and plain and not loose else 'and'} {text}"
    return linked
