"""The pictures of a benchmark to select prompts on, and those to report on; loads no torch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from ablations.scoring.executors import everywhere
from lsmseg_model.data.benchmark import Benchmark, load_benchmark
from lsmseg_prompts.errors import UsageError

SPLITS = ("selection", "report")


class Part:
    """Some pictures of a benchmark, as a benchmark of their own."""

    def __init__(self, whole: Benchmark, pictures: Sequence[int], split: str) -> None:
        self.whole, self.pictures, self.split = whole, tuple(pictures), split
        self.name, self.vocabulary = whole.name, whole.vocabulary
        self.class_indices, self.seen = whole.class_indices, whole.seen
        self.owners = whole.owners

    def __len__(self) -> int:
        return len(self.pictures)

    def key(self, index: int) -> str:
        return self.whole.key(self.pictures[index])

    def picture(self, index: int) -> np.ndarray:
        return self.whole.picture(self.pictures[index])

    def labels(self, index: int) -> np.ndarray:
        return self.whole.labels(self.pictures[index])


def halves(whole: Benchmark, seed: int = 0) -> dict[str, Benchmark]:
    """A benchmark without splits, dealt out at random: half to select on, half to report on.

    Raises UsageError for fewer than two pictures.
    """
    count = len(whole)
    if count < 2:
        raise UsageError(
            f"{whole.name} has {count} picture(s), but prompts are chosen on one half of the "
            "pictures and reported on the other: give at least 2."
        )
    order = np.random.default_rng([seed, count]).permutation(count)
    dealt = (sorted(order[: count // 2].tolist()), sorted(order[count // 2 :].tolist()))
    source = f"{whole.split}: " if whole.split else ""
    return {
        split: Part(whole, pictures, f"{source}{split} half (seed {seed})")
        for split, pictures in zip(SPLITS, dealt, strict=True)
    }


@dataclass(frozen=True)
class BenchmarkSource:
    """How any process opens a benchmark, or a split of it (``split`` None: all its pictures).

    prompts: how many the ``vocabulary`` has. seed: of the pictures' dealing out, see `halves`.
    """

    data: str
    root: str | None = None
    vocabulary: str | None = None
    prompts: int | None = None
    limit: int | None = None
    seed: int = 0
    split: str | None = None

    def everywhere(self) -> "BenchmarkSource":
        """The same with absolute paths, for a worker that sees the same files."""
        named = self.root is not None or self.data == "ministuff"
        data = self.data if named else str(everywhere(self.data))
        return replace(self, data=data, root=everywhere(self.root))

    def splits(self) -> dict[str, Benchmark]:
        """The benchmark to select on and the one to report on, under the keys of SPLITS.

        MiniStuff has splits for both, of which ``limit`` keeps the first pictures each; of any
        other benchmark the first ``limit`` pictures are dealt out by `halves`.
        """
        if self.data == "ministuff":
            return {s: load_benchmark(self.data, self.root, s, self.limit) for s in SPLITS}
        return halves(replace(self, split=None).open(), self.seed)

    def open(self) -> Benchmark:
        """The pictures: those of the split, or else all."""
        if self.split is not None:
            return self.splits()[self.split]
        return load_benchmark(self.data, self.root, None, self.limit, self.prompts, self.vocabulary)
