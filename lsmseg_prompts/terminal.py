"""What the command line shows: tables and JSON on stdout, notes and progress bars on stderr."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import zip_longest
from time import monotonic
from typing import Any, Literal

from lsmseg_prompts.files import plain

FOLDED = 20  # signs; columns that are wider may be folded, to no less than this
WIDTH = 80  # columns of what is no terminal, where $COLUMNS says nothing else
LOG_EVERY = 30.0  # seconds between the lines of progress where stderr is no terminal


# Signs that steer a terminal: C0 and C1, marks of direction, separators of lines.
_STEERING = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\U000e0000-\U000e007f]"
)


def _escaped(found: re.Match[str]) -> str:
    """A sign as JSON may write it."""
    return f"\\u{ord(found[0]):04x}" if found[0] <= "\uffff" else json.dumps(found[0])[1:-1]


def print_json(value: Any) -> None:
    """`value` as indented JSON on stdout; paths as strings, NaN as null."""
    shown = plain(value)
    text = json.dumps(shown, indent=2, ensure_ascii=False, allow_nan=False)
    text = _STEERING.sub(_escaped, text)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:  # another encoding, or the name of a file that is no text
        text = json.dumps(shown, indent=2, allow_nan=False)
    print(text)


def printable(text: str) -> str:
    """An LLM's text for a terminal: without control characters but line breaks and tabs."""
    return "".join(c for c in text if c.isprintable() or c in "\n\t")


def visible(text: str) -> str:
    """Names and texts for a terminal: control characters and invisible signs written out."""
    if text.isprintable():
        return text
    return "".join(
        c if c.isprintable() or c in "\n\t\xa0\u200c\u200d" else ascii(c)[1:-1] for c in text
    )


def print_line(text: object = "") -> None:
    """A line, or several, on stdout; names and texts that others wrote may be in it."""
    print(visible(str(text)))


def note(text: str) -> None:
    """A line for the reader, not for a program: on stderr."""
    print(visible(text), file=sys.stderr)


def print_table(
    rows: Sequence[Mapping[str, Any]],
    columns: Sequence[str] | None = None,
    brief: Sequence[str] | None = None,
) -> None:
    """Rows of equal keys as a table on stdout.

    columns: chooses and orders the keys; brief: those that stay where there is no room for all.
    """
    columns = list(columns or dict.fromkeys(key for row in rows for key in row))
    cells = [[cell_text(row.get(column)) for column in columns] for row in rows]
    if brief is not None and not fits(columns, cells, folded=False):
        print_table(rows, brief)
        return
    print_cells(
        [column.replace("_", " ") for column in columns],
        cells,
        [any(_is_number(row.get(column)) for row in rows) for column in columns],
    )


def terminal_width() -> int:
    """$COLUMNS, else the width of the terminal, else WIDTH: of files and pipes."""
    return shutil.get_terminal_size((WIDTH, 24)).columns


