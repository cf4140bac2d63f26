"""The control of CAA: as many parameters, but every position goes alone."""

from __future__ import annotations

from torch import Tensor, nn

from lsmseg_model.networks.closed_set.caa import CAA, Losses, reduction
from lsmseg_model.networks.closed_set.config import ClosedSetOptions


class Plain(nn.Module):
    """Reduction, two 1x1 convolutions and a classifier, as wide as CAA has parameters.

    CAA with the same options; the counts differ by under 1 % from 64 channels on.
    """

    def __init__(self, channels: int, classes: int, options: ClosedSetOptions) -> None:
        super().__init__()
        inner = options.reduce or max(1, channels // 2)
        wanted = _count(CAA(channels, classes, options))
        outer = nn.Sequential(reduction(channels, inner), nn.Conv2d(inner, classes, 1))
        # A width costs its two convolutions' rows and columns and two numbers of BatchNorm.
        width = max(1, round((wanted - _count(outer) - inner) / (2 * inner + 2)))
        self.layers = nn.Sequential(
            outer[0], reduction(inner, width), nn.Conv2d(width, inner, 1), outer[1]
        )

    def forward(
        self, features: Tensor, coarse: Tensor, labels: Tensor | None = None
    ) -> tuple[Tensor, Losses]:
        """Logits [B, N, h, w] of features [B, D, h, w]; the rest is not used. No losses."""
        return self.layers(features), {}


def _count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())
