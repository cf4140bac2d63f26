"""Which classes a prompt set takes for which, pixel by pixel."""

from collections.abc import Iterable
from itertools import chain

import numpy as np

from ablations.scoring.frozen import FrozenScorer, OnProgress, Scorer
from lsmseg_model.kernels.threads import in_threads
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
    classes = scorer.benchmark.class_indices
    position = np.full(max(classes) + 1, -1)
    position[list(classes)] = np.arange(len(classes))
    chosen = list(range(len(scorer.benchmark)) if pictures is None else pictures)

    def one(picture: int) -> np.ndarray:
        labels = scorer.labels(picture)
        if not (labels >= 0).any():
            return np.zeros((len(classes), len(classes)), dtype=np.int64)
        return confusion_matrix(position[scorer.segment(prompt_set, picture)], labels, len(classes))

    total = np.zeros((len(classes), len(classes)), dtype=np.int64)
    # The first by itself: then the texts are embedded. A whole network fills all cores alone.
    first, others = chosen[:1], chosen[1:]
    rest = in_threads(one, others) if isinstance(scorer, FrozenScorer) else map(one, others)
    for done, counted in enumerate(chain(map(one, first), rest), 1):
        total += counted
        if on_progress:
            on_progress(done, len(chosen))
    return total