def print_wrapped(text: str, indent: int = 0) -> None:
    """A text on stdout, its lines no wider than the terminal; words stay whole.

    indent: how many columns a line that goes on is moved to the right.
    """
    import textwrap

    wrapper = textwrap.TextWrapper(
        terminal_width(),
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    for line in visible(text).replace(" %", "\N{NO-BREAK SPACE}%").splitlines():
        print(wrapper.fill(line).replace("\N{NO-BREAK SPACE}%", " %"))


def print_cells(
    heads: Sequence[str],
    cells: Sequence[Sequence[str]],
    right: Sequence[bool],
    title: str = "",
    note: str = "",
    styles: Sequence[str] = (),
) -> None:
    """A table of texts on stdout, no wider than the terminal; nothing is cut.

    Sentences are folded, then heads of several words. Where that does not do, each row is shown
    as lines of key and value.

    Args:
        heads: what stands above each column.
        cells: the texts of each row.
        right: of each column, whether it is set to the right, as numbers are.
        title: a line above the table.
        note: a line below it.
        styles: of each row, as rich calls them; none: all plain.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    heads = [visible(head) for head in heads]
    cells = [[visible(" ".join(cell.splitlines())) for cell in row] for row in cells]
    console = Console(width=terminal_width(), highlight=False)
    table = Table(box=None, pad_edge=False)
    narrow = _narrow_heads(heads, cells)
    shown = next((above for above in (heads, narrow) if _widths(above, cells)), None)
    if shown is None:
        table.show_header = False
        table.add_column(style="bold", no_wrap=True)
        table.add_column(overflow="fold")
        for place, row in enumerate(cells):
            if place:
                table.add_row()
            for head, cell in zip(heads, row, strict=True):
                if cell:
                    table.add_row(Text(head), Text(cell))
    else:
        widths = _widths(shown, cells)
        for head, to_right, width in zip(shown, right, widths, strict=True):
            justify: Literal["left", "right"] = "right" if to_right else "left"
            table.add_column(Text(head), justify=justify, width=width)
        for row, style in zip_longest(cells, styles, fillvalue=""):
            # Text, so that square brackets in an LLM's sentence are not read as markup.
            folded = (_folded(cell, width) for cell, width in zip(row, widths, strict=True))
            table.add_row(*map(Text, folded), style=style)
    if title:
        console.print(Text(visible(title), style="bold underline"))
    console.print(table)
    if note:
        console.print(Text(visible(note), style="dim"))


def fits(heads: Sequence[str], cells: Sequence[Sequence[str]], folded: bool = True) -> bool:
    """Whether the columns fit beside one another, with heads and long texts folded or as is."""
    if folded:
        return bool(_widths(_narrow_heads(heads, cells), cells))
    widths = _widths(heads, cells)
    return bool(widths) and all(
        max(map(len, (head, *(row[n] for row in cells)))) <= widths[n]
        for n, head in enumerate(heads)
    )


def _widths(heads: Sequence[str], cells: Sequence[Sequence[str]]) -> list[int]:
    """How wide each column is; none where the columns do not fit beside one another.

    The widest give way first, down to FOLDED and the longest part that stays whole.
    """
    from rich.cells import cell_len

    widths, least = [], []
    for texts in zip(heads, *cells, strict=True):
        lines = [line for text in texts for line in text.splitlines()]
        widths.append(max(map(cell_len, lines), default=0))
        longest = max((cell_len(p.rstrip()) for x in lines for p in _parts(x)), default=0)
        least.append(min(widths[-1], max(FOLDED, longest)))
    room = terminal_width() - 2 * (len(heads) - 1)
    if sum(least) > room:
        return []
    while (over := sum(widths) - room) > 0:
        wide = max(range(len(widths)), key=lambda n: (widths[n] > least[n], widths[n]))
        second = max((w for n, w in enumerate(widths) if n != wide), default=0)
        down = min(over, max(1, widths[wide] - second))  # to the next widest, if that is needed
        widths[wide] = max(least[wide], widths[wide] - down)
    return widths


def _narrow_heads(heads: Sequence[str], cells: Sequence[Sequence[str]]) -> list[str]:
    """Heads of several words, folded where they are wider than what is below them."""
    columns = zip(heads, *cells, strict=True)
    return [_folded(head, max(map(len, [*below, *head.split()]))) for head, *below in columns]


def _parts(line: str) -> list[str]:
    """A line cut where it may be folded: after spaces, and after + and / of long names."""
    return re.split(r"(?<=[ +/])", line)


def _folded(text: str, width: int) -> str:
    """The text in lines of at most `width`, each as long as can be."""
    from rich.cells import cell_len

    lines = []
    for line in text.splitlines():
        lines.append("")
        for part in _parts(line):
            if cell_len((lines[-1] + part).rstrip()) > width:
                lines[-1] = lines[-1].rstrip()
                lines.append("")
            lines[-1] += part
    return "\n".join(lines)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def cell_text(value: Any) -> str:
    """A value as people read it: none as -, truth as yes or no, lists with commas."""
    if value is None or value != value:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4f}"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return str(value)


def clock(seconds: float) -> str:
    """A time such as 1:07 or 2:00:00."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


class Clock:
    """How work goes on: its mean rate since it began, and whether another line of it is due."""

    def __init__(self) -> None:
        self.began = self.last = monotonic()
        self.done = 0

    def left(self, done: int, total: int) -> str:
        """The time left at the mean rate so far; where fewer are done, new work has begun."""
        if done < self.done:
            self.began = monotonic()
        self.done = done
        seconds = monotonic() - self.began
        return clock(seconds * (total - done) / done) if done and seconds else "-:--"

    def due(self) -> bool:
        """Whether LOG_EVERY seconds are over since the last line; then the next ones begin."""
        if monotonic() - self.last < LOG_EVERY:
            return False
        self.last = monotonic()
        return True


OnStep = Callable[[str, int, int], object]
_listeners: ContextVar[tuple[OnStep, ...]] = ContextVar("listeners", default=())


@contextmanager
def progress_to(listener: OnStep) -> Iterator[None]:
    """Tell `listener(title, done, total)` too of every progress bar while the block runs.

    Also of those that are not shown. `total` is 0 where a bar begins and it is not known yet.
    """
    token = _listeners.set((*_listeners.get(), listener))
    try:
        yield
    finally:
        _listeners.reset(token)


@contextmanager
def progress_bar(title: str, wanted: bool = True) -> Iterator[Callable[[int, int], None] | None]:
    """Progress on stderr while the block runs; yields progress(done, total), None if not wanted.

    A bar on a terminal; elsewhere, as in a log file, a line every LOG_EVERY seconds. Listeners
    (`progress_to`) hear of it whether it is shown or not.
    """
    listeners = _listeners.get()
    with _bar(title, wanted) as shown:
        if not listeners:
            yield shown
            return

        def told(done: int, total: int) -> None:
            if shown is not None:
                shown(done, total)
            for listener in listeners:
                listener(title, done, total)

        for listener in listeners:
            listener(title, 0, 0)
        yield told


@contextmanager
def _bar(title: str, wanted: bool) -> Iterator[Callable[[int, int], None] | None]:
    if not wanted:
        yield None
        return
    times = Clock()
    if not sys.stderr.isatty():

        def line(done: int, total: int) -> None:
            left = times.left(done, total)
            if times.due():
                print(f"{title}: {done} of {total}, {left} left", file=sys.stderr, flush=True)

        yield line
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=None), MofNCompleteColumn())
    told = TextColumn("{task.fields[left]} left")
    with Progress(*columns, told, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=None, left="-:--")
        yield lambda done, total: bar.update(
            task, completed=done, total=total, left=times.left(done, total)
        )
