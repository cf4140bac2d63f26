"""Refinement around the loop: its rounds in the store, seen labels only, the folder of a run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

import ablations
from ablations.refinement.candidates import Candidate
from ablations.refinement.evaluation import Evaluation
from ablations.refinement.loop import Refinement
from ablations.refinement.options import RefineOptions
from ablations.refinement.proposers import open_proposers
from ablations.refinement.refine import Job, refine_set
from ablations.refinement.seen import nearest, transfer, unseen_of
from ablations.refinement.texts import TextStore
from ablations.runs.refine import request_of
from ablations.runs.refinement import text_store
from ablations.runs.reproduce import told
from ablations.runs.request import AblationRequest
from ablations.scoring.frozen import FrozenScorer, Scorer
from ablations.search.scoreboard import Bench
from benchmarks.planted import DESCRIPTIONS, NAMES, NINE, VOCABULARY, PlantedScorer
from benchmarks.planted_refine import PROPOSERS, WORLDS
from lsmseg_model.data.benchmark import load_benchmark
from lsmseg_prompts.errors import ConfigurationError, UsageError
from lsmseg_prompts.export.native import export_native, load_native
from lsmseg_prompts.prompts.from_store import prompt_set
from lsmseg_prompts.prompts.prompt_set import build_prompt_set
from lsmseg_prompts.store.store import open_store
from lsmseg_prompts.vocabularies import load_vocabulary

WORLD = replace(WORLDS["contrast"], seed=5000, pictures=44)
NAME = build_prompt_set(DESCRIPTIONS, VOCABULARY, ("name",))
QUIET = lambda label: (None, None)  # noqa: E731


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def scorer() -> PlantedScorer:
    return PlantedScorer(WORLD, "selection", WORLD.pictures)


def job(scorer: PlantedScorer, path: Path, **options: Any) -> Job:
    cells = {cell: text for cell, text in DESCRIPTIONS.items() if cell[1] in NINE[:2]}
    with open_store(path) as store:
        store.add_vocabulary(VOCABULARY)
    return Job(
        scorer=scorer,
        start=NAME,
        recipe="name",
        store=TextStore(VOCABULARY, "bundled", cells, WORLD.pairs()),
        proposers=open_proposers(PROPOSERS),
        options=RefineOptions(proposers=PROPOSERS, **options),
        samples=300,
        seed=0,
        stream=0,
        path=path,
        model="planted",
    )


def test_rounds_on_file_are_those_that_were_done_and_are_not_done_again(
    scorer: PlantedScorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "store.sqlite"
    first = refine_set(job(scorer, path, rounds=1), QUIET)
    assert first.seen is None  # the world does not tell seen classes from unseen ones
    monkeypatch.setattr(Evaluation, "try_out", None)  # nothing is tried any more
    again = refine_set(job(scorer, path, rounds=1), QUIET)
    assert again.labelled == first.labelled and again.control == first.control
    monkeypatch.undo()
    with open_store(path) as store:
        tried = sum(len(one.tried) for one in first.labelled.rounds)
        count = "SELECT count(*) AS n FROM refinement_candidates WHERE refinement = 1"
        assert store.rows(count) == [{"n": tried}]


@pytest.mark.slow
def test_a_refinement_goes_on_from_the_rounds_on_file(
    scorer: PlantedScorer, tmp_path: Path
) -> None:
    whole = refine_set(job(scorer, tmp_path / "store.sqlite"), QUIET)
    part = refine_set(job(scorer, tmp_path / "other.sqlite", rounds=1), QUIET)
    assert len(part.labelled.rounds) == 1
    more = refine_set(job(scorer, tmp_path / "other.sqlite"), QUIET)  # goes on with the second
    assert more.labelled.prompts == whole.labelled.prompts


def test_another_rule_or_text_is_another_refinement(scorer: PlantedScorer, tmp_path: Path) -> None:
    one = job(scorer, tmp_path / "store.sqlite")
    evaluation = one.evaluation()
    mine = one.rounds(evaluation, "all", PROPOSERS).request
    fewer = replace(one, options=RefineOptions(rounds=3, proposers=PROPOSERS))
    assert fewer.rounds(evaluation, "all", PROPOSERS).request == mine  # more rounds go on from it
    other = replace(one, options=RefineOptions(rule="paper", proposers=PROPOSERS))
    assert other.rounds(evaluation, "all", PROPOSERS).request != mine
    store = replace(one.store, pairs={})
    assert replace(one, store=store).rounds(evaluation, "all", PROPOSERS).request != mine


def test_the_control_gives_every_class_another_ones_texts_under_its_own_name() -> None:
    store = TextStore(VOCABULARY, "bundled", DESCRIPTIONS, WORLD.pairs())
    other = store.shuffled(0)
    assert other.descriptions.keys() == store.descriptions.keys()
    for (index, attribute), text in other.descriptions.items():
        assert NAMES[index] in text.lower() and text != store.descriptions[index, attribute]
    assert set(other.pairs) <= set(store.pairs)
    assert all(NAMES[index] in text.lower() for (index, _), text in other.pairs.items())
    assert sum(other.pairs[cell] != store.pairs[cell] for cell in other.pairs) > len(NAMES)


def test_pair_cells_are_taken_of_scored_classes_alone(tmp_path: Path) -> None:
    vocabulary, request = load_vocabulary("coco-stuff"), AblationRequest(data="ministuff")
    request = replace(request, store=str(tmp_path / "none.sqlite"))
    benchmark = load_benchmark("ministuff", split="selection", limit=1)
    scorer = SimpleNamespace(benchmark=benchmark)
    bench = Bench("ministuff", vocabulary, {}, {"selection": cast(Scorer, scorer)})
    pairs = text_store(request, bench, {}).pairs
    assert len(pairs) == 320 and {i for pair in pairs for i in pair} == set(benchmark.class_indices)


def test_only_seen_classes_count_where_only_they_are_labelled(scorer: PlantedScorer) -> None:
    seen = [0, 1, 2, 3, 4, 5]
    evaluation = Evaluation(scorer, 300, 0, classes=seen)
    found = evaluation.confusion(NAME, 0)
    assert not found[6:].any() and found[:6].any()
    (mine,) = evaluation.scores([NAME], 0)
    counts = scorer.score([NAME])[0][evaluation.pictures(0)].sum(axis=0)[:6]
    union = counts[:, 1] + counts[:, 2] - counts[:, 0]
    assert mine.value == pytest.approx((counts[:, 0] / union).mean())


def test_the_nearest_names() -> None:
    names = np.array([[1.0, 0.0], [0.0, 1.0], [0.8, 0.6], [0.6, 0.8]])
    assert nearest(names, 0, [1, 2, 3], 2) == [2, 3]
    assert nearest(names, 1, [0, 2, 3], 1) == [3]


class Taught:
    """An evaluation in which one recipe helps the seen classes 0 and 1, and no other."""

    def __init__(self, gain: float) -> None:
        self.gain = gain
        benchmark = type("Some", (), {"class_indices": (0, 1, 2), "seen": frozenset({0, 1})})
        self.scorer = type("Scores", (), {"benchmark": benchmark})

    def try_out(self, prompts: Any, candidates: list[Candidate], half: int) -> Any:
        own = [self.gain if c.recipe == "color" else 0.001 for c in candidates]
        return type("Tried", (), {"own": np.array(own)})

    def scores(self, sets: list[Any], half: int) -> list[Any]:
        from ablations.search.statistics import Draws

        values = [0.5 + 0.05 * (i > 0) for i in range(len(sets))]
        noise = np.random.default_rng(half).normal(0, 0.002, 400)
        return [Draws(value, value + noise * (1 + i), 40) for i, value in enumerate(values)]


@pytest.mark.parametrize(("gain", "taken"), [(0.2, ["color"]), (0.005, [])])
def test_unseen_classes_get_what_helps_their_neighbours_if_it_does_materially(
    gain: float, taken: list[str]
) -> None:
    candidates = [
        Candidate(index, (f"{recipe} {index}",), "attributes", recipe)
        for index in range(3)
        for recipe in ("color", "shape")
    ]
    names = np.array([[1.0, 0.0], [0.8, 0.6], [0.9, 0.435889894]])
    evaluation: Any = Taught(gain)
    start = replace(NAME, texts=NAME.texts[:3])
    assert unseen_of(evaluation.scorer.benchmark) == [2]
    found = transfer(Refinement(start, start, {}), evaluation, candidates, names, neighbours=2)
    assert [trial.candidate.recipe for trial in found] == taken
    assert all(trial.candidate.index == 2 for trial in found)


# -- the folder of a run ------------------------------------------------------------------


def small(world: Path, tmp_path: Path, **changed: Any) -> AblationRequest:
    values = {
        "data": [str(world / "pictures")],
        "vocab": str(world / "four.txt"),
        "model": str(world / "atom.json"),
        "pretrained": str(world / "atom.safetensors"),
        "attributes": ["color", "shape"],
        "samples": 200,
        "store": str(tmp_path / "store.sqlite"),
        "cache": False,
        **changed,
    }
    return AblationRequest(**values)


@pytest.mark.usefixtures("plain_figures", "few_are_enough")
def test_refine_of_a_run_leaves_a_folder_that_says_all_of_it(world: Path, tmp_path: Path) -> None:
    shutil.copy(world / "four.txt", tmp_path)
    run = ablations.ablate(small(world, tmp_path, out=tmp_path / "run"), progress=False)
    assert request_of(run.directory) == small(world, tmp_path, out=None)
    options = RefineOptions(rounds=2, rule="paper", proposers=("attributes", "names"))
    mine = AblationRequest(out=tmp_path / "refined")
    refined = ablations.refine(mine, options, run=run.directory, progress=False)
    record = json.loads((refined.directory / "run.json").read_text("utf-8"))
    found = record["refinement"]
    assert found["start"] == run.best["prompts"]
    assert [one["round"] for one in found["loops"]["all"]["rounds"]] == [1, 2]
    assert found["curve"][-1]["tried"] == sum(
        one["tried"] for one in found["loops"]["all"]["rounds"]
    )
    assert refined.best["prompts"] == "refined" and refined.best["composition"] == "refined"
    assert found["start"] in refined.best["differences"]
    assert refined.best["refined_from"] == found["start"]
    prompts = json.loads((refined.directory / "best_prompts.json").read_text("utf-8"))
    changed = {row["index"]: row["texts"] for row in found["classes"]}
    for item in prompts["classes"]:
        if item["index"] in changed:
            assert item["texts"] == changed[item["index"]]
    told = prompts["provenance"]["refinement"]
    assert (told["start"], told["labels"]) == (found["start"], "all")
    assert [row["index"] for row in told["classes"]] == list(changed)
    assert load_native(refined.directory / "one_set_prompts.json").name == found["start"]
    assert {"refinement.png", "rounds.csv", "refined_classes.csv"} <= set(refined.files)
    assert refined.refinement == found and "Refined class by class" in refined.best["summary"]
    names = {row["prompts"] for row in refined.combinations}
    assert {"refined", "random(refined)", "shuffled(refined)", found["start"]} <= names


@pytest.mark.usefixtures("plain_figures", "few_are_enough")
def test_a_given_set_is_what_refinement_starts_from(world: Path, tmp_path: Path) -> None:
    shutil.copy(world / "four.txt", tmp_path)
    vocabulary = load_vocabulary(world / "four.txt")
    given = prompt_set(vocabulary, ["name"])
    path = export_native(given, vocabulary, tmp_path / "given.json")
    options = RefineOptions(1, "paper", ("attributes",), start=str(path))
    request = small(world, tmp_path, out=tmp_path / "refined")
    refined = ablations.refine(request, options, progress=False)
    assert refined.best["refined_from"] == "given" and "given" in refined.best["differences"]
    steps = [row["prompts"] for row in refined.combinations if row["status"] == "accepted"]
    assert steps[-2:] == ["given", "refined"]
    other = replace(given, composition="max")
    path = export_native(other, vocabulary, tmp_path / "max.json")
    with pytest.raises(UsageError, match="not read by averaging"):
        ablations.refine(request, replace(options, start=str(path)), progress=False)


def test_what_cannot_be_refined_is_refused(
    world: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigurationError, match="is not a run"):
        request_of(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(ConfigurationError, match="not the record of a run"):
        request_of(tmp_path)
    how = RefineOptions()
    for changed, message in (
        ({"data": ["ministuff", "ministuff"]}, "one benchmark at a time"),
        ({"scorer": "retrain"}, "not trained anew"),
        ({"composition": "max"}, "cannot start from a set read by max"),
        ({"vary": "vocabulary"}, "class by class already"),
    ):
        with pytest.raises(UsageError, match=message):
            AblationRequest(refinement=how, **changed)
    monkeypatch.setattr("ablations.scoring.frozen.FrozenScorer.digests", None)  # before it looks
    few = small(world, tmp_path)  # ten pictures for each half of half the pictures
    with pytest.raises(UsageError, match="proposes and the other decides"):
        ablations.refine(few, how, progress=False)


def test_the_request_of_a_run_is_told_without_where_it_went() -> None:
    request = AblationRequest(limit=7, out="here", force=True, refinement=RefineOptions())
    values = told(request)
    assert AblationRequest(**json.loads(json.dumps(values))) == AblationRequest(limit=7)
    assert not {"out", "force", "again", "refinement"} & set(values)


def test_base_scorer_and_frozen_scorer_score_parts_alike(scorer: PlantedScorer) -> None:
    some = np.array([3, 5, 8])
    mine = FrozenScorer.score_part(scorer, [NAME], some)
    np.testing.assert_array_equal(mine, scorer.score([NAME])[:, some])
