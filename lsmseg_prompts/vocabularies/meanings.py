"""Which described class is meant by a class of the user's own list.

Looked for in all described vocabularies, in this order: a class of that very name, one with that
synonym, both in the other number (sneakers: sneaker), and all this for the head word of a compound
(wheat field: field). Capitals, spaces, hyphens and underscores do not count. What a class says of
itself in `bundled` comes before everything; where that is empty, it means none of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cache
from typing import Literal

from lsmseg_prompts.english import head_phrase, normalise, plural
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.vocabularies.names import ambiguous_word, spaced
from lsmseg_prompts.vocabularies.vocabulary import ClassEntry, built_in

DESCRIBED_VOCABULARIES = (
    "coco-stuff", "ade20k-847", "pc-459", "ade20k-150", "pc-59", "voc-20", "voc-21", "camvid",
    "cityscapes-19", "mapillary-65"
)  # fmt: skip
"""The vocabularies with bundled texts; a name that several have is looked for in this order."""

How = Literal["bundled", "name", "synonym", "number", "head word", "other sense", "nearest"]


@dataclass(frozen=True)
class Meaning:
    """A described class that may be meant, and how it was found."""

    vocabulary: str
    entry: ClassEntry
    how: How

    @property
    def reference(self) -> str:
        """How a class list names it in `bundled`: VOCABULARY/NAME."""
        return reference(self.vocabulary, self.entry)

    @property
    def gloss(self) -> str:
        """The class in a few words, for a person who has to choose."""
        return f"{self.entry.readable}{f' ({self.entry.sense})' if self.entry.sense else ''}"


def reference(vocabulary: str, entry: ClassEntry) -> str:
    """VOCABULARY/NAME, by the readable name unless that leads to another class."""
    home = built_in(vocabulary)
    name = entry.readable if home.find(entry.readable) == entry else entry.name
    return f"{vocabulary}/{name}"


def referred(text: str) -> Meaning:
    """The class that VOCABULARY/NAME names. Raises UsageError where there is none."""
    home, _, name = text.partition("/")
    if home not in DESCRIBED_VOCABULARIES:
        raise UsageError(
            f"{text!r} does not name a described class: write VOCABULARY/NAME, such as "
            f"coco-stuff/zebra; described are {', '.join(DESCRIBED_VOCABULARIES)}."
        )
    return Meaning(home, built_in(home).find(name), "bundled")


def meanings(entry: ClassEntry, homes: Sequence[str] = DESCRIBED_VOCABULARIES) -> Iterator[Meaning]:
    """The classes that may be meant, the likeliest first; the same class may come twice.

    The head word is looked at only where nothing else is found.

    Args:
        entry: the class of the user's.
        homes: the vocabularies to look in, the usual ones first.

    Raises:
        UsageError: `bundled` of the class names no described class.
    """
    if entry.bundled is not None:
        if entry.bundled:
            yield referred(entry.bundled)
        return
    tables = _tables(tuple(homes))
    found = False
    for meaning in _called(entry.names, tables):
        found = True
        yield meaning
    if not found:
        for name in entry.names:
            for head in _heads(name):
                for meaning in _called((head,), tables):
                    found = True
                    yield Meaning(meaning.vocabulary, meaning.entry, "head word")
                if found:
                    return


def fits(entry: ClassEntry, meaning: Meaning) -> bool:
    """Whether the senses do not contradict each other: one left out agrees with any.

    They are compared without capitals, articles and signs.
    """
    senses = {_words(sense) for sense in (entry.sense, meaning.entry.sense) if sense}
    return meaning.how == "bundled" or len(senses) < 2


def _words(sense: str) -> str:
    words = re.findall(r"\w+", normalise(sense))
    return " ".join(word for word in words if word not in ("a", "an", "the"))


def choices(entry: ClassEntry) -> list[Meaning]:
    """The meanings that a class may have, the likeliest first, each once.

    Found in the same way: where a class has the very name, those with that synonym do not count.
    """
    return _different(meaning for meaning in meanings(entry) if fits(entry, meaning))


def other_senses(entry: ClassEntry) -> list[Meaning]:
    """The described classes of that name whose sense is not what the class says of itself."""
    found = _different(meaning for meaning in meanings(entry) if not fits(entry, meaning))
    return [replace(meaning, how="other sense") for meaning in found]


def _different(found: Iterable[Meaning]) -> list[Meaning]:
    different: list[Meaning] = []
    for meaning in found:
        if different and meaning.how != different[0].how:
            break
        if not any(_same(meaning, one) for one in different):
            different.append(meaning)
    return different


def unsure(entry: ClassEntry, found: Sequence[Meaning]) -> bool:
    """Whether a person should say which of the `choices` is meant, or that none is.

    So it is with several, and with one of a word that means other things too, such as a bat.
    """
    if entry.bundled is not None or not found:
        return False
    return len(found) > 1 or (not entry.sense and ambiguous_word(entry.readable) is not None)


def _same(one: Meaning, other: Meaning) -> bool:
    """Whether two classes mean the same: by COCO-Stuff's class, else by name and sense."""
    a, b = one.entry, other.entry
    if a.coco_stuff and a.coco_stuff == b.coco_stuff:
        return True
    alike = _key(a.readable) == _key(b.readable)
    return alike and (a.sense == b.sense or None in (a.sense, b.sense))


