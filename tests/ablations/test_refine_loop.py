"""The loop of refinement in small planted worlds: seeds from 5000 on, as in test_planted.py."""

from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch

from ablations.refinement.candidates import Candidate
from ablations.refinement.evaluation import Evaluation, with_texts
from ablations.refinement.feedback import Feedback
from ablations.refinement.loop import Refinement, Refiner
from ablations.refinement.options import RefineOptions
from ablations.refinement.proposers import named
from ablations.refinement.texts import TextStore
from ablations.scoring.frozen import Scorer
from benchmarks.planted import DESCRIPTIONS, NAMES, NINE, VOCABULARY, PlantedScorer
from benchmarks.planted_refine import PROPOSERS, WORLDS, RefineWorld
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.prompts.prompt_set import PromptSet, build_prompt_set

FEW = NINE[:3]  # the attributes that the store describes: fewer candidates
CONTRAST = replace(WORLDS["contrast"], seed=5000, pictures=44)
NOTHING = replace(WORLDS["nothing"], seed=5001, pictures=44)
NAME = build_prompt_set(DESCRIPTIONS, VOCABULARY, ("name",))


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def texts_of(world: RefineWorld) -> TextStore:
    cells = {cell: text for cell, text in DESCRIPTIONS.items() if cell[1] in FEW}
    return TextStore(VOCABULARY, "bundled", cells, world.pairs())


def refiner(scorer: PlantedScorer, classes: tuple[int, ...] | None = None, **options) -> Refiner:  # type: ignore[no-untyped-def]
    world = scorer.benchmark.world  # type: ignore[attr-defined]
    evaluation = Evaluation(scorer, 300, world.seed)
    chosen = RefineOptions(proposers=PROPOSERS, **options)
    return Refiner(evaluation, texts_of(world), named(PROPOSERS, PROPOSERS), chosen, classes)


def begun(prompts: PromptSet = NAME) -> Refinement:
    return Refinement(prompts, prompts, dict.fromkeys(range(len(NAMES)), prompts.name))


@pytest.fixture(scope="module")
def scorer() -> PlantedScorer:
    return PlantedScorer(CONTRAST, "selection", CONTRAST.pictures)


@pytest.fixture(scope="module")
def refined(scorer: PlantedScorer) -> Refinement:
    return refiner(scorer).run(begun())


def test_the_contrast_of_two_classes_that_look_alike_is_found(refined: Refinement) -> None:
    assert CONTRAST.alike is not None
    one, other = CONTRAST.alike
    cells = CONTRAST.pairs()
    found = [cells[one, other] in refined.prompts.texts[one]]
    found += [cells[other, one] in refined.prompts.texts[other]]
    assert any(found)
    origin = refined.origins[one if found[0] else other].candidate
    assert origin.proposer == "contrast" and "contrast:" in origin.recipe
    first = refined.rounds[0]
    assert {one, other} == {first.confusions[0].label, first.confusions[0].predicted}
    assert first.gain is not None and first.gain.low > 0
    assert first.after - first.before == pytest.approx(first.gain.value)


def test_what_is_kept_is_in_the_texts_and_the_rest_stays(refined: Refinement) -> None:
    assert refined.prompts.composition == "refined"
    for index, texts in enumerate(refined.prompts.texts):
        if index in refined.changed:
            assert texts == refined.origins[index].candidate.texts
            assert refined.recipes[index] == refined.origins[index].candidate.recipe
        else:
            assert texts == NAME.texts[index] and refined.recipes[index] == "name"
    assert set(refined.origins) >= set(refined.changed)
    for one in refined.rounds:
        assert {t.candidate.index for t in one.kept} <= {t.candidate.index for t in one.proposed}
        assert len({t.candidate.index for t in one.proposed}) == len(one.proposed)
        assert all(trial.gain > 0 for trial in one.proposed)
        best = {t.candidate.index: t.gain for t in sorted(one.tried, key=lambda t: t.gain)}
        assert all(trial.gain == best[trial.candidate.index] for trial in one.proposed)


def test_the_halves_take_turns(refined: Refinement) -> None:
    assert [one.half for one in refined.rounds] == [0, 1, 0, 1, 0, 1, 0, 1][: len(refined.rounds)]
    assert [one.number for one in refined.rounds] == list(range(1, len(refined.rounds) + 1))


def test_it_goes_on_from_the_rounds_that_are_done(
    scorer: PlantedScorer, refined: Refinement
) -> None:
    part = refiner(scorer, rounds=1).run(begun())
    assert part.ended == "1 rounds were asked for" and len(part.rounds) == 1
    told: list[int] = []
    again = refiner(scorer).run(deepcopy(part), lambda one: told.append(len(one.rounds)))
    assert told == list(range(2, len(refined.rounds) + 1))
    assert again.prompts == refined.prompts and again.recipes == refined.recipes
    assert [replace(r, seconds=0) for r in again.rounds] == [
        replace(r, seconds=0) for r in refined.rounds
    ]
    assert refiner(scorer).run(deepcopy(again)).rounds == again.rounds  # nothing is left to do


def test_nothing_is_kept_where_nothing_gains_and_two_such_rounds_end_it() -> None:
    scorer = PlantedScorer(NOTHING, "selection", NOTHING.pictures)
    done = refiner(scorer).run(begun())
    assert not done.changed and done.prompts is NAME
    assert len(done.rounds) == 2 and done.ended.startswith("neither half proposed anything")
    assert all(one.proposed and one.gain is None for one in done.rounds)
    assert all(one.before == one.after for one in done.rounds)
    assert done.tried == len({t.candidate.key for one in done.rounds for t in one.tried}) > 50


