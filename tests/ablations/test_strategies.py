"""Strategies of stage 4: what each goes through, what it takes, and how greedy search compares."""

from collections.abc import Callable
from itertools import combinations
from typing import Any

import numpy as np
import pytest
from support.ablation_fakes import ATTRIBUTES, DESCRIPTIONS, board, by_table

from ablations.report.tables import combination_sheet
from ablations.search.combine import path_rows, search
from ablations.search.options import SearchOptions
from ablations.search.scoreboard import fields
from ablations.search.statistics import Draws, Interval, simultaneous, surely_worse
from lsmseg_prompts.errors import UsageError

# Greedy search goes by shape and color; the optimum, without shape, it never sees.
TRAP = {
    "name": 0.2,
    "shape": 0.4,
    "color": 0.3,
    "action": 0.25,
    "shape+color": 0.5,
    "shape+action": 0.45,
    "color+action": 0.7,
    "shape+color+action": 0.45,
}


def joined(strategy: str = "greedy", **options: Any) -> SearchOptions:
    """Joined descriptions alone, by greedy search if nothing else is said: the paper's way."""
    return SearchOptions(strategy=strategy, composition="concat", **options)


def test_all_combinations_certify_greedy_search() -> None:
    one = board(by_table(TRAP))
    found = search(one, ATTRIBUTES, joined("exhaustive"))
    assert found.best.name == "color+action"
    assert found.tried == 7 == len(found.candidates)
    certificate = found.certificate
    assert certificate is not None
    assert (certificate.optimum.name, certificate.greedy.name) == ("color+action", "shape+color")
    assert {c.name: r for c, r in certificate.ranks.items()} == {
        "color+action": 1,
        "shape+color": 2,
        **dict.fromkeys(("shape+action", "shape+color+action"), 3),  # equal scores, one place
        "shape": 5,
        "color": 6,
        "action": 7,
    }
    # skill s: intersection s, prediction and label 1, so IoU = s / (2 - s)
    assert certificate.behind.value == pytest.approx(0.7 / 1.3 - 0.5 / 1.5, abs=0.01)
    assert 0 < certificate.behind.low < certificate.behind.value < certificate.behind.high
    assert certificate.report is None  # the report split has not been looked at


def test_the_certificate_stands_in_the_path_the_note_and_the_record() -> None:
    one = board(lambda name, split: TRAP.get(name, 0.1) - 0.01 * (split == "report"))
    found = search(one, ATTRIBUTES, joined("exhaustive"))
    assert not one.benches[0].scorers["report"].scored  # type: ignore[attr-defined]
    rows = {r["prompts"]: r for r in path_rows(one, found)}
    greedy, best = rows["shape+color"], rows["color+action"]
    assert (greedy["status"], greedy["rank"], best["rank"]) == ("greedy", 2, 1)
    assert greedy["behind"] == pytest.approx(best["miou"] - greedy["miou"])
    assert greedy["behind_low"] < greedy["behind"] < greedy["behind_high"]
    assert greedy["selection_behind"] > greedy["behind"]  # by the 0.01 of skill
    note = found.note()
    for text in (
        "7 candidates were tried",
        "shape+color, number 2 of all 7",
        "on the report split",
    ):
        assert text in note
    record = found.record()["certificate"]
    assert (record["greedy"], record["rank"], record["combinations"]) == ("shape+color", 2, 7)
    assert record["report"]["behind"] == greedy["behind"]
    combination_sheet(list(rows.values()))


def test_greedy_search_that_finds_the_optimum_is_told_so() -> None:
    found = search(
        board(by_table({**TRAP, "color+action": 0.3})),
        ATTRIBUTES,
        joined("exhaustive"),
    )
    assert found.certificate is not None and found.certificate.rank == 1
    assert "finds the optimum of all 7" in found.note()
    assert [s.candidate.name for s in found.steps] == [
        "shape",
        "shape+color",
        "shape+color+action",
    ]
    assert [s.status for s in found.steps] == ["start", "accepted", "rejected"]


