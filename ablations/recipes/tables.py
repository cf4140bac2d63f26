"""A recipe's rows as people read them: tables on a terminal and in files, and a figure."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ablations.recipes.results import COLUMNS, Row
from ablations.report.latex import latex
from ablations.report.narrow import narrowed
from ablations.report.sheet import Column, Sheet, make_sheet, texts
from lsmseg_prompts.files import csv_text, write_whole
from lsmseg_prompts.terminal import print_cells

FORMATS = ("table", "csv", "json", "markdown", "latex")
WORDS = ("variant", "benchmark", "metric", "")  # columns without numbers


def sheet_of(rows: Sequence[Row], reference: str, title: str = "") -> Sheet:
    """The table that people read; columns without any figure are left out."""
    columns: list[Column] = [
        *texts("variant", "benchmark", "metric"),
        ("measured", lambda row: _figures(row["measured"], row["low"], row["high"])),
        ("published", lambda row: _figures(row["published"])),
        ("difference", lambda row: _figures(row["difference"], sign="+")),
        (
            f"to {reference}",
            lambda row: _figures(row["change"], row["change_low"], row["change_high"], sign="+"),
        ),
        ("published change", lambda row: _figures(row["published_change"], sign="+")),
        ("", lambda row: "" if row["status"] == "measured" else row["status"]),
    ]
    columns = [(h, cell) for h, cell in columns if any(cell(row) not in ("", "-") for row in rows)]
    beside = any(row["published"] is not None for row in rows)
    note = f"Measured with 95 % intervals{', beside what was published' if beside else ''}."
    return make_sheet(title, rows, columns, note, lambda row: "")


def _figures(value: Any, low: Any = None, high: Any = None, *, sign: str = "") -> str:
    """A figure with its interval, unless that would seem to have no width; of large no decimals."""
    if low is not None:
        value, low, high = (_figures(one, sign=sign) for one in (value, low, high))
        return f"{value} [{low}, {high}]" if low != high else value
    if value is None:
        return "-"
    text = f"{value:{sign}.{int(abs(value) < 1000)}f}"
    return "0.0" if sign and text in ("+0.0", "-0.0") else text


def print_rows(rows: Sequence[Row], reference: str, title: str, verbose: bool = False) -> None:
    """The table on stdout; a variant is named in its first line.

    Args:
        rows: See `results.result_rows`.
        reference: The variant that the others are compared with.
        title: A line above the table.
        verbose: All columns, however narrow the terminal.
    """
    sheet, table, before = sheet_of(rows, reference), [], ""
    for line in sheet.lines:
        name, *others = line.cells
        table.append(["" if name == before else name, *others])
        before = name
    shown, left_out = ([*sheet.columns], table), ""
    if not verbose:
        shown, left_out = narrowed(*shown)
    numbers = [head not in WORDS for head in shown[0]]
    print_cells(*shown, numbers, title, f"{sheet.note} {left_out}".strip())


def as_markdown(rows: Sequence[Row], reference: str) -> str:
    sheet = sheet_of(rows, reference)
    lines = [sheet.columns, ["---"] * len(sheet.columns), *(line.cells for line in sheet.lines)]
    return "".join(f"| {' | '.join(c.replace('|', chr(92) + '|') for c in x)} |\n" for x in lines)


def formatted(rows: Sequence[Row], reference: str, format: str, title: str) -> str:
    """The rows as text.

    Args:
        rows: See `results.result_rows`.
        reference: The variant that the others are compared with.
        format: csv, json, markdown or latex.
        title: The caption in LaTeX.
    """
    if format == "csv":
        return csv_text(rows, COLUMNS)
    if format == "json":
        return json.dumps(rows, indent=1, ensure_ascii=False) + "\n"
    if format == "markdown":
        return as_markdown(rows, reference)
    return latex(sheet_of(rows, reference, title), "recipe")


def figure(rows: Sequence[Row], title: str, path: Path) -> Path:
    """Draw a panel for each benchmark and metric.

    Measured scores are dots with intervals, published ones open diamonds; one panel has all
    classes where figures are of classes.
    """
    from ablations.report.plots import FAINT, panels, save

    drawn, by_class = _panels(rows)
    longest = max((len(v) for v in drawn.values()), default=1)
    across = min(4, max(1, len(drawn)))
    down = -(-max(1, len(drawn)) // across)
    sheet, axes = panels(down, across, (3.4 * across + 1.2, down * (0.8 + 0.26 * longest)))
    for axis in axes.flat[len(drawn) :]:
        axis.set_visible(False)
    handles: dict[str, Any] = {}
    for number, (names, part) in enumerate(drawn.items()):
        axis = axes.flat[number]
        axis.set_title(" ".join(word for word in names if word))
        axis.set_yticks(range(len(part)), [r["metric" if by_class else "variant"] for r in part])
        axis.invert_yaxis()
        axis.grid(axis="x", color=FAINT)
        axis.set_axisbelow(True)
        _draw(axis, part)
        if number % across and not by_class:
            axis.tick_params(labelleft=len(part) != longest)
        drawn_here, labels = axis.get_legend_handles_labels()
        handles |= dict(zip(labels, drawn_here, strict=True))
    if handles:
        place = {"loc": "outside lower right", "ncols": 2, "frameon": False}
        sheet.legend(handles.values(), handles.keys(), **place)
    sheet.suptitle(title, x=0.01, ha="left", fontsize=10)
    return save(sheet, path)


def _panels(rows: Sequence[Row]) -> tuple[dict[tuple[str, str], list[Row]], bool]:
    """The rows of each panel that has something measured, and whether they are classes."""
    drawn = [r for r in rows if r["measured"] is not None or r["published"] is not None]
    by_class = any(r["metric"] in ("seen", "unseen") for r in drawn)
    panels: dict[tuple[str, str], list[Row]] = {}
    for row in drawn:
        key = (row["variant"], row["benchmark"]) if by_class else (row["benchmark"], row["metric"])
        panels.setdefault(key, []).append(row)
    measured = {k: v for k, v in panels.items() if any(r["measured"] is not None for r in v)}
    return measured, by_class


def _draw(axis: Any, rows: Sequence[Row]) -> None:
    from ablations.report.plots import CHOSEN, COLOURS

    colour = COLOURS["attribute"]
    for y, row in enumerate(rows):
        if row["published"] is not None:
            axis.plot(row["published"], y, "D", mfc="white", mec=CHOSEN, ms=5, label="published")
        if row["measured"] is not None:
            axis.plot(row["measured"], y, "o", color=colour, ms=5, label="measured")
        if row["low"] is not None:
            axis.plot([row["low"], row["high"]], [y, y], color=colour, lw=1.5)


def write(folder: Path, rows: Sequence[Row], about: Mapping[str, Any]) -> dict[str, str]:
    """Write the files of a result, each whole; returns what each is.

    about: what else `results.json` says.
    """
    reference, title = str(about["reference"]), f"{about['source']}: {about['title']}"
    record = json.dumps({**about, "rows": list(rows)}, indent=1, ensure_ascii=False)
    write_whole(folder / "results.json", record + "\n")
    for suffix, format in (("csv", "csv"), ("md", "markdown"), ("tex", "latex")):
        text = formatted(rows, reference, format, title)
        write_whole(folder / f"results.{suffix}", text)
    figure(rows, title, folder / "results.png")
    files = {
        "results.csv": "measured and published figures, a row each",
        "results.json": "the same, with the settings of the run",
        "results.md": "the table for a document",
        "results.tex": "the table for a paper",
        "results.png": "measured beside published",
        "results.pdf": "the same for a paper",
    }
    if (folder / "networks").exists():
        files["networks/"] = "the trained networks, and what they took"
    return files
