"""Cost maps as networks make them, and the plain way to their argmax."""

import torch
from torch import Tensor
from torch.nn import functional as F

from lsmseg_model.networks.cost_map import upsample

DROPPED = -100.0
"""The logit of a class that was filtered out."""


def scatter(logits: Tensor, kept: Tensor, classes: int) -> Tensor:
    """logits: [B, k, H, W] of the kept classes -> [B, N, H, W], DROPPED elsewhere."""
    shape = (logits.shape[0], classes, *logits.shape[2:])
    index = kept[:, :, None, None].expand_as(logits)
    return logits.new_full(shape, DROPPED).scatter(1, index, logits)


def plain(cost: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    best, where = upsample(cost[None], size)[0].max(dim=0)
    return where, best


def lifelike(classes: int, height: int, width: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Features that vary smoothly over the picture, as a network's do, and texts."""
    made = torch.Generator().manual_seed(seed)
    coarse = torch.randn(1, 16, max(1, height // 4), max(1, width // 4), generator=made)
    features = F.interpolate(coarse.double(), (height, width), mode="bilinear")[0]
    features = features + 0.2 * torch.randn(features.shape, generator=made).double()
    texts = torch.randn(classes, 16, generator=made).double()
    return F.normalize(features.permute(1, 2, 0), dim=-1), F.normalize(texts, dim=-1)
