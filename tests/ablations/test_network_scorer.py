"""Whole networks as scorers: the same counts as one evaluation each, pictures looked at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.ablation_fakes import DESCRIPTIONS, VOCABULARY, FakeBenchmark
from support.mini_network import NETWORK, make_pictures
from support.whole_network import small_network

from ablations.runs.ablate import ablate
from ablations.runs.request import AblationRequest
from ablations.scoring.count_store import MemoryCountStore
from ablations.scoring.networks import RetrainScorer, TrainedScorer
from ablations.scoring.options import ScorerOptions
from ablations.scoring.splits import BenchmarkSource
from ablations.scoring.training import Training, train_network
from lsmseg_model.errors import UsageError as ModelUsageError
from lsmseg_model.inference.counting import count_pictures
from lsmseg_model.inference.reading import Reading
from lsmseg_model.networks.lsmseg import LsmSeg
from lsmseg_model.segmenter import Segmenter
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.prompts.prompt_set import build_prompt_set

SETS = [
    build_prompt_set(DESCRIPTIONS, VOCABULARY, ["color"]),
    build_prompt_set(DESCRIPTIONS, VOCABULARY, ["color", "shape"], "ensemble"),
    build_prompt_set({}, VOCABULARY, ["name"]),
]


@pytest.fixture(scope="module")
def network() -> LsmSeg:
    return small_network()


def test_counts_equal_an_evaluation_each(network: LsmSeg, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    encode = LsmSeg.encode
    monkeypatch.setattr(LsmSeg, "encode", lambda s, *a, **k: seen.append(1) or encode(s, *a, **k))
    benchmark, segmenter = FakeBenchmark(pictures=2), Segmenter.of(network)
    counts = TrainedScorer(segmenter, benchmark).score(SETS)
    assert len(seen) == 2  # once a picture, not once a picture and set
    for prompt_set, found in zip(SETS, counts, strict=True):
        text = segmenter.encode_texts(prompt_set.texts)
        np.testing.assert_array_equal(found, count_pictures(segmenter.model, benchmark, text))
    assert not np.array_equal(counts[0], counts[2])


def test_weights_are_read_and_other_readings_refused(network: LsmSeg, tmp_path: Path) -> None:
    benchmark, segmenter = FakeBenchmark(pictures=2), Segmenter.of(network)
    scorer = TrainedScorer(segmenter, benchmark)
    weighted = replace(SETS[1], weights=((1.0, -0.5),) * 4)
    counts = scorer.score([SETS[1], weighted])
    text = segmenter.embed(weighted.texts, Reading(weights=weighted.weights))
    expected = count_pictures(segmenter.model, benchmark, text)
    np.testing.assert_array_equal(counts[1], expected)
    assert not np.array_equal(*counts)
    position, _ = segmenter.label(benchmark.picture(1), text)
    np.testing.assert_array_equal(scorer.segment(weighted, 1), position)
    for how in ("max", "mean-score", "adaptive"):
        with pytest.raises(ModelUsageError, match=f"cannot read texts by {how}: use --comp"):
            scorer.score([replace(SETS[1], composition=how)])
        with pytest.raises(UsageError, match=f"cannot be trained .* {how} of .*color.shape"):
            RetrainScorer.reading(scorer, replace(SETS[1], composition=how))  # type: ignore[arg-type]


def test_segmentation_and_cost_map(network: LsmSeg) -> None:
    """Of a benchmark where classes 2 and 3 both stand for 2."""
    benchmark = FakeBenchmark(pictures=1, class_indices=(0, 1, 2), owners=(0, 1, 2, 2))
    benchmark.labels = lambda index: np.zeros((16, 24), np.int64)  # type: ignore[method-assign]
    scorer = TrainedScorer(Segmenter.of(network), benchmark)
    found = scorer.segment(SETS[0], 0)
    costs = np.stack([scorer.cost_map(SETS[0], 0, index) for index in (0, 1, 2)])
    np.testing.assert_array_equal(costs.argmax(axis=0), found)
    assert scorer.score(SETS[:1])[0, 0, :, 1].tolist() == [(found == c).sum() for c in range(3)]


def test_the_key_tells_networks_and_protocols_apart(network: LsmSeg) -> None:
    benchmark = FakeBenchmark(pictures=1)

    def key(of: LsmSeg) -> str:
        return TrainedScorer(Segmenter.of(of), benchmark).key

    other = small_network()
    assert key(network) == key(other)
    other.protocol = None
    assert key(network) != key(other)
    other.protocol = network.protocol
    next(other.transformer.parameters()).data[0] += 1
    assert key(network) != key(other)


@pytest.fixture
def training(tmp_path: Path) -> Training:
    (tmp_path / "net.json").write_text(json.dumps(NETWORK))
    return Training(
        folder=tmp_path / "trainings",
        config=str(tmp_path / "net.json"),
        source=BenchmarkSource(str(make_pictures(tmp_path / "pictures")), None, "four", 4),
        iterations=2,
        pretrained="random",
        encoder="random",
    )


def test_a_network_for_each_prompt_set(training: Training, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    module = import_module("lsmseg_model.train")
    train: Callable[..., Any] = module.train
    monkeypatch.setattr(module, "train", lambda r: calls.append(r) or train(r))
    benchmark, count_store = FakeBenchmark(pictures=2, size=(40, 48)), MemoryCountStore()
    counts = RetrainScorer(training, benchmark, count_store).score(SETS)
    assert [request.texts for request in calls] == [p.texts for p in SETS]
    assert counts.shape == (3, 2, 4, 3)
    files = sorted(training.folder.glob("*/small.safetensors"))
    assert len(files) == 3

    again = RetrainScorer(training, benchmark).score(SETS)  # other counts, the same trainings
    np.testing.assert_array_equal(again, counts)
    assert len(calls) == 3
    segmenter = Segmenter(checkpoint=train_network(training.job(SETS[0].texts)).weights)
    text = segmenter.encode_texts(SETS[0].texts)
    np.testing.assert_array_equal(counts[0], count_pictures(segmenter.model, benchmark, text))


def test_an_interrupted_training_goes_on(training: Training) -> None:
    """A folder with last.pt and no weights: killed in the middle, or just before the end."""
    job = training.job(SETS[0].texts)
    job.train()
    whole = Segmenter(checkpoint=job.weights).model.state_dict()
    job.weights.unlink()
    assert (job.out / "last.pt").is_file()
    trained = train_network(job)
    assert (trained.weights, trained.iterations) == (job.weights, 2)
    assert trained.seconds > 0 and not (job.out / "last.pt").exists()
    assert train_network(job) == trained  # found again
    again = Segmenter(checkpoint=job.weights).model.state_dict()
    assert all(whole[name].equal(again[name]) for name in whole)


def test_a_training_of_another_run_is_waited_for(
    training: Training, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two `ablate --scorer retrain` with one cache: the second takes what the first has trained."""
    from lsmseg_model import files

    job = training.job(SETS[0].texts)
    job.out.mkdir(parents=True)
    lock = Path(f"{job.out}.lock")
    other = files.locked(lock, "ablate")
    other.__enter__()
    flock, waited = files._flock, []

    def ends(handle: int, wait: bool) -> None:
        if wait:
            waited.append(lock)
            job.weights.write_bytes(b"weights")
            (job.out / "loss.csv").write_text("step,seconds\n0,1.5\n")
            other.__exit__(None, None, None)
        flock(handle, wait)

    monkeypatch.setattr(files, "_flock", ends)
    assert (train_network(job).seconds, waited) == (1.5, [lock])
    assert not lock.exists()


