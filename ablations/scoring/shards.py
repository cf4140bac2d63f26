"""A benchmark's pictures in shards, each looked at and counted wherever the executor sends it.

A shard says how to open the model and the pictures, not what they are: every machine reads the
same files. Counts of a picture depend on that picture alone, so shards put together are the counts
of the whole; their sum is entered once, by the process that asked.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ablations.scoring.executors import Executor, everywhere
from ablations.scoring.factory import OF_MODEL, scorer_of
from ablations.scoring.frozen import Progress, Scorer, Texts
from ablations.scoring.splits import Part, open_splits
from lsmseg_model.data.benchmark import Benchmark, load_benchmark
from lsmseg_prompts.prompts.prompt_set import PromptSet
from lsmseg_prompts.vocabularies import Vocabulary

SHARDS_A_PLACE = 4  # so that a lost machine costs little
FEWEST = 4  # pictures of a shard


@dataclass(frozen=True)
class Source:
    """How a scorer of a benchmark, or of a split of it (None: all pictures), is opened anywhere."""

    scorer: str
    model: tuple[tuple[str, Any], ...]
    cache: str | None
    data: str
    root: str | None
    limit: int | None
    prompts: int
    vocabulary: str
    seed: int
    split: str | None

    @classmethod
    def of(
        cls,
        options: Mapping[str, Any],
        cache: Path | None,
        data: str,
        root: str | None,
        vocabulary: Vocabulary,
        split: str | None = None,
    ) -> Source:
        """options: scorer, those of `OF_MODEL`, limit and seed. Paths become absolute."""
        model = {name: options[name] for name in OF_MODEL}
        model |= {name: everywhere(options[name]) for name in ("pretrained", "sam", "checkpoint")}
        return cls(
            scorer=options["scorer"],
            model=tuple(sorted(model.items())),
            cache=str(cache.resolve()) if cache else None,
            data=data if root or data == "ministuff" else str(everywhere(data)),
            root=everywhere(root),
            limit=options["limit"],
            prompts=len(vocabulary),
            vocabulary=vocabulary.name,
            seed=options["seed"],
            split=split,
        )

    def open(self) -> Benchmark:
        """The pictures: those of the split, or else all."""
        about = self.limit, self.prompts, self.vocabulary
        if self.split is None:
            return load_benchmark(self.data, self.root, None, *about)
        return open_splits(self.data, self.root, *about, self.seed)[self.split]


@dataclass(frozen=True)
class Shard:
    """The pictures from ``start`` to before ``stop`` of a split."""

    source: Source
    start: int
    stop: int


class SpreadScorer(Scorer):
    """``own`` with its pictures looked at and counted by an executor, shard by shard."""

    def __init__(self, own: Scorer, source: Source, executor: Executor) -> None:
        super().__init__(own.benchmark, own.known)
        self.own, self.executor = own, executor
        self.needs = getattr(own, "needs", None)
        count = len(own.benchmark)
        many = min(SHARDS_A_PLACE * executor.places, max(1, count // FEWEST))
        ends = [count * i // many for i in range(many + 1)]
        self.shards = [Shard(source, a, b) for a, b in pairwise(ends)]

    def identity(self) -> dict[str, Any]:
        return self.own.identity()

    def texts(self, prompt_set: PromptSet) -> Texts:
        return self.own.texts(prompt_set)

    def segment(self, prompt_set: PromptSet, picture: int) -> np.ndarray:
        return self.own.segment(prompt_set, picture)

    def cost_map(self, prompt_set: PromptSet, picture: int, index: int) -> np.ndarray:
        return self.own.cost_map(prompt_set, picture, index)

    def digests(self, progress: Progress | None = None) -> list[str]:
        found: list[str] = []
        for some in self.executor.map(look_at_shard, self.shards):
            found += some
            if progress:
                progress(len(found), len(self.benchmark))
        return found

    def count_texts(self, sets: Sequence[Texts], progress: Progress | None) -> np.ndarray:
        found: list[np.ndarray] = []
        done = 0
        for counts in self.executor.map(count_shard, [(shard, sets) for shard in self.shards]):
            found.append(counts)
            done += counts.shape[1]
            if progress:
                progress(done, len(self.benchmark))
        return np.concatenate(found, axis=1)


def look_at_shard(shard: Shard) -> list[str]:
    """The hash of each picture with its labels; a frozen CLIP's features are computed and kept."""
    return _opened(shard).digests()


def count_shard(job: tuple[Shard, Sequence[Texts]]) -> np.ndarray:
    """int64 [S, pictures of the shard, C, 3]."""
    shard, sets = job
    return _opened(shard).count_texts(sets, None)


@lru_cache(maxsize=64)
def _opened(shard: Shard) -> Scorer:
    """The scorer of a shard; a worker that is asked again has looked at it already."""
    source = shard.source
    part = Part(source.open(), range(shard.start, shard.stop), source.split or "")
    return scorer_of(source.scorer, dict(source.model), source.cache, part)
