"""The pixel-to-text cost map (LSMSeg Eq. 1), and the segmentation by it alone."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from lsmseg_model.kernels.argmax import best_class


def cost_map(features: Tensor, text: Tensor) -> Tensor:
    """Cosine similarities, Eq. 1.

    features: [B, h, w, D] and text: [N, D], both of length 1 along D -> [B, N, h, w].
    """
    return (features @ text.T).permute(0, 3, 1, 2)


def upsample(cost: Tensor, size: tuple[int, int]) -> Tensor:
    """cost: [B, N, h, w] -> [B, N, H, W], bilinear, align_corners=False."""
    return F.interpolate(cost, size=size, mode="bilinear", align_corners=False)


@torch.inference_mode()
def segment(
    features: Tensor, text: Tensor, size: tuple[int, int], sets: int = 1
) -> tuple[np.ndarray, np.ndarray]:
    """The class with the highest cosine at every pixel, for several text sets at once.

    Args:
        features: [h, w, D].
        text: [S * N, D], the sets' classes one after the other.
        size: H and W of the picture.
        sets: How many text sets.

    Returns int64 [S, H, W] class positions, of equals the first, and float32 [S, H, W] their
    cosines. See `best_class`.
    """
    best = [best_class(features, part, size) for part in text.chunk(sets)]
    return tuple(np.stack([one[i].cpu().numpy() for one in best]) for i in (0, 1))  # type: ignore[return-value]
