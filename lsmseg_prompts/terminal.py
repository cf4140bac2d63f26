"""What the command line shows: tables and JSON on stdout, notes and progress bars on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import zip_longest
from typing import Any, Literal

from lsmseg_prompts.files import plain

FOLDED = 24  # signs; columns that are wider may be folded, to no less than this


def print_json(value: Any) -> None:
    """`value` as indented JSON on stdout; paths as strings, NaN as null."""
    print(json.dumps(plain(value), indent=2, ensure_ascii=False, allow_nan=False))


def printable(text: str) -> str:
    """An LLM's text for a terminal: without control characters but line breaks and tabs."""
    return "".join(c for c in text if c.isprintable() or c in "\n\t")


def note(text: str) -> None:
    """A line for the reader, not for a program: on stderr."""
    print(text, file=sys.stderr)


def print_table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str] | None = None) -> None:
    """Rows of equal keys as a table on stdout; `columns` chooses and orders the keys."""
    columns = list(columns or dict.fromkeys(key for row in rows for key in row))
    print_cells(
        [column.replace("_", " ") for column in columns],
        [[_cell(row.get(column)) for column in columns] for row in rows],
        [any(_is_number(row.get(column)) for row in rows) for column in columns],
    )


def print_cells(
    heads: Sequence[str],
    cells: Sequence[Sequence[str]],
    right: Sequence[bool],
    title: str = "",
    note: str = "",
    styles: Sequence[str] = (),
) -> None:
    """A table of texts on stdout; only long ones are folded, and nothing is cut.

    On a terminal too narrow for that each row is shown as lines of key and value.

    Args:
        heads: what stands above each column.
        cells: the texts of each row.
        right: of each column, whether it is set to the right, as numbers are.
        title: a line above the table.
        note: a line below it.
        styles: of each row, as rich calls them; none: all plain.
    """
    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    widths = [max(map(cell_len, texts)) for texts in zip(heads, *cells, strict=True)]
    folded = [width > FOLDED for width in widths]
    needed = 2 * len(heads) + sum(map(min, widths, [FOLDED] * len(heads)))
    # Piped output has no width of its own; 80 columns would fold every sentence.
    width = None if sys.stdout.isatty() else max(200, needed)
    console = Console(width=width, soft_wrap=False, highlight=False)
    table = Table(box=None, pad_edge=False)
    if needed > console.width + 2 and cells:
        table.show_header = False
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for place, row in enumerate(cells):
            if place:
                table.add_row()
            for head, cell in zip(heads, row, strict=True):
                if cell:
                    table.add_row(head, Text(cell))
    else:
        for head, to_right, fold in zip(heads, right, folded, strict=True):
            justify: Literal["left", "right"] = "right" if to_right else "left"
            table.add_column(head, justify=justify, no_wrap=not fold, overflow="fold")
        for row, style in zip_longest(cells, styles, fillvalue=""):
            # Text, so that square brackets in an LLM's sentence are not read as markup.
            table.add_row(*map(Text, row), style=style)
    if title:
        console.print(Text(title, style="bold underline"))
    console.print(table)
    if note:
        console.print(Text(note, style="dim"))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _cell(value: Any) -> str:
    if value is None or value != value:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)


@contextmanager
def progress_bar(title: str, wanted: bool = True) -> Iterator[Callable[[int, int], None] | None]:
    """A bar on stderr while the block runs; yields progress(done, total).

    None where it is not wanted, and where stderr is a file: a bar there is but noise.
    """
    if not wanted or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
