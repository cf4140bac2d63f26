"""The bundled descriptions as reviewable JSON Lines, one cell a line, a file for each vocabulary.

    {"index": 22, "class": "zebra", "attribute": "color", "text": "..."}

A class that another vocabulary has in the same sense has no texts of its own, but one line:

    {"index": 4, "class": "tree", "same_as": {"vocabulary": "coco-stuff", "index": 168, ...}}

Pair cells have files of their own (coco-stuff-pairs.jsonl), with the other class in each line:

    {"index": 22, "class": "zebra", "other": "cow", "text": "..."}

And so have second samples (coco-stuff-samples.jsonl), texts of a cell that has one already:

    {"index": 22, "class": "zebra", "attribute": "color#2", "text": "..."}

These files are the source; the shipped store is rebuilt from them (`make store`). How they
were written and checked: docs/corpus.md.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from lsmseg_prompts.attributes.contrast import contrast_with
from lsmseg_prompts.attributes.samples import sampled
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.llm.bundled import BUNDLED_ATTRIBUTES, DESCRIBED_VOCABULARIES
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary, load_vocabulary
from lsmseg_prompts.vocabularies.renaming import call_it

WRITTEN = "2026-11-27T00:00:00.000Z"

PAIRED = "coco-stuff"
"""The vocabulary with pair cells of its own."""

SAMPLED = ("coco-stuff", "ade20k-847")
"""The vocabularies with further samples of their own."""

Cells = dict[tuple[int, str], str]


@dataclass(frozen=True)
class Lines:
    """What a vocabulary's files say: its own texts, and which classes take another class's.

    samples: its own further texts, filed under "color#2" and the like.
    """

    texts: Cells
    same_as: dict[int, tuple[str, int]]
    samples: Cells


def read_bundled(vocabulary: Vocabulary | str) -> Cells:
    """The bundled sentences of a shipped vocabulary: (class index, attribute) -> text.

    A text that is shared with another vocabulary calls the class as this one does. Raises
    UsageError where there are none, and ValueError, naming the line, where a line does not fit
    the vocabulary or fills a cell twice.
    """
    return _called_here(vocabulary, lambda lines: lines.texts)


def read_samples(vocabulary: Vocabulary | str) -> Cells:
    """The further samples of a shipped vocabulary's cells: (class index, "color#2") -> text.

    They are shared, and raise, as those of `read_bundled`.
    """
    return _called_here(vocabulary, lambda lines: lines.samples)


def _called_here(vocabulary: Vocabulary | str, of: Callable[[Lines], Cells]) -> Cells:
    """A vocabulary's own texts of a kind, and those that its classes take from others, in order."""
    name = vocabulary if isinstance(vocabulary, str) else vocabulary.name
    lines, classes = read_lines(name), load_vocabulary(name)
    cells = dict(of(lines))
    called: dict[str, dict[int, list[ClassEntry]]] = {}  # vocabularies -> classes -> ours
    for index, (other, at) in lines.same_as.items():
        called.setdefault(other, {}).setdefault(at, []).append(classes[index])
    for other, ours in called.items():
        theirs, shipped = read_lines(other), load_vocabulary(other)
        if nowhere := ours.keys() & theirs.same_as.keys():
            pointing = ours[min(nowhere)][0].name
            raise ValueError(f"{name}.jsonl: {pointing!r} points at a class without own texts")
        for (at, attribute), text in of(theirs).items():
            for entry in ours.get(at, ()):
                cells.setdefault((entry.index, attribute), call_it(text, shipped[at], entry))
    return dict(sorted(cells.items(), key=lambda item: _place(*item[0])))


def _place(index: int, attribute: str) -> tuple[int, int, int]:
    base, number = sampled(attribute)
    return index, BUNDLED_ATTRIBUTES.index(base), number


@cache
def read_lines(name: str) -> Lines:
    """A vocabulary's files as they are written. Raises what `read_bundled` raises."""
    if name not in DESCRIBED_VOCABULARIES:
        raise UsageError(f"There are no bundled descriptions of the vocabulary {name!r}.")
    classes = load_vocabulary(name)
    texts: Cells = {}
    same_as: dict[int, tuple[str, int]] = {}
    for row, where in _rows(f"{name}.jsonl", classes):
        if "same_as" in row:
            other = row["same_as"]
            _check_class(load_vocabulary(other["vocabulary"]), other, where)
            if row["index"] in same_as:
                raise ValueError(f"{where}: {row['class']!r} has two references")
            same_as[row["index"]] = (other["vocabulary"], other["index"])
            continue
        _file(texts, row, where, further=False)
    samples: Cells = {}
    for row, where in _rows(f"{name}-samples.jsonl", classes) if name in SAMPLED else ():
        _file(samples, row, where, further=True)
    return Lines(texts, same_as, samples)


def _file(texts: Cells, row: dict[str, Any], where: str, further: bool) -> None:
    """Enter a line's text; further: whether it is a sample beside another of the cell."""
    cell = row["index"], row["attribute"]
    base, number = sampled(row["attribute"])
    if cell in texts or base not in BUNDLED_ATTRIBUTES or (number > 1) is not further:
        raise ValueError(f"{where}: {cell} is double or not of an attribute")
    texts[cell] = row["text"]


def read_pairs(vocabulary: Vocabulary | str) -> Cells:
    """The bundled pair cells of a shipped vocabulary: (class index, "contrast:other") -> text.

    Another vocabulary than PAIRED has those of which both classes take their texts from there.
    Raises ValueError, naming the line, where a line does not fit the vocabulary or fills a cell
    twice.
    """
    name = vocabulary if isinstance(vocabulary, str) else vocabulary.name
    shipped, classes = load_vocabulary(PAIRED), load_vocabulary(name)
    called: dict[int, list[ClassEntry]] = {}  # a class of PAIRED -> what it is here
    if name == PAIRED:
        called = {entry.index: [entry] for entry in classes}
    else:
        for index, (home, at) in read_lines(name).same_as.items():
            if home == PAIRED:
                called.setdefault(at, []).append(classes[index])
    return {
        (entry.index, contrast_with(other.name)): call_it(text, shipped[at], entry)
        for (at, other_at), text in _pairs().items()
        for entry in called.get(at, ())
        for other in called.get(other_at, ())
    }


@cache
def _pairs() -> dict[tuple[int, int], str]:
    """The pair cells as they are written: (class, other class) of PAIRED -> text."""
    classes = load_vocabulary(PAIRED)
    places = {entry.name: entry.index for entry in classes}
    texts: dict[tuple[int, int], str] = {}
    for row, where in _rows(f"{PAIRED}-pairs.jsonl", classes):
        pair = row["index"], places.get(row["other"], row["index"])
        if pair in texts or pair[0] == pair[1]:
            raise ValueError(f"{where}: {row['class']!r}, {row['other']!r} is double or not a pair")
        texts[pair] = row["text"]
    return texts


def _rows(file: str, classes: Vocabulary) -> Iterator[tuple[dict[str, Any], str]]:
    """The lines of a file of ours, of classes of the vocabulary, and where each stands."""
    lines = (files(__name__) / file).read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        row, where = json.loads(line), f"{file}, line {number}"
        _check_class(classes, row, where)
        yield row, where


def _check_class(classes: Vocabulary, row: dict[str, Any], where: str) -> None:
    if row["index"] >= len(classes) or classes[row["index"]].name != row["class"]:
        raise ValueError(f"{where}: {row['class']!r} has another index in {classes.name}")
