"""Planted truth for refinement; seeds from 5000 on, see test_planted.py."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from ablations.refinement.texts import TextStore
from benchmarks.planted import DESCRIPTIONS, NAMES, NINE, VOCABULARY, PlantedScorer
from benchmarks.planted_refine import WORLDS, Outcome, Start, outcomes
from lsmseg_model.metrics import miou
from lsmseg_prompts.prompts.prompt_set import build_prompt_set


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def from_the_name(kind: str, seed: int, pictures: int) -> Start:
    """A start without a search."""
    world = replace(WORLDS[kind], seed=seed, pictures=pictures)
    scorer = PlantedScorer(world, "selection", pictures)
    store = TextStore(VOCABULARY, "bundled", DESCRIPTIONS, world.pairs())
    return Start(world, scorer, store, build_prompt_set(DESCRIPTIONS, VOCABULARY, ("name",)))


def test_each_class_has_attributes_of_its_own() -> None:
    world = replace(WORLDS["per class"], seed=5000)
    roles = world.roles()
    for role in roles:
        kinds = list(role.values())
        assert [kinds.count(k) for k in ("planted", "harmful", "noise")] == [2, 2, 5]
    assert len({tuple(role.items()) for role in roles}) > 5
    texts = world.texts()
    own = np.stack([[texts.direction(a, i) for a in NINE] for i in range(len(NAMES))])
    helps = np.einsum("iad,jd->iaj", own, texts.signal())  # [class, attribute, class of pixels]
    for index, role in enumerate(roles):
        for place, attribute in enumerate(NINE):
            of_itself = helps[index, place, index]
            of_others = np.delete(helps[index, place], index).max()
            expected = {"planted": (True, False), "harmful": (False, True)}
            assert (of_itself > 0.1, of_others > 0.1) == expected.get(
                role[attribute], (False, False)
            )


def test_one_direction_tells_the_two_apart_that_look_alike() -> None:
    world = replace(WORLDS["contrast"], seed=5001)
    assert world.alike is not None
    one, other = world.alike
    texts, pairs = world.texts(), world.pairs()
    assert len(pairs) == 3 * len(NAMES)
    apart = texts.signal()[one] - texts.signal()[other]
    near = texts.signal()[one] - texts.signal()[(set(range(10)) - {one, other}).pop()]
    assert np.linalg.norm(apart) < np.linalg.norm(near)
    assert texts.direction(f"mark{other}", one) @ apart > 0.3
    assert texts.direction(f"mark{one}", other) @ apart < -0.3
    for attribute in NINE:
        same = texts.direction(attribute, one) - texts.direction(attribute, other)
        assert abs(same @ apart) < 1e-5


def test_what_is_planted_gains_and_is_known_when_it_is_found() -> None:
    for kind, least in (("per class", 10), ("contrast", 2)):
        begin = from_the_name(kind, 5002, 150)
        before, after = begin.scorer.score([begin.prompts, begin.ideal])
        assert miou(after) - miou(before) > 0.03
        assert begin.found(begin.prompts) == 0 and not begin.right(begin.prompts)
        assert begin.found(begin.ideal) == least and begin.right(begin.ideal)
    nothing = from_the_name("nothing", 5003, 5)
    assert nothing.ideal.texts == nothing.prompts.texts and not nothing.right(nothing.ideal)


def test_a_harmful_attribute_beside_is_not_found() -> None:
    begin = from_the_name("per class", 5004, 1)
    role = begin.world.roles()[0]
    harmful = next(a for a in NINE if role[a] == "harmful")
    texts = list(begin.ideal.texts)
    texts[0] = (*texts[0], DESCRIPTIONS[0, harmful])
    assert begin.found(replace(begin.ideal, texts=tuple(texts))) == 9


def of_seeds(kind: str, first: int, seeds: int) -> list[Outcome]:
    worlds = [replace(WORLDS[kind], seed=seed) for seed in range(first, first + seeds)]
    return [next(outcomes(world, ["set"], population=200)) for world in worlds]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["per class", "contrast"])
def test_what_is_planted_is_found(kind: str) -> None:
    """100 seeds are in docs/statistics.md."""
    found = of_seeds(kind, 6000, 20)
    assert sum(one.right and one.claims for one in found) >= 19


@pytest.mark.slow
def test_nothing_is_claimed_where_nothing_gains() -> None:
    found = of_seeds("nothing", 7000, 30)
    assert sum(one.changed > 0 for one in found) <= 3 and sum(one.claims for one in found) <= 1
