"""Pixel-to-text losses over the texts that each picture is compared with."""

import torch
from torch import Tensor
from torch.nn import functional as F


def bce(logits: Tensor, target: Tensor, compared: Tensor) -> Tensor:
    """Binary cross-entropy averaged over labelled pixels and compared texts (the paper's loss).

    logits: [B, K, H, W]; target: int64 [B, H, W], which of the K texts the pixel is, or -1
    (leaves the loss); compared: bool [B, K], False for padding. With y = 1 for the target only,
    the sum over texts of softplus(x) - y x.
    """
    labelled = target >= 0
    negative = (F.softplus(logits) * compared[:, :, None, None]).sum(dim=1)
    positive = logits.gather(1, target.clamp(min=0)[:, None])[:, 0]
    pairs = (labelled.sum(dim=(1, 2)) * compared.sum(dim=1)).sum()
    return ((negative - positive) * labelled).sum() / pairs.clamp(min=1)


def softmax(logits: Tensor, target: Tensor, compared: Tensor) -> Tensor:
    """Cross-entropy over the compared texts, averaged over labelled pixels. Shapes as ``bce``."""
    masked = logits.masked_fill(~compared[:, :, None, None], float("-inf"))
    total = F.cross_entropy(masked, target, ignore_index=-1, reduction="sum")
    return total / (target >= 0).sum().clamp(min=1)


def text_targets(labels: Tensor, keys: list[dict[int, int]]) -> tuple[Tensor, Tensor, Tensor]:
    """Which texts each picture is compared with, and which of them each pixel is.

    labels: int64 [B, H, W]; keys: for every picture, label value -> row of the batch's text table
    (decoys under values that no label has). Returns rows int64 [B, K] padded with 0, compared
    bool [B, K] and target int64 [B, H, W], positions in K, -1 for labels without a text.
    """
    most = max(len(places) for places in keys)
    rows = torch.zeros(len(keys), most, dtype=torch.int64)
    compared = torch.zeros(len(keys), most, dtype=torch.bool)
    target = torch.full_like(labels, -1)
    for picture, places in enumerate(keys):
        rows[picture, : len(places)] = torch.tensor(list(places.values()))
        compared[picture, : len(places)] = True
        for position, value in enumerate(places):
            if value >= 0:
                target[picture][labels[picture] == value] = position
    return rows, compared, target


LOSSES = {"bce": bce, "softmax": softmax}
