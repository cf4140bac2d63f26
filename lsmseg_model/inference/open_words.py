"""Pictures segmented without a list of classes: the objects of a caption are the classes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lsmseg_model.data.benchmark import Benchmark
from lsmseg_model.data.captioners import Captioner, words_of
from lsmseg_model.data.parallel import OnProgress
from lsmseg_model.inference.class_prompts import Model
from lsmseg_model.inference.counting import positions
from lsmseg_model.metrics import confusion_matrix

OTHER = "other"
"""A word beside the objects, for what the caption does not name."""


@dataclass(frozen=True)
class OpenWords:
    """The words that were predicted, and int64 [C, W]: pixels by labelled class and by word.

    ``metrics.open_iou`` scores it once a column for each class stands before the words'.
    """

    words: tuple[str, ...]
    confusion: np.ndarray


def count_words(
    model: Model,
    benchmark: Benchmark,
    captions: Captioner,
    on_progress: OnProgress | None = None,
) -> OpenWords:
    """Segment each picture into the objects of its caption, and OTHER, and count the pixels.

    Args:
        model: Any.
        benchmark: Pictures with labels.
        captions: Whose objects are the classes, picture by picture.
        on_progress: Called after each picture.

    Raises DataError for a picture without a caption.
    """
    position, classes = positions(benchmark), len(benchmark.class_indices)
    columns: dict[str, np.ndarray] = {}
    for index in range(len(benchmark)):
        key = benchmark.key(index)
        names = list(dict.fromkeys([*words_of(captions, [key]), OTHER]))
        text = model.embed(model.default_texts(names))
        encoded = model.encode(benchmark.picture(index), f"picture {key}")
        predicted, labels = encoded.decode(text).label()[0], position[benchmark.labels(index)]
        counts = confusion_matrix(predicted, labels, classes, len(names))
        for name, column in zip(names, counts.T, strict=True):
            columns[name] = columns.get(name, 0) + column
        if on_progress:
            on_progress(index + 1, len(benchmark))
    return OpenWords(tuple(columns), np.stack([*columns.values()], axis=1))
