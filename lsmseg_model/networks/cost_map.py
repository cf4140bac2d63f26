"""The pixel-to-text cost map (LSMSeg Eq. 1)."""

from torch import Tensor
from torch.nn import functional as F


def cost_map(features: Tensor, text: Tensor) -> Tensor:
    """Cosine similarities, Eq. 1.

    features: [B, h, w, D] and text: [N, D], both of length 1 along D -> [B, N, h, w].
    """
    return (features @ text.T).permute(0, 3, 1, 2)


def upsample(cost: Tensor, size: tuple[int, int]) -> Tensor:
    """cost: [B, N, h, w] -> [B, N, H, W], bilinear, align_corners=False."""
    return F.interpolate(cost, size=size, mode="bilinear", align_corners=False)
