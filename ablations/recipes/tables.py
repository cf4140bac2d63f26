"""A recipe's rows as people read them: tables on a terminal and in files, and a figure."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ablations.recipes.results import COLUMNS, Row
from ablations.report.latex import latex
from ablations.report.sheet import Line, Sheet
from lsmseg_prompts.files import csv_text, write_whole
from lsmseg_prompts.terminal import print_cells

FORMATS = ("table", "csv", "json", "markdown", "latex")
WORDS = ("variant", "benchmark", "metric", "")  # columns without numbers


def sheet_of(rows: Sequence[Row], reference: str, title: str = "") -> Sheet:
    """The table that people read; columns without any figure are left out."""
    table = []
    for row in rows:
        interval = f" [{_text(row['low'])}, {_text(row['high'])}]" if row["low"] is not None else ""
        sure = row["change_low"] is not None
        around = f" [{_signed(row['change_low'])}, {_signed(row['change_high'])}]" if sure else ""
        table.append(
            {
                "variant": row["variant"],
                "benchmark": row["benchmark"],
                "metric": row["metric"],
                "measured": f"{_text(row['measured'])}{interval}",
                "published": _text(row["published"]),
                "difference": _signed(row["difference"]),
                f"to {reference}": f"{_signed(row['change'])}{around}",
                "published change": _signed(row["published_change"]),
                "": "" if row["status"] == "measured" else row["status"],
            }
        )
    heads = tuple(h for h in table[0] if any(line[h] not in ("", "-") for line in table))
    lines = tuple(Line("", tuple(line[h] for h in heads)) for line in table)
    return Sheet(title, heads, lines, "Measured with 95 % intervals, beside what was published.")


def _text(value: Any) -> str:
    if value is None:
        return "-"
    return f"{value:.1f}" if abs(value) < 1000 else f"{value:.0f}"


def _signed(value: Any) -> str:
    if value is None:
        return "-"
    text = f"{value:+.1f}" if abs(value) < 1000 else f"{value:+.0f}"
    return "0.0" if text in ("+0.0", "-0.0") else text


def print_rows(rows: Sequence[Row], reference: str, title: str) -> None:
    """The table on stdout; a variant is named in its first line."""
    sheet, table, before = sheet_of(rows, reference), [], ""
    for line in sheet.lines:
        name, *others = line.cells
        table.append(["" if name == before else name, *others])
        before = name
    print_cells(sheet.columns, table, [head not in WORDS for head in sheet.columns], title)


def as_markdown(rows: Sequence[Row], reference: str) -> str:
    sheet = sheet_of(rows, reference)
    lines = [sheet.columns, ["---"] * len(sheet.columns), *(line.cells for line in sheet.lines)]
    return "".join(f"| {' | '.join(c.replace('|', chr(92) + '|') for c in x)} |\n" for x in lines)


def formatted(rows: Sequence[Row], reference: str, format: str, title: str) -> str:
    """The rows as text.

    Args:
        rows: The rows.
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
    from ablations.report.plots import FAINT, pyplot, save

    panels, by_class = _panels(rows)
    longest = max((len(v) for v in panels.values()), default=1)
    across = min(4, max(1, len(panels)))
    down = -(-max(1, len(panels)) // across)
    shape = (3.4 * across + 1.2, down * (0.8 + 0.26 * longest))
    sheet, axes = pyplot().subplots(
        down, across, figsize=shape, squeeze=False, layout="constrained"
    )
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    handles: dict[str, Any] = {}
    for number, (names, part) in enumerate(panels.items()):
        axis = axes.flat[number]
        axis.set_title(" ".join(word for word in names if word))
        axis.set_yticks(range(len(part)), [r["metric" if by_class else "variant"] for r in part])
        axis.invert_yaxis()
        axis.grid(axis="x", color=FAINT)
        axis.set_axisbelow(True)
        _draw(axis, part)
        if number % across and not by_class:
            axis.tick_params(labelleft=len(part) != longest)
        handles |= {
            label: handle for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
        }
    if handles:
        sheet.legend(
            handles.values(), handles.keys(), loc="outside lower right", ncols=2, frameon=False
        )
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


def write(
    folder: Path, rows: Sequence[Row], about: Mapping[str, Any], title: str
) -> dict[str, str]:
    """Write the files of a result, each whole; returns what each is.

    Args:
        folder: The recipe's folder.
        rows: The rows.
        about: What else `results.json` says.
        title: The figure's.
    """
    reference = str(about["reference"])
    record = {**about, "rows": list(rows)}
    texts = {
        "results.csv": csv_text(rows, COLUMNS),
        "results.json": json.dumps(record, indent=1, ensure_ascii=False) + "\n",
        "results.md": as_markdown(rows, reference),
        "results.tex": formatted(rows, reference, "latex", title),
    }
    for name, text in texts.items():
        write_whole(folder / name, text)
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
