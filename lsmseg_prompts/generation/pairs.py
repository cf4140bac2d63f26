"""Which pairs to ask for, as a user writes them: `zebra:horse`, or a table in a file."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from lsmseg_prompts.attributes.contrast import contrast_with, other_class
from lsmseg_prompts.descriptions.loading import Cell
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.files import is_path, read_cell, read_named
from lsmseg_prompts.vocabularies import Vocabulary

COLUMNS = ("class", "other")


def pair_cells(given: str, vocabulary: Vocabulary) -> list[Cell]:
    """The cells of `zebra:horse,cow:horse`, or of a CSV file with the columns class and other.

    Raises UsageError for what is not a pair of two classes of the vocabulary, and
    ConfigurationError for a file that cannot be read.
    """
    pairs = _from_file(given) if is_path(given) else _from_words(given)
    cells: dict[Cell, None] = {}
    for name, other in pairs:
        entry = vocabulary.find(name)
        told = other_class(contrast_with(other), entry, vocabulary)
        assert told is not None
        cells[entry.index, contrast_with(told.name)] = None
    if not cells:
        raise UsageError(f"There is no pair in {given!r}: give some, such as zebra:horse.")
    return list(cells)


def _from_words(given: str) -> Iterable[tuple[str, str]]:
    for part in filter(str.strip, given.split(",")):
        name, colon, other = part.partition(":")
        if not colon:
            raise UsageError(
                f"{part.strip()!r} is not a pair: write the class and the other, such as "
                "zebra:horse, or give a CSV file with the columns class and other."
            )
        yield name.strip(), other.strip()


def _from_file(path: str) -> Iterable[tuple[str, str]]:
    try:
        text = read_named(path, "pairs").decode("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text, newline=""), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UsageError(f"{path} is not a CSV file: {error}.") from None
    for number, row in enumerate(rows, start=2):
        name, other = (read_cell(row.get(column) or "") for column in COLUMNS)
        if not name or not other:
            raise UsageError(
                f"Line {number} of {path} lacks its class or the other: give a CSV file with the "
                "columns class and other."
            )
        yield name, other