def test_a_beam_finds_what_greedy_search_misses_and_one_of_width_1_is_greedy() -> None:
    beam = search(board(by_table(TRAP)), ATTRIBUTES, joined("beam", beam_width=2))
    assert beam.best.name == "color+action" and "keeping 2 sets" in beam.note()
    for table in (TRAP, {**TRAP, "shape+color+action": 0.9}):
        greedy = search(board(by_table(table)), ATTRIBUTES, joined())
        narrow = search(board(by_table(table)), ATTRIBUTES, joined("beam", beam_width=1))
        assert narrow.steps == greedy.steps and narrow.candidates == greedy.candidates


def test_the_chain_adds_attributes_in_the_order_of_their_single_scores() -> None:
    found = search(board(by_table(TRAP)), ATTRIBUTES, joined("chain"))
    assert [(s.candidate.name, s.added, s.status) for s in found.steps] == [
        ("shape", "shape", "start"),
        ("shape+color", "color", "accepted"),
        ("shape+color+action", "action", "rejected"),
    ]
    assert found.tried == 5  # the three alone and two longer prefixes
    rows = {r["prompts"]: r for r in path_rows(board(by_table(TRAP)), found)}
    last = rows["shape+color+action"]  # its gain is over the prefix before
    assert last["gain"] == pytest.approx(last["miou"] - rows["shape+color"]["miou"])


@pytest.mark.parametrize("strategy", ["greedy", "beam", "chain", "exhaustive"])
@pytest.mark.parametrize("rule", ["interval", "paper"])
def test_a_tie_goes_to_fewer_attributes(strategy: str, rule: str) -> None:
    equal = {"shape": 0.4, "shape+color": 0.4, "shape+action": 0.4, "shape+color+action": 0.4}
    found = search(board(by_table(equal)), ATTRIBUTES, joined(strategy, rule=rule))
    assert found.best.name == "shape"
    assert f"{found.tried} candidates were tried" in found.note()


@pytest.mark.parametrize("strategy", ["greedy", "beam", "chain", "exhaustive"])
def test_a_single_attribute_is_a_search_too(strategy: str) -> None:
    found = search(board(by_table(TRAP)), ["color"], joined(strategy))
    assert found.best.name == "color" and found.tried == 1 and found.note()


def test_clauses_stand_in_the_order_of_the_single_scores_whatever_the_order_of_adding() -> None:
    """Alone shape > color > action; action is added first and stands last all the same."""
    table = {**TRAP, "shape+action": 0.6, "shape+color+action": 0.9}
    found = search(board(by_table(table)), ATTRIBUTES, joined())
    assert [s.added for s in found.steps] == ["shape", "action", "color"]
    assert found.best.name == "shape+color+action"


def test_other_orders_of_the_clauses_are_compared_on_request() -> None:
    one = board(by_table({**TRAP, "color+shape": 0.6}))
    found = search(one, ATTRIBUTES, joined(orders=True))
    assert found.best.name == "color+shape" and found.orders == (2, 2)
    assert found.candidates[-1]["prompts"] == "color+shape" and found.candidates[-1]["chosen"]
    assert "2 of the 2 orders" in found.note() and "another order was taken" in found.note()
    rows = {r["prompts"]: r for r in path_rows(one, found)}
    assert rows["color+shape"]["gain"] > 0 and rows["color+shape"]["chosen"]
    same = search(board(by_table({**TRAP, "color+shape": 0.5})), ATTRIBUTES, joined(orders=True))
    assert same.best.name == "shape+color"  # a tie: the order stays
    assert same.tried == 3 + 2 + 1 + 1 and "none qualified" in same.note()
    alone = search(board(by_table(TRAP)), ["color"], joined(orders=True))
    assert alone.orders == (1, 1) and alone.best.name == "color"


def test_of_many_orders_some_are_tried() -> None:
    names = tuple("abcdef")
    described = {(i, a): f"A {n} is {a}." for (i, _), n in _classes().items() for a in names}
    longest = "+".join(names)
    table = {"+".join(names[:k]): 0.1 + 0.1 * k for k in range(1, 7)}
    found = search(board(by_table(table), descriptions=described), names, joined(orders=True))
    assert found.orders == (120, 720) and found.best.name == longest
    tried = [c["prompts"] for c in found.candidates if c["step"] == len(found.steps) - 1]
    assert len(set(tried)) == 119 and longest not in tried
    assert {frozenset(t.split("+")) for t in tried} == {frozenset(names)}


