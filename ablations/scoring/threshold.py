"""Background by a threshold: a pixel whose best score is below it is of no class."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from ablations.scoring.frozen import FrozenScorer, OnProgress
from lsmseg_model.metrics import confusion_counts
from lsmseg_prompts.prompts.prompt_set import PromptSet

SAMPLE = 2000  # pixels of a picture whose scores the thresholds are quantiles of
QUANTILES = (0.005, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5)


@dataclass(frozen=True)
class ThresholdedSet(PromptSet):
    """A prompt set with a threshold."""

    threshold: float = math.nan


def with_threshold(prompts: PromptSet, threshold: float, name: str) -> ThresholdedSet:
    """The prompt set under another name, with a threshold."""
    same = {f.name: getattr(prompts, f.name) for f in fields(PromptSet)}
    same |= {"name": name, "attributes": (name,)}
    return ThresholdedSet(**same, threshold=threshold)


class ThresholdScorer:
    """A frozen scorer that knows thresholds; of sets without one it is the scorer itself.

    Args:
        inner: The scorer.
        background: The scored class that counts as background.
    """

    def __init__(self, inner: FrozenScorer, background: int) -> None:
        self.inner, self.background = inner, background
        self.position = inner.benchmark.class_indices.index(background)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def score(
        self, prompt_sets: Sequence[PromptSet], on_progress: OnProgress | None = None
    ) -> np.ndarray:
        """As `Scorer.score`."""
        plain = [one for one in prompt_sets if not isinstance(one, ThresholdedSet)]
        counts = iter(self.inner.score(plain, on_progress) if plain else ())
        return np.stack(
            [
                self.count_below(one, [one.threshold], on_progress)[0]
                if isinstance(one, ThresholdedSet)
                else next(counts)
                for one in prompt_sets
            ]
        )

    def segment(self, prompt_set: PromptSet, picture: int) -> np.ndarray:
        """As `Scorer.segment`."""
        positions, scores = self.inner.label(prompt_set, picture)
        if isinstance(prompt_set, ThresholdedSet):
            positions = np.where(scores < prompt_set.threshold, self.position, positions)
        return np.asarray(self.benchmark.class_indices)[positions]

    def thresholds(self, prompt_set: PromptSet) -> list[float]:
        """`QUANTILES` of the best scores of pixels that are not found to be background."""
        drawn = []
        for picture in range(len(self.benchmark)):
            positions, scores = self.inner.label(prompt_set, picture)
            found = scores[positions != self.position]
            drawn.append(found[:: max(1, len(found) // SAMPLE)])
        together = np.concatenate(drawn)
        return sorted(set(np.quantile(together, QUANTILES).tolist())) if len(together) else []

    def count_below(
        self,
        prompt_set: PromptSet,
        thresholds: Sequence[float],
        on_progress: OnProgress | None = None,
    ) -> np.ndarray:
        """int64 [T, P, C, 3]: the counts with each threshold.

        Args:
            prompt_set: The prompts.
            thresholds: T of them.
            on_progress: Called after each picture.
        """
        labels, classes = self.inner.features().labels, len(self.benchmark.class_indices)
        counts = np.zeros((len(thresholds), len(labels), classes, 3), dtype=np.int64)
        for picture, label in enumerate(labels):
            positions, scores = self.inner.label(prompt_set, picture)
            for at, threshold in enumerate(thresholds):
                found = np.where(scores < threshold, self.position, positions)
                counts[at, picture] = confusion_counts(found, label, classes)
            if on_progress:
                on_progress(picture + 1, len(labels))
        return counts
