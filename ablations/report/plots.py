"""The plots of a run, from the rows of its tables; drawn without a screen.

One look for all of them: the same colour and marker for the same kind of prompt set everywhere,
named in a legend, with 95 % intervals, and a thin line where the plain name stands. Differences are
drawn from their own, paired intervals, against a line at 0.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ablations.report.broken_axis import break_axis, find_break
from ablations.report.sheet import difference_of
from ablations.search.enough import TOO_FEW
from ablations.search.options import BY_CLASS
from lsmseg_model.files import write_whole
from lsmseg_prompts.prompts.word_lists import WORDS

Row = Mapping[str, Any]

COLOURS = {
    "seen labels": "#7a5ba8",
    "baseline": "#3d4451",
    "attribute": "#2f6fb3",
    "set": "#2f6fb3",
    "start": "#2f6fb3",
    "accepted": "#2f6fb3",
    "rejected": "#c2773b",
    "counterpart": "#2f6fb3",
    "optimum": "#2a8c74",
    "greedy": "#2f6fb3",
    "typical": "#7a5ba8",
    "control": "#76808b",
}
CHOSEN = "#d1495b"
MARKERS = {"baseline": "s", "control": "D", "typical": "^", "seen labels": "v"}
"""Of the kinds that are not dots."""
LEGEND = {
    "baseline": "name, the baseline",
    "attribute": "attribute",
    "set": "attribute or set of attributes",
    "start": "step taken",
    "accepted": "step taken",
    "rejected": "step not taken",
    "counterpart": "the same attributes, read otherwise",
    "optimum": "best of all combinations",
    "greedy": "what greedy search takes",
    "typical": "control: typical sentence",
    "seen labels": "refined by the labels of seen classes",
    "control": "control",
}
"""What a kind is called in a legend."""
LLM_COLOURS = ("#2f6fb3", "#d1495b", "#2a8c74", "#7a5ba8", "#c2773b", "#5b6570")
INK, FAINT = "#22272e", "#d9dde2"
THROUGH = {"color": COLOURS["accepted"], "lw": 0.9, "alpha": 0.5, "zorder": 1}  # a path's steps
TITLES = {"miou": "all classes", "seen": "seen classes", "unseen": "unseen classes"}
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


def single_plot(rows: Sequence[Row], path: Path, paired: bool = False) -> Path:
    """Table 2 as dots: every prompt set of stage 3 on the report split.

    paired: the differences to the plain name in place of the scores.
    """
    rows = [row for row in rows if row["split"] == "report"]
    names = list(dict.fromkeys(row["prompts"] for row in rows))
    labels = dict(zip(names, names, strict=True))
    return _paired(rows, labels, "kind", path) if paired else _dots(rows, labels, "kind", path)


def combination_plot(rows: Sequence[Row], path: Path, paired: bool = False) -> Path:
    """Table 3 as dots: the path of the search, one attribute more in each line.

    paired: the differences to the plain name in place of the scores.
    """
    first = {row["prompts"]: row for row in reversed(rows)}
    names = dict.fromkeys(row["prompts"] for row in rows)
    labels = {name: _step(name, first[name]) for name in names}
    draw = _paired if paired else _dots
    return draw(rows, labels, "status", path, ("start", "accepted"))


def choice_plot(rows: Sequence[Row], path: Path) -> Path:
    """What the choice gains over everything that it is compared with.

    rows: see `ablations.search.claims.compared`, with ``kind``.
    """
    labels = {
        row["prompts"]: f"over {short(_of_best(row['prompts'], row['kind']))}" for row in rows
    }
    return _dots(rows, labels, "kind", path, against="points gained by the choice")


def _paired(
    rows: Sequence[Row],
    labels: Mapping[str, str],
    kind: str,
    path: Path,
    connect: Sequence[str] = (),
) -> Path:
    """Differences to the plain name, which has none from itself, drawn as in `_dots`."""
    rows = [row for row in rows if row[kind] != "baseline"]
    return _dots(rows, labels, kind, path, connect, "points against name")


def _step(name: str, row: Row) -> str:
    """What a line of the path is called."""
    status, added = row["status"], row.get("added")
    way = f", {name.partition('(')[0]}" if "(" in name else ""
    step = name if added == BY_CLASS else f"+ {added}{way}"
    named = {"accepted": step, "rejected": f"{step} (not taken)"}
    return named.get(status, _of_best(name, status))


def _of_best(name: str, kind: str) -> str:
    """A name as it stands in a plot: that of a control made of the choice is long."""
    return f"{name.partition('(')[0]}(best)" if kind == "control" and "(" in name else name


def _dots(
    rows: Sequence[Row],
    labels: Mapping[str, str],
    kind: str,
    path: Path,
    connect: Sequence[str] = (),
    against: str = "",
) -> Path:
    """One line per prompt set, one panel per subset or benchmark.

    Args:
        rows: Of a table.
        labels: What each prompt set is called.
        kind: The column that says what it is.
        path: The PNG.
        connect: Kinds with a line through them.
        against: The name of the axis where differences are drawn in place of scores.
    """
    shown = shown_in_panels(rows)
    names = [name for name in labels if any(row["prompts"] == name for row in rows)]
    size = max(5.2, 1.6 + 2.6 * len(shown)), 1.3 + 0.29 * len(names)
    figure, axes = panels(1, len(shown), size, sharey=True)
    figure.get_layout_engine().set(w_pad=0.12)  # tick labels of neighbours would touch
    for axis, (title, benchmark, column) in zip(axes[0], shown, strict=True):
        value = difference_of(column) if against else column
        here = {
            row["prompts"]: row
            for row in rows
            if row["benchmark"] == benchmark and row.get(value) is not None
        }
        line = []
        for y, name in enumerate(names):
            if name not in here:
                continue
            row = here[name]
            _of_kind(axis, row, value, y, row[kind])
            if row[kind] in connect:
                line.append((100 * row[value], y))
            if row[kind] == "baseline" and not against:
                axis.axvline(100 * row[value], color=COLOURS["baseline"], lw=0.8, ls=":", zorder=0)
        axis.plot(*zip(*line, strict=True) if line else ([], []), **THROUGH)
        axis.set_title(title)
        axis.set_xlabel(_measured(against or "mIoU, %", here.values()))
        grid(axis)
        if against:
            axis.axvline(0, color=INK, lw=0.9, zorder=0)
        break_at_controls(axis, here.values(), value, kind, zero=bool(against))
    rows_down(axes[0][0], [labels[name] for name in names])
    legend(figure, rows, kind)
    return save(figure, path)


def break_at_controls(
    axis: Any, rows: Iterable[Row], column: str, kind: str, zero: bool = False
) -> None:
    """Break the x axis where controls lie far from the others.

    Args:
        axis: Of a plot, with all that is drawn in it.
        rows: What is drawn.
        column: The column that is drawn, without its interval.
        kind: The column that says what a row is.
        zero: Whether 0 has to stand among the others.
    """
    spans: dict[bool, list[tuple[float, float]]] = {True: [], False: [(0.0, 0.0)] * zero}
    for row in rows:
        ends = [row.get(c) for c in (column, f"{column}_low", f"{column}_high")]
        values = [100 * end for end in ends if end is not None]
        spans[row[kind] == "control"].append((min(values), max(values)))
    if broken := find_break(spans[False], spans[True]):
        break_axis(axis, broken)


def legend(figure: Any, rows: Sequence[Row], kind: str) -> None:
    """What colours and markers mean, over the plot: the kinds that are drawn, in their order."""
    handles: dict[str, Any] = {}
    of_words = any(str(row["prompts"]).startswith(WORDS) for row in rows)
    for row in rows:
        label = LEGEND[row[kind]]
        if of_words and row[kind] == "attribute":
            label = "word list"
        look = {"marker": MARKERS.get(row[kind], "o"), "ms": 5}
        if row[kind] == "rejected":
            look["mfc"] = "white"
        handles.setdefault(label, legend_dot(label, COLOURS[row[kind]], **look))
    if any(row.get("chosen") for row in rows):
        handles["chosen"] = legend_dot("chosen", CHOSEN, ms=5)
    handles["interval"] = legend_dot("95 % interval", "#59636e", marker="", ls="-", lw=1.6)
    place = {"loc": "outside upper left", "frameon": False, "fontsize": 8}
    figure.legend(handles=list(handles.values()), ncols=min(4, len(handles)), **place)


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


def _of_kind(axis: Any, row: Row, column: str, y: float, kind: str) -> None:
    """A value with its interval in the look of its kind, red if it is of the choice."""
    colour = CHOSEN if row.get("chosen") else COLOURS[kind]
    _dot(axis, row, column, y, colour, kind == "rejected", MARKERS.get(kind, "o"))


def _dot(
    axis: Any, row: Row, column: str, y: float, colour: str, hollow: bool, marker: str = "o"
) -> None:
    """A value with its interval, in per cent; nothing where it is undefined."""
    if row.get(column) is None:
        return
    low, high = row[f"{column}_low"], row[f"{column}_high"]
    if low is not None:
        axis.plot([100 * low, 100 * high], [y, y], color=colour, lw=1.6, alpha=0.6)
    look = {"color": colour, "ms": 5.5, "mfc": "white" if hollow else colour}
    axis.plot(100 * row[column], y, marker, **look)


def legend_dot(label: str, colour: str, **look: Any) -> Any:
    """What stands in a legend for dots of a colour; look: of `Line2D`."""
    return pyplot().Line2D(
        [], [], **{"marker": "o", "ls": "", "color": colour, **look}, label=label
    )


def short(name: str, most: int = 34) -> str:
    """A long name with its middle left out."""
    half = most // 2
    return name if len(name) <= most else f"{name[:half]}\u2026{name[-half + 1 :]}"