def _classes() -> dict[tuple[int, str], str]:
    return {(i, a): t.split(" has")[0][2:] for (i, a), t in DESCRIPTIONS.items() if a == "color"}


def test_all_511_combinations_of_nine() -> None:
    names = tuple("abcdefghi")
    described = {(i, a): f"A {n} is {a}." for (i, _), n in _classes().items() for a in names}

    def skill(name: str, split: str) -> float:
        good = {"b": 0.2, "d": 0.15, "g": 0.1}
        return 0.3 + sum(good.get(a, -0.02) for a in name.split("+")) if "(" not in name else 0.1

    one = board(skill, descriptions=described)
    found = search(one, names, joined("exhaustive"))
    assert found.best.name == "b+d+g" and found.tried == 511
    sets = {frozenset(c["prompts"].split("+")) for c in found.candidates}
    assert sets == {frozenset(c) for k in range(1, 10) for c in combinations(names, k)}
    assert found.certificate is not None and found.certificate.rank == 1


def test_unknown_strategies_are_refused() -> None:
    with pytest.raises(UsageError, match="beam, greedy, chain, exhaustive"):
        search(board(by_table({})), ATTRIBUTES, joined("annealing"))


def _noise(seed: int, count: int, value: float = 0.0) -> list[Draws]:
    """``count`` gains that are none, with their resamples."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(count) + value
    return [Draws(v, v + rng.standard_normal(400), 20) for v in values]


def _share(claims: Callable[[list[Draws]], bool], trials: int = 400, count: int = 8) -> float:
    return sum(claims(_noise(seed, count)) for seed in range(trials)) / trials


def test_simultaneous_intervals_hold_for_the_best_of_eight() -> None:
    """Of eight gains that are none, some single interval lies above 0 in 1 - 0.975**8 = 18 %;
    some simultaneous one in 2.5 %, give or take."""
    single = _share(lambda gains: any(g.interval().low > 0 for g in gains))
    assert single == pytest.approx(0.18, abs=0.06)
    assert _share(lambda gains: any(i.low > 0 for i in simultaneous(gains))) < 0.05


def test_simultaneous_intervals_contain_the_single_ones() -> None:
    gains = _noise(3, 5, value=1.0)
    for gain, wide in zip(gains, simultaneous(gains), strict=True):
        alone = gain.interval()
        assert wide.low <= alone.low < wide.value == alone.value < alone.high <= wide.high
    (only,) = simultaneous(gains[:1])
    assert only.low == pytest.approx(gains[0].interval().low, abs=0.3)
    constant = Draws(0.2, np.full(50, 0.2), 20)
    assert simultaneous([constant])[0] == Interval(0.2, 0.2, 0.2)
    assert fields("gain", Interval(0.2, 0.2, 0.2)) == {
        "gain": 0.2,
        "gain_low": None,
        "gain_high": None,
    }


def test_undefined_resamples_are_left_out() -> None:
    gappy = Draws(1.0, np.array([np.nan, 0.9, 1.1, 1.0]), 20)
    (found,) = simultaneous([gappy])
    assert 0.7 < found.low < 1 < found.high < 1.3
    assert not surely_worse(gappy, [gappy])
    assert surely_worse(gappy, [Draws(3.0, np.array([2.9, np.nan, 3.1, 3.0]), 20)])


def test_surely_worse_by_hand() -> None:
    rng = np.random.default_rng(0)
    shared = rng.standard_normal(1000)
    base = Draws(0.0, shared, 20)
    better = Draws(0.5, 0.5 + shared + 0.1 * rng.standard_normal(1000), 20)  # 5 spreads ahead
    unsure = Draws(0.1, 0.1 + shared + 0.1 * rng.standard_normal(1000), 20)  # 1 spread ahead
    assert surely_worse(base, [base, better, unsure])
    assert not surely_worse(base, [base, unsure]) and not surely_worse(better, [base, unsure])
    assert surely_worse(base, [Draws(1e-3, shared + 1e-3, 20)])  # ahead in every resample
    assert not surely_worse(base, [base])


def test_one_of_equals_is_rarely_held_to_be_worse_than_the_best_of_many() -> None:
    worse = sum(surely_worse(_noise(seed, 1)[0], _noise(seed + 10_000, 30)) for seed in range(300))
    assert worse <= 18  # 2.5 % expected: 7.5, and 3.9 spreads more
