"""Confusion counts and mean intersection over union, in both published definitions.

Counts are int64 [P, C, 3]: per picture and class the pixels of the intersection, of the prediction
and of the label, so that mIoU over any subset of pictures and classes follows. Ignored pixels
count nowhere.
"""

from collections.abc import Sequence

import numpy as np

DEFINITIONS = ("labelled", "union")


def confusion_counts(prediction: np.ndarray, label: np.ndarray, classes: int) -> np.ndarray:
    """prediction, label: int [H, W], class positions 0..classes-1, label < 0 ignored -> [C, 3]."""
    kept = label >= 0
    prediction, label = prediction[kept], label[kept]
    hit = prediction[prediction == label]
    columns = [np.bincount(x, minlength=classes) for x in (hit, prediction, label)]
    return np.stack(columns, axis=-1).astype(np.int64)


def iou(counts: np.ndarray) -> np.ndarray:
    """counts: [..., C, 3] -> [..., C] intersection over union, nan for a class never met."""
    intersection, predicted, labelled = np.moveaxis(counts.astype(np.float64), -1, 0)
    union = predicted + labelled - intersection
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(union > 0, intersection / union, np.nan)


def accuracy(counts: np.ndarray) -> np.ndarray:
    """counts: [..., C, 3] -> [..., C] the labelled pixels' part that is right, or nan."""
    intersection, _, labelled = np.moveaxis(counts.astype(np.float64), -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(labelled > 0, intersection / labelled, np.nan)


def miou(
    counts: np.ndarray,
    classes: Sequence[int] | None = None,
    definition: str = "labelled",
) -> float:
    """Mean IoU of counts [P, C, 3] or [C, 3] over ``classes`` (positions; all by default).

    ``labelled`` (headline; detectron2 since July 2022): the mean over classes that occur in the
    labels. ``union``: over classes that occur in labels or predictions. nan without any.
    """
    if definition not in DEFINITIONS:
        raise ValueError(f"definition must be one of {DEFINITIONS}, not {definition!r}")
    total = counts.sum(axis=0) if counts.ndim == 3 else counts
    if classes is not None:
        total = total[list(classes)]
    met = total[:, 2] > 0
    if definition == "union":
        met |= total[:, 1] > 0
    return float(iou(total[met]).mean()) if met.any() else float("nan")
