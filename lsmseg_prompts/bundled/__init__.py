"""The bundled descriptions as reviewable JSON Lines, one cell a line.

    {"index": 22, "class": "zebra", "attribute": "color", "text": "..."}

These files are the source; the shipped store is rebuilt from them (`bundled.rebuild`).
"""

from __future__ import annotations

import json
from importlib.resources import files

from lsmseg_prompts.attributes import ATTRIBUTES
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.vocabularies import Vocabulary, load_vocabulary

LLM_NAME = "bundled"
PROVENANCE = (
    "Written for this project, sentence by sentence, by a language model answering the paper's "
    "queries; that model was not GPT-4, and these are not the paper's texts."
)
WRITTEN = "2026-11-20T00:00:00.000Z"
BUNDLED_ATTRIBUTES = (*ATTRIBUTES, "typical")
DESCRIBED_VOCABULARIES = ("coco-stuff", "camvid")
"""The vocabularies with bundled texts of their own, a file of JSON Lines each."""


def read_bundled(vocabulary: Vocabulary | str) -> dict[tuple[int, str], str]:
    """The bundled sentences of a shipped vocabulary: (class index, attribute) -> text.

    Raises UsageError where there are none, and ValueError, naming the line, where a line does
    not fit the vocabulary or fills a cell twice.
    """
    name = vocabulary if isinstance(vocabulary, str) else vocabulary.name
    if name not in DESCRIBED_VOCABULARIES:
        raise UsageError(f"There are no bundled descriptions of the vocabulary {name!r}.")
    classes = load_vocabulary(name)
    cells: dict[tuple[int, str], str] = {}
    lines = (files(__name__) / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines, start=1):
        row = json.loads(line)
        cell = row["index"], row["attribute"]
        if cell in cells or row["attribute"] not in BUNDLED_ATTRIBUTES:
            raise ValueError(f"{name}.jsonl, line {number}: {cell} is double or no attribute")
        if row["index"] >= len(classes) or classes[row["index"]].name != row["class"]:
            raise ValueError(f"{name}.jsonl, line {number}: {row['class']!r} has another index")
        cells[cell] = row["text"]
    return cells
