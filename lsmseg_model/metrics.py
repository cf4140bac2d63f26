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


def confusion_matrix(
    prediction: np.ndarray, label: np.ndarray, classes: int, words: int | None = None
) -> np.ndarray:
    """int64 [C, W] pixels by label (row) and prediction (column).

    Args:
        prediction: int [H, W], positions of the words that may be predicted.
        label: int [H, W], positions of the classes; below 0 is ignored.
        classes: C.
        words: W: the classes and, behind them, words that are no class (None: the classes).
    """
    words = classes if words is None else words
    kept = label >= 0
    pairs = label[kept].astype(np.int64) * words + prediction[kept]
    return np.bincount(pairs, minlength=classes * words).reshape(classes, words)


def boundary_counts(
    prediction: np.ndarray, label: np.ndarray, classes: int, ratio: float = 0.02
) -> np.ndarray:
    """[C, 3] as `confusion_counts`, of the pixels at the boundaries of the classes' masks alone.

    The Boundary IoU of Cheng et al. (CVPR 2021): of each mask the pixels that are at most
    ``ratio`` of the picture's diagonal from its edge, where the border of the picture is an edge
    too. Ignored pixels are in no mask of either map.

    Args:
        prediction: int [H, W], class positions.
        label: The same, below 0 where ignored.
        classes: C.
        ratio: The width of the boundary.
    """
    kept = label >= 0
    prediction, label = np.where(kept, prediction, -1), np.where(kept, label, -1)
    width = max(1, round(ratio * float(np.hypot(*label.shape))))
    predicted, labelled = (at_edges(one, width) & kept for one in (prediction, label))
    both = predicted & labelled & (prediction == label)
    columns = [
        np.bincount(of[there], minlength=classes)
        for of, there in ((label, both), (prediction, predicted), (label, labelled))
    ]
    return np.stack(columns, axis=-1).astype(np.int64)


def at_edges(regions: np.ndarray, width: int) -> np.ndarray:
    """The pixels, bool [H, W], at most `width` rows and columns from another region.

    regions: int [H, W]; what lies beyond the picture is another region.
    """
    height, wide = regions.shape
    edges = np.ones(regions.shape, dtype=bool)
    if min(height, wide) > 2 * width:
        across = _in_windows(regions[:, 1:] != regions[:, :-1], 2 * width + 1, 2 * width)
        down = _in_windows(regions[1:] != regions[:-1], 2 * width, 2 * width + 1)
        edges[width : height - width, width : wide - width] = (across > 0) | (down > 0)
    return edges


def _in_windows(marks: np.ndarray, height: int, width: int) -> np.ndarray:
    """How many marks, bool [H, W], are in each window: int [H - height + 1, W - width + 1]."""
    total = np.zeros((marks.shape[0] + 1, marks.shape[1] + 1), dtype=np.int32)
    np.cumsum(np.cumsum(marks, axis=0, dtype=np.int32), axis=1, out=total[1:, 1:])
    low = total[height:] - total[:-height]
    return low[:, width:] - low[:, :-width]


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


def frequency_weighted_iou(counts: np.ndarray) -> float:
    """IoU of counts [C, 3], each class weighted by its part of the labelled pixels; nan of none."""
    met = counts[:, 2] > 0
    return float(np.average(iou(counts[met]), weights=counts[met, 2])) if met.any() else np.nan


def open_iou(confusion: np.ndarray, similarity: np.ndarray) -> np.ndarray:
    """[C] IoU of every class in which a near word is partly right; nan for a class never met.

    The Open mIoU of Zhou et al. (arXiv 2311.03352). A pixel of class g that is taken for p counts
    for ``similarity[g, p]`` as a hit of g and for the rest as an error of both. With the identity
    it is `iou`.

    Args:
        confusion: int64 [C, W] of `confusion_matrix`. Words behind the classes, of a model without
            a class list, can be near to a class; no class is missed for them.
        similarity: [C, W] in [0, 1], with 1 on the diagonal.
    """
    hits = (confusion * similarity).sum(axis=1)
    wrong = confusion * (1.0 - similarity)
    union = confusion.sum(axis=1) + wrong.sum(axis=0)[: len(confusion)]
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