def nearest_meanings(entry: ClassEntry, most: int = 3) -> list[Meaning]:
    """Described classes of a similar name, where none is meant: for a person to choose from.

    Those that share a word come after those that are spelled alike.
    """
    by_name = _by_name()
    words = set(normalise(spaced(entry.readable)).split())
    sharing = [name for name in by_name if words & set(name.split())]
    close = get_close_matches(normalise(entry.readable), list(by_name), n=most, cutoff=0.7)
    closest = get_close_matches(normalise(entry.readable), sharing, n=most, cutoff=0.0)
    return [by_name[name] for name in dict.fromkeys((*close, *closest))][:most]


@cache
def _by_name() -> dict[str, Meaning]:
    """Every described class by its readable name, those of the usual vocabularies first."""
    by_name: dict[str, Meaning] = {}
    for home in DESCRIBED_VOCABULARIES:
        for one in built_in(home):
            by_name.setdefault(normalise(one.readable), Meaning(home, one, "nearest"))
    return by_name


_Table = dict[str, list[Meaning]]


def _key(name: str) -> str:
    """A name without what does not count: "Traffic-Light" and "trafficlight" are one."""
    return "".join(character for character in normalise(name) if character.isalnum())


@cache
def _tables(homes: tuple[str, ...]) -> tuple[_Table, ...]:
    """By key: the classes of that name, with that synonym, and both in the plural."""
    tables: tuple[_Table, ...] = ({}, {}, {}, {})
    for home in homes:
        for entry in built_in(home):
            own = dict.fromkeys((entry.readable, entry.name))
            for at, names, how in ((0, own, "name"), (1, entry.synonyms, "synonym")):
                for name in names:
                    meaning = Meaning(home, entry, how)  # type: ignore[arg-type]
                    tables[at].setdefault(_key(name), []).append(meaning)
                    many = Meaning(home, entry, "number")
                    tables[at + 2].setdefault(_key(plural(normalise(name))), []).append(many)
    return tables


def _called(names: Sequence[str], tables: tuple[_Table, ...]) -> Iterator[Meaning]:
    """Classes called by one of the names: as it stands by name, by synonym; in another number."""
    own_names, synonyms, many_names, many_synonyms = tables
    for table in (own_names, synonyms):
        for name in names:
            yield from table.get(_key(name), ())
    for table, of_many in ((own_names, many_names), (synonyms, many_synonyms)):
        for name in names:
            yield from of_many.get(_key(name), ())
            for meaning in table.get(_key(plural(normalise(name))), ()):
                yield Meaning(meaning.vocabulary, meaning.entry, "number")


def _heads(name: str) -> Iterator[str]:
    """What a compound is a kind of, the longest first: "old brick wall": "brick wall", "wall"."""
    head = head_phrase(normalise(name))
    words = re.split(r"[\s_-]+", normalise(spaced(head)))
    for start in range(0 if head != normalise(name) else 1, len(words)):
        yield " ".join(words[start:])
