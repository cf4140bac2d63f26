"""Pixel-to-text losses over the texts that each picture is compared with."""

import torch
from torch import Tensor
from torch.nn import functional as F


def bce(logits: Tensor, target: Tensor, compared: Tensor, weight: Tensor) -> Tensor:
    """Binary cross-entropy averaged over pixels and compared texts (the paper's loss).

    With y = 1 for the target only, the sum over texts of softplus(x) - y x.

    Args:
        logits: [B, K, H, W].
        target: int64 [B, H, W], which of the K texts the pixel is, or -1.
        compared: bool [B, K], False for padding.
        weight: [B, H, W] of the pixels, 0 where target is -1.
    """
    negative = (F.softplus(logits) * compared[:, :, None, None]).sum(dim=1)
    positive = logits.gather(1, target.clamp(min=0)[:, None])[:, 0]
    pairs = (weight.sum(dim=(1, 2)) * compared.sum(dim=1)).sum()
    return ((negative - positive) * weight).sum() / pairs.clamp(min=1e-6)


def softmax(logits: Tensor, target: Tensor, compared: Tensor, weight: Tensor) -> Tensor:
    """Cross-entropy over the compared texts, averaged over pixels.

    Args:
        logits: See `bce`.
        target: See `bce`.
        compared: See `bce`.
        weight: See `bce`.
    """
    masked = logits.masked_fill(~compared[:, :, None, None], float("-inf"))
    pixel = F.cross_entropy(masked, target, ignore_index=-1, reduction="none")
    return (pixel * weight).sum() / weight.sum().clamp(min=1e-6)


def agreement(one: Tensor, other: Tensor, scale: float = 20.0) -> Tensor:
    """Contrastive loss of paraphrases (InfoNCE, CLIP's): each is nearest to its own.

    Args:
        one: [N, D] of length 1.
        other: [N, D], the n-th says the same as the n-th of `one`.
        scale: Of the cosines.
    """
    logits = scale * one.float() @ other.float().T
    own = torch.arange(len(one), device=one.device)
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


def pixel_weights(target: Tensor, balance: float) -> Tensor:
    """[B, H, W] weights: area ** -balance of what the pixel belongs to, 0 for unlabelled pixels.

    ``balance`` 0 counts every pixel alike, 1 everything in a picture alike whatever its size.
    """
    weight = torch.zeros(target.shape)
    for picture, things in enumerate(target):
        values, where, area = things.unique(return_inverse=True, return_counts=True)
        each = area.float().pow(-balance).masked_fill(values < 0, 0.0)
        weight[picture] = each[where]
    return weight


def text_targets(labels: Tensor, keys: list[dict[int, int]]) -> tuple[Tensor, Tensor, Tensor]:
    """Which texts each picture is compared with, and which of them each pixel is.

    labels: int64 [B, H, W]; keys: for every picture, label value -> row of the batch's text table
    (captions of other pictures under values that no label has). Returns rows int64 [B, K] padded
    with 0, compared bool [B, K] and target int64 [B, H, W], positions in K, -1 for labels without a
    text.
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