def test_paper_takes_what_luck_offers() -> None:
    scorer = PlantedScorer(NOTHING, "selection", NOTHING.pictures)
    done = refiner(scorer, rule="paper", rounds=1).run(begun())
    (one,) = done.rounds
    assert one.kept == one.proposed and len(done.changed) == len(one.proposed)


def test_proposers_see_nothing_of_the_other_half(
    scorer: PlantedScorer, refined: Refinement
) -> None:
    """With other pictures in the deciding half the same is proposed, and nothing holds."""
    mixed = PlantedScorer(CONTRAST, "selection", CONTRAST.pictures)
    features = mixed.features()
    there = Evaluation(mixed, 300, CONTRAST.seed).pictures(1)
    for picture in there:
        features.maps[picture] = features.maps[picture].flip(0, 1)
    one = refiner(mixed).round(begun())
    before = refined.rounds[0]
    assert [t.candidate for t in one.proposed] == [t.candidate for t in before.proposed]
    assert [t.gain for t in one.tried] == [t.gain for t in before.tried]
    assert [t.decided for t in one.proposed] != [t.decided for t in before.proposed]


def test_only_the_classes_that_may_be_changed_are_tried(scorer: PlantedScorer) -> None:
    one = refiner(scorer, classes=(1, 4), candidates=7).round(begun())
    tried = [trial.candidate.index for trial in one.tried]
    assert {index: tried.count(index) for index in tried} == {1: 7, 4: 7}


def test_a_candidate_gains_what_its_whole_set_does(
    scorer: PlantedScorer, refined: Refinement
) -> None:
    evaluation = Evaluation(scorer, 300, CONTRAST.seed)
    trials = refined.rounds[1].tried[:: len(refined.rounds[1].tried) // 9]
    some = [trial.candidate for trial in trials]
    sets = [with_texts(refined.prompts, {c.index: c.texts}) for c in some]
    for half in (0, 1):
        now, *after = evaluation.scores([refined.prompts, *sets], half)
        gains = evaluation.try_out(refined.prompts, some, half).gains
        np.testing.assert_allclose(gains, [one.value - now.value for one in after], atol=1e-12)


def test_whole_sets_count_what_replacements_do(scorer: PlantedScorer) -> None:
    """`Scorer` scores every set whole, `FrozenScorer` only what changes."""
    parts = np.random.default_rng(0).integers(-1, 2, CONTRAST.pictures)
    replaced = [(i, (DESCRIPTIONS[i, FEW[i % 3]], DESCRIPTIONS[i, FEW[1]])) for i in range(5)]
    replaced.append((3, (DESCRIPTIONS[7, FEW[0]],)))
    quick = scorer.count_replacements(NAME.texts, replaced, parts)
    assert quick.shape == (2, 6, len(NAMES), 2) and quick.any()
    np.testing.assert_array_equal(
        quick, Scorer.count_replacements(scorer, NAME.texts, replaced, parts)
    )


def test_a_half_with_too_few_pictures_is_refused() -> None:
    with pytest.raises(UsageError, match=r"a half has too few pictures \(19, at least 20"):
        Evaluation(PlantedScorer(CONTRAST, "selection", 39))
    grouped = PlantedScorer(CONTRAST, "selection", 60)
    grouped.benchmark.groups = tuple(str(i // 2) for i in range(60))  # type: ignore[misc]
    with pytest.raises(UsageError, match="15 groups, at least 20"):
        Evaluation(grouped)


def test_groups_stay_together() -> None:
    scorer = PlantedScorer(CONTRAST, "selection", 120)
    scorer.benchmark.groups = tuple(str(i // 3) for i in range(120))  # type: ignore[misc]
    evaluation = Evaluation(scorer)
    assert sorted(np.bincount(evaluation.half)) == [60, 60]
    assert all(len(set(some)) == 1 for some in evaluation.half.reshape(-1, 3))
    (score,) = evaluation.scores([NAME], 0)
    assert score.units == 20 and score.grouped


def test_what_mending_a_confusion_would_bring() -> None:
    """IoU before: 6/9 and 3/6. The 2 pixels right: 8/9 and 3/4, so (2/9 + 1/4) / 2."""
    feedback = Feedback(
        vocabulary=VOCABULARY,
        classes=(0, 1),
        texts=NAME.texts,
        recipes={},
        confusion=np.array([[6, 2], [1, 3]]),
        scored=(4, 7),
        pictures=(0,),
        tried={},
    )
    assert feedback.iou == pytest.approx({4: 6 / 9, 7: 3 / 6})
    first, second = feedback.confusions
    assert (first.label, first.predicted, first.pixels) == (4, 7, 2)
    assert first.gain == pytest.approx((2 / 9 + 1 / 4) / 2)
    assert (second.label, second.predicted, second.pixels) == (7, 4, 1)
    assert second.gain == pytest.approx((6 / 8 - 6 / 9 + 4 / 6 - 3 / 6) / 2)
    assert feedback.confused_with(7, 3) == [4] and feedback.confused_with(2, 3) == []


def test_a_candidate_is_known_by_its_class_and_texts() -> None:
    one = Candidate(3, ("A clock.",), "names", "name")
    assert one.key == Candidate(3, ("A clock.",), "edit", "shortened", (1,), 0.1).key
    assert one.key != Candidate(4, ("A clock.",), "names", "name").key
