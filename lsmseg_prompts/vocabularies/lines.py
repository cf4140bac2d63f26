"""Lines of a class list that can be read in two ways: asked about instead of guessed.

A .txt file has a class name a line. Several names on one line, numbers, quotes, headings and
remarks would silently become parts of names, or classes of their own. A .json file says what it
means, so it is taken as it is written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from lsmseg_prompts.english import excerpt, has_hidden, normalise
from lsmseg_prompts.errors import UsageError

_SEPARATOR = re.compile(r"\s*[,;|\t\v\f\x1c-\x1e\x85\u2028\u2029]\s*")
_NUMBER = re.compile(r"\(?\d+\s*[:.,;)|\t=-]\s*(?=[^\W\d])")  # "0: sky", "1. sky", "3,sky"
_BARE_NUMBER = re.compile(r"(?:\d+\s+)+(?=[^\W\d])")  # "1 sky", "128 64 128 sky"
_BULLET = re.compile(r"[-*+•]\s+")
_QUOTES = "\"'`“”‘’«»"
HEADINGS = ("class", "classes", "name", "names", "label", "labels", "category", "categories",
            "class name", "class names", "class_name", "classname", "id")  # fmt: skip
NO_CLASSES = ("background", "void", "unlabeled", "unlabelled", "ignore", "ignored")
MOST_READ = 2000  # letters of a line; a name is refused long before
_NUMBERED = "classes are numbered by their place in the list, from 0, so write the name alone"


def text_lines(text: str) -> list[str]:
    """The lines of a file; other signs that part lines stay, for `check_lines` to refuse."""
    return re.split(r"\r\n|\n|\r", text)


def check_lines(path: Path, lines: Sequence[tuple[int, str]]) -> None:
    """Raise UsageError for the first line of a .txt class list that may mean something else.

    `lines` are those that are neither blank nor remarks, with their numbers in the file.
    """
    lines = [(number, line[:MOST_READ]) for number, line in lines]
    whys = _whys([line for _, line in lines], listed=True)
    for (number, line), why in zip(lines, whys, strict=True):
        if why is not None:
            raise UsageError(
                f"{path}, line {number}, {_short(line)} {why}. A .json file is taken as it is "
                f"written: [{json.dumps(_short(line)[1:-1], ensure_ascii=False)}, ...]."
            )


def check_typed(option: str, names: Sequence[str]) -> None:
    """Raise UsageError for the first name typed between commas that may mean something else."""
    for name, why in zip(names, _whys(names, listed=False), strict=True):
        if has_hidden(name):
            raise UsageError(
                f"{option}: {_short(name)} holds control characters or invisible signs: type it "
                "anew."
            )
        if why is not None:
            raise UsageError(
                f"{option}: {_short(name)} {why}. A .json file of names, given with "
                "--classes-file, is taken as it is written."
            )


def _whys(lines: Sequence[str], listed: bool) -> list[str | None]:
    """For each line why it may not be a name, and what to write instead; None: it is one."""
    numbered = len(lines) > 1 and all(_BARE_NUMBER.match(line) for line in lines)
    whys = [_why(line, numbered, listed) for line in lines]
    if listed and lines and normalise(lines[0]) in HEADINGS:
        whys[0] = "looks like a heading: leave the line out, or put # before it"
    return whys


def _why(line: str, numbered: bool, listed: bool) -> str | None:
    pattern = _BARE_NUMBER if numbered else _NUMBER
    if found := pattern.match(line):
        rest = _SEPARATOR.split(line[found.end() :])[0]
        return f"begins with a number: {_NUMBERED}, {_short(rest)}"
    if found := re.search(r"\s*[:=]\s*\d+$", line):
        return f"ends with a number: {_NUMBERED}, {_short(line[: found.start()])}"
    names = [name.strip(_QUOTES) for name in _SEPARATOR.split(line) if name.strip(_QUOTES)]
    if _SEPARATOR.search(line):
        return _several(names, listed)
    if line[0] in _QUOTES and line[-1] in _QUOTES:
        return f"has quotation marks around it: write {line.strip(_QUOTES)}"
    if found := _BULLET.match(line):
        return f"begins with a bullet: write {_short(line[found.end() :])}"
    if found := re.search(r"\s+#", line):
        name = _short(line[: found.start()])
        return f"has a remark behind the name: write {name}, and the remark on a line of its own"
    if listed and normalise(line) in NO_CLASSES:
        return (
            "is not a class that a prompt could describe: leave the line out, give its pixels the "
            "label 255 and make the labels after it one lower (`predict` takes --background)"
        )
    return None


def _several(names: Sequence[str], listed: bool) -> str:
    """What to write for several names on one line."""
    first, *others = names or [""]
    if not others:
        return f"has a separator beside the name: write {_short(first)}"
    if not listed:
        return f'is several names: put commas between them, "{_short(", ".join(names))[1:-1]}"'
    first, *others = (json.dumps(excerpt(one), ensure_ascii=False) for one in names[:4])
    shown = ", ".join(others)
    more = ", ..." if len(names) > 4 else ""
    return (
        "is several names: write each class on a line of its own, or, if it is one class with "
        f'other names, a .json file: [{{"name": {first}, '
        f'"synonyms": [{shown}{more}]}}, ...]'
    )


def _short(text: str) -> str:
    return repr(excerpt(text))
