"""Plots about classes and prompts: each class, seen against unseen, and how long the texts are."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ablations.report.plots import (
    CHOSEN,
    COLOURS,
    INK,
    MARKERS,
    TITLES,
    break_at_controls,
    grid,
    legend,
    legend_dot,
    panels,
    rows_down,
    save,
    short,
)
from ablations.report.sheet import side
from lsmseg_prompts.tokens import CONTEXT_LENGTH

Row = Mapping[str, Any]
MOST_CLASSES = 60
UP, DOWN, UNSURE = CHOSEN, "#2f6fb3", "#8a929b"  # where an interval lies above 0, below it, on it


def per_class_plot(rows: Sequence[Row], best: str, path: Path) -> Path:
    """Each class's IoU with the plain name and with the best prompts, unseen classes first.

    Beside it the paired difference with its interval, in a colour of its own where that leaves
    out 0. Of more than MOST_CLASSES classes those are shown whose IoU changes most.

    rows: name, seen (True, False or None), baseline, best; difference with its interval, if known.
    """
    drawn = [r for r in rows if r["baseline"] is not None and r["best"] is not None]
    left_out = len(drawn) - MOST_CLASSES
    if left_out > 0:
        drawn = sorted(drawn, key=lambda r: -abs(r["best"] - r["baseline"]))[:MOST_CLASSES]
    drawn.sort(key=lambda r: r["best"] - r["baseline"], reverse=True)
    groups = [
        (title, [r for r in drawn if r["seen"] is seen])
        for title, seen in (("unseen classes", False), ("seen classes", True), ("classes", None))
    ]
    groups = [(title, group) for title, group in groups if group] or [("classes", [])]
    size = 9.6, 1.6 + 0.21 * len(drawn) + 0.4 * len(groups)
    shape = {"height_ratios": [len(group) + 1 for _, group in groups], "width_ratios": [3, 2]}
    figure, axes = panels(len(groups), 2, size, **shape, sharex="col", sharey="row")
    for (left, right), (title, group) in zip(axes, groups, strict=True):
        _class_lines(left, right, group)
        rows_down(left, [row["name"] for row in group])
        left.set_xlim(-2, 102)
        left.set_title(title)
        right.axvline(0, color=INK, lw=0.9, zorder=0)
        grid(left)
        grid(right)
    note = f"; {left_out} classes that change less are left out" if left_out > 0 else ""
    axes[-1, 0].set_xlabel(f"IoU, %{note}")
    axes[-1, 1].set_xlabel("paired difference, points")
    interval = {"marker": "o", "ls": "-", "lw": 1.6, "ms": 4.5}
    handles = [
        legend_dot("name", COLOURS["baseline"], ms=4.5, marker=MARKERS["baseline"]),
        legend_dot(short(best, 26), CHOSEN, ms=5.5),
        legend_dot("interval above 0", UP, **interval),
        legend_dot("below 0", DOWN, **interval),
        legend_dot("0 inside, or none", UNSURE, **interval),
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=5, frameon=False, fontsize=8)
    return save(figure, path)


def _class_lines(left: Any, right: Any, rows: Sequence[Row]) -> None:
    """Classes from the name to the best prompts, and how much that is with its interval."""
    y = range(len(rows))
    starts, stops = ([100 * row[key] for row in rows] for key in ("baseline", "best"))
    colours = [{"above": UP, "below": DOWN, "": UNSURE}[side(row)] for row in rows]
    left.hlines(y, starts, stops, colours, lw=1.6)
    left.plot(starts, y, MARKERS["baseline"], color=COLOURS["baseline"], ms=4.5)
    left.plot(stops, y, "o", color=CHOSEN, ms=5.5)
    known = [at for at in y if rows[at].get("difference_low") is not None]
    low, high = ([100 * rows[at][f"difference_{e}"] for at in known] for e in ("low", "high"))
    right.hlines(known, low, high, [colours[at] for at in known], lw=1.6)
    gains = [stop - start for start, stop in zip(starts, stops, strict=True)]
    right.scatter(gains, y, 20, colours, zorder=3)


def seen_plot(rows: Sequence[Row], path: Path) -> Path | None:
    """Each prompt set of stages 3 and 4 by its mIoU on seen and on unseen classes.

    rows: of the report split, with ``seen`` and ``unseen``; one panel per benchmark. None, and
    nothing drawn, if no benchmark tells them apart.
    """
    rows = [row for row in rows if row.get("seen") is not None and row.get("unseen") is not None]
    names = list(dict.fromkeys(row["benchmark"] for row in rows))
    if not names:
        return None
    figure, axes = panels(1, len(names), (max(8.4, 5.6 * len(names)), 5.0))
    rows = [{**row, "kind": row.get("kind") or row["status"]} for row in rows]
    for axis, name in zip(axes[0], names, strict=True):
        here = {row["prompts"]: row for row in rows if row["benchmark"] == name}
        for row in here.values():
            colour = CHOSEN if row["chosen"] else COLOURS[row["kind"]]
            x, y = 100 * row["seen"], 100 * row["unseen"]
            for key, line in (("seen", axis.hlines), ("unseen", axis.vlines)):
                low, high = row[f"{key}_low"], row[f"{key}_high"]
                if low is not None:
                    at = y if key == "seen" else x
                    line(at, 100 * low, 100 * high, color=colour, lw=0.9, alpha=0.25)
            hollow = {"mfc": "white"} if row["kind"] == "rejected" else {}
            marker = MARKERS.get(row["kind"], "o")
            axis.plot(x, y, marker, color=colour, ms=6 if row["chosen"] else 4.5, **hollow)
        axis.set_title(name)
        axis.set_xlabel("mIoU of the seen classes, %")
        grid(axis, along="both")
        axis.margins(x=0.12, y=0.08)
        break_at_controls(axis, here.values(), "seen", "kind")
    legend(figure, rows, "kind")
    for axis, name in zip(axes[0], names, strict=True):
        here = {row["prompts"]: row for row in rows if row["benchmark"] == name}
        _labels(axis, [(short(n, 26), r) for n, r in here.items()])
    axes[0, 0].set_ylabel("mIoU of the unseen classes, %")
    return save(figure, path)


def curve_plot(points: Sequence[Row], path: Path) -> bool:
    """The mIoU after each round against candidates, and dollars if there are any; says whether.

    points: round, tried, cost_usd, and selection_... and report_... mIoU of all and of unseen
    classes.
    """
    paid = any(point["cost_usd"] for point in points)
    along = {"tried": "candidates tried", **({"cost_usd": "dollars"} if paid else {})}
    shown = [c for c in ("miou", "unseen") if points[0].get(f"report_{c}") is not None]
    size = 1.0 + 3.6 * len(shown), 2.9 * len(along)
    figure, axes = panels(len(along), len(shown), size, sharex="row")
    for row, (key, label) in zip(axes, along.items(), strict=True):
        for axis, column in zip(row, shown, strict=True):
            x = [point[key] for point in points]
            for split, look in (
                ("selection", {"mfc": "white", "ls": "--"}),
                ("report", {"ls": "-"}),
            ):
                y = [_percent(point.get(f"{split}_{column}")) for point in points]
                axis.plot(x, y, marker="o", color=CHOSEN, lw=1.2, ms=5, **look)
            start = _percent(points[0][f"report_{column}"])
            axis.axhline(start, color=COLOURS["baseline"], lw=0.8, ls=":", zorder=0)
            axis.set_title(TITLES[column])
            axis.set_xlabel(label)
            grid(axis, along="y")
            axis.margins(x=0.06, y=0.12)
            axis.locator_params(axis="x", nbins=5)
        row[0].set_ylabel("mIoU, %")
    handles = [
        legend_dot("report split", CHOSEN, ls="-", ms=5),
        legend_dot("selection split", CHOSEN, ls="--", ms=5, mfc="white"),
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=2, frameon=False)
    save(figure, path)
    return paid


def _percent(value: float | None) -> float:
    return math.nan if value is None else 100 * value


def _labels(axis: Any, points: Sequence[tuple[str, Row]]) -> None:
    """Names beside the points, moved up until none lies on another."""
    axis.figure.canvas.draw()  # the limits are known from here on
    height, width = 11.0, 5.0  # of a line and a letter, in points
    scale = 72 / axis.figure.dpi
    places = [
        axis.transData.transform((100 * row["seen"], 100 * row["unseen"])) * scale
        for _, row in points
    ]
    taken = [(x - 4, x + 4, y - 3) for x, y in places]  # the points themselves
    for place, (text, row) in sorted(enumerate(points), key=lambda point: point[1][1]["unseen"]):
        x, y = places[place]
        start, end, up = x + 6, x + 6 + width * len(text), -3.0
        while any(
            abs(y + up - other) < height * 0.9 and start < right and end > left
            for left, right, other in taken
        ):
            up += 1.0
        taken.append((start, end, y + up))
        axis.annotate(
            text,
            (100 * row["seen"], 100 * row["unseen"]),
            xytext=(6, up),
            textcoords="offset points",
            fontsize=8,
            color=CHOSEN if row["chosen"] else INK,
            arrowprops={"arrowstyle": "-", "color": "#aab1b9", "lw": 0.5} if up > 6 else None,
        )


def length_plot(rows: Sequence[Row], path: Path) -> Path:
    """How the lengths of each prompt set's texts are spread, against what the model reads.

    rows: of one vocabulary, see `ablations.report.lengths.length_rows`, with ``chosen``.
    """
    figure, ((axis,),) = panels(1, 1, (7.6, 0.9 + 0.34 * len(rows)))
    for y, row in enumerate(rows):
        kind = {"name": "baseline", "typical": "typical"}.get(row["prompts"], "attribute")
        colour = CHOSEN if row["chosen"] else COLOURS[kind]
        most = max(number for _, number in row["lengths"])
        tokens = [token for token, _ in row["lengths"]]
        heights = [-0.8 * number / most for _, number in row["lengths"]]  # the axis points down
        axis.bar(tokens, heights, 1.0, bottom=y + 0.4, color=colour, alpha=0.55, lw=0)
        axis.plot([row["median"]] * 2, [y - 0.42, y + 0.42], color=INK, lw=1.4)
    limit = rows[0].get("limit", CONTEXT_LENGTH)
    axis.axvline(limit, color=INK, lw=0.8, ls=":")
    rows_down(axis, [short(row["prompts"]) for row in rows])
    axis.set_xlim(0, limit + 2)
    whose = rows[0].get("budget", "CLIP")
    axis.set_xlabel(f"tokens of {whose}, start and end included; dotted: the {limit} it reads")
    grid(axis)
    return save(figure, path)
