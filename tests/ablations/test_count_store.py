"""Counts in the store: nothing is scored twice, nothing is lost, a changed text is scored anew."""

from __future__ import annotations

import multiprocessing
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.ablation_fakes import ATTRIBUTES, DESCRIPTIONS, VOCABULARY, FakeBenchmark
from support.small_clip import SMALL

from ablations.scoring.count_store import CountStore, MemoryCountStore, SqliteCountStore, key_of
from ablations.scoring.frozen import FrozenScorer, Scorer
from lsmseg_model.networks.backbones.load import build_backbone
from lsmseg_prompts.errors import StoreError
from lsmseg_prompts.prompts.prompt_set import PromptSet, build_prompt_set
from lsmseg_prompts.store.store import open_store


class Tally(Scorer):
    """Counts that tell the texts apart, and a record of what was really scored."""

    def __init__(self, benchmark: Any, count_store: CountStore, model: str = "m") -> None:
        super().__init__(benchmark, count_store)
        self.model = model
        self.scored: list[str] = []

    def identity(self) -> dict[str, Any]:
        return {"model": self.model}

    def count(self, prompt_sets: Sequence[PromptSet], progress: Any) -> np.ndarray:
        self.scored += [p.name for p in prompt_sets]
        shape = (len(self.benchmark), len(self.benchmark.class_indices), 3)
        seeds = [len(str(self.texts(p))) for p in prompt_sets]
        return np.stack([np.random.default_rng(s).integers(0, 1 << 33, shape) for s in seeds])


def sets(
    descriptions: dict[tuple[int, str], str] = DESCRIPTIONS, composition: str = "concat"
) -> list[PromptSet]:
    return [
        build_prompt_set(descriptions, VOCABULARY, attributes, composition)
        for attributes in (["color"], ["shape"], ["color", "action"])
    ]


@pytest.fixture(params=["memory", "store"])
def count_store(request: pytest.FixtureRequest, tmp_path: Path) -> CountStore:
    return (
        MemoryCountStore() if request.param == "memory" else SqliteCountStore(tmp_path / "s.sqlite")
    )


def test_only_what_is_missing_is_scored(count_store: CountStore) -> None:
    benchmark = FakeBenchmark(pictures=3)
    first, second = Tally(benchmark, count_store), Tally(benchmark, count_store)
    one = first.score(sets()[:2])
    both = second.score([*sets(), sets()[0]])
    assert (first.scored, second.scored) == (["color", "shape"], ["color+action"])
    np.testing.assert_array_equal(both[:2], one)
    np.testing.assert_array_equal(both[3], both[0])
    assert both.dtype == np.int64 and both.shape == (4, 3, 4, 3)


def test_a_changed_description_changes_what_it_stands_in(count_store: CountStore) -> None:
    benchmark = FakeBenchmark(pictures=2)
    Tally(benchmark, count_store).score(sets())
    changed = {**DESCRIPTIONS, (2, "color"): "An orange is orange."}
    later = Tally(benchmark, count_store)
    later.score(sets(changed))
    assert later.scored == ["color", "color+action"]


@pytest.mark.parametrize(
    "other",
    [
        {"pictures": 3},
        {"class_indices": (0, 1, 2)},
        {"class_indices": (1, 0, 2, 3)},
        {"size": (16, 16)},
        {"name": "twin"},
        {"owners": (0, 1, 2, 3)},
    ],
    ids=str,
)
def test_other_data_is_scored_anew(other: dict[str, Any]) -> None:
    assert (
        Tally(FakeBenchmark(**{"pictures": 2, **other}), MemoryCountStore()).key
        != Tally(FakeBenchmark(pictures=2), MemoryCountStore()).key
    )


def test_groups_change_no_counts() -> None:
    grouped = FakeBenchmark(pictures=2, groups=("a", "a"))
    assert (
        Tally(grouped, MemoryCountStore()).key
        == Tally(FakeBenchmark(pictures=2), MemoryCountStore()).key
    )


