"""A recipe's results: rows of what was measured beside what was published, tables and a figure.

Scores are in percent. Beside a benchmark's score stands what was published for that benchmark;
MiniStuff has no published figure and stands beside the published average. Every row also has its
change from the reference variant, measured (on paired resamples) and published, which says more
at small scale than the scores do.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ablations.recipe_files import AVERAGE, Recipe, Variant
from ablations.recipe_kept import write_text
from ablations.recipe_plan import MINISTUFF, Place, Plan
from ablations.recipe_trials import PUBLISHED_ITERATIONS, Counts, Numbers
from ablations.statistics import Draws, Subset, average, bootstrap
from lsmseg_model.data.benchmark import scored_names
from lsmseg_prompts.wording import normalise

Row = dict[str, Any]
Scores = dict[tuple[str, str, str], Draws]  # variant, benchmark, metric
# What is measured for each published figure: as `recipe_trials` calls it, and in the tables.
MEASURED = {
    "latency_ms": {"latency_ms": "latency_ms"},
    "learnable_millions": {"learnable_millions": "learnable_millions"},
    "gflops": {"gflops_view": "gflops, one view", "gflops_picture": "gflops, a picture in views"},
    "training_minutes": {
        "training_minutes": "training_minutes",
        "extrapolated_minutes": f"training_minutes, extrapolated to {PUBLISHED_ITERATIONS:,} steps",
    },
}
FORMATS = ("table", "csv", "json", "markdown", "latex")
COLUMNS = (
    "variant", "benchmark", "metric", "measured", "low", "high", "published", "difference",
    "change", "change_low", "change_high", "published_change", "status",
)  # fmt: skip


def result_rows(plan: Plan, counts: Counts, numbers: Numbers, samples: int, seed: int) -> list[Row]:
    """A row for every variant, benchmark (and average) and metric: the keys are COLUMNS."""
    recipe = plan.recipe
    scores = _scores(plan, counts, samples, seed)
    cells = list(dict.fromkeys((b, m) for _, b, m in scores))
    rows = []
    for variant in recipe.variants:
        status = plan.skipped.get(variant.name, "measured")
        if status == "not asked for" and variant.run and not variant.published:
            continue
        for benchmark, metric in cells:
            rows.append(_score_row(plan, variant, benchmark, metric, scores, status))
        for metric in [m for m in recipe.measures if m not in ("miou", "seen", "classes")]:
            rows += _number_rows(recipe, variant, metric, numbers, status)
    return rows


def _scores(plan: Plan, counts: Counts, samples: int, seed: int) -> Scores:
    scores: Scores = {}
    for stream, place in enumerate(plan.places):
        names = [v for v, found in counts.items() if place.title in found]
        if not names:
            continue
        subsets = _subsets(plan.recipe, place)
        drawn = bootstrap([counts[v][place.title] for v in names], subsets, samples, seed, stream)
        for name, draws in zip(names, drawn, strict=True):
            scores |= {(name, place.title, metric): d for metric, d in draws.items()}
    if len(plan.places) > 1 and "miou" in plan.recipe.measures:
        for name in dict.fromkeys(v for v, _, _ in scores):
            parts = [scores[name, place.title, "miou"] for place in plan.places]
            scores[name, AVERAGE, "miou"] = average(parts)
    return scores


def _subsets(recipe: Recipe, place: Place) -> dict[str, Subset]:
    """Over which classes: all, seen and unseen ones, and each that a figure was published for."""
    b, measures = place.benchmark, recipe.measures
    subsets = {"miou": Subset()} if "miou" in measures else {}
    if "seen" in measures and b.seen is not None:
        at = list(enumerate(b.class_indices))
        subsets["seen"] = Subset(tuple(p for p, i in at if i in b.seen))
        subsets["unseen"] = Subset(tuple(p for p, i in at if i not in b.seen))
    if "classes" in measures:
        known = {_plain(n): n for v in recipe.variants for n in _of_classes(v, recipe)}
        names = scored_names(b, [entry.name for entry in place.vocabulary])
        for position, name in enumerate(names):
            if _plain(name) in known:
                subsets[known[_plain(name)]] = Subset((position,))
    return subsets or {"miou": Subset()}


def _plain(name: str) -> str:
    """A class's name to compare: potted plant is pottedplant."""
    return normalise(name).replace(" ", "")


def _of_classes(variant: Variant, recipe: Recipe) -> Mapping[str, float]:
    """The figures that were published class by class, of the table's only benchmark."""
    figures = [variant.published.get(b) for b in recipe.benchmarks]
    return next((f for f in figures if isinstance(f, dict)), {})


def published(plan: Plan, variant: Variant, benchmark: str, metric: str) -> float | None:
    """What was published for this, in the units of the row; None where nothing was."""
    recipe, name = plan.recipe, benchmark.partition("#")[0]
    figures = {b: variant.published.get(b) for b in recipe.benchmarks}
    if metric != "miou":
        beside = name == MINISTUFF or name in recipe.benchmarks
        return _of_classes(variant, recipe).get(metric) if beside else None
    if name in recipe.benchmarks:
        found = figures[name]
        return float(found) if isinstance(found, int | float) else None
    if name not in (AVERAGE, MINISTUFF):
        return None
    over = [p.title for p in plan.places] if name == AVERAGE else list(recipe.benchmarks)
    if set(over) == set(recipe.benchmarks) and AVERAGE in variant.published:
        return float(variant.published[AVERAGE])
    parts = [figures.get(b) for b in over]
    known = [float(p) for p in parts if isinstance(p, int | float)]
    return round(sum(known) / len(known), 2) if known and len(known) == len(parts) else None


