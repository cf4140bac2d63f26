"""A `Sheet`: one table of finished text, for the terminal, the page and a paper alike.

Scores stand in per cent with 95 % intervals in brackets; differences are paired. An interval
whose ends look the same is not shown: it would seem to have no width.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ablations.search.enough import TOO_FEW, counted

Row = Mapping[str, Any]
Column = tuple[str, Callable[[Row], str]]
"""A header, and the text of a row's cell."""
Key = Callable[[Row], Any]
NUMBER = r"-?$|[+-]?\d[\d.]*( \[.*\])?$"


@dataclass(frozen=True)
class Line:
    """A row of a sheet.

    kind: as in `search.single` and `search.combine`. among: what it shares with the lines that it
    is to be compared with, column by column; None: it is not.
    """

    kind: str
    cells: tuple[str, ...]
    chosen: bool = False
    among: str | None = None


@dataclass(frozen=True)
class Sheet:
    """A table of text with a title and a note below it."""

    title: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    note: str


def kind_of(row: Row) -> str:
    """What a row of stage 3 (``kind``) or stage 4 (``status``) is."""
    return str(row.get("kind") or row["status"])


def make_sheet(
    title: str,
    rows: Sequence[Row],
    columns: Sequence[Column],
    note: str,
    kind: Callable[[Row], str] = kind_of,
    among: Callable[[Row], str | None] = lambda row: None,
) -> Sheet:
    """A sheet with a line for every row.

    Args:
        title: What stands above it.
        rows: Of a run's tables; that with a true ``chosen`` is the one that was chosen.
        columns: What is shown of each row.
        note: What stands below it; with too few pictures for intervals it says so too.
        kind: What each row is.
        among: See `Line`; `together` where all rows are compared.
    """
    reasons = {str(row.get("no_interval") or "") for row in rows}
    few = sorted(reason for reason in reasons if reason.startswith(TOO_FEW))
    note = " ".join([*(f"{reason.capitalize()} for intervals." for reason in few), note])
    lines = (
        Line(
            kind(row), tuple(cell(row) for _, cell in columns), bool(row.get("chosen")), among(row)
        )
        for row in rows
    )
    return Sheet(title, tuple(head for head, _ in columns), tuple(lines), note)


def together(row: Row) -> str:
    """Each line of a sheet is compared with every other."""
    return ""


def best_cells(sheet: Sheet) -> set[tuple[int, int]]:
    """(line, column) of the best of each column, of numbers as they are shown; of ties all.

    The lines are those that are compared, see `Line`: controls are among them, but a column that
    has numbers of controls only has no best, and neither has one with a single number.
    """
    best: set[tuple[int, int]] = set()
    compared = {line.among for line in sheet.lines} - {None}
    for column, number in enumerate(numeric(sheet)):
        for among in compared if number and column else ():
            values = {
                place: float(line.cells[column].partition(" ")[0])
                for place, line in enumerate(sheet.lines)
                if line.among == among and line.cells[column] not in ("", "-")
            }
            beside = {p for p in values if sheet.lines[p].kind in ("control", "typical")}
            if len(values) > 1 and beside != values.keys():
                most = max(values.values())
                best |= {(place, column) for place, value in values.items() if value == most}
    return best


def the_split(rows: Sequence[Row], split: str = "report") -> str:
    """Such as "the report split (233 pictures in 2 groups)"; of several benchmarks each."""
    sizes = {
        row["benchmark"]: counted(row["pictures"], row.get("groups"))
        for row in rows
        if row.get("split") == split and row.get("pictures")
    }
    shown = [f"{name}: {size}" if len(sizes) > 1 else size for name, size in sizes.items()]
    return f"the {split} split ({'; '.join(shown)})" if shown else f"the {split} split"


