"""A recipe's rows as people read them: tables on a terminal and in files, and a figure."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ablations.recipes.kept import write_text
from ablations.recipes.results import COLUMNS, Row
from ablations.report.latex import escape
from lsmseg_prompts.files import csv_text
from lsmseg_prompts.terminal import print_cells

FORMATS = ("table", "csv", "json", "markdown", "latex")


def shown(rows: Sequence[Row], reference: str) -> tuple[list[str], list[list[str]]]:
    """Heads and cells of the table that people read; columns without any figure are left out."""
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
    heads = [h for h in table[0] if any(line[h] not in ("", "-") for line in table)]
    return [h.strip() for h in heads], [[line[h] for h in heads] for line in table]


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
    """The table on stdout."""
    heads, cells = shown(rows, reference)
    right = [head not in ("variant", "benchmark", "metric", "") for head in heads]
    before = ""
    for line in cells:  # a variant's name stands once
        line[0], before = "" if line[0] == before else line[0], line[0]
    print_cells(heads, cells, right, title)


def as_markdown(rows: Sequence[Row], reference: str) -> str:
    heads, cells = shown(rows, reference)
    lines = [heads, ["---"] * len(heads), *cells]
    return "".join(f"| {' | '.join(c.replace('|', chr(92) + '|') for c in x)} |\n" for x in lines)


def as_latex(rows: Sequence[Row], reference: str) -> str:
    heads, cells = shown(rows, reference)
    lines = [" & ".join(map(escape, line)) + r" \\" for line in [heads, *cells]]
    left = "".join("l" if h in ("variant", "benchmark", "metric", "") else "r" for h in heads)
    body = [rf"\begin{{tabular}}{{{left}}}", r"\hline", lines[0], r"\hline", *lines[1:], r"\hline"]
    return "\n".join([*body, r"\end{tabular}", ""])


def formatted(rows: Sequence[Row], reference: str, format: str) -> str:
    """The rows as csv, json, markdown or latex."""
    if format == "csv":
        return csv_text(rows, COLUMNS)
    if format == "json":
        return json.dumps(rows, indent=1, ensure_ascii=False) + "\n"
    return as_markdown(rows, reference) if format == "markdown" else as_latex(rows, reference)


# -- figure ------------------------------------------------------------------------------


def figure(rows: Sequence[Row], title: str, path: Path) -> Path:
    """A panel for each benchmark and metric: measured as dots with intervals, published as
    open diamonds; one panel with all classes where figures are of classes."""
    from ablations.report.plots import CHOSEN, COLOURS, FAINT, pyplot, save

    drawn = [r for r in rows if r["measured"] is not None or r["published"] is not None]
    panels: dict[tuple[str, str], list[Row]] = {}
    by_class = any(r["metric"] in ("seen", "unseen") for r in drawn)
    for row in drawn:
        key = (row["variant"], row["benchmark"]) if by_class else (row["benchmark"], row["metric"])
        panels.setdefault(key, []).append(row)
    panels = {k: v for k, v in panels.items() if any(r["measured"] is not None for r in v)}
    longest = max((len(v) for v in panels.values()), default=1)
    across = min(4, max(1, len(panels)))
    down = -(-max(1, len(panels)) // across)
    plot = pyplot()
    shape = (3.4 * across + 1.2, down * (0.8 + 0.26 * longest))
    sheet, axes = plot.subplots(down, across, figsize=shape, squeeze=False, layout="constrained")
    for axis in axes.flat[len(panels) :]:
        axis.set_visible(False)
    for number, ((first, second), part) in enumerate(panels.items()):
        axis = axes.flat[number]
        place = range(len(part))
        axis.set_title(" ".join(word for word in (first, second) if word))
        axis.set_yticks(place, [r["metric"] if by_class else r["variant"] for r in part])
        axis.invert_yaxis()
        axis.grid(axis="x", color=FAINT)
        axis.set_axisbelow(True)
        for y, row in zip(place, part, strict=True):
            if row["published"] is not None:
                axis.plot(row["published"], y, "D", mfc="white", mec=CHOSEN, ms=5,
                          label="published")  # fmt: skip
            if row["measured"] is not None:
                axis.plot(row["measured"], y, "o", color=COLOURS["attribute"], ms=5,
                          label="measured")  # fmt: skip
            if row["low"] is not None:
                axis.plot([row["low"], row["high"]], [y, y], color=COLOURS["attribute"], lw=1.5)
        if number % across and not by_class:
            axis.tick_params(labelleft=len(part) != longest)
    handles: dict[str, Any] = {}
    for axis in axes.flat:
        handles |= {
            label: handle for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
        }
    if handles:
        sheet.legend(
            handles.values(), handles.keys(), loc="outside lower right", ncols=2, frameon=False
        )
    sheet.suptitle(title, x=0.01, ha="left", fontsize=10)
    return save(sheet, path)


def write(
    folder: Path, rows: Sequence[Row], about: Mapping[str, Any], title: str
) -> dict[str, str]:
    """The files of a result, each written whole; returns what each is."""
    reference = str(about["reference"])
    texts = {
        "results.csv": csv_text(rows, COLUMNS),
        "results.json": json.dumps({**about, "rows": list(rows)}, indent=1, ensure_ascii=False)
        + "\n",
        "results.md": as_markdown(rows, reference),
        "results.tex": as_latex(rows, reference),
    }
    for name, text in texts.items():
        write_text(folder / name, text)
    figure(rows, title, folder / "results.png")
    return {
        "results.csv": "measured and published figures, a row each",
        "results.json": "the same, with the settings of the run",
        "results.md": "the table for a document",
        "results.tex": "the table for a paper",
        "results.png": "measured beside published",
        "results.pdf": "the same for a paper",
        "variants/": "what is finished: a file for every variant and benchmark",
        **({"networks/": "the trained networks"} if (folder / "networks").exists() else {}),
    }
