"""The plots of a run, from the rows of its tables; drawn without a screen.

One look for all of them: the same colour for the same kind of prompt set everywhere, dots with
95 % intervals, a thin line where the plain name stands.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ablations.report.sheet import difference_of
from ablations.search.enough import TOO_FEW
from ablations.search.options import BY_CLASS
from lsmseg_model.files import write_whole

Row = Mapping[str, Any]

COLOURS = {
    "seen labels": "#7a5ba8",
    "baseline": "#3d4451",
    "attribute": "#2f6fb3",
    "start": "#2f6fb3",
    "accepted": "#2f6fb3",
    "rejected": "#c2773b",
    "counterpart": "#2f6fb3",
    "optimum": "#2a8c74",
    "greedy": "#2f6fb3",
    "typical": "#7a5ba8",
    "control": "#9aa3ad",
}
CHOSEN = "#d1495b"
LLM_COLOURS = ("#2f6fb3", "#d1495b", "#2a8c74", "#7a5ba8", "#c2773b", "#5b6570")
INK, FAINT = "#22272e", "#d9dde2"
TITLES = {"miou": "all classes", "seen": "seen classes", "unseen": "unseen classes"}
MOST_CLASSES = 60
DPI = 160  # of the style
STYLE = Path(__file__).with_name("report.mplstyle")


def pyplot() -> Any:
    """matplotlib.pyplot in our style, see report.mplstyle."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    pyplot.style.use(STYLE)
    return pyplot


def panels(down: int, across: int, size: tuple[float, float], **options: Any) -> tuple[Any, Any]:
    """A figure of so many inches, and its axes [down, across]; options: of `pyplot.subplots`."""
    options |= {"figsize": size, "squeeze": False, "layout": "constrained"}
    return pyplot().subplots(down, across, **options)


def rows_down(axis: Any, labels: Sequence[str], foot: float = 0.4) -> None:
    """Rows from the top downwards, each with its label; foot: what is free below the last."""
    axis.set_yticks(range(len(labels)), labels)
    axis.set_ylim(len(labels) - foot, foot - 1)


def grid(axis: Any, along: str = "x") -> None:
    """Faint lines behind what is drawn, in place of ticks."""
    axis.grid(axis=along, color=FAINT, lw=0.6)
    axis.set_axisbelow(True)
    axis.tick_params(length=0)


def save(figure: Any, path: Path) -> Path:
    """Write the figure as PNG, and as PDF beside it for a paper, whole or not at all; close it.

    The same figure is the same PDF: it holds no date. Pictures in it are as sharp as in the PNG.
    """
    write_whole(path, lambda file: figure.savefig(file, bbox_inches="tight"))
    paper = path.with_suffix(".pdf")
    undated = {"CreationDate": None}
    write_whole(paper, lambda file: figure.savefig(file, bbox_inches="tight", metadata=undated))
    pyplot().close(figure)
    return path


def shown_in_panels(rows: Sequence[Row]) -> list[tuple[str, str, str]]:
    """(title, benchmark, column) of each panel: one benchmark's subsets, or all benchmarks."""
    benchmarks = list(dict.fromkeys(row["benchmark"] for row in rows))
    if len(benchmarks) > 1:
        return [(name, name, "miou") for name in benchmarks]
    columns = [c for c in TITLES if any(row.get(c) is not None for row in rows)]
    return [(TITLES[c], benchmarks[0], c) for c in columns]


def single_plot(rows: Sequence[Row], path: Path) -> Path:
    """Table 2 as dots: every prompt set of stage 3 on the report split."""
    rows = [row for row in rows if row["split"] == "report"]
    names = list(dict.fromkeys(row["prompts"] for row in rows))
    return _dots(rows, names, names, "kind", path)


def combination_plot(rows: Sequence[Row], path: Path) -> Path:
    """Table 3 as dots: the path of the search, one attribute more in each line."""
    names = list(dict.fromkeys(row["prompts"] for row in rows))
    first = {row["prompts"]: row for row in reversed(rows)}
    labels = []
    for name in names:
        status, added = first[name]["status"], first[name].get("added")
        by_class = added == BY_CLASS
        step = (
            name
            if by_class
            else f"+ {added}" + (f", {name.partition('(')[0]}" if "(" in name else "")
        )
        label = {"accepted": step, "rejected": f"{step} (not taken)"}.get(status, name)
        labels.append(
            name.split("(")[0] + "(best)" if status == "control" and "(" in name else label
        )
    return _dots(rows, names, labels, "status", path, connect=("start", "accepted"))


def _dots(
    rows: Sequence[Row],
    names: Sequence[str],
    labels: Sequence[str],
    kind: str,
    path: Path,
    connect: Sequence[str] = (),
) -> Path:
    """One line per prompt set, one panel per subset or benchmark."""
    shown = shown_in_panels(rows)
    size = max(5.2, 1.6 + 2.6 * len(shown)), 0.9 + 0.29 * len(names)
    figure, axes = panels(1, len(shown), size, sharey=True)
    figure.get_layout_engine().set(w_pad=0.12)  # tick labels of neighbours would touch
    for axis, (title, benchmark, column) in zip(axes[0], shown, strict=True):
        here = {row["prompts"]: row for row in rows if row["benchmark"] == benchmark}
        line_x, line_y = [], []
        for y, name in enumerate(names):
            row = here.get(name)
            if row is None or row.get(column) is None:
                continue
            colour = CHOSEN if row.get("chosen") else COLOURS[row[kind]]
            _dot(axis, row, column, y, colour, hollow=row[kind] == "rejected")
            if row[kind] in connect:
                line_x.append(100 * row[column])
                line_y.append(y)
            if row[kind] == "baseline":
                axis.axvline(100 * row[column], color=COLOURS["baseline"], lw=0.8, ls=":", zorder=0)
        axis.plot(line_x, line_y, color=COLOURS["accepted"], lw=0.9, alpha=0.5, zorder=1)
        axis.set_title(title)
        axis.set_xlabel(_measured("mIoU, %", here.values()))
        grid(axis)
    rows_down(axes[0][0], labels)
    return save(figure, path)


