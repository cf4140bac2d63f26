"""docs/errors.md, the page of all messages: where it lies, and which part is about a message.

On the page "…" stands for what is filled in. tests/cli/test_errors.py holds that every message
that is raised stands there.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PAGE = "errors.md"


class Entry(NamedTuple):
    """A message on the page: its exit code, the anchor of its part, and its text with "…"."""

    exit_code: int
    anchor: str
    text: str


def page_path() -> Path:
    """The page: in the wheel, or in docs/ of a checkout."""
    here = Path(__file__).resolve()
    inside = here.with_name(PAGE)
    return inside if inside.exists() else here.parents[2] / "docs" / PAGE


def entries(page: str) -> Iterator[Entry]:
    """The messages of the page, which are the items of its lists; of an exit code itself "…"."""
    code, anchor = 0, ""
    for line in page.splitlines():
        if heading := re.fullmatch(r"##+ (.*)", line):
            anchor = re.sub(r"[^\w -]", "", heading[1].lower()).replace(" ", "-")
            if number := re.match(r"Exit code (\d+)", heading[1]):
                code = int(number[1])
                yield Entry(code, anchor, "…")
        elif item := re.fullmatch(r"- (`+) ?(.*?) ?\1", line):
            yield Entry(code, anchor, item[2])


def matches(text: str, message: str) -> bool:
    """Whether the message is that of the page, "…" filled in."""
    # Not by regular expressions: to compile those of the whole page takes longer than all else.
    first, *others = text.split("…")
    if not others:
        return message == text
    *between, last = others
    at, end = len(first), len(message) - len(last)
    if at > end or not (message.startswith(first) and message.endswith(last)):
        return False
    for part in between:
        at = message.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True


def address(message: str, exit_code: int) -> str:
    """The page's path, from the working folder where it is below it, and the part for a message.

    Of several texts that the message may be, the one with the most letters of its own counts; one
    that is not on the page has the part about its exit code.
    """
    path = page_path()
    fitting = [
        entry
        for entry in entries(path.read_text("utf-8"))
        if entry.exit_code == exit_code and matches(entry.text, message)
    ]
    best = max(fitting, key=lambda entry: len(entry.text.replace("…", "")))
    relative = os.path.relpath(path)
    return f"{path if relative.startswith('..') else relative}#{best.anchor}"
