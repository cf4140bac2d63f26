"""A picture's own labels, and what of a prediction agrees with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lsmseg_model.data.benchmark import Benchmark, background_class, competing, scored_names
from lsmseg_model.inference.prediction import BACKGROUND
from lsmseg_model.metrics import confusion_counts, iou, miou
from lsmseg_prompts.vocabularies import Vocabulary

if TYPE_CHECKING:
    from ablations.studio.state import Studio
    from lsmseg_model.inference.prediction import Prediction


class Labelled:
    """The labels of one picture, as positions in the scored classes of the benchmark.

    ``names``: of these classes; ``positions``: int64 [H, W], -1 where ignored.
    """

    def __init__(self, studio: Studio, labels: np.ndarray) -> None:
        self.benchmark, self.vocabulary = studio.benchmark, studio.vocabulary
        indices = self.benchmark.class_indices
        self.names = readable_names(self.benchmark, self.vocabulary)
        table = np.full(max(len(self.vocabulary), max(indices) + 1) + 1, -1)
        table[list(indices)] = np.arange(len(indices))
        self.positions = table[np.where(labels < 0, -1, labels)]

    def compared(self, prediction: Prediction) -> dict[str, Any]:
        """The IoU of each class that is labelled or predicted here, and the mean of the labelled.

        A phrase stands for the class of the vocabulary that has this name, or this synonym; what
        stands for none is wrong wherever it is.
        """
        count = len(self.names)
        meant = [self.meant(name) for name in prediction.classes]
        table = np.array([count if one is None else one for one in meant])
        counts = confusion_counts(table[prediction.masks], self.positions, count + 1)[:count]
        scores, met = iou(counts), counts[:, 1:].sum(axis=1) > 0
        labelled = max(1, int((self.positions >= 0).sum()))
        order = sorted(map(int, np.flatnonzero(met)), key=lambda one: -counts[one, 2])
        return {
            "mean": miou(counts),
            "classes": [
                {
                    "name": self.names[one],
                    "iou": float(scores[one]),
                    "share": float(counts[one, 2] / labelled),
                    "phrase": meant.index(one) if one in meant else None,
                }
                for one in order
            ],
        }

    def meant(self, name: str) -> int | None:
        """The scored class that a name stands for."""
        background = background_class(self.benchmark)
        indices = self.benchmark.class_indices
        if name == BACKGROUND and background is not None:
            return indices.index(background)
        prompts, positions = competing(self.benchmark)
        stands_for = dict(zip(prompts, positions, strict=True))
        _, entries = self.vocabulary.meant(name)
        found = (stands_for[one.index] for one in entries if one.index in stands_for)
        return next(found, None)


def readable_names(benchmark: Benchmark, vocabulary: Vocabulary) -> list[str]:
    """The readable names of the scored classes."""
    return scored_names(benchmark, [entry.readable for entry in vocabulary])


def all_classes(benchmark: Benchmark, vocabulary: Vocabulary) -> list[str]:
    """A name for every prompt that competes on the benchmark, each once."""
    prompts, _ = competing(benchmark)
    return list(dict.fromkeys(vocabulary[index].readable for index in prompts))
