"""The tables of a run and of a comparison, laid out like the paper's, for terminal and report.

A `Sheet` holds finished text, so that both show the same: scores in per cent with 95 % intervals
in brackets, on the report split; differences are paired.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lsmseg_prompts.terminal import print_cells

Row = Mapping[str, Any]
NUMBER = r"-?$|[+-]?\d[\d.]*( \[.*\])?$"


@dataclass(frozen=True)
class Line:
    """A row of a sheet. ``kind``: as in `search.single` and `search.combine`."""

    kind: str
    cells: tuple[str, ...]
    chosen: bool = False


@dataclass(frozen=True)
class Sheet:
    """A table of text with a title and a note below it."""

    title: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]
    note: str


def numeric(sheet: Sheet) -> list[bool]:
    """Of each column whether it holds numbers alone, with their intervals or signs."""
    columns = zip(*(line.cells for line in sheet.lines), strict=True)
    found = [all(re.match(NUMBER, cell) for cell in column) for column in columns]
    return found or [False] * len(sheet.columns)


def score(row: Row, column: str, unit: str = "") -> str:
    """A score in per cent with its interval, such as "46.8 [44.9, 48.7]"; "-" if undefined."""
    if row.get(column) is None:
        return "-"
    text = f"{100 * row[column]:.1f}{unit}"
    low, high = row.get(f"{column}_low"), row.get(f"{column}_high")
    return text if low is None or high is None else f"{text} [{100 * low:.1f}, {100 * high:.1f}]"


def signed(row: Row, column: str) -> str:
    """A difference in points with its interval, such as "+1.2 [+0.3, +2.0]"."""
    if row.get(column) is None:
        return "-"
    parts = [row[column], row.get(f"{column}_low"), row.get(f"{column}_high")]
    value, low, high = ("-" if p is None else f"{100 * p:+.1f}" for p in parts)
    return f"{value} [{low}, {high}]"


def _columns(rows: Sequence[Row]) -> tuple[list[tuple[str, str, str]], str]:
    """((header, benchmark, column) of each score, the benchmark that is compared).

    One benchmark shows its subsets of classes; several show one column each and the average.
    """
    benchmarks = list(dict.fromkeys(row["benchmark"] for row in rows))
    if len(benchmarks) > 1:
        return [(name, name, "miou") for name in benchmarks], benchmarks[-1]
    only = benchmarks[0]
    named = (("mIoU", "miou"), ("seen", "seen"), ("unseen", "unseen"))
    return [(h, only, c) for h, c in named if any(r.get(c) is not None for r in rows)], only


def single_sheets(rows: Sequence[Row]) -> list[Sheet]:
    """Stage 3 as in Table 2; of several benchmarks the differences and the other mIoUs too, each
    with all its parts."""
    report = [row for row in rows if row["split"] == "report"]
    sheets = [single_sheet(rows)]
    if not _several(report):
        return sheets
    selection = [row for row in rows if row["split"] == "selection"]
    return [
        *sheets,
        _parts(
            "Differences from the plain name, every attribute alone",
            "kind",
            [row for row in report if row["kind"] != "baseline"],
            lambda row: signed(row, "difference"),
            "In points of mIoU on the report split, paired: both on the same resamples.",
        ),
        _parts(
            "Every attribute alone on the selection split",
            "kind",
            selection,
            lambda row: score(row, "miou"),
            "mIoU in % on the selection split, where the best average was chosen (*).",
        ),
        _parts(
            "Every attribute alone, over classes in labels or predictions",
            "kind",
            report,
            lambda row: score(row, "miou_union"),
            "mIoU in % on the report split in the other definition.",
        ),
    ]


def _several(rows: Sequence[Row]) -> bool:
    return len({row["benchmark"] for row in rows}) > 1


def _parts(
    title: str, kind: str, rows: Sequence[Row], cell: Callable[[Row], str], note: str
) -> Sheet:
    """A column for every benchmark and one for their average, a line for every prompt set.

    kind: the column that tells what a line is, "kind" or "status".
    """
    benchmarks = list(dict.fromkeys(row["benchmark"] for row in rows))
    cells = {(row["prompts"], row[kind], row["benchmark"]): cell(row) for row in rows}
    lines = tuple(
        Line(
            row[kind],
            (
                row["prompts"] + (" *" if row["chosen"] else ""),
                *(cells.get((row["prompts"], row[kind], b), "-") for b in benchmarks),
            ),
            row["chosen"],
        )
        for row in rows
        if row["benchmark"] == benchmarks[-1]
    )
    return Sheet(title, ("prompts", *benchmarks), lines, note)


def single_sheet(rows: Sequence[Row]) -> Sheet:
    """Stage 3 as in Table 2: the baseline, each attribute alone, and the controls.

    What belongs to an average alone is left out of the table of several benchmarks.
    """
    report = [row for row in rows if row["split"] == "report"]
    shown, compared = _columns(report)
    several = _several(report)
    cells = {(row["prompts"], row["benchmark"], row["split"]): row for row in rows}
    lines = []
    for row in (row for row in report if row["benchmark"] == compared):
        name = row["prompts"]
        beside: tuple[str, ...] = ()
        if not several:
            beside = (
                signed(row, "difference") if row["kind"] != "baseline" else "",
                score(row, "miou_union"),
                score({"miou": cells[name, compared, "selection"]["miou"]}, "miou"),
            )
        lines.append(
            Line(
                row["kind"],
                (
                    name + (" *" if row["chosen"] else ""),
                    *(score(cells[name, b, "report"], c) for _, b, c in shown),
                    *beside,
                ),
                row["chosen"],
            )
        )
    note = "mIoU in % on the report split, over classes that occur in the labels; "
    return Sheet(
        "Single attributes (as in Table 2)",
        (
            "prompts",
            *(h for h, _, _ in shown),
            *(() if several else ("against name", "union", "selection")),
        ),
        tuple(lines),
        note + "* is the set that was best on the selection split."
        if several
        else note + "union: over classes in labels or predictions; selection: mIoU on the "
        "selection split, where * is the best.",
    )


DECISIONS = {"start": "start", "accepted": "taken", "rejected": "not taken"}


def combination_sheets(rows: Sequence[Row]) -> list[Sheet]:
    """Stage 4 as in Table 3; of several benchmarks the differences and gains with their parts."""
    sheets = [combination_sheet(rows)]
    if _several(rows):
        note = "In points of mIoU on the {} split, paired: both on the same resamples."
        others = [row for row in rows if row["status"] != "baseline"]
        sheets.append(
            _parts(
                "Differences from the plain name, combinations",
                "status",
                others,
                lambda row: signed(row, "difference"),
                note.format("report"),
            )
        )
        steps = [row for row in rows if row.get("selection_gain") is not None]
        if steps:
            sheets.append(
                _parts(
                    "Gain of each step on the selection split",
                    "status",
                    steps,
                    lambda row: signed(row, "selection_gain"),
                    note.format("selection") + " The average decided.",
                )
            )
    return sheets


def combination_sheet(rows: Sequence[Row]) -> Sheet:
    """Stage 4 as in Table 3: the path of the search, and what it is compared with.

    What belongs to an average alone is left out of the table of several benchmarks.
    """
    shown, compared = _columns(rows)
    several = _several(rows)
    cells = {(row["prompts"], row["status"], row["benchmark"]): row for row in rows}
    lines = []
    for row in (row for row in rows if row["benchmark"] == compared):
        name, status = row["prompts"], row["status"]
        lines.append(
            Line(
                status,
                (
                    name + (" *" if row["chosen"] else ""),
                    *(score(cells[name, status, b], c) for _, b, c in shown),
                    *(() if several else _gains(row)),
                    DECISIONS.get(status, ""),
                ),
                row["chosen"],
            )
        )
    return Sheet(
        "Combinations (as in Table 3)",
        (
            "prompts",
            *(h for h, _, _ in shown),
            *(() if several else ("against name", "gain on selection")),
            "step",
        ),
        tuple(lines),
        "mIoU in % on the report split. The gain on the selection split decided each step; "
        "* is the set that was chosen.",
    )


def _gains(row: Row) -> tuple[str, str]:
    """Against the plain name, and over the step before; nothing where there is no such."""
    return (
        signed(row, "difference") if row["status"] != "baseline" else "",
        signed(row, "selection_gain") if row.get("selection_gain") is not None else "",
    )


def candidate_sheet(rows: Sequence[Row]) -> Sheet:
    """Every candidate of the search, on the selection split; of several benchmarks the parts."""
    parts = [key for key in rows[0] if key.startswith("miou (")]
    lines = tuple(
        Line(
            "accepted" if row["chosen"] else "attribute",
            (
                str(row["step"]),
                row["prompts"],
                *(score(row, part) for part in parts),
                score(row, "miou"),
                *([] if parts else [signed(row, "gain") if row["gain"] is not None else ""]),
                "taken" if row["chosen"] else "",
            ),
            row["chosen"],
        )
        for row in rows
    )
    named = [part[len("miou (") : -1] for part in parts]
    return Sheet(
        "Candidates",
        (
            *("step", "prompts", *named),
            *(("average",) if parts else ("mIoU on selection", "gain over the step before")),
            "decision",
        ),
        lines,
        "mIoU in % on the selection split"
        + (
            ", where the average decided."
            if parts
            else "; the gain is paired with the step before."
        ),
    )


def llm_sheets(rows: Sequence[Row]) -> list[Sheet]:
    """LLMs side by side, as in Table 5.9 of the thesis: on the same attributes, and on their own.

    rows: see `ablations.runs.compare.comparison_rows`.
    """
    shown, compared = _columns(rows)
    first = next(row for row in rows if row["set"] == "same")
    cells = {(row["set"], row["llm"], row["benchmark"]): row for row in rows}
    headers = tuple(h for h, _, _ in shown)

    def lines(kind: str, own: bool, differences: bool = False) -> tuple[Line, ...]:
        made = []
        for row in (
            r for r in rows if r["set"] in ("baseline", kind) and r["benchmark"] == compared
        ):
            leads = row["llm"] == first["llm"]
            if differences and leads:
                continue
            here = [(cells[row["set"], row["llm"], b], c) for _, b, c in shown]
            name = row["llm"] if row["llm"] is not None else "name"
            beside = (row["prompts"] if row["llm"] is not None else "",) if own else ()
            if differences:
                values = tuple(signed(r, _difference(c)) for r, c in here)
            else:
                values = (
                    *(score(r, c) for r, c in here),
                    "" if leads else signed(row, "difference"),
                    "" if row["llm"] is None else signed(row, "over_name"),
                )
            kind_of_line = "baseline" if row["llm"] is None else "attribute"
            made.append(Line(kind_of_line, (name, *beside, *values)))
        return tuple(made)

    against = (f"against {first['llm']}", "against name")
    return [
        Sheet(
            f"The same attributes: {first['prompts']} (as in Table 5.9 of the thesis)",
            ("LLM", *headers, *against),
            lines("same", own=False),
            "mIoU in % on the report split, all LLMs on the attributes chosen with "
            f"{first['llm']} on the selection split; name: the plain name, without any LLM.",
        ),
        Sheet(
            f"Differences from {first['llm']} on the same attributes",
            ("LLM", *headers),
            lines("same", own=False, differences=True),
            "In points of mIoU, paired: both on the same resamples of the pictures. The intervals "
            "tell what other pictures would give, not what the LLM would answer another time.",
        ),
        Sheet(
            "Each LLM's own best attributes",
            ("LLM", "attributes", *headers, *against),
            lines("own", own=True),
            "mIoU in % on the report split, each LLM on the attributes chosen with it on the "
            "selection split.",
        ),
    ]


def _difference(column: str) -> str:
    """The column of the difference that belongs to a score's column."""
    return "difference" if column == "miou" else f"{column}_difference"


STYLES = {"baseline": "bold", "control": "dim", "rejected": "dim"}


def print_sheet(sheet: Sheet) -> None:
    """The sheet as a table on stdout."""
    print_cells(
        sheet.columns,
        [line.cells for line in sheet.lines],
        [place > 0 for place in range(len(sheet.columns))],
        sheet.title,
        sheet.note,
        ["bold green" if line.chosen else STYLES.get(line.kind, "") for line in sheet.lines],
    )
    print()


def print_result(result: Any) -> None:
    """Both tables of a `RunResult`, the choice in a sentence, and where everything lies."""
    for sheet in (*single_sheets(result.single), *combination_sheets(result.combinations)):
        print_sheet(sheet)
    print(result.best["summary"])
    print(f"\nEverything lies in {result.directory}")
    for name, what in result.files.items():
        print(f"  {name:24} {what}")


def print_comparison(comparison: Any) -> None:
    """The tables of a `Comparison`, what they say in words, and where everything lies."""
    for sheet in llm_sheets(comparison.rows):
        print_sheet(sheet)
    print(comparison.summary)
    print(f"\nEverything lies in {comparison.directory}")
    for name, what in comparison.files.items():
        print(f"  {name:24} {what}")
