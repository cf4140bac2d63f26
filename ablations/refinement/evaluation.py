"""Trying candidates on the two halves of the selection split.

A candidate changes one class's texts, so it is scored without scoring all again
(`Scorer.count_replacements`), with the same counts. What is kept is scored whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ablations.refinement.candidates import Candidate, Group
from ablations.scoring.confusions import confusion
from ablations.scoring.frozen import OnProgress, Scorer
from ablations.scoring.splits import deal
from ablations.search.enough import too_few
from ablations.search.statistics import Draws, Subset, bootstrap
from lsmseg_model.data.benchmark import Benchmark, competing
from lsmseg_model.metrics import iou
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.prompts.prompt_set import PromptSet

AT_ONCE = 64 << 20  # bytes of the counts of candidates that are tried together


@dataclass(frozen=True)
class Tried:
    """Candidates on some pictures: ``gains`` [K] of mIoU over the current texts, and ``own`` [K].

    own: of the IoU of each candidate's own class; nan where no pixel of it is labelled there.
    """

    gains: np.ndarray
    own: np.ndarray


class Evaluation:
    """The selection split of a benchmark in two halves, whole groups together.

    Args:
        scorer: Of the selection split.
        samples: Resamples.
        seed: Of the halves and the resamples.
        stream: Of the resamples.
        classes: The places in the vocabulary of those whose mean IoU counts; all if None. Of the
            other labels nothing is used but that these pixels are not of one of these classes.

    Raises:
        UsageError: Where a half has too few pictures, or groups of them, to decide by.
    """

    def __init__(
        self,
        scorer: Scorer,
        samples: int = 2000,
        seed: int = 0,
        stream: int = 0,
        classes: Iterable[int] | None = None,
    ) -> None:
        self.scorer, self.samples, self.seed, self.stream = scorer, samples, seed, stream
        benchmark = scorer.benchmark
        self.half = np.zeros(len(benchmark), dtype=np.int64)
        self.half[halves_of(benchmark, seed)[1]] = 1
        check_halves(benchmark, seed)
        prompts, owners = competing(benchmark)
        self.place = {index: at for at, index in enumerate(prompts)}
        self.owner = np.asarray(owners)
        scored = benchmark.class_indices
        wanted = set(scored if classes is None else classes)
        self.counted = np.array([index in wanted for index in scored])
        self.mean = {"miou": Subset(tuple(np.flatnonzero(self.counted).tolist()))}

    @property
    def labelled(self) -> frozenset[int]:
        """The places in the vocabulary of those whose mean IoU counts."""
        scored = self.scorer.benchmark.class_indices
        return frozenset(index for index, yes in zip(scored, self.counted, strict=True) if yes)

    def pictures(self, half: int) -> np.ndarray:
        """The pictures of a half."""
        return np.flatnonzero(self.half == half)

    def confusion(self, prompts: PromptSet, half: int) -> np.ndarray:
        """int64 [C, C] of the pictures of a half, see `scoring.confusions`.

        Rows of classes that do not count are 0.
        """
        found = confusion(self.scorer, prompts, pictures=self.pictures(half).tolist())
        return found * self.counted[:, None]

    def try_out(
        self,
        prompts: PromptSet,
        candidates: Sequence[Candidate],
        half: int,
        on_progress: OnProgress | None = None,
    ) -> Tried:
        """What each candidate gains over `prompts` on the pictures of a half.

        Args:
            prompts: The current texts.
            candidates: Each takes the place of its class's texts.
            half: Which of the two.
            on_progress: Called with pictures done and in all.
        """
        texts = self.scorer.texts(prompts)
        parts = np.where(self.half == half, 0, -1)
        before = self.scorer.score_part([prompts], self.pictures(half))[0].sum(axis=0)  # [C, 3]
        step = max(1, AT_ONCE // before[:, :2].nbytes)
        gains, own = np.zeros(len(candidates)), np.zeros(len(candidates))
        met = (before[:, 2] > 0) & self.counted
        for start in range(0, len(candidates), step):
            some = candidates[start : start + step]
            replaced = [(self.place[c.index], c.texts) for c in some]
            change = self.scorer.count_replacements(texts, replaced, parts, on_progress)[0]
            after = np.repeat(before[None], len(some), axis=0)
            after[..., :2] += change
            gain = (iou(after[:, met]) - iou(before[met])).mean(axis=1)
            gains[start : start + step] = np.nan_to_num(gain)
            classes = self.owner[[prompt for prompt, _ in replaced]]
            mine = iou(after[np.arange(len(some)), classes]) - iou(before)[classes]
            own[start : start + step] = np.where(met[classes], np.nan_to_num(mine), np.nan)
        return Tried(gains, own)

    def scores(self, sets: Sequence[PromptSet], half: int) -> list[Draws]:
        """The mIoU of whole sets on the pictures of a half, with draws."""
        counts = self.scorer.score_part(sets, self.pictures(half))
        groups = self.scorer.benchmark.groups
        mine = None if groups is None else [groups[i] for i in self.pictures(half)]
        stream = 2 * self.stream + half
        drawn = bootstrap(counts, self.mean, self.samples, self.seed, stream, mine)
        return [one["miou"] for one in drawn]


def halves_of(benchmark: Benchmark, seed: int) -> tuple[list[int], list[int]]:
    """The pictures of a benchmark dealt out to two halves, whole groups together."""
    groups = benchmark.groups
    return deal(range(len(benchmark)) if groups is None else groups, seed)


def too_few_for_halves(benchmark: Benchmark, seed: int) -> str | None:
    """Why one half cannot propose and the other decide; None where both have enough pictures."""
    groups = benchmark.groups
    for some in halves_of(benchmark, seed):
        units = len(some) if groups is None else len({groups[i] for i in some})
        if few := too_few(units, groups is not None):
            return few
    return None


def check_halves(benchmark: Benchmark, seed: int) -> None:
    """Raise UsageError where one half has too few pictures to propose, or the other to decide."""
    if few := too_few_for_halves(benchmark, seed):
        raise UsageError(
            f"One half of the selection split of {benchmark.name} proposes and the other "
            f"decides, but a half has {few}: give more pictures."
        )


def with_texts(prompts: PromptSet, changes: Mapping[int, Group]) -> PromptSet:
    """The prompt set with other texts for some classes, class by class from now on."""
    texts = tuple(changes.get(index, group) for index, group in enumerate(prompts.texts))
    return replace(prompts, name="refined", attributes=(), composition="refined", texts=texts)


def changes_of(candidates: Iterable[Candidate]) -> dict[int, Group]:
    """The texts of each candidate's class."""
    return {candidate.index: candidate.texts for candidate in candidates}
