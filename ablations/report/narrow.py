"""A table of scores in a narrow terminal: fewer intervals first, then fewer columns."""

import re
from collections.abc import Iterator, Sequence

from lsmseg_prompts.terminal import fits

Table = tuple[list[str], list[list[str]]]
FIRST = ("union", "selection")
"""Columns that are left out before anything else."""
THEN = ("gain on selection", "seen", "unseen", "published change")
"""Columns that are left out where scores without intervals are still too wide."""
INTERVAL = re.compile(r" \[[^\]]*\]$")


def narrowed(heads: Sequence[str], cells: Sequence[Sequence[str]]) -> tuple[Table, str]:
    """The heads and cells that fit the terminal, and what had to be left out, as a sentence.

    The interval of a difference stays longest. Where nothing helps, the table as it was.
    """
    table: Table = ([*heads], [[*row] for row in cells])
    bare: set[str] = set()
    for smaller, head in _steps(*table):
        if fits(*table):
            break
        table = smaller
        bare.add(head)
    if not fits(*table):
        return ([*heads], [[*row] for row in cells]), ""
    gone = ", ".join(head for head in heads if head not in table[0])
    without = ", ".join(head for head in table[0] if head in bare)
    parts = [gone] * bool(gone) + [f"the intervals of {without}"] * bool(without)
    return table, f"Left out: {'; '.join(parts)}. -v shows all." if parts else ""


def _steps(heads: list[str], cells: list[list[str]]) -> Iterator[tuple[Table, str]]:
    """Ever smaller tables, and the column that each cuts or leaves out."""
    differences = [head for head in heads if head.startswith(("against", "to "))]
    scores = [head for head in reversed(heads) if head not in differences]
    for head in FIRST:
        if head in heads:
            heads, cells = _without(heads, cells, head)
            yield (heads, cells), head
    for group in (scores, THEN, differences[::-1]):
        for head in group:
            if head not in heads:
                continue
            if group is THEN:
                heads, cells = _without(heads, cells, head)
                yield (heads, cells), head
            elif any(INTERVAL.search(row[heads.index(head)]) for row in cells):
                cells = _bare(cells, heads.index(head))
                yield (heads, cells), head


def _without(heads: list[str], cells: list[list[str]], head: str) -> Table:
    at = heads.index(head)
    return heads[:at] + heads[at + 1 :], [row[:at] + row[at + 1 :] for row in cells]


def _bare(cells: list[list[str]], at: int) -> list[list[str]]:
    return [[*row[:at], INTERVAL.sub("", row[at]), *row[at + 1 :]] for row in cells]
