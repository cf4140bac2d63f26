"""Files of descriptions, of other projects or of a user's own: their names with their texts.

docs/store.md lists the shapes. All become the same: of each name the texts, by attribute where the
file says which, else under None.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lsmseg_prompts.attributes import ALIASES, ATTRIBUTES
from lsmseg_prompts.attributes.samples import sampled
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.files import parse_json, read_cell

Format = Literal[
    "cupl", "dclip", "prolab", "texts", "attributes", "clip-benchmark", "csv", "fc-clip"
]
COLUMNS = ("class", "attribute", "text")
INVALID = "invalid_class_id"
_NUMBERED = re.compile(r"\s*\d+\s*:")


@dataclass(frozen=True)
class Named:
    """What a file says of one class: the names that it may be found by, the best first.

    texts: by the attributes that the file names; under None where it names none. synonyms: whether
    the texts are not descriptions but names to be put into a template.
    """

    names: tuple[str, ...]
    texts: dict[str | None, list[str]]
    synonyms: bool = False

    @property
    def count(self) -> int:
        """How many texts there are."""
        return sum(map(len, self.texts.values()))


def read(data: bytes, path: Path, format: str = "auto") -> tuple[str, list[Named]]:
    """The format of a file, and its classes.

    Args:
        data: what the file holds.
        path: the file, for messages and for its ending.
        format: one of `Format`, or "auto".

    Raises:
        UsageError: the file cannot be read as such.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{path} is not a text file in UTF-8: save it as such.") from None
    kind = path.suffix.lower()
    if format == "csv" or (format == "auto" and kind == ".csv"):
        return "csv", _of_rows(text, path)
    if format == "fc-clip" or (format == "auto" and kind != ".json" and _NUMBERED.match(text)):
        return "fc-clip", _of_lines(text, path)
    return _of_json(data, path, format)


def recognise(texts: Sequence[str]) -> Literal["cupl", "dclip", "prolab"]:
    """CuPL's sentences end with a period, ProLab's phrases begin with a capital letter."""
    said = [text.strip() for text in texts if text.strip()]
    if 2 * sum(text.endswith(".") for text in said) > len(said):
        return "cupl"
    return "prolab" if 2 * sum(text[0].isupper() for text in said) > len(said) else "dclip"


def _of_json(data: bytes, path: Path, format: str) -> tuple[str, list[Named]]:
    try:
        raw = parse_json(data)
    except ValueError as error:
        raise UsageError(f"{path} is not valid JSON: {error}.") from error
    if not isinstance(raw, dict) or not raw:
        raise UsageError(
            f"{path} is not a file of descriptions: it must be a JSON object such as "
            '{"zebra": ["black and white stripes"]}, or a .csv file with the columns class, '
            "attribute and text."
        )
    inner = [key for value in raw.values() if isinstance(value, dict) for key in value]
    nested = bool(inner) and all(isinstance(value, dict) for value in raw.values())
    if format == "clip-benchmark" or (nested and not any(map(_attribute, inner))):
        return "clip-benchmark", _of_datasets(raw, path)
    named = [Named((name,), _texts(name, value, path)) for name, value in raw.items()]
    if format == "auto":
        format = "attributes" if inner else "texts"
        if any(isinstance(value, list) for value in raw.values()):
            format = recognise(
                [text for one in named for some in one.texts.values() for text in some]
            )
    return format, named


def _texts(name: str, value: Any, path: Path) -> dict[str | None, list[str]]:
    """The texts of one class: a text, a list of them, or either by attribute."""
    if isinstance(value, dict):
        return {key: _several(name, texts, path) for key, texts in value.items()}
    return {"typical" if isinstance(value, str) else None: _several(name, value, path)}


def _several(name: str, value: Any, path: Path) -> list[str]:
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(one, str) for one in texts):
        raise UsageError(
            f"In {path} the class {name!r} has neither a text nor a list of texts: give it "
            "some, or leave it out."
        )
    return texts


def _of_datasets(raw: dict[str, Any], path: Path) -> list[Named]:
    """CLIP_benchmark's {dataset: {class: [texts]}}; the texts of a class in several are joined."""
    texts: dict[str, list[str]] = {}
    for dataset, classes in raw.items():
        if not isinstance(classes, dict):
            raise UsageError(
                f"In {path} the data set {dataset!r} is not a JSON object of classes and their "
                "texts: mend it, or give another --format."
            )
        for name, value in classes.items():
            texts.setdefault(name, []).extend(_several(name, value, path))
    return [Named((name,), {None: some}) for name, some in texts.items()]


def _of_rows(text: str, path: Path) -> list[Named]:
    """The rows of a CSV file: class, attribute, text; other columns are not read."""
    separator = max(",;\t", key=text.partition("\n")[0].count)  # Excel's depends on the country
    rows = csv.DictReader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    found: dict[str, dict[str | None, list[str]]] = {}
    try:
        heads = {(name or "").strip().lower(): name for name in rows.fieldnames or ()}
        if missing := [name for name in COLUMNS if name not in heads]:
            raise UsageError(
                f"{path} has no column {missing[0]!r}: its first line must name the columns class, "
                "attribute and text."
            )
        for row in rows:
            if any(row.get(None) or ()):
                raise UsageError(
                    f"{path} line {rows.line_num} has more columns than the first line: put "
                    f"quotation marks around a text that has {separator!r} in it."
                )
            cells = (row[heads[key]] or "" for key in COLUMNS)
            name, attribute, said = (read_cell(cell).strip() for cell in cells)
            if said and not name:
                raise UsageError(
                    f"{path} line {rows.line_num} has a text without a class: name the class on "
                    "every line."
                )
            if said:  # an empty text is one that is still to be written
                found.setdefault(name, {}).setdefault(attribute or None, []).append(said)
    except csv.Error as error:
        raise UsageError(
            f"{path} is not valid CSV ({error}, line {rows.reader.line_num}): mend that line."
        ) from None
    if not found:
        raise UsageError(f"{path} has no row with a class and a text: fill in some.")
    return [Named((name,), texts) for name, texts in found.items()]


def _of_lines(text: str, path: Path) -> list[Named]:
    """FC-CLIP's lines, "3:car,cars": names that mean the same, no descriptions."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        if not _NUMBERED.match(line):
            raise UsageError(
                f"{path} line {number} is not a number, a colon and names between commas, such as "
                "3:car,cars: mend it."
            )
        names = tuple(
            dict.fromkeys(n for name in line.partition(":")[2].split(",") if (n := name.strip()))
        )
        if names and names != (INVALID,):
            found.append(Named(names, {"typical": list(names)}, synonyms=True))
    return found


def _attribute(name: str) -> bool:
    """Whether a key is an attribute and not a class."""
    base = sampled(name.strip().lower())[0]
    return base == "typical" or all(ALIASES.get(one, one) in ATTRIBUTES for one in base.split("+"))