def test_what_is_scored_is_kept_at_once(training: Training) -> None:
    """The second training fails: the first one's counts are there."""
    count_store, benchmark = MemoryCountStore(), FakeBenchmark(pictures=1, size=(40, 48))

    def spread(function: Any, jobs: Any) -> Any:
        for at, job in enumerate(jobs):
            if at == 1:
                raise KeyboardInterrupt
            yield function(job)

    scorer = RetrainScorer(training, benchmark, count_store, spread)
    with pytest.raises(KeyboardInterrupt):
        scorer.score(SETS)
    later = RetrainScorer(
        training, benchmark, count_store, lambda f, jobs: pytest.fail("trained again")
    )
    assert later.score(SETS[:1]).shape == (1, 1, 4, 3)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"scorer": "oracle"}, "no scorer 'oracle'"),
        ({"checkpoint": "f"}, "--checkpoint is about the scorer trained"),
        ({"scorer": "trained"}, "--checkpoint FILE"),
        ({"scorer": "trained", "checkpoint": "f", "dense": "sclip"}, "--dense is about"),
        ({"scorer": "retrain", "checkpoint": "f"}, "--checkpoint is about"),
        ({"iterations": 5}, "--iterations is about the scorer retrain"),
    ],
    ids=str,
)
def test_options_of_other_scorers_are_refused(given: dict[str, Any], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        ScorerOptions(**given)
    ScorerOptions(scorer="retrain", iterations=3)


@pytest.mark.slow
def test_ablate_with_a_network_and_with_trainings(training: Training) -> None:
    Path("four.txt").write_text("zebra\ngrass\nstop sign\nsky")
    given: dict[str, Any] = {
        "data": [training.source.data, training.source.data],
        "vocab": "four.txt",
        "attributes": ["color"],
        "samples": 200,
    }
    first = ablate(
        AblationRequest(
            **given,
            scorer="retrain",
            config=training.config,
            iterations=1,
            pretrained="random",
            encoder="random",
        ),
        progress=False,
    )
    record = json.loads((first.directory / "run.json").read_text())
    assert record["model"]["name"] == "small" and len(record["benchmarks"]) == 2
    weights = next(Path("runs/cache/trainings").glob("*/small.safetensors"))
    second = ablate(
        AblationRequest(**given, scorer="trained", checkpoint=str(weights)), progress=False
    )
    record = json.loads((second.directory / "run.json").read_text())
    assert record["model"]["dense"] is None
    assert {row["benchmark"] for row in second.single} >= {"pictures", "pictures#2", "average"}
    assert list(Path("runs/cache/encoder").glob("*/*"))  # what the second encoder sees is kept
