"""What a closed-set network must know of the data that it learns from, beside its configuration."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lsmseg_model.data.benchmark import Benchmark, MiniStuff
from lsmseg_model.data.ministuff.scenes import draw_training

MOST_MAPS, MOST_SCENES = 2000, 300


def complete(
    settings: dict[str, Any],
    texts: Sequence[Sequence[str]],
    benchmark: Benchmark,
    classes: Sequence[int],
) -> dict[str, Any]:
    """The settings of a network's file with what its training fills in.

    "classes": the first text of each class that is trained on, in the order of the logits.
    "frequencies", for weights of the classes: see `pixel_frequencies`.

    Args:
        settings: Of the file.
        texts: Of every class of the vocabulary.
        benchmark: The training pictures.
        classes: Those trained on, vocabulary indices.
    """
    filled = {**settings, "classes": [texts[index][0] for index in classes]}
    network = settings["network"]
    if network.get("addon") == "ecac" or network.get("reweighted"):
        filled["frequencies"] = pixel_frequencies(benchmark, classes)
    return filled


def pixel_frequencies(benchmark: Benchmark, classes: Sequence[int]) -> list[float]:
    """Each class's share of the pixels that have one of `classes`, rounded to 8 digits.

    Counted in at most 2,000 label maps, evenly spread; of MiniStuff, whose training scenes are
    drawn without end, in the first 300 of seed 0. All zero where there are none.
    """
    drawn = isinstance(benchmark, MiniStuff) and benchmark.split == "train"
    size = MOST_SCENES if drawn else len(benchmark)
    picked = np.linspace(0, size - 1, min(size, MOST_MAPS)).round().astype(int)
    counts = np.zeros(max(classes) + 1, dtype=np.int64)
    for index in picked.tolist():
        labels = draw_training(index).labels if drawn else benchmark.labels(index)
        inside = labels[(labels >= 0) & (labels < len(counts))]
        counts += np.bincount(inside, minlength=len(counts))
    found = counts[list(classes)]
    return list((found / max(1, found.sum())).round(8).tolist())
