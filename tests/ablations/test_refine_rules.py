"""The rules by which the half that did not propose decides: hand-made draws, and properties."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ablations.refinement.options import RULES
from ablations.refinement.rules import Decision, decide
from ablations.search.statistics import Draws

TESTED = [rule for rule in RULES if rule != "paper"]
SURE = NormalDist().inv_cdf(0.975)  # spreads from a gain to the end of its interval: 1.96
GRID = np.array([NormalDist().inv_cdf(i / 1000) for i in range(1, 1000)])
SPREAD = GRID.std()


def score_of(
    gains: Sequence[float],
    deviations: Sequence[np.ndarray],
    asked: list[tuple[int, ...]] | None = None,
    units: int = 50,
):  # type: ignore[no-untyped-def]
    """Scores of sets: 0.4 and what their proposals gain, each with its own deviation."""

    def score(sets: Sequence[tuple[int, ...]]) -> list[Draws]:
        if asked is not None:
            asked.extend(sets)
        found = []
        for some in sets:
            value = 0.4 + sum(gains[i] for i in some)
            off = sum((deviations[i] for i in some), np.zeros_like(deviations[0]))
            found.append(Draws(value, value + off, units))
        return found

    return score


def together(rule: str, gains: Sequence[float], spreads: Sequence[float]) -> Decision:
    """Of gains that deviate in step with one another: then max-t is as wide as one interval."""
    return decide(rule, len(gains), score_of(gains, [s * GRID / SPREAD for s in spreads]))


def test_nothing_proposed_nothing_kept() -> None:
    def score(sets: Sequence[tuple[int, ...]]) -> list[Draws]:
        raise AssertionError("nothing is to be scored")

    for rule in RULES:
        assert decide(rule, 0, score) == Decision((), None)


def test_paper_keeps_all_and_asks_nothing() -> None:
    asked: list[tuple[int, ...]] = []
    score = score_of([-0.1, -0.2], [GRID, GRID], asked)
    assert decide("paper", 2, score) == Decision((0, 1), None)
    assert not asked


def test_set_takes_the_highest_lower_end() -> None:
    """One: 3 - 1.96 x 1 points = 1.04. Two: 5 - 1.96 x 1.5 = 2.06. Three: 4 - 1.96 x 1.7 = 0.67."""
    decision = together("set", [0.03, 0.02, -0.01], [0.01, 0.005, 0.002])
    assert decision.kept == (0, 1)
    assert decision.gain is not None
    assert decision.gain.value == pytest.approx(0.05)
    assert decision.gain.low == pytest.approx(0.05 - SURE * 0.015, abs=2e-4)
    assert decision.gain.high == pytest.approx(0.05 + SURE * 0.015, abs=2e-4)


def test_set_adds_up_gains_of_which_none_is_sure_alone() -> None:
    """Four independent gains of 1.5 spreads: together 6 of them, with a spread of 2."""
    rng = np.random.default_rng(0)
    off = [0.01 * rng.permutation(GRID) / SPREAD for _ in range(4)]
    gains = [0.015] * 4
    assert decide("set", 4, score_of(gains, off)).kept == (0, 1, 2, 3)
    assert decide("single", 4, score_of(gains, off)).kept == ()
    assert decide("stepdown", 4, score_of(gains, off)).kept == ()
    assert decide("fdr", 4, score_of(gains, off)).kept == ()


def test_set_keeps_nothing_where_a_bad_proposal_is_first() -> None:
    """Nested sets all hold the proposal that the other half liked best."""
    assert together("set", [-0.05, 0.03], [0.01, 0.01]).kept == ()
    assert together("single", [-0.05, 0.03], [0.01, 0.01]).kept == (1,)


def test_single_holds_for_all_at_once() -> None:
    """Of two independent gains the largest deviation is beyond 2.24 spreads in 5 %.

    (P(|z| < 2.236)^2 = 0.95.) Of 2.1 spreads one alone would be sure.
    """
    off = [0.01 * GRID / SPREAD, 0.01 * np.random.default_rng(1).permutation(GRID) / SPREAD]
    assert decide("single", 2, score_of([0.05, 0.021], off)).kept == (0,)
    assert decide("single", 2, score_of([0.05, 0.024], off)).kept == (0, 1)
    assert decide("single", 1, score_of([0.021], off)).kept == (0,)


def test_stepdown_makes_room_for_the_next() -> None:
    """Once the first of the two is sure, the second stands alone: 2.1 spreads are beyond 1.96."""
    off = [0.01 * GRID / SPREAD, 0.01 * np.random.default_rng(1).permutation(GRID) / SPREAD]
    decision = decide("stepdown", 2, score_of([0.05, 0.021], off))
    assert decision.kept == (0, 1)
    assert decision.gain is not None and decision.gain.value == pytest.approx(0.071)
    assert decide("stepdown", 2, score_of([0.02, 0.021], off)).kept == ()


def test_false_discoveries() -> None:
    """p-values against 0.05 / 3, 0.1 / 3 and 0.15 / 3: the largest that holds takes all below it.

    A gain at the grid's place (1 - p) has p of the 999 draws as far above it as it is above 0.
    """

    def at(*p: float) -> list[float]:
        return [0.01 * NormalDist().inv_cdf(1 - one + 1e-6) / SPREAD for one in p]

    spreads = [0.01] * 3
    assert together("fdr", at(0.010, 0.032, 0.049), spreads).kept == (0, 1, 2)
    assert together("fdr", at(0.010, 0.040, 0.060), spreads).kept == (0,)
    assert together("fdr", at(0.060, 0.030, 0.010), spreads).kept == (1, 2)
    assert together("fdr", at(0.020, 0.036, 0.060), spreads).kept == ()


def test_each_by_itself_says_its_intervals() -> None:
    for rule in ("single", "stepdown", "fdr"):
        decision = together(rule, [0.03, -0.01], [0.01, 0.01])
        assert [one.value for one in decision.alone] == pytest.approx([0.03, -0.01])
        assert decision.kept == (0,) and decision.gain is not None
        assert decision.gain.low == pytest.approx(0.03 - SURE * 0.01, abs=2e-4)


def test_too_few_pictures_keep_nothing() -> None:
    for rule in ("set", "single", "stepdown"):
        assert decide(rule, 2, score_of([0.05, 0.05], [0.01 * GRID] * 2, units=19)).kept == ()


made = st.integers(1, 6).flatmap(
    lambda size: st.tuples(
        st.lists(st.floats(-3, 6), min_size=size, max_size=size), st.integers(0, 999)
    )
)
"""Gains in spreads of a hundredth, and the seed of their deviations."""


def hand_made(gains: Sequence[float], seed: int):  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(seed)
    off = 0.008 * rng.standard_normal((len(gains), 300)) + 0.006 * rng.standard_normal(300)
    off -= off.mean(axis=1, keepdims=True)
    return [gain / 100 for gain in gains], list(off)


@given(made)
def test_what_is_kept_is_proposed_once_and_single_is_a_part_of_stepdown(
    drawn: tuple[list[float], int],
) -> None:
    gains, off = hand_made(*drawn)
    kept = {rule: decide(rule, len(gains), score_of(gains, off)).kept for rule in RULES}
    for places in kept.values():
        assert list(places) == sorted(set(places)) and set(places) <= set(range(len(gains)))
    assert set(kept["single"]) <= set(kept["stepdown"])
    assert kept["set"] == tuple(range(len(kept["set"])))  # the first so many


@given(made)
def test_nothing_is_kept_where_nothing_gains(drawn: tuple[list[float], int]) -> None:
    gains, off = hand_made([-abs(gain) for gain in drawn[0]], drawn[1])
    for rule in TESTED:
        decision = decide(rule, len(gains), score_of(gains, off))
        assert decision.kept == () and decision.gain is None


@given(made, st.randoms(use_true_random=False))
def test_the_order_of_proposals_counts_for_sets_only(drawn, random) -> None:  # type: ignore[no-untyped-def]
    gains, off = hand_made(*drawn)
    order = list(range(len(gains)))
    random.shuffle(order)
    for rule in ("single", "stepdown", "fdr"):
        kept = decide(rule, len(gains), score_of(gains, off)).kept
        mixed = decide(
            rule, len(gains), score_of([gains[i] for i in order], [off[i] for i in order])
        )
        assert tuple(sorted(order[place] for place in mixed.kept)) == kept
