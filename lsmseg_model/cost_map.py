"""The pixel-to-text cost map (LSMSeg Eq. 1), and the best class of every pixel by it."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

CLASSES_AT_ONCE = 256
AT_ONCE = 1 << 20  # enlarged values that are compared together: 4 MB, which caches hold


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

    features: [h, w, D]; text: [S * N, D], the sets' classes one after the other.
    Returns int64 [S, H, W] class positions, of equals the first, and float32 [S, H, W] their
    cosines. Never more than some classes and rows are enlarged at once.
    """
    found = [best_class(features, part, size) for part in text.chunk(sets)]
    return tuple(np.stack([one[i].cpu().numpy() for one in found]) for i in (0, 1))  # type: ignore[return-value]


def best_class(features: Tensor, text: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The argmax and maximum over classes of ``upsample(cost_map(...))``, in bounded memory.

    features: [h, w, D]; text: [N, D] -> int64 [H, W] and float32 [H, W]. Bilinear enlargement is
    separable: first down the rows, for a band of them, then along them.
    """
    upper, lower, share = _rows(features.shape[0], size[0], features.device)
    best = features.new_full(size, -torch.inf)
    where = torch.zeros(size, dtype=torch.int64, device=features.device)
    some = min(CLASSES_AT_ONCE, text.shape[0])
    rows = max(1, AT_ONCE // (some * size[1]))
    for start in range(0, text.shape[0], some):
        cost = cost_map(features[None], text[start : start + some])[0].contiguous()
        for top in range(0, size[0], rows):
            band = slice(top, top + rows)
            narrow = torch.lerp(cost[:, upper[band]], cost[:, lower[band]], share[band, None])
            value, position = upsample(narrow[None], (narrow.shape[1], size[1]))[0].max(dim=0)
            better = value > best[band]
            where[band] = torch.where(better, position + start, where[band])
            best[band] = torch.where(better, value, best[band])
    return where, best


def _rows(few: int, many: int, device: torch.device) -> tuple[Tensor, Tensor, Tensor]:
    """Of ``many`` rows of an enlarged map of ``few``: those above and below, the lower's share."""
    at = (torch.arange(many, dtype=torch.float64) + 0.5) * (few / many) - 0.5
    at = at.clamp(0, few - 1)
    upper = at.floor().long()
    lower = (upper + 1).clamp(max=few - 1)
    return upper.to(device), lower.to(device), (at - upper).float().to(device)
