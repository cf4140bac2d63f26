"""The bundled descriptions as reviewable JSON Lines, one cell a line, a file for each vocabulary.

    {"index": 22, "class": "zebra", "attribute": "color", "text": "..."}

A class that another vocabulary has in the same sense has no texts of its own, but one line:

    {"index": 4, "class": "tree", "same_as": {"vocabulary": "coco-stuff", "index": 168, ...}}

These files are the source; the shipped store is rebuilt from them (`make store`). How they
were written and checked: docs/corpus.md.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.llm.bundled import BUNDLED_ATTRIBUTES, DESCRIBED_VOCABULARIES
from lsmseg_prompts.vocabularies import Vocabulary, load_vocabulary
from lsmseg_prompts.vocabularies.renaming import call_it

WRITTEN = "2026-11-27T00:00:00.000Z"

Cells = dict[tuple[int, str], str]


@dataclass(frozen=True)
class Lines:
    """What a vocabulary's file says: its own texts, and which classes take another class's."""

    texts: Cells
    same_as: dict[int, tuple[str, int]]


def read_bundled(vocabulary: Vocabulary | str) -> Cells:
    """The bundled sentences of a shipped vocabulary: (class index, attribute) -> text.

    A text that is shared with another vocabulary calls the class as this one does. Raises
    UsageError where there are none, and ValueError, naming the line, where a line does not fit
    the vocabulary or fills a cell twice.
    """
    name = vocabulary if isinstance(vocabulary, str) else vocabulary.name
    lines, classes = read_lines(name), load_vocabulary(name)
    cells = dict(lines.texts)
    for index, (other, at) in lines.same_as.items():
        shipped, entry = load_vocabulary(other)[at], classes[index]
        theirs = read_lines(other)
        if at in theirs.same_as:
            raise ValueError(f"{name}.jsonl: {entry.name!r} points at a class without own texts")
        for attribute in BUNDLED_ATTRIBUTES:
            text = theirs.texts.get((at, attribute))
            if text is not None:
                cells.setdefault((index, attribute), call_it(text, shipped, entry))
    places = sorted(cells, key=lambda cell: (cell[0], BUNDLED_ATTRIBUTES.index(cell[1])))
    return {cell: cells[cell] for cell in places}


@cache
def read_lines(name: str) -> Lines:
    """A vocabulary's file as it is written. Raises what `read_bundled` raises."""
    if name not in DESCRIBED_VOCABULARIES:
        raise UsageError(f"There are no bundled descriptions of the vocabulary {name!r}.")
    classes = load_vocabulary(name)
    texts: Cells = {}
    same_as: dict[int, tuple[str, int]] = {}
    lines = (files(__name__) / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        row, where = json.loads(line), f"{name}.jsonl, line {number}"
        _check_class(classes, row, where)
        if "same_as" in row:
            other = row["same_as"]
            _check_class(load_vocabulary(other["vocabulary"]), other, where)
            if row["index"] in same_as:
                raise ValueError(f"{where}: {row['class']!r} has two references")
            same_as[row["index"]] = (other["vocabulary"], other["index"])
            continue
        cell = row["index"], row["attribute"]
        if cell in texts or row["attribute"] not in BUNDLED_ATTRIBUTES:
            raise ValueError(f"{where}: {cell} is double or not of an attribute")
        texts[cell] = row["text"]
    return Lines(texts, same_as)


def _check_class(classes: Vocabulary, row: dict[str, Any], where: str) -> None:
    if row["index"] >= len(classes) or classes[row["index"]].name != row["class"]:
        raise ValueError(f"{where}: {row['class']!r} has another index in {classes.name}")
