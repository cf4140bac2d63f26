"""`vocab new`: a list of names made a vocabulary, with the bundled meaning of each class.

What is found is written down in the vocabulary (`bundled`), to be read and edited; a table of all
cells takes the texts that are missing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lsmseg_prompts.descriptions.loading import DESCRIBED
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.files import csv_text
from lsmseg_prompts.llm.bundled import Bundled
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary, load_vocabulary
from lsmseg_prompts.vocabularies.check import as_file
from lsmseg_prompts.vocabularies.meanings import (
    Meaning,
    choices,
    nearest_meanings,
    other_senses,
    unsure,
)

Choose = Callable[[ClassEntry, Sequence[Meaning]], Meaning | None]
"""Which of several meanings, or of the nearest classes (`how` is "nearest") or those of the name in
another sense ("other sense"), a class has."""


@dataclass(frozen=True)
class NewVocabulary:
    """A vocabulary with `bundled` filled in, and its texts.

    taken: the meaning of each class that has one, by index. others: the other meanings that it
    might have, or where it has none the described classes of its name, else the nearest ones.
    unsure: indices of classes that took the likeliest meaning unasked. texts: (class index,
    attribute) -> bundled sentence.
    """

    vocabulary: Vocabulary
    taken: dict[int, Meaning]
    others: dict[int, list[Meaning]]
    unsure: frozenset[int]
    texts: dict[tuple[int, str], str]

    @property
    def missing(self) -> int:
        """How many cells have no text."""
        return len(self.vocabulary) * len(DESCRIBED) - len(self.texts)

    def as_json(self) -> str:
        """The vocabulary as a file to edit."""
        return as_file(self.vocabulary, {}, self.vocabulary.name)

    def as_csv(self) -> str:
        """All cells with their texts, those without one first: for `store import`."""
        rows = [
            {"class": entry.name, "attribute": name, "text": self.texts.get((entry.index, name))}
            for entry in self.vocabulary
            for name in DESCRIBED
        ]
        rows.sort(key=lambda row: row["text"] is not None)
        return csv_text(rows)


def vocab_new(names: str | Path | Vocabulary, choose: Choose | None = None) -> NewVocabulary:
    """Make a vocabulary of a list of names: which described class each of them means.

    A name that surely means one described class takes it. Else `choose` takes one of the meanings,
    or of the others where there is none, or None; without it the likeliest meaning is taken, and
    none of the others.

    Args:
        names: a .txt or .json file of classes, or a vocabulary.
        choose: decides where there is a choice.

    Raises:
        UsageError: the file is not a class list, or the vocabulary ships inside.
        ConfigurationError: the file cannot be read.
    """
    given = load_vocabulary(names)
    if given.option != "FILE":
        raise UsageError(
            f"{given.name} ships inside and is described already: give a list of your own."
        )
    classes: list[ClassEntry] = []
    taken: dict[int, Meaning] = {}
    others: dict[int, list[Meaning]] = {}
    doubtful: set[int] = set()
    for entry in given:
        found = choices(entry)
        offered = found or other_senses(entry) or nearest_meanings(entry)
        meaning = found[0] if found else None
        if unsure(entry, found) and choose is None:
            doubtful.add(entry.index)
        elif choose is not None and offered and (unsure(entry, found) or not found):
            meaning = choose(entry, offered)
        if meaning is not None:
            taken[entry.index] = meaning
            entry = _with_meaning(entry, meaning)
        elif found:
            entry = replace(entry, bundled="")  # else its name would lead there again
        classes.append(entry)
        if rest := [one for one in offered if one is not meaning]:
            others[entry.index] = rest
    vocabulary = replace(given, classes=tuple(classes))
    texts = {
        (index, attribute): Bundled().answer(vocabulary.name, vocabulary[index], attribute)
        for index in taken
        for attribute in DESCRIBED
    }
    return NewVocabulary(vocabulary, taken, others, frozenset(doubtful), texts)


def _with_meaning(entry: ClassEntry, meaning: Meaning) -> ClassEntry:
    """A class that says which described class it is; of another name it has not its sense."""
    shipped = meaning.entry
    entry = replace(entry, bundled=meaning.reference)
    if meaning.how in ("head word", "nearest"):
        return entry
    seen, coco_stuff = entry.seen, entry.coco_stuff
    if seen is None:
        seen, coco_stuff = shipped.seen, shipped.coco_stuff
    return replace(entry, sense=entry.sense or shipped.sense, seen=seen, coco_stuff=coco_stuff)
