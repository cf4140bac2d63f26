"""The pictures of a benchmark to select prompts on, and those to report on; loads no torch."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ablations.scoring.executors import everywhere
from ablations.scoring.options import SPLITS, split_names
from lsmseg_model.data.benchmark import Benchmark, load_benchmark
from lsmseg_prompts.errors import UsageError


class Part:
    """Some pictures of a benchmark, as a benchmark of their own."""

    def __init__(self, whole: Benchmark, pictures: Sequence[int], split: str) -> None:
        self.whole, self.pictures, self.split = whole, tuple(pictures), split
        self.name, self.vocabulary = whole.name, whole.vocabulary
        self.class_indices, self.seen = whole.class_indices, whole.seen
        self.owners = whole.owners

    @property
    def groups(self) -> tuple[str, ...] | None:
        """See `Benchmark`."""
        groups = self.whole.groups
        return groups and tuple(groups[picture] for picture in self.pictures)

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

    Where it has groups, whole groups are dealt out, so that the halves have as equally many
    pictures as that allows.

    Raises UsageError for fewer than two pictures, or than two groups.
    """
    count, groups = len(whole), whole.groups
    if count < 2:
        raise UsageError(
            f"{whole.name} has {count} picture(s), but prompts are chosen on one half of the "
            "pictures and reported on the other: give at least 2."
        )
    dealt = deal(list(range(count)) if groups is None else groups, seed)
    if not all(dealt):
        raise UsageError(
            f"All {count} pictures of {whole.name}{whole.split and f' ({whole.split})'} are of one "
            f"group, {groups and groups[0]}, so no half of them would be independent of the other: "
            "choose on one split and report on another with --split SELECTION,REPORT, or give more "
            "pictures, or smaller groups in groups.csv."
        )
    source = f"{whole.split}: " if whole.split else ""
    how = "half" if groups is None else "half by group"
    return {
        split: Part(whole, pictures, f"{source}{split} {how} (seed {seed})")
        for split, pictures in zip(SPLITS, dealt, strict=True)
    }


def shared_groups(selection: Benchmark, report: Benchmark) -> list[str]:
    """The groups that have pictures in both, as the published splits of some benchmarks do."""
    return sorted(set(selection.groups or ()) & set(report.groups or ()))


def deal(groups: Sequence[Hashable], seed: int) -> tuple[list[int], list[int]]:
    """Deal pictures out to two halves, whole groups together; groups: of every picture."""
    grouped: dict[Hashable, list[int]] = {}
    for picture, group in enumerate(groups):
        grouped.setdefault(group, []).append(picture)
    members = list(grouped.values())
    order = np.random.default_rng([seed, len(groups)]).permutation(len(members))
    shuffled = [members[at] for at in order]
    first = _nearest_to([len(some) for some in shuffled], len(groups) // 2)
    selection = sorted(picture for at in first for picture in shuffled[at])
    return selection, sorted(set(range(len(groups))) - set(selection))


def _nearest_to(sizes: Sequence[int], target: int) -> set[int]:
    """The places of the sizes whose sum comes nearest to ``target`` from below.

    Of several such choices one of the earliest sizes (subset sums, size after size).
    """
    newest = np.full(target + 1, -1)  # the size with which a sum was first reached
    reached = np.arange(target + 1) == 0
    for at, size in enumerate(sizes):
        if reached[target] or size > target:
            continue
        fresh = reached[: target + 1 - size] & ~reached[size:]
        newest[size:][fresh] = at
        reached[size:] |= fresh
    total, chosen = int(np.flatnonzero(reached)[-1]), set()
    while total:
        at = int(newest[total])
        chosen.add(at)
        total -= sizes[at]
    return chosen


@dataclass(frozen=True)
class BenchmarkSource:
    """How any process opens a benchmark, or a split of it (``split`` None: all its pictures).

    prompts: how many the ``vocabulary`` has. seed: of the pictures' dealing out, see `halves`.
    named: the part of the data that is opened, or two of them, "SELECTION,REPORT".
    """

    data: str
    root: str | None = None
    vocabulary: str | None = None
    prompts: int | None = None
    limit: int | None = None
    seed: int = 0
    split: str | None = None
    named: str | None = None

    def everywhere(self) -> "BenchmarkSource":
        """The same with absolute paths, for a worker that sees the same files."""
        named = self.root is not None or self.data == "ministuff"
        data = self.data if named else str(everywhere(self.data))
        return replace(self, data=data, root=everywhere(self.root))

    def splits(self) -> dict[str, Benchmark]:
        """The benchmark to select on and the one to report on, under the keys of SPLITS.

        They are the two that are ``named``, and of MiniStuff, where none is, those that are called
        so, of which ``limit`` keeps the first pictures each. Of one split the first ``limit``
        pictures are dealt out by `halves`.
        """
        names = split_names(self.named)
        if not names and self.data == "ministuff":
            names = SPLITS
        if len(names) < len(SPLITS):
            return halves(self._load(names[0] if names else None), self.seed)
        parts = {role: self._load(name) for role, name in zip(SPLITS, names, strict=True)}
        return {
            role: part
            if part.split == role
            else Part(part, range(len(part)), f"{part.split}: {role}")
            for role, part in parts.items()
        }

    def open(self) -> Benchmark:
        """The pictures: those of the split, or else all."""
        if self.split is not None:
            return self.splits()[self.split]
        return self._load(self.named)

    def _load(self, name: str | None) -> Benchmark:
        return load_benchmark(self.data, self.root, name, self.limit, self.prompts, self.vocabulary)
