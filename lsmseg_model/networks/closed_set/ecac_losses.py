"""The losses of ECAC (`ecac.py`). Shapes: logits [B, N, h, w]; labels int64 [B, h, w], -1 for none.

Each is a mean over labelled positions or over classes, and 0 where nothing is labelled.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

TINY = 1e-12


def class_weights(frequencies: Sequence[float], rho: float) -> Tensor:
    """[N] weights (1 / f) ** rho with a mean of 1 (Eq. 4.13).

    Decided: the thesis makes their sum 1, which would make the loss N times smaller. A class that
    the training pixels do not have, f = 0, counts as the rarest that they have.
    """
    least = min((share for share in frequencies if share > 0), default=0.0)
    if not least:
        return torch.ones(len(frequencies))
    rarity = [max(share, least) ** -rho for share in frequencies]  # no tensors: on meta, too
    weights = torch.tensor(rarity, dtype=torch.float64)
    return (weights / weights.mean()).float()


def one_hot(labels: Tensor, classes: int) -> Tensor:
    """[B, h w, N] of 0 and 1; nothing where unlabelled."""
    flat = labels.flatten(1)
    hot = F.one_hot(flat.clamp(min=0), classes).float()
    return hot * (flat >= 0)[..., None]


def weighted_cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor) -> Tensor:
    """Cross-entropy with a weight for each class, over the labelled positions (Eq. 4.13, 4.14).

    Decided: divided by the number of positions, not by their weights.
    """
    total = F.cross_entropy(logits, labels, weights, ignore_index=-1, reduction="sum")
    return total / (labels >= 0).sum().clamp(min=1)


def distillation(student: Tensor, teacher: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Cross-entropy of the student under the teacher, which it is to mimic (Eq. 4.12).

    Of each class, positions count by the entropy of the teacher there; then the mean over the
    classes that are present (the thesis: all). Decided as in CAC's code: scores go through a
    softmax (the thesis prints them raw), and the label has a share in the target.

    Args:
        student: Logits.
        teacher: Logits, detached.
        labels: As above.
        smoothing: The share of the label.
    """
    hot = one_hot(labels, student.shape[1])  # [B, P, N]
    share = teacher.flatten(2).softmax(dim=1).mT
    target = (1 - smoothing) * share + smoothing * hot
    each = -(target * student.flatten(2).log_softmax(dim=1).mT).sum(dim=-1)
    entropy = -(share * (share + TINY).log()).sum(dim=-1)
    weight = (hot * entropy[..., None]).flatten(0, 1)  # [B P, N]
    of_class = (weight * each.flatten()[:, None]).sum(dim=0) / (weight.sum(dim=0) + TINY)
    present = hot.flatten(0, 1).any(dim=0)
    return (of_class * present).sum() / present.sum().clamp(min=1)


def variation(student: Tensor, teacher: Tensor, labels: Tensor) -> Tensor:
    """Mean squared difference of how near scores are to their class's mean (Eq. 4.15 to 4.19).

    Decided: labels tell the class, and means are of each picture. `teacher` should be detached.
    """
    hot = one_hot(labels, student.shape[1])
    difference = _closeness(student, hot) - _closeness(teacher, hot)
    labelled = (labels >= 0).flatten(1)
    return (difference.square() * labelled).sum() / labelled.sum().clamp(min=1)


def _closeness(logits: Tensor, hot: Tensor) -> Tensor:
    """[B, P] cosine of each position's scores with the mean scores of its class in the picture."""
    flat = logits.flatten(2).mT  # [B, P, N]
    means = hot.mT @ flat / hot.sum(dim=1).clamp(min=1)[..., None]  # [B, N, N]
    return F.cosine_similarity(flat, hot @ means, dim=-1)