def _score_row(
    plan: Plan, variant: Variant, benchmark: str, metric: str, scores: Scores, status: str
) -> Row:
    draws = scores.get((variant.name, benchmark, metric))
    reference = scores.get((plan.recipe.reference, benchmark, metric))
    same = variant.name == plan.recipe.reference
    row = _row(variant.name, benchmark, metric, status)
    if draws is not None:
        _fill(row, "measured", "low", "high", draws)
        if reference is not None and not same:
            _fill(row, "change", "change_low", "change_high", draws - reference)
    row["published"] = published(plan, variant, benchmark, metric)
    if not same:
        beside = published(plan, plan.recipe.variant(plan.recipe.reference), benchmark, metric)
        row["published_change"] = _minus(row["published"], beside)
    row["difference"] = _minus(row["measured"], row["published"])
    return row


def _number_rows(
    recipe: Recipe, variant: Variant, metric: str, numbers: Numbers, status: str
) -> list[Row]:
    own, other = numbers.get(variant.name, {}), numbers.get(recipe.reference, {})
    beside = recipe.variant(recipe.reference).published.get(metric)
    rows = []
    for key, label in MEASURED[metric].items() if own else [(metric, metric)]:
        row = _row(variant.name, "", label, status)
        row["measured"] = own.get(key)
        row["published"] = variant.published.get(metric)
        row["difference"] = _minus(row["measured"], row["published"])
        if variant.name != recipe.reference:
            row["change"] = _minus(row["measured"], other.get(key))
            row["published_change"] = _minus(row["published"], beside)
        if own or row["published"] is not None:
            rows.append(row)
    return rows


def _row(variant: str, benchmark: str, metric: str, status: str) -> Row:
    row: Row = dict.fromkeys(COLUMNS)
    return {**row, "variant": variant, "benchmark": benchmark, "metric": metric, "status": status}


def _fill(row: Row, value: str, low: str, high: str, draws: Draws) -> None:
    found = draws.interval()
    for key, number in ((value, found.value), (low, found.low), (high, found.high)):
        row[key] = None if number != number else 100 * float(number)


def _minus(a: Any, b: Any) -> float | None:
    return None if a is None or b is None else round(float(a) - float(b), 10)


# -- tables ------------------------------------------------------------------------------


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
    import sys

    from rich.cells import cell_len
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    heads, cells = shown(rows, reference)
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for head in heads:
        right = head not in ("variant", "benchmark", "metric", "")
        table.add_column(head, justify="right" if right else "left", no_wrap=True)
    before = ""
    for line in cells:
        table.add_row(*map(Text, ["" if line[0] == before else line[0], *line[1:]]))
        before = line[0]
    width = sum(max(map(cell_len, column)) + 2 for column in zip(heads, *cells, strict=True))
    piped = not sys.stdout.isatty()
    Console(width=max(80, width) if piped else None, highlight=False).print(table)


def as_csv(rows: Sequence[Row]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def as_markdown(rows: Sequence[Row], reference: str) -> str:
    heads, cells = shown(rows, reference)
    lines = [heads, ["---"] * len(heads), *cells]
    return "".join(f"| {' | '.join(c.replace('|', chr(92) + '|') for c in x)} |\n" for x in lines)


def as_latex(rows: Sequence[Row], reference: str) -> str:
    heads, cells = shown(rows, reference)
    lines = [" & ".join(map(_tex, line)) + r" \\" for line in [heads, *cells]]
    left = "".join("l" if h in ("variant", "benchmark", "metric", "") else "r" for h in heads)
    body = [rf"\begin{{tabular}}{{{left}}}", r"\hline", lines[0], r"\hline", *lines[1:], r"\hline"]
    return "\n".join([*body, r"\end{tabular}", ""])


def _tex(text: str) -> str:
    special = {c: f"\\{c}" for c in "&%$#_{}"} | {
        "~": r"\textasciitilde{}",
        "\\": r"\textbackslash{}",
    }
    return "".join(special.get(c, c) for c in text)


def formatted(rows: Sequence[Row], reference: str, format: str) -> str:
    """The rows as csv, json, markdown or latex."""
    if format == "csv":
        return as_csv(rows)
    if format == "json":
        return json.dumps(rows, indent=1, ensure_ascii=False) + "\n"
    return as_markdown(rows, reference) if format == "markdown" else as_latex(rows, reference)


# -- figure ------------------------------------------------------------------------------


def figure(rows: Sequence[Row], title: str, path: Path) -> Path:
    """A panel for each benchmark and metric: measured as dots with intervals, published as
    open diamonds; one panel with all classes where figures are of classes."""
    from ablations.plots import CHOSEN, COLOURS, FAINT, pyplot, save

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
        "results.csv": as_csv(rows),
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