def llm_plot(rows: Sequence[Row], path: Path) -> Path:
    """LLMs side by side: their scores above, the paired differences to the first one below.

    rows: see `ablations.runs.compare.comparison_rows`. Filled dots: the same attributes for all;
    hollow ones: each LLM's own best.
    """
    shown = shown_in_panels(rows)
    llms = list(dict.fromkeys(row["llm"] for row in rows if row["llm"] is not None))
    cells = {(row["set"], row["llm"], row["benchmark"]): row for row in rows}
    size = max(6.4, 2.2 + 2.6 * len(shown)), 2.1 + 0.5 * (2 * len(llms) - 1)
    ratios = [len(llms) + 0.6, len(llms) - 1 + 0.6]
    figure, axes = panels(2, len(shown), size, height_ratios=ratios, sharey="row")
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.08)
    colours = {llm: LLM_COLOURS[i % len(LLM_COLOURS)] for i, llm in enumerate(llms)}
    for place, (title, benchmark, column) in enumerate(shown):
        above, below = axes[:, place]
        name = cells["baseline", None, benchmark].get(column)
        if name is not None:
            above.axvline(100 * name, color=COLOURS["baseline"], lw=0.8, ls=":", zorder=0)
        below.axvline(0, color=INK, lw=0.8, zorder=0)
        for y, llm in enumerate(llms):
            for kind, offset in (("same", -0.14), ("own", 0.14)):
                row = cells[kind, llm, benchmark]
                _dot(above, row, column, y + offset, colours[llm], hollow=kind == "own")
                if y:
                    _dot(
                        below,
                        row,
                        difference_of(column),
                        y - 1 + offset,
                        colours[llm],
                        kind == "own",
                    )
        above.set_title(title)
        above.set_xlabel(_measured("mIoU, %", rows))
        below.set_xlabel(_measured(f"points against {short(llms[0], 22)}", rows))
        for axis in (above, below):
            grid(axis)
    labels = [short(llm) for llm in llms]
    rows_down(axes[0][0], labels, 0.5)
    rows_down(axes[1][0], labels[1:], 0.5)
    same = cells["same", llms[0], shown[0][1]]["prompts"]
    handles = [
        legend_dot(f"all on {same}", INK, ms=5),
        legend_dot("each on its own best", INK, ms=5, mfc="white"),
        legend_dot("name", COLOURS["baseline"], marker="", ls=":", lw=1),
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=3, frameon=False)
    return save(figure, path)


def _measured(label: str, rows: Iterable[Row]) -> str:
    """An axis's label, which tells why there are no intervals where there are too few pictures."""
    few = any(row.get("no_interval") for row in rows)
    return f"{label}\n({TOO_FEW} for intervals)" if few else label


def _dot(axis: Any, row: Row, column: str, y: float, colour: str, hollow: bool) -> None:
    """A value with its interval, in per cent; nothing where it is undefined."""
    if row.get(column) is None:
        return
    low, high = row[f"{column}_low"], row[f"{column}_high"]
    if low is not None:
        axis.plot([100 * low, 100 * high], [y, y], color=colour, lw=1.6, alpha=0.6)
    axis.plot(100 * row[column], y, "o", color=colour, ms=5.5, mfc="white" if hollow else colour)


def legend_dot(label: str, colour: str, **look: Any) -> Any:
    """What stands in a legend for dots of a colour; look: of `Line2D`."""
    return pyplot().Line2D(
        [], [], **{"marker": "o", "ls": "", "color": colour, **look}, label=label
    )


def short(name: str, most: int = 34) -> str:
    """A long name with its middle left out."""
    half = most // 2
    return name if len(name) <= most else f"{name[:half]}\u2026{name[-half + 1 :]}"


def per_class_plot(rows: Sequence[Row], best: str, path: Path) -> Path:
    """Each class's IoU with the plain name and with the best prompts, unseen classes first.

    rows: name, seen (True, False or None), baseline, best. Of more than MOST_CLASSES classes
    those are shown whose IoU changes most.
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
    size = 7.6, 1.4 + 0.21 * len(drawn) + 0.4 * len(groups)
    ratios = [len(group) + 1 for _, group in groups]
    figure, axes = panels(len(groups), 1, size, height_ratios=ratios, sharex=True)
    for axis, (title, group) in zip(axes[:, 0], groups, strict=True):
        for y, row in enumerate(group):
            start, end = 100 * row["baseline"], 100 * row["best"]
            axis.plot([start, end], [y, y], color=CHOSEN if end >= start else "#8a929b", lw=1.6)
            axis.plot(start, y, "o", color=COLOURS["baseline"], ms=4.5)
            axis.plot(end, y, "o", color=CHOSEN, ms=5.5)
        rows_down(axis, [row["name"] for row in group])
        axis.set_xlim(-2, 102)
        axis.set_title(title)
        grid(axis)
    note = f"; {left_out} classes that change less are left out" if left_out > 0 else ""
    axes[-1, 0].set_xlabel(f"IoU, %{note}")
    handles = [legend_dot("name", COLOURS["baseline"], ms=4.5), legend_dot(best, CHOSEN, ms=5.5)]
    place = {"loc": "lower right", "bbox_to_anchor": (1, 1)}
    axes[0, 0].legend(handles=handles, **place, ncols=2, frameon=False)
    return save(figure, path)