def numeric(sheet: Sheet) -> list[bool]:
    """Of each column whether it holds numbers alone, with their intervals or signs."""
    columns = zip(*(line.cells for line in sheet.lines), strict=True)
    numbers = [all(re.match(NUMBER, cell) for cell in column) for column in columns]
    return numbers or [False] * len(sheet.columns)


def score(row: Row, column: str, unit: str = "") -> str:
    """A score in per cent with its interval, such as "46.8 [44.9, 48.7]"; "-" if undefined."""
    return _with_interval(row, column, ".1f", unit)


def signed(row: Row, column: str = "difference") -> str:
    """A difference in points with its interval, such as "+1.2 [+0.3, +2.0]"; "-" if undefined."""
    return _with_interval(row, column, "+.1f")


def _with_interval(row: Row, column: str, form: str, unit: str = "") -> str:
    if row.get(column) is None:
        return "-"
    return f"{100 * row[column]:{form}}{unit}{brackets(row, column, form)}"


def brackets(row: Row, column: str, form: str, scale: float = 100) -> str:
    """The interval of a column as it stands behind a value, or "" without one.

    Args:
        row: Of a table.
        column: The value's; its ends are ``column``_low and ``column``_high.
        form: How numbers are written.
        scale: What they are multiplied with.
    """
    low, high = row.get(f"{column}_low"), row.get(f"{column}_high")
    if low is None or high is None:
        return ""
    low, high = f"{scale * low:{form}}", f"{scale * high:{form}}"
    return f" [{low}, {high}]" if float(low) != float(high) else ""


def texts(*columns: str) -> list[Column]:
    """Columns of a row's own texts or numbers, under their names."""
    return [(name.replace("_", " "), partial(_text, name)) for name in columns]


def _text(column: str, row: Row) -> str:
    value = row[column]
    return f"{value:g}" if isinstance(value, float) else str(value)


def _shown(rows: Sequence[Row]) -> tuple[list[tuple[str, str, str]], str]:
    """((header, benchmark, column) of each score, the benchmark that is compared).

    One benchmark shows its subsets of classes; several show one column each and the average.
    """
    benchmarks = list(dict.fromkeys(row["benchmark"] for row in rows))
    if len(benchmarks) > 1:
        return [(name, name, "miou") for name in benchmarks], benchmarks[-1]
    only = benchmarks[0]
    named = (("mIoU", "miou"), ("seen", "seen"), ("unseen", "unseen"))
    return [(h, only, c) for h, c in named if any(r.get(c) is not None for r in rows)], only


def scores_of(
    rows: Sequence[Row], key: Key, cell: Callable[[Row, str], str] = score
) -> tuple[list[Column], list[Row]]:
    """The columns of the scores, and the rows of the benchmark that is compared.

    key: what tells a row from the others of its benchmark. cell: of a row and a score's column.
    """
    shown, compared = _shown(rows)
    cells = {(key(row), row["benchmark"]): row for row in rows}
    columns: list[Column] = [
        (head, lambda row, b=b, c=column: cell(cells.get((key(row), b), {}), c))  # type: ignore[misc]
        for head, b, column in shown
    ]
    return columns, [row for row in rows if row["benchmark"] == compared]


def difference_of(column: str) -> str:
    """The column of the difference that belongs to a score's column."""
    return "difference" if column == "miou" else f"{column}_difference"


def side(row: Row, column: str = "difference") -> str:
    """On which side of 0 the interval of a difference lies: "above", "below", or "" if on both."""
    low, high = row.get(f"{column}_low"), row.get(f"{column}_high")
    if low is not None and low > 0:
        return "above"
    return "below" if high is not None and high < 0 else ""


def starred(row: Row) -> str:
    """The name of a prompt set, with a star if it was chosen."""
    return str(row["prompts"]) + (" *" if row["chosen"] else "")


def several(rows: Sequence[Row], key: str = "benchmark") -> bool:
    """Whether the rows are of several benchmarks (or other values of a column)."""
    return len({row[key] for row in rows}) > 1