def test_other_labels_and_models_are_scored_anew() -> None:
    benchmark, other = FakeBenchmark(pictures=2), FakeBenchmark(pictures=2)
    other.labels = lambda index: np.zeros((16, 24), np.int64)  # type: ignore[method-assign]
    assert Tally(benchmark, MemoryCountStore()).key != Tally(other, MemoryCountStore()).key
    assert Tally(benchmark, MemoryCountStore()).key != Tally(benchmark, MemoryCountStore(), "n").key


def test_the_frozen_scorers_key() -> None:
    torch.manual_seed(0)
    clip = build_backbone(SMALL, "0123").eval()
    keys = [FrozenScorer(clip, FakeBenchmark(pictures=2)).key for _ in range(2)]
    clip.dense = "sclip"
    keys.append(FrozenScorer(clip, FakeBenchmark(pictures=2)).key)
    clip.view = replace(clip.view, stride=4)
    keys.append(FrozenScorer(clip, FakeBenchmark(pictures=2)).key)
    assert keys[0] == keys[1] and len(set(keys)) == 3


def test_texts_are_told_apart_from_how_they_are_grouped() -> None:
    assert key_of((("a", "b"),)) != key_of((("a",), ("b",)))


def test_a_damaged_row_is_scored_again_and_replaced(tmp_path: Path) -> None:
    count_store, benchmark = SqliteCountStore(tmp_path / "s.sqlite"), FakeBenchmark(pictures=2)
    first = Tally(benchmark, count_store).score(sets())
    with open_store(count_store.path) as store:
        store.execute("UPDATE counts SET data = substr(data, 1, 9)")
    again, third = Tally(benchmark, count_store), Tally(benchmark, count_store)
    np.testing.assert_array_equal(again.score(sets()), first)
    third.score(sets())
    assert (len(again.scored), len(third.scored)) == (3, 0)


def test_more_sets_than_one_question_holds(tmp_path: Path) -> None:
    count_store = SqliteCountStore(tmp_path / "s.sqlite")
    counts = {key_of(i): np.full((1, 2, 3), i) for i in range(1234)}
    count_store.save("scorer", counts)
    found = count_store.load("scorer", [*counts, "unknown"])
    assert found.keys() == counts.keys()
    assert all((found[h] == counts[h]).all() for h in counts)
    assert count_store.load("another", list(counts)) == {}


def test_a_store_that_is_locked_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    count_store = SqliteCountStore(tmp_path / "s.sqlite")
    count_store.load("scorer", ["a"])
    monkeypatch.setattr(
        "ablations.scoring.count_store.open_store", lambda p: open_store(p, busy_seconds=0.05)
    )
    with (
        open_store(count_store.path) as other,
        other.transaction(),
        pytest.raises(StoreError, match="locked"),
    ):
        count_store.save("scorer", {"a": np.zeros((1, 1, 3), np.int64)})


def _score(path: str, start: Any, attributes: tuple[str, ...]) -> None:
    scorer = Tally(FakeBenchmark(pictures=2), SqliteCountStore(Path(path)))
    wanted = [build_prompt_set(DESCRIPTIONS, VOCABULARY, [a]) for a in attributes]
    start.wait()
    for prompt_set in wanted:
        scorer.score([prompt_set])


@pytest.mark.slow
@pytest.mark.process
def test_two_processes_enter_the_same_once(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite"
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(2)
    orders = (ATTRIBUTES, tuple(reversed(ATTRIBUTES)))
    both = [context.Process(target=_score, args=(str(path), start, o)) for o in orders]
    for process in both:
        process.start()
    for process in both:
        process.join(60)
    assert [process.exitcode for process in both] == [0, 0]
    with open_store(path) as store:
        assert store.rows("SELECT count(*) AS n FROM counts") == [{"n": 3}]
    later = Tally(FakeBenchmark(pictures=2), SqliteCountStore(path))
    later.score([build_prompt_set(DESCRIPTIONS, VOCABULARY, [a]) for a in ATTRIBUTES])
    assert later.scored == []
