"""Plots: broken axes, paired differences with a line at 0, and legends."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from matplotlib.colors import to_hex
from support.ablation_fakes import ATTRIBUTES, NAMES, FakeBenchmark, board, by_table

from ablations.report import class_plots, pictures, plots
from ablations.report.broken_axis import BEHIND, GAP, Broken, break_axis, find_break
from ablations.report.sheet import signed
from ablations.report.tables import choice_sheet
from ablations.search.claims import compared
from ablations.search.combine import path_rows, search
from ablations.search.scoreboard import NAME, TYPICAL, Candidate
from ablations.search.single import singles

SKILL = {
    "name": 0.6,
    "action": 0.6,
    "color": 0.65,
    "shape": 0.7,
    "color+shape": 0.75,
    "typical": 0.72,
    "cat-seg": 0.6,
    "imagenet": 0.61,
    "random(shape)": 0.1,
    "shuffled(shape)": 0.02,
}


def test_far_controls_stand_behind_a_break_on_a_scale_of_their_own() -> None:
    found = find_break([(50.0, 60.0), (52.0, 54.0)], [(49.0, 51.0), (4.0, 6.0), (18.0, 20.0)])
    # The others span 49 to 60, with a twentieth of it free at either end.
    assert found is not None and found.below
    assert found.near == pytest.approx((48.45, 60.55))
    assert found.far == pytest.approx((4 - 4, 20 + 4))  # a quarter of 16 free
    assert found.gap == (found.far[1], found.near[0])
    assert found.places == (0.0, BEHIND, BEHIND + GAP, 1.0)


def test_what_is_behind_a_break_is_never_larger_than_the_rest() -> None:
    found = find_break([(50.0, 60.0)], [(5.0, 5.1)])
    assert found is not None
    near, far = (span[1] - span[0] for span in (found.near, found.far))
    assert far / BEHIND == pytest.approx(near / (1 - BEHIND - GAP))


@pytest.mark.parametrize(
    ("others", "controls"),
    [
        ([], [(1.0, 2.0)]),
        ([(50.0, 60.0)], []),
        ([(50.0, 60.0)], [(47.0, 48.0)]),  # near
        ([(5.0, 60.0)], [(1.0, 2.0)]),  # the others take most of the axis
        ([(50.0, 50.0)], [(1.0, 2.0)]),  # without any span
    ],
)
def test_no_break_where_none_helps(others: list[Any], controls: list[Any]) -> None:
    assert find_break(others, controls) is None


def test_far_above_is_behind_a_break_too() -> None:
    found = find_break([(0.0, 10.0)], [(5.0, 6.0), (60.0, 64.0)])
    assert found is not None and not found.below
    assert found.near == pytest.approx((-0.5, 10.5)) and found.gap == (found.near[1], found.far[0])
    assert found.values == (*found.near, *found.far)
    assert found.places == pytest.approx((0.0, 1 - BEHIND - GAP, 1 - BEHIND, 1.0))


def test_a_broken_axis_has_marks_and_ticks_on_both_sides() -> None:
    figure, ((axis,),) = plots.panels(1, 1, (4, 3))
    broken = Broken((40.0, 60.0), (0.0, 10.0))
    break_axis(axis, broken)
    assert axis.get_xlim() == (0.0, 60.0)
    ticks = axis.get_xticks()
    assert sum(0 <= t <= 10 for t in ticks) == 1 and sum(40 <= t <= 60 for t in ticks) >= 3
    (marks,) = axis.lines
    assert marks.get_xdata().tolist() == pytest.approx([BEHIND, BEHIND + GAP])
    places = axis.transAxes.inverted().transform(axis.transData.transform([(5, 0), (50, 0)]))[:, 0]
    assert places == pytest.approx([BEHIND / 2, (1 + BEHIND + GAP) / 2])
    plots.pyplot().close(figure)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """The figures that are drawn, in place of their files."""
    figures: list[Any] = []
    for module in (plots, class_plots, pictures):
        monkeypatch.setattr(module, "save", lambda figure, path: figures.append(figure) or path)
    yield figures
    for figure in figures:
        plots.pyplot().close(figure)


def horizontal(axis: Any) -> dict[float, tuple[float, float]]:
    """The intervals that are drawn: the line of each height."""
    lines = [line for line in axis.lines if line.get_linewidth() == 1.6]
    return {float(one.get_ydata()[0]): tuple(map(float, one.get_xdata())) for one in lines}


def at_zero(axis: Any) -> bool:
    return any(list(line.get_xdata()) == [0, 0] for line in axis.lines)


def labels(axis: Any) -> list[str]:
    return [text.get_text() for text in axis.get_yticklabels()]


def words(figure: Any) -> list[str]:
    return [text.get_text() for one in figure.legends for text in one.get_texts()]


def test_paired_differences_are_drawn_from_their_own_intervals(drawn: list[Any]) -> None:
    rows = singles(board(by_table(SKILL)), ATTRIBUTES).rows
    plots.single_plot(rows, Path("s.png"))
    plots.single_plot(rows, Path("d.png"), paired=True)
    scores, differences = drawn
    names = [text.get_text() for text in differences.axes[0].get_yticklabels()]
    assert "name" not in names and "name" in [
        t.get_text() for t in scores.axes[0].get_yticklabels()
    ]
    report = {row["prompts"]: row for row in rows if row["split"] == "report"}
    shown = horizontal(differences.axes[0])
    assert len(shown) > 3
    for place, (low, high) in shown.items():
        row = report[names[int(place)]]
        assert (low, high) == (100 * row["difference_low"], 100 * row["difference_high"])
    assert at_zero(differences.axes[0]) and not at_zero(scores.axes[0])
    assert {"attribute", "control", "chosen", "95 % interval"} <= set(words(differences))
    assert {"name, the baseline", "control: typical sentence"} <= set(words(scores))
    for figure in drawn:  # shuffled and random do not rule the axis
        assert figure.axes[0].get_xscale() == "function"


def test_the_path_has_a_legend_of_its_steps(drawn: list[Any]) -> None:
    one = board(by_table(SKILL))
    rows = path_rows(one, search(one, ATTRIBUTES))
    plots.combination_plot(rows, Path("c.png"))
    plots.combination_plot(rows, Path("c.png"), paired=True)
    scores, differences = map(words, drawn)
    assert scores[0] == "name, the baseline" and "step taken" in scores and scores[-2] == "chosen"
    assert differences == scores[1:]


def test_a_choice_is_drawn_and_listed_against_all_that_stands_beside_it(drawn: list[Any]) -> None:
    one = board(by_table(SKILL))
    best = Candidate(("color", "shape"))
    choice, *others = one.score("report", [best, NAME, TYPICAL, Candidate(("shape",), "shuffled")])
    rows = compared(choice, others)
    assert [row["prompts"] for row in rows] == ["name", "typical", "shuffled(shape)"]
    for row, other in zip(rows, others, strict=True):
        gap = (choice.miou - other.miou).interval()
        assert row["difference"] == gap.value > 0
        assert (row["difference_low"], row["difference_high"]) == (gap.low, gap.high)
        assert row["miou"] == other.miou.value
        unseen = choice.mean["unseen"] - other.mean["unseen"]
        assert row["unseen_difference"] == unseen.value
    kinds = ("baseline", "typical", "control")
    kept = [{**row, "kind": kind} for row, kind in zip(rows, kinds, strict=True)]
    plots.choice_plot(kept, Path("d.png"))
    axis = drawn[0].axes[0]
    assert axis.get_xlabel() == "points gained by the choice" and at_zero(axis)
    assert labels(axis) == ["over name", "over typical", "over shuffled(best)"]
    assert all(low > 0 for low, _ in horizontal(axis).values())  # as it is claimed


def test_of_several_benchmarks_each_part_of_a_gain_stands_beside_the_average(
    drawn: list[Any],
) -> None:
    one = board(by_table(SKILL), names=("x", "y"))
    choice, *others = one.score("report", [Candidate(("shape",)), NAME, TYPICAL])
    rows = [{**row, "kind": "control"} for row in compared(choice, others)]
    sheet = choice_sheet(rows, "shape")
    assert sheet.columns == ("over", "x", "y", "average")
    assert [line.cells[0] for line in sheet.lines] == ["name", "typical"]
    assert sheet.lines[0].cells[3] == signed(rows[2])
    plots.choice_plot(rows, Path("d.png"))
    assert [axis.get_title("left") for axis in drawn[0].axes] == ["x", "y", "average"]


def test_classes_are_coloured_by_where_their_interval_lies(drawn: list[Any]) -> None:
    ends = {"a": (0.1, 0.3), "b": (-0.3, -0.1), "c": (-0.1, 0.1), "d": (None, None)}
    rows = [
        {"name": n, "seen": None, "baseline": 0.5, "best": 0.5 + ((low or 0) + (high or 0)) / 2}
        | {"difference_low": low, "difference_high": high}
        for n, (low, high) in ends.items()
    ]
    class_plots.per_class_plot(rows, "best", Path("c.png"))
    left, right = drawn[0].axes
    names = labels(left)
    lines, dots = right.collections
    found = {names[round(y)]: pytest.approx((a, b)) for (a, y), (b, _) in lines.get_segments()}
    assert found == {"a": (10, 30), "b": (-30, -10), "c": (-10, 10)}
    colours = dict(zip(names, map(to_hex, dots.get_facecolors()), strict=True))
    assert colours == {
        "a": class_plots.UP,
        "b": class_plots.DOWN,
        "c": class_plots.UNSURE,
        "d": class_plots.UNSURE,
    }
    assert "interval above 0" in words(drawn[0])


def test_seen_against_unseen_is_broken_at_far_controls(drawn: list[Any]) -> None:
    rows = singles(board(by_table(SKILL)), ATTRIBUTES).rows
    report = [{**row} for row in rows if row["split"] == "report"]
    class_plots.seen_plot(report, Path("s.png"))
    (axis,) = drawn[0].axes
    assert axis.get_xscale() == "function" and "control" in words(drawn[0])


class CostMaps:
    """A scorer whose cost maps rise along the picture, twice as high for the second prompt set."""

    benchmark = FakeBenchmark(pictures=2)

    def cost_map(self, prompt_set: Any, picture: int, index: int) -> np.ndarray:
        rise = np.linspace(0.0, 0.1, 24) * (2 if prompt_set.name == "second" else 1)
        return np.tile(rise + picture, (16, 1))


def test_the_cost_maps_of_a_row_have_one_scale_and_one_colour_bar(drawn: list[Any]) -> None:
    sets: Any = [SimpleNamespace(name="first"), SimpleNamespace(name="second")]
    scorer: Any = CostMaps()
    view = pictures.PictureView(scorer, sets, NAMES)
    view.cost_maps([(0, 0), (1, 1)], Path("c.png"), "cosine")
    rows = [drawn[0].axes[:4], drawn[0].axes[4:8]]
    for picture, row in enumerate(rows):
        maps = [axis.images[0] for axis in row[2:]]
        for shown in maps:  # a column is more than 1 % of a map: the ends are those of the columns
            assert shown.get_clim() == pytest.approx((picture, picture + 0.2))
        (bar,) = row[3].child_axes
        assert bar.get_ylabel() == "cosine" and not row[2].child_axes
        assert bar.get_ylim() == pytest.approx(maps[0].get_clim())
