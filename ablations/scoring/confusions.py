"""Which classes a prompt set takes for which, pixel by pixel."""

from collections.abc import Iterable

import numpy as np

from ablations.scoring.frozen import OnProgress, Scorer
from lsmseg_model.metrics import confusion_matrix
from lsmseg_prompts.prompts.prompt_set import PromptSet


def confusion(
    scorer: Scorer,
    prompt_set: PromptSet,
    on_progress: OnProgress | None = None,
    pictures: Iterable[int] | None = None,
) -> np.ndarray:
    """int64 [C, C].

    Pixels by label (row) and prediction (column), as positions in ``class_indices``; unlabelled
    pixels are left out.

    Args:
        scorer: Of the pictures.
        prompt_set: What they are segmented with.
        on_progress: Called after each picture.
        pictures: Which of them; all if None.
    """
    benchmark = scorer.benchmark
    classes = benchmark.class_indices
    position = np.full(max(classes) + 2, -1)  # the last entry is read by IGNORE = -1
    position[list(classes)] = np.arange(len(classes))
    total = np.zeros((len(classes), len(classes)), dtype=np.int64)
    chosen = list(range(len(benchmark)) if pictures is None else pictures)
    for done, picture in enumerate(chosen, 1):
        labels = position[benchmark.labels(picture)]
        if (labels >= 0).any():
            predicted = position[scorer.segment(prompt_set, picture)]
            total += confusion_matrix(predicted, labels, len(classes))
        if on_progress:
            on_progress(done, len(chosen))
    return total
