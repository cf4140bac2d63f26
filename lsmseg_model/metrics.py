"""Confusion counts and mean intersection over union, in both published definitions.

Counts are int64 [P, C, 3]: per picture and class the pixels of the intersection, of the prediction
and of the label, so that mIoU over any subset of pictures and classes follows. Ignored pixels
count nowhere. Open IoU, which knows that a couch is nearly a sofa, needs confusions [C, C] instead.
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


def confusion_matrix(prediction: np.ndarray, label: np.ndarray, classes: int) -> np.ndarray:
    """int64 [C, C] pixels by label (row) and prediction (column); label < 0 is ignored."""
    kept = label >= 0
    pairs = label[kept].astype(np.int64) * classes + prediction[kept]
    return np.bincount(pairs, minlength=classes**2).reshape(classes, classes)


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


def open_iou(confusion: np.ndarray, similarity: np.ndarray) -> np.ndarray:
    """[C] IoU of every class in which a near word is partly right; nan for a class never met.

    The Open mIoU of Zhou et al. (arXiv 2311.03352). A pixel of class g that is taken for p counts
    for ``similarity[g, p]`` as a hit of g and for the rest as an error of both. With the identity
    it is `iou`.

    Args:
        confusion: int64 [C, C] of `confusion_matrix`.
        similarity: [C, C] in [0, 1], with 1 on the diagonal.
    """
    hits = (confusion * similarity).sum(axis=1)
    wrong = confusion * (1.0 - similarity)
    union = confusion.sum(axis=1) + wrong.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(union > 0, hits / union, np.nan)


def open_miou(
    confusion: np.ndarray, similarity: np.ndarray, classes: Sequence[int] | None = None
) -> float:
    """The mean of `open_iou` over classes in labels or (wrong) predictions; nan without any.

    classes: positions of those that count (None: all).
    """
    per_class = open_iou(confusion, similarity)
    if classes is not None:
        per_class = per_class[list(classes)]
    return float(np.nanmean(per_class)) if not np.isnan(per_class).all() else float("nan")
