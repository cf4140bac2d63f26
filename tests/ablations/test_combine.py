"""Stage 4: which steps are accepted, what is recorded, and that chance does not pass for a gain."""

from dataclasses import replace

import numpy as np
import pytest
from support.ablation_fakes import (
    ATTRIBUTES,
    DESCRIPTIONS,
    VOCABULARY,
    FakeBenchmark,
    FakeScorer,
    board,
    by_table,
)

from ablations.report.tables import candidate_sheet, combination_sheet
from ablations.search.combine import path_rows, search
from ablations.search.options import SearchOptions
from ablations.search.scoreboard import Bench, Scoreboard
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.prompts.prompt_set import PromptSet

PAPER = SearchOptions(strategy="greedy", composition="concat")
GROWING = {
    "name": 0.2,
    "color": 0.3,
    "shape": 0.4,
    "action": 0.1,
    "shape+color": 0.6,
    "shape+action": 0.35,
    "shape+color+action": 0.5,
}


def test_greedy_path_and_its_end() -> None:
    found = search(board(by_table(GROWING)), ATTRIBUTES, PAPER)
    assert [(s.candidate.name, s.status) for s in found.steps] == [
        ("shape", "start"),
        ("shape+color", "accepted"),
        ("shape+color+action", "rejected"),
    ]
    assert found.best.name == "shape+color"
    another_order = search(board(by_table(GROWING)), ("action", "color", "shape"), PAPER)
    assert [s.added for s in another_order.steps] == ["shape", "color", "action"]
    assert found.tried == 3 + 2 + 1 == len(found.candidates)
    assert [c["prompts"] for c in found.candidates if c["chosen"]] == ["shape", "shape+color"]
    assert {c["split"] for c in found.candidates} == {"selection"}


def test_every_attribute_may_be_taken() -> None:
    rising = {**GROWING, "shape+color+action": 0.8}
    found = search(board(by_table(rising)), ATTRIBUTES, PAPER)
    assert found.best.name == "shape+color+action"
    assert [s.status for s in found.steps] == ["start", "accepted", "accepted"]


def test_a_tie_goes_to_fewer_attributes_under_both_rules() -> None:
    equal = {"shape": 0.4, "shape+color": 0.4, "shape+action": 0.4}
    for rule in ("interval", "paper"):
        found = search(board(by_table(equal)), ATTRIBUTES, replace(PAPER, rule=rule))
        assert found.best.name == "shape", rule
        assert found.steps[-1].status == "rejected"
        assert found.steps[-1].added == "color"  # of equals the one named first


def test_of_equal_single_attributes_the_first_named_is_taken() -> None:
    assert search(board(by_table({}, 0.3)), ATTRIBUTES).best.name == "color"


class Noisy(FakeScorer):
    """Every set has the same skill and its own luck in each picture."""

    luck = 0

    def score(self, prompt_sets: list[PromptSet], progress: object = None) -> np.ndarray:  # type: ignore[override]
        result = []
        for p in prompt_sets:
            rng = np.random.default_rng([self.luck, *p.name.encode()])
            hit = rng.integers(300, 700, (len(self.benchmark), 4))
            result.append(np.stack([hit, np.full_like(hit, 1000), np.full_like(hit, 1000)], -1))
        return np.stack(result)


def test_luck_passes_the_papers_rule_but_not_the_interval() -> None:
    """40 searches among equals: how many add an attribute that helps nothing."""
    added = {"interval": 0, "paper": 0}
    for luck in range(40):
        scorers = {
            split: Noisy(FakeBenchmark(split=split, pictures=20), by_table({}))
            for split in ("selection", "report")
        }
        for scorer in scorers.values():
            scorer.luck = luck
        bench = Bench("noise", VOCABULARY, DESCRIPTIONS, scorers)  # type: ignore[arg-type]
        one = Scoreboard([bench], samples=200)
        for rule in added:
            added[rule] += (
                len(search(one, ATTRIBUTES, replace(PAPER, rule=rule)).best.attributes) > 1
            )
    assert added["paper"] >= 8
    assert added["interval"] <= 2


def test_a_sure_small_gain_is_taken_before_an_unsure_larger_one() -> None:
    """shape+action is ahead by luck in one picture; only shape+color is better for sure."""

    class Lopsided(FakeScorer):
        def score(self, prompt_sets: list[PromptSet], progress: object = None) -> np.ndarray:  # type: ignore[override]
            counts = super().score(prompt_sets)
            for p, one in zip(prompt_sets, counts, strict=True):
                if p.name == "shape+action":
                    one[0, :, :] += 6000  # one picture with much that is right
            return counts

    table = {"shape": 0.4, "shape+color": 0.42, "shape+action": 0.4}
    scorers = {
        split: Lopsided(FakeBenchmark(split=split), by_table(table), noise=0.0)
        for split in ("selection", "report")
    }
    one = Scoreboard([Bench("x", VOCABULARY, DESCRIPTIONS, scorers)], samples=400)  # type: ignore[arg-type]
    found = search(one, ATTRIBUTES, PAPER)
    tried = {c["prompts"]: c for c in found.candidates}
    assert tried["shape+action"]["gain"] > tried["shape+color"]["gain"] > 0
    assert found.steps[1].candidate.name == "shape+color"


def test_path_is_reported_on_the_report_split_with_its_controls() -> None:
    one = board(by_table({**GROWING, "typical": 0.33}))
    found = search(one, ATTRIBUTES, PAPER)
    rows = path_rows(one, found)
    assert [(r["prompts"], r["status"]) for r in rows] == [
        ("name", "baseline"),
        ("shape", "start"),
        ("shape+color", "accepted"),
        ("shape+color+action", "rejected"),
        ("typical", "typical"),
        ("cat-seg", "control"),
        ("imagenet", "control"),
        ("random(shape+color)", "control"),
        ("shuffled(shape+color)", "control"),
    ]
    assert {r["split"] for r in rows} == {"report"}
    by_name = {r["prompts"]: r for r in rows}
    step = by_name["shape+color"]
    assert step["chosen"] and not by_name["shape"]["chosen"]
    assert step["gain"] == pytest.approx(step["miou"] - by_name["shape"]["miou"])
    assert step["selection_gain_low"] > 0 > by_name["shape+color+action"]["selection_gain_high"]
    assert by_name["shuffled(shape+color)"]["difference_high"] < step["difference_low"]


def test_sheets_show_the_path_and_every_candidate() -> None:
    one = board(by_table(GROWING))
    found = search(one, ATTRIBUTES, PAPER)
    sheet = combination_sheet(path_rows(one, found))
    assert [line.cells[-1] for line in sheet.lines][1:4] == ["start", "taken", "not taken"]
    assert [line.cells[0] for line in sheet.lines if line.chosen] == ["shape+color *"]
    assert len(candidate_sheet(found.candidates).lines) == found.tried


def test_an_unknown_rule_is_refused() -> None:
    with pytest.raises(UsageError, match="interval or paper"):
        search(board(by_table({})), ATTRIBUTES, SearchOptions("best"))
