"""Proposers that are optional extras: optuna and gepa drive the same evaluation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from importlib.util import find_spec

import pytest
import torch
from support.asked_world import STORE, but_ids, helpful, helps, refine, state
from support.scripted_llm import Scripted, failed

from ablations.refinement import options
from ablations.refinement.asking import Asking
from ablations.refinement.evaluation import Evaluation
from ablations.refinement.loop import Refinement, Refiner
from ablations.refinement.options import RefineOptions
from ablations.refinement.proposers import gepa, open_proposers
from ablations.refinement.texts import TextStore
from benchmarks.planted import DESCRIPTIONS, NAMES, VOCABULARY, PlantedScorer, World
from lsmseg_prompts.errors import ConfigurationError, ProviderError, UsageError
from lsmseg_prompts.generation.limits import Limits
from lsmseg_prompts.llm import Request
from lsmseg_prompts.prompts.prompt_set import build_prompt_set

WORLD = World(seed=5100, planted=2, harmful=2, pictures=44, signal=1.5, noise=6.0)
CLASSES = (0, 1)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gepa, "CLASSES", 2)
    monkeypatch.setattr(gepa, "CALLS", 6)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("optuna") is None, reason="optuna is an optional extra")
def test_a_study_of_each_class_finds_the_planted_attributes() -> None:
    scorer = PlantedScorer(WORLD, "selection", WORLD.pictures)
    chosen = RefineOptions(proposers=("optuna",), rounds=1)
    name = build_prompt_set({}, VOCABULARY, ("name",))
    store = TextStore(VOCABULARY, "bundled", DESCRIPTIONS)
    after = list(open_proposers(("optuna",)).values())
    refiner = Refiner(Evaluation(scorer, 300), store, (), chosen, CLASSES, after)

    def begun() -> Refinement:
        return Refinement(name, name, dict.fromkeys(range(len(NAMES)), "name"))

    one = refiner.round(begun())
    planted = {a for a, kind in WORLD.kinds().items() if kind == "planted"}
    assert {trial.candidate.proposer for trial in one.tried} == {"optuna"}
    for index in CLASSES:
        mine = [trial for trial in one.tried if trial.candidate.index == index]
        assert 20 < len(mine) <= 32  # the same texts are tried once
        best = max(mine, key=lambda trial: trial.gain)
        assert best in one.tried and any(a in best.candidate.recipe for a in planted)
        assert any("ensemble(" in trial.candidate.recipe for trial in mine)
    again = refiner.round(begun())
    assert [t.candidate for t in again.tried] == [t.candidate for t in one.tried]
    assert [t.gain for t in again.tried] == [t.gain for t in one.tried]


@pytest.mark.slow
@pytest.mark.skipif(find_spec("gepa") is None, reason="gepa is an optional extra")
def test_texts_evolve_by_what_the_llm_writes() -> None:
    llm = Scripted(helps)
    refined, one = refine(llm, proposers=("gepa",), rounds=1)
    (first,) = refined.labelled.rounds
    assert first.kept and first.after > first.before
    assert {trial.candidate.proposer for trial in first.tried} == {"gepa"}
    assert len({trial.candidate.index for trial in first.tried}) == 2
    for trial in first.tried:
        assert trial.candidate.recipe == "gepa by scripted" and trial.candidate.attempts
        assert trial.candidate.texts[0].startswith(helpful(NAMES[trial.candidate.index])[:8])
    evolved = [json.dumps(list(trial.candidate.texts)) for trial in first.tried]
    assert any(f"now: {texts}" in r.prompt for r in llm.requests for texts in evolved)
    assert one.inquiry is not None and one.inquiry.requests == len(llm.requests)
    silent = Scripted(lambda _: "no")
    again, _ = refine(silent, proposers=("gepa",), rounds=1)
    assert state(again) == state(refined) and silent.requests == []  # all of it is on file


@pytest.mark.slow
@pytest.mark.skipif(find_spec("gepa") is None, reason="gepa is an optional extra")
def test_evolution_keeps_to_the_budget_and_goes_on() -> None:
    llm = Scripted(helps)
    _, one = refine(llm, proposers=("gepa",), rounds=1, limits=Limits(max_calls=2))
    assert len(llm.requests) == 2 and one.inquiry is not None and one.inquiry.spent is not None
    going_on, _ = refine(llm, proposers=("gepa",), rounds=1)
    other = Scripted(helps)
    whole, _ = refine(other, proposers=("gepa",), rounds=1, path=STORE.with_name("o.sqlite"))
    assert but_ids(repr(state(going_on))) == but_ids(repr(state(whole)))
    assert sorted(r.hash for r in llm.requests) == sorted(r.hash for r in other.requests)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("gepa") is None, reason="gepa is an optional extra")
def test_evolution_ends_with_what_ends_asking_and_survives_bad_replies() -> None:
    with pytest.raises(ProviderError):
        refine(Scripted(lambda _: failed("account", "Quota", 429)), proposers=("gepa",))

    def bad(request: Request) -> str:
        return json.dumps({"sentences": ["It is big and round.", 7]})

    refined, _ = refine(Scripted(bad), proposers=("gepa",), rounds=1)
    assert refined.labelled.rounds[0].tried == () and refined.labelled.changed == []


def test_extras_are_named_and_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    there: dict[str, ModuleSpec | None] = {}
    monkeypatch.setattr(options, "find_spec", there.get)
    with pytest.raises(ConfigurationError, match=r"^optuna is not installed: run .*\[optuna\]'`"):
        RefineOptions(proposers=("attributes", "optuna"))
    with pytest.raises(ConfigurationError, match="gepa is not installed"):
        RefineOptions(proposers=("gepa",), ask=Asking("gpt-4"))
    with pytest.raises(UsageError, match="gepa asks an LLM: name one"):
        RefineOptions(proposers=("gepa",))
    there |= dict.fromkeys(("optuna", "gepa"), ModuleSpec("x", None))
    assert RefineOptions(proposers=("attributes", "optuna")).proposers == ("attributes", "optuna")
    for ask in (None, Asking("gpt-4", look=True)):
        assert not set(RefineOptions(ask=ask).proposers or ()) & {"optuna", "gepa"}
