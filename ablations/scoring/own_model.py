"""Scoring one's own model: any callable from a picture and texts to scores or labels.

from ablations import score_callable
counts = score_callable(my_model, [prompts], load_benchmark("ministuff"))
print(miou(counts[0]))
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ablations.scoring.count_store import CountStore
from ablations.scoring.frozen import OnProgress, Scorer, Texts
from lsmseg_model.data.benchmark import Benchmark, competing
from lsmseg_model.errors import DataError
from lsmseg_model.inference.counting import positions
from lsmseg_model.inference.reading import MEAN, Reading
from lsmseg_model.metrics import confusion_counts
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.prompts.prompt_set import PromptSet

OwnModel = Callable[[np.ndarray, Texts], Any]
"""uint8 [H, W, 3] and N groups of texts -> scores [N, H, W], of which the highest wins, or
labels, whole numbers [H, W] from 0 to N - 1; an array or a tensor of either."""


def score_callable(
    model: OwnModel,
    prompt_sets: Sequence[PromptSet],
    benchmark: Benchmark,
    on_progress: OnProgress | None = None,
) -> np.ndarray:
    """Score prompt sets with one's own model.

    Args:
        model: See `OwnModel`; it is called for every picture and prompt set.
        prompt_sets: Of the benchmark's vocabulary.
        benchmark: As `load_benchmark` gives it.
        on_progress: Called with pictures done and in all.

    Returns:
        int64 [S, P, C, 3]: per set, picture and class (intersection, predicted, labelled);
        `lsmseg_model.metrics.miou` of one set's is its mIoU.

    Raises:
        UsageError: For what the model gives in another shape, and another vocabulary's prompts.
        DataError: For scores that are NaN or infinite.
    """
    return CallableScorer(model, benchmark).score(prompt_sets, on_progress)


class CallableScorer(Scorer):
    """Scores prompt sets with one's own model.

    Args:
        model: See `OwnModel`.
        benchmark: What is scored on.
        name: Tells the model's counts from others' in a store: another for other weights.
        count_store: Where counts are kept, by default in memory.
    """

    def __init__(
        self,
        model: OwnModel,
        benchmark: Benchmark,
        name: str = "own model",
        count_store: CountStore | None = None,
    ) -> None:
        super().__init__(benchmark, count_store)
        self.model, self.name = model, name
        self.needs = competing(benchmark)[0]

    def identity(self) -> dict[str, Any]:
        return {"kind": "callable", "name": self.name}

    def reading(self, prompt_set: PromptSet) -> Reading:
        if not prompt_set.plain:
            raise UsageError(
                f"{self.name} gets the texts of {prompt_set.name} alone, not how they are read "
                f"({prompt_set.composition}): give a set by concat, ensemble or sentence, without "
                "weights."
            )
        return MEAN

    def count_texts(
        self,
        sets: Sequence[Texts],
        on_progress: OnProgress | None,
        readings: Sequence[Reading] | None = None,
    ) -> np.ndarray:
        benchmark = self.benchmark
        position, classes = positions(benchmark), len(benchmark.class_indices)
        counts = np.zeros((len(sets), len(benchmark), classes, 3), dtype=np.int64)
        for at in range(len(benchmark)):
            picture, labels = benchmark.picture(at), position[benchmark.labels(at)]
            for one, texts in enumerate(sets):
                predicted = self._labels(picture, texts, at)
                counts[one, at] = confusion_counts(predicted, labels, classes)
            if on_progress:
                on_progress(at + 1, len(benchmark))
        return counts

    def segment(self, prompt_set: PromptSet, picture: int) -> np.ndarray:
        """int64 [H, W]: the scored class that the model gives every pixel."""
        labels = self._labels(self.benchmark.picture(picture), self.texts(prompt_set), picture)
        return np.asarray(self.benchmark.class_indices)[labels]

    def cost_map(self, prompt_set: PromptSet, picture: int, index: int) -> np.ndarray:
        """float32 [H, W]: the scores of the scored class ``index``, the highest of its prompts."""
        scores = self._output(self.benchmark.picture(picture), self.texts(prompt_set), picture)
        if scores.ndim != 3:
            raise UsageError(f"{self.name} gives labels, not scores: it has no cost maps.")
        owned = np.array(competing(self.benchmark)[1])
        return scores[owned == self.benchmark.class_indices.index(index)].max(0).astype(np.float32)

    def _labels(self, picture: np.ndarray, texts: Texts, at: int) -> np.ndarray:
        """int64 [H, W]: the position of the scored class at every pixel of picture ``at``."""
        output = self._output(picture, texts, at)
        labels = output.argmax(axis=0) if output.ndim == 3 else output
        return np.asarray(competing(self.benchmark)[1])[labels]

    def _output(self, picture: np.ndarray, texts: Texts, at: int) -> np.ndarray:
        """What the model gives of picture ``at``, checked: scores [N, H, W] or labels [H, W]."""
        output = self.model(picture, texts)
        output = output.detach().cpu().numpy() if hasattr(output, "detach") else np.asarray(output)
        size = picture.shape[:2]
        labels = output.shape == size and np.issubdtype(output.dtype, np.integer)
        if not labels and output.shape != (len(texts), *size):
            raise UsageError(
                f"{self.name} gives {output.dtype} {list(output.shape)} for a picture of "
                f"{list(size)} and {len(texts)} texts: give scores {[len(texts), *size]}, or "
                f"labels {list(size)} as whole numbers."
            )
        if labels and output.size and not 0 <= output.min() <= output.max() < len(texts):
            raise UsageError(
                f"{self.name} gives labels from {output.min()} to {output.max()} for {len(texts)} "
                f"texts: give the places of the texts, 0 to {len(texts) - 1}."
            )
        if np.issubdtype(output.dtype, np.inexact) and not np.isfinite(output).all():
            raise DataError(
                f"{self.name} gives NaN or infinite scores for picture {self.benchmark.key(at)}: "
                "give numbers, very low ones for what must not win."
            )
        return output
