"""Which pictures belong together, as those of one video: groups.csv, or what file names tell."""

import csv
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from lsmseg_model.data.images import SUFFIXES
from lsmseg_model.errors import DataError

FILE = "groups.csv"  # beside the folder of the pictures
COLUMNS = ["picture", "group"]
SHOWN = 3  # names in a message


def groups_of(
    pictures: Sequence[Path], listed: Path, root: Path, pattern: str | None
) -> tuple[str, ...] | None:
    """The group of each picture; None where nothing tells which belong together.

    Args:
        pictures: Paths of a split's pictures below ``root``.
        listed: The groups.csv that says it, if there is one.
        root: The folder that holds the pictures of all splits.
        pattern: A regular expression of a picture's name; its first bracket is the group, where
            there is no groups.csv.

    Raises:
        DataError: For a groups.csv of another form, unknown names, pictures without a group or
            with two, and names that do not tell.
    """
    if listed.exists():
        return _read(listed, root, [_without_ending(picture.as_posix()) for picture in pictures])
    if pattern is None:
        return None
    found = [re.fullmatch(pattern, picture.stem) for picture in pictures]
    others = [p.name for p, match in zip(pictures, found, strict=True) if match is None]
    if others:
        raise DataError(
            f"Names of pictures do not tell which video they are of: {_some(others)}; say which "
            f"pictures belong together in {listed}, see docs/data.md."
        )
    return tuple(match[1] for match in found if match)


def _read(path: Path, root: Path, wanted: Sequence[str]) -> tuple[str, ...]:
    """The groups of the ``wanted`` pictures (paths below ``root``), as groups.csv has them.

    A picture is named by its file's name, with or without the ending; where splits have pictures
    of the same name, with the split's folder before it: val/0001.
    """
    known: dict[str, set[str]] = {}
    for picture in _pictures(root):
        whole = _without_ending(picture.relative_to(root).as_posix())
        known.setdefault(whole, set()).add(whole)
        known.setdefault(picture.stem, set()).add(whole)
    groups: dict[str, str] = {}
    unknown: list[str] = []
    twice: list[str] = []
    for line, name, group in _rows(path):
        meant = sorted(known.get(_without_ending(name), ()))
        if len(meant) > 1:
            raise DataError(
                f"{path}, line {line}: there are several pictures {name!r}; say which, such as "
                f"{meant[0]}."
            )
        if not meant:
            unknown.append(name)
        elif meant[0] in groups:
            twice.append(name)
        else:
            groups[meant[0]] = group
    for names, what, cure in (
        (unknown, f"that are not in {root}", "correct the names or remove the lines"),
        (twice, "more than once", "give each picture one line"),
    ):
        if names:
            raise DataError(f"{path} names pictures {what}: {_some(names)}; {cure}.")
    if missing := [whole for whole in wanted if whole not in groups]:
        raise DataError(f"{path} lacks pictures: {_some(missing)}; give each picture one line.")
    return tuple(groups[whole] for whole in wanted)


def _pictures(root: Path) -> Iterator[Path]:
    """All pictures below a folder; a split's folder may be a link."""
    for folder, _, files in os.walk(root, followlinks=True):
        for name in files:
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield Path(folder, name)


def _rows(path: Path) -> Iterator[tuple[int, str, str]]:
    """The line's number, the picture and the group of each line."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [cell.strip() for cell in next(reader, [])]
            if header != COLUMNS:
                raise DataError(
                    f"{path} must begin with the line {','.join(COLUMNS)}; it begins with "
                    f"{','.join(header)!r}."
                )
            for row in reader:
                cells = [cell.strip() for cell in row]
                if not any(cells):
                    continue
                if len(cells) != len(COLUMNS) or not all(cells):
                    raise DataError(
                        f"{path}, line {reader.line_num}: each line holds a picture and its group, "
                        f"such as 0001,street; this one holds {','.join(row)!r}."
                    )
                yield reader.line_num, cells[0], cells[1]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as CSV in UTF-8 ({error}).") from error


def _without_ending(name: str) -> str:
    name = name.replace("\\", "/")
    stem, dot, ending = name.rpartition(".")
    return stem if f"{dot}{ending}".lower() in SUFFIXES else name


def _some(names: Sequence[str]) -> str:
    """The first of some names, and how many there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
