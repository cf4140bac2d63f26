"""Draw docs/architecture.png from the imports: `python docs/draw_architecture.py`.

A box a package, a row a room; an arc from a room to one below it that it imports, the thicker the
more imports there are; on the left the lines of code of the room. The order of the rooms is that
of tests/test_architecture.py, which also holds that no arc goes upwards.
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from test_architecture import ORDER, graph, modules, room  # noqa: E402

ABOUT = {
    "ablations": "stages 3 and 4: knows both",
    "lsmseg_prompts": "language: never imports torch",
    "lsmseg_model": "vision: knows no LLM and no store",
}
COLOURS = {"ablations": "#fbe9d7", "lsmseg_prompts": "#e3ecfa", "lsmseg_model": "#e2f3e6"}
EDGES = {"ablations": "#b5651d", "lsmseg_prompts": "#2b5ea8", "lsmseg_model": "#2a7d46"}
PLACES = {"ablations": (6.4, 17.6), "lsmseg_prompts": (0.6, 10.6), "lsmseg_model": (12.2, 10.6)}
EVERYWHERE = ("errors", "files")
WIDE, ROW = 8.2, 0.62  # of a package; a room is a row of it


def rooms(package: str) -> list[str]:
    return [name for names in ORDER[package] for name in names.split()]


def lines(package: str) -> Counter[str]:
    counts: Counter[str] = Counter()
    for module, path in modules().items():
        if module.startswith(f"{package}."):
            counts[room(module)] += len(path.read_text("utf-8").splitlines())
    return counts


def draw() -> Figure:
    figure = Figure(figsize=(13, 11.8))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, 21), ylim=(-1.2, 18.4))
    axes.set_axis_off()
    centres: dict[tuple[str, str], tuple[float, float]] = {}
    for package, (left, top) in PLACES.items():
        names, sizes = rooms(package), lines(package)
        high = ROW * len(names) + 1.0
        axes.add_patch(FancyBboxPatch(
            (left, top - high), WIDE, high, boxstyle="round,pad=0.05", linewidth=1.6,
            facecolor=COLOURS[package], edgecolor=EDGES[package],
        ))  # fmt: skip
        axes.text(left + 0.15, top - 0.42, package, fontsize=14, weight="bold")
        axes.text(left + WIDE - 0.15, top - 0.42, ABOUT[package], fontsize=9.5, ha="right")
        for at, name in enumerate(names):
            y = top - 1.05 - ROW * at
            centres[package, name] = (left + 3.6, y)
            axes.text(left + 3.5, y, name, fontsize=11, ha="right", va="center", family="monospace")
            axes.text(
                left + 0.15, y, f"{sizes[name]:,} lines", fontsize=8, va="center", color="0.4"
            )
    arrows = Counter(
        (module.split(".")[0], room(module), other.split(".")[0], room(other))
        for module, others in graph().items()
        for other in others
    )
    across: Counter[tuple[str, str]] = Counter()
    for (package, name, package2, name2), count in arrows.items():
        if package != package2:
            across[package, package2] += count
            continue
        here, there = (package, name), (package, name2)
        if here == there or not {here, there} <= centres.keys() or name2 in EVERYWHERE:
            continue
        (x, y), (_, y2) = centres[here], centres[there]
        bend = 0.22 + 0.62 * abs(y - y2) / (ROW * len(rooms(package)))
        axes.add_patch(FancyArrowPatch(
            (x, y), (x, y2), connectionstyle=f"arc3,rad={-bend if y > y2 else bend}",
            arrowstyle="-|>", mutation_scale=9, linewidth=0.5 + 0.16 * min(count, 16),
            color=EDGES[package] if y > y2 else "red", alpha=0.55, shrinkA=2, shrinkB=2,
        ))  # fmt: skip
    low = PLACES["ablations"][1] - ROW * len(rooms("ablations")) - 1.0
    for package, x in (("lsmseg_prompts", 7.4), ("lsmseg_model", 13.6)):
        left, top = PLACES[package]
        axes.add_patch(FancyArrowPatch(
            (x, low - 0.08), (left + WIDE / 2, top + 0.08), arrowstyle="-|>", mutation_scale=22,
            linewidth=3, color=EDGES["ablations"],
        ))  # fmt: skip
        axes.text((x + left + WIDE / 2) / 2 + 0.6, (low + top) / 2,
                  f"{across['ablations', package]} imports", fontsize=10, va="center")  # fmt: skip
    x, y = PLACES["ablations"]
    axes.text(x + WIDE / 2, y + 0.35, "cli.py mounts ablations/commands", fontsize=11, ha="center")
    note = (
        "Arcs: imports between rooms, the thicker the more; those of errors and files\n"
        "are left out, since every room has them. Lines: of Python."
    )
    axes.text(12.2, -0.75, note, fontsize=9, color="0.4")
    return figure


if __name__ == "__main__":
    draw().savefig(ROOT / "docs" / "architecture.png", dpi=90)
