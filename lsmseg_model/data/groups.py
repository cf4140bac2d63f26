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


def read_groups(path: Path, root: Path, folder: Path, stems: Sequence[str]) -> tuple[str, ...]:
    """The group of each picture of a split, as groups.csv has it.

    A picture is named by its file's name, with or without the ending; where splits have pictures
    of the same name, with the split's folder before it: val/0001.

    Args:
        path: The file; it may list pictures of other splits too.
        root: The folder that holds the pictures of all splits.
        folder: That of the split's own pictures, below it or the same.
        stems: The split's pictures, without endings.

    Raises:
        DataError: For a file of another form, unknown names, pictures without a group or with two.
    """
    known: dict[str, set[str]] = {}
    for picture in _pictures(root):
        whole = picture.relative_to(root).with_suffix("").as_posix()
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
    wholes = [(folder / stem).relative_to(root).as_posix() for stem in stems]
    missing = [whole for whole in wholes if whole not in groups]
    for names, what, cure in (
        (unknown, f"that are not in {root}", "correct the names or remove the lines"),
        (twice, "more than once", "give each picture one line"),
    ):
        if names:
            raise DataError(f"{path} names pictures {what}: {_some(names)}; {cure}.")
    if missing:
        raise DataError(f"{path} lacks pictures: {_some(missing)}; give each picture one line.")
    return tuple(groups[whole] for whole in wholes)


def named_groups(pattern: str, benchmark: str, path: Path, stems: Sequence[str]) -> tuple[str, ...]:
    """The group of each picture, as its name tells by the first bracket of ``pattern``.

    Args:
        pattern: A regular expression of the whole name.
        benchmark: The benchmark's name.
        path: The groups.csv that may say it instead.
        stems: The pictures, without endings.

    Raises:
        DataError: For a name that does not tell.
    """
    found = [re.fullmatch(pattern, stem) for stem in stems]
    others = [stem for stem, match in zip(stems, found, strict=True) if match is None]
    if others:
        raise DataError(
            f"Pictures of {benchmark} whose names do not tell their video: {_some(others)}; say "
            f"which pictures belong together in {path}, see docs/data.md."
        )
    return tuple(match[1] for match in found if match)


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
