"""A benchmark's pictures in shards, each encoded and counted wherever the executor sends it.

A shard says how to open the model and the pictures, not what they are: every machine reads the
same files. Counts of a picture depend on that picture alone, so shards put together are the counts
of the whole; their sum is entered once, by the process that asked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from ablations.scoring.executors import Executor
from ablations.scoring.frozen import OnProgress, Replacement, Scorer, Texts
from ablations.scoring.models import open_model
from ablations.scoring.options import ScorerOptions
from ablations.scoring.splits import BenchmarkSource, Part
from lsmseg_model.inference.reading import Reading
from lsmseg_prompts.prompts.prompt_set import PromptSet

SHARDS_A_PLACE = 4  # so that a lost machine costs little
FEWEST = 4  # pictures of a shard


@dataclass(frozen=True)
class Shard:
    """The pictures from ``start`` to before ``stop`` of a benchmark, and what scores them."""

    options: ScorerOptions
    source: BenchmarkSource
    start: int
    stop: int


class SpreadScorer(Scorer):
    """``own`` with its pictures encoded and counted by an executor, shard by shard."""

    def __init__(
        self, own: Scorer, options: ScorerOptions, source: BenchmarkSource, executor: Executor
    ) -> None:
        super().__init__(own.benchmark, own.count_store)
        self.own, self.executor = own, executor
        self.by_cosine = own.by_cosine
        self.needs = getattr(own, "needs", None)
        count = len(own.benchmark)
        many = min(SHARDS_A_PLACE * executor.places, max(1, count // FEWEST))
        ends = [count * i // many for i in range(many + 1)]
        same = options.everywhere(), source.everywhere()
        self.shards = [Shard(*same, a, b) for a, b in pairwise(ends)]

    def identity(self) -> dict[str, Any]:
        return self.own.identity()

    def texts(self, prompt_set: PromptSet) -> Texts:
        return self.own.texts(prompt_set)

    def reading(self, prompt_set: PromptSet) -> Reading:
        return self.own.reading(prompt_set)

    def segment(self, prompt_set: PromptSet, picture: int) -> np.ndarray:
        return self.own.segment(prompt_set, picture)

    def cost_map(self, prompt_set: PromptSet, picture: int, index: int) -> np.ndarray:
        return self.own.cost_map(prompt_set, picture, index)

    def digests(self, on_progress: OnProgress | None = None) -> list[str]:
        digests: list[str] = []
        for some in self.executor.map(shard_digests, self.shards):
            digests += some
            if on_progress:
                on_progress(len(digests), len(self.benchmark))
        return digests

    def count_texts(
        self,
        sets: Sequence[Texts],
        on_progress: OnProgress | None,
        readings: Sequence[Reading] | None = None,
    ) -> np.ndarray:
        parts: list[np.ndarray] = []
        done = 0
        jobs = [(shard, sets, readings) for shard in self.shards]
        for counts in self.executor.map(count_shard, jobs):
            parts.append(counts)
            done += counts.shape[1]
            if on_progress:
                on_progress(done, len(self.benchmark))
        return np.concatenate(parts, axis=1)

    def count_replacements(
        self,
        texts: Texts,
        replacements: Sequence[Replacement],
        parts: np.ndarray,
        on_progress: OnProgress | None = None,
    ) -> np.ndarray:
        """The shards' own, added up.

        Args:
            texts: The set.
            replacements: Which prompt has which other texts.
            parts: The part of each picture.
            on_progress: Called with pictures done and in all.
        """
        classes = len(self.benchmark.class_indices)
        total = np.zeros((int(parts.max()) + 1, len(replacements), classes, 2), dtype=np.int64)
        wanted = [s for s in self.shards if (parts[s.start : s.stop] >= 0).any()]
        jobs = [(s, texts, replacements, parts[s.start : s.stop]) for s in wanted]
        for shard, change in zip(wanted, self.executor.map(replace_in_shard, jobs), strict=True):
            total[: len(change)] += change
            if on_progress:
                on_progress(shard.stop, len(self.benchmark))
        return total


def shard_digests(shard: Shard) -> list[str]:
    """The hash of each picture with its labels; a frozen CLIP's features are computed and kept."""
    return _opened(shard).digests()


def count_shard(job: tuple[Shard, Sequence[Texts], Sequence[Reading] | None]) -> np.ndarray:
    """int64 [S, pictures of the shard, C, 3]."""
    shard, sets, readings = job
    return _opened(shard).count_texts(sets, None, readings)


def replace_in_shard(job: tuple[Shard, Texts, Sequence[Replacement], np.ndarray]) -> np.ndarray:
    """int64 [parts of the shard, K, C, 2], see `Scorer.count_replacements`."""
    shard, texts, replacements, parts = job
    return _opened(shard).count_replacements(texts, replacements, parts)


_open_model = lru_cache(maxsize=2)(open_model)  # a worker needs it again and again


@lru_cache(maxsize=64)
def _opened(shard: Shard) -> Scorer:
    """The scorer of a shard; a worker that gets it again has encoded it already."""
    source = shard.source
    part = Part(source.open(), range(shard.start, shard.stop), source.split or "")
    return _open_model(shard.options)[1](part)
