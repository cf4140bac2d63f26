"""Pixel-to-text losses over the texts that each picture is compared with."""

import torch
from torch import Tensor
from torch.nn import functional as F


def bce(logits: Tensor, target: Tensor, compared: Tensor) -> Tensor:
    """Binary cross-entropy averaged over labelled pixels and compared texts (the paper's loss).

    logits: [B, T, H, W]; target: int64 [B, H, W], the pixel's text or -1 (leaves the loss);
    compared: bool [B, T], which texts each picture is compared with.
    """
    positive = F.one_hot(target.clamp(min=0), logits.shape[1]).permute(0, 3, 1, 2).to(logits)
    element = F.binary_cross_entropy_with_logits(logits, positive, reduction="none")
    weight = (target >= 0)[:, None] & compared[:, :, None, None]
    return (element * weight).sum() / weight.sum().clamp(min=1)


def softmax(logits: Tensor, target: Tensor, compared: Tensor) -> Tensor:
    """Cross-entropy over the compared texts, averaged over labelled pixels. Shapes as ``bce``."""
    masked = logits.masked_fill(~compared[:, :, None, None], float("-inf"))
    total = F.cross_entropy(masked, target, ignore_index=-1, reduction="sum")
    return total / (target >= 0).sum().clamp(min=1)


def text_targets(labels: Tensor, keys: list[dict[int, int]], texts: int) -> tuple[Tensor, Tensor]:
    """Turn labels into positions in the batch's text table.

    labels: int64 [B, H, W]; keys: for every picture, label value -> text position (texts of
    decoys under negative keys). Returns target [B, H, W] with -1 for other labels, and
    compared bool [B, texts].
    """
    target = torch.full_like(labels, -1)
    compared = torch.zeros(labels.shape[0], texts, dtype=torch.bool)
    for row, places in enumerate(keys):
        for value, position in places.items():
            compared[row, position] = True
            if value >= 0:
                target[row][labels[row] == value] = position
    return target, compared


LOSSES = {"bce": bce, "softmax": softmax}
