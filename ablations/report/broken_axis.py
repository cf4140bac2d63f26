"""A broken axis: what lies far from the rest stands behind a break, on a scale of its own.

A control that finds next to nothing would otherwise rule the axis, and the differences that matter
would lie within the width of a dot.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

FAR = 0.4  # of the span of the others: who lies farther from them stands behind the break
MOST = 0.6  # of the whole span: where the others take more of it, nothing is broken
BEHIND, GAP = 0.17, 0.06  # parts of the axis: what is behind the break, and the break itself
MARGIN, MARGIN_BEHIND = 0.05, 0.25  # of a span, free at its ends
BAND, MARK = "#e3e7eb", "#59636e"
Span = tuple[float, float]
"""The lowest and the highest value of something that is drawn."""


@dataclass(frozen=True)
class Broken:
    """The values that are shown on either side of a break: those of most, and those far away."""

    near: Span
    far: Span

    @property
    def below(self) -> bool:
        """Whether what is far lies below the others."""
        return self.far[1] <= self.near[0]

    @property
    def gap(self) -> Span:
        """Between which values nothing stands."""
        return (self.far[1], self.near[0]) if self.below else (self.near[1], self.far[0])

    @property
    def values(self) -> tuple[float, ...]:
        """Both spans' ends, ascending."""
        return (*self.far, *self.near) if self.below else (*self.near, *self.far)

    @property
    def places(self) -> tuple[float, ...]:
        """Where `values` stand, in parts of the axis."""
        edges = BEHIND, BEHIND + GAP
        return (0.0, *edges, 1.0) if self.below else (0.0, *(1 - e for e in edges[::-1]), 1.0)


def find_break(others: Sequence[Span], controls: Sequence[Span]) -> Broken | None:
    """Where an axis is to be broken so that far controls do not rule it; None where none does.

    Args:
        others: The spans of what the axis is for; they are never behind a break.
        controls: The spans of what may stand behind one. Those below the others are looked at,
            and where none of them is far, those above.
    """
    if not others:
        return None
    low, high = min(low for low, _ in others), max(high for _, high in others)
    below = _beyond((low, high), controls)
    if below is not None:
        return below
    above = _beyond((-high, -low), [(-high, -low) for low, high in controls])
    return above and Broken(_mirrored(above.near), _mirrored(above.far))


def _mirrored(span: Span) -> Span:
    return -span[1], -span[0]


def _beyond(near: Span, controls: Sequence[Span]) -> Broken | None:
    """The break below the others, if any; controls that lie close to them are counted to them."""
    low, high = near
    far: list[Span] = []
    for one in sorted(controls, reverse=True):
        if far or one[1] < low - FAR * (high - low):
            far.append(one)
        else:
            low, high = min(low, one[0]), max(high, one[1])
    if not far or high == low or high - low > MOST * (high - min(far)[0]):
        return None
    near = _with_margin((low, high), MARGIN, 0.0)
    # What is behind the break is never drawn larger than the others.
    least = (near[1] - near[0]) * BEHIND / (1 - BEHIND - GAP)
    behind = _with_margin((min(far)[0], max(end for _, end in far)), MARGIN_BEHIND, least)
    return Broken(near, behind) if behind[1] < near[0] else None


def _with_margin(span: Span, part: float, least: float) -> Span:
    """A span with a part of it free at either end, at least so wide."""
    free = max(part * (span[1] - span[0]), (least - (span[1] - span[0])) / 2)
    return span[0] - free, span[1] + free


def break_axis(axis: Any, broken: Broken) -> None:
    """Break the x axis of a plot, with marks, a band where nothing stands, and ticks beside it."""
    from matplotlib.ticker import MaxNLocator

    values, places = broken.values, broken.places
    axis.set_xscale(
        "function",
        functions=(
            lambda x: np.interp(x, values, places),
            lambda place: np.interp(place, places, values),
        ),
    )
    axis.set_xlim(values[0], values[-1])
    steps = [1, 2, 5, 10]
    ticks = _inside(MaxNLocator(4, steps=steps).tick_values(*broken.near), broken.near)
    middle = sum(broken.far) / 2
    behind = _inside(MaxNLocator(3, steps=steps, integer=True).tick_values(*broken.far), broken.far)
    ticks.append(min(behind, key=lambda tick: abs(tick - middle), default=float(round(middle))))
    axis.set_xticks(ticks, [f"{tick:g}".replace("-", "\u2212") for tick in ticks])
    axis.axvspan(*broken.gap, color=BAND, lw=0, zorder=0.5)
    # Two slashes through the axis, as large in all plots.
    look = {"marker": [(-0.5, -1), (0.5, 1)], "ms": 9, "mec": MARK, "mew": 1.1, "ls": ""}
    edges = [float(np.interp(value, values, places)) for value in broken.gap]
    axis.plot(edges, [0.0, 0.0], transform=axis.transAxes, clip_on=False, **look)


def _inside(ticks: Sequence[float], span: Span) -> list[float]:
    return [float(tick) for tick in ticks if span[0] <= tick <= span[1]]
