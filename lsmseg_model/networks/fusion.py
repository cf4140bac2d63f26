"""Fusion of CLIP's features with those of a second encoder, layer by layer (Eq. 6).

    weight_generator  the paper's: a weight for every position, from a local and a global branch
                      that see both features
    scalar            the thesis's: one learnt weight for each layer, 0.5 at the start
    mean, concat, attention    the alternatives of Table 6 and of the thesis
    none              CLIP's features as they are

The weight is CLIP's share: E = a F_clip + (1 - a) F_other. Of the weight generator the paper
gives a figure, not sizes: HIDDEN comes near the learnable parameters of its Table 7.
"""

import torch
from torch import Tensor, nn

from lsmseg_model.encoders.base import resized

HIDDEN = 16  # channels inside the weight generator's branches


class Adapter(nn.Module):
    """From the second encoder's channels to CLIP's, normalised: 1x1 convolution and LayerNorm.

    Resized first: the encoder is frozen, so its resized features can be kept (encoders/cache.py).
    """

    def __init__(self, other: int, dim: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(other, dim, 1)
        self.norm = nn.GroupNorm(1, dim)

    def forward(self, x: Tensor, size: tuple[int, int]) -> Tensor:
        """x: [B, other, h, w] -> [B, dim, *size]."""
        return self.norm(self.project(resized(x, size)))


class WeightGenerator(nn.Module):
    """Eq. 6 of the paper: a weight for every position, 0.5 at the start.

    The sigmoid of a bottleneck of 1x1 convolutions at the position, and one of the picture's mean.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.local = _branch(dim)
        self.whole = _branch(dim)

    def weight(self, clip: Tensor, other: Tensor) -> Tensor:
        """CLIP's share [B, 1, H, W], in 0..1."""
        both = torch.cat([clip, other], dim=1)
        return torch.sigmoid(self.local(both) + self.whole(both.mean(dim=(2, 3), keepdim=True)))

    def forward(self, clip: Tensor, other: Tensor) -> Tensor:
        weight = self.weight(clip, other)
        return weight * clip + (1 - weight) * other


def _branch(dim: int) -> nn.Sequential:
    last = nn.Conv2d(HIDDEN, 1, 1)
    nn.init.zeros_(last.weight)
    assert last.bias is not None
    nn.init.zeros_(last.bias)
    return nn.Sequential(nn.Conv2d(2 * dim, HIDDEN, 1), nn.ReLU(), last)


class Scalar(nn.Module):
    """Eq. 5.1 of the thesis: one learnt weight, 0.5 at the start."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor(0.5))

    def forward(self, clip: Tensor, other: Tensor) -> Tensor:
        return self.w * clip + (1 - self.w) * other


class Mean(nn.Module):
    """The average."""

    def __init__(self, dim: int) -> None:
        super().__init__()

    def forward(self, clip: Tensor, other: Tensor) -> Tensor:
        return (clip + other) / 2


class Concat(nn.Module):
    """Both, projected back to CLIP's channels; at the start this is their average."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.project = nn.Conv2d(2 * dim, dim, 1)
        half = 0.5 * torch.eye(dim)
        with torch.no_grad():
            self.project.weight.copy_(torch.cat([half, half], dim=1)[..., None, None])
            assert self.project.bias is not None
            self.project.bias.zero_()

    def forward(self, clip: Tensor, other: Tensor) -> Tensor:
        return self.project(torch.cat([clip, other], dim=1))


class CrossAttention(nn.Module):
    """CLIP's features attend to the other's and take up what they find."""

    def __init__(self, dim: int, heads: int = 4) -> None:
        super().__init__()
        self.norm_clip, self.norm_other = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.attention = nn.MultiheadAttention(dim, heads, batch_first=True)

    def forward(self, clip: Tensor, other: Tensor) -> Tensor:
        queries = self.norm_clip(clip.flatten(2).mT)
        keys = self.norm_other(other.flatten(2).mT)
        attended, _ = self.attention(queries, keys, keys, need_weights=False)
        return clip + attended.mT.unflatten(2, clip.shape[2:])


FUSIONS: dict[str, type[nn.Module]] = {
    "weight_generator": WeightGenerator,
    "scalar": Scalar,
    "mean": Mean,
    "concat": Concat,
    "attention": CrossAttention,
}


class Fusion(nn.Module):
    """An adapter and a fusion for each of some layers.

    clip: the channels of CLIP's features, other: of the second encoder's, layer by layer.
    """

    def __init__(self, kind: str, clip: list[int], other: list[int]) -> None:
        super().__init__()
        self.kind = kind
        pairs = list(zip(clip, other, strict=True))
        self.adapters = nn.ModuleList(Adapter(o, c) for c, o in pairs)
        self.fusions = nn.ModuleList(FUSIONS[kind](c) for c, _ in pairs)

    def forward(self, clip: list[Tensor], other: list[Tensor]) -> list[Tensor]:
        """[B, C, H, W] of CLIP and [B, O, h, w] of the other, layer by layer -> as CLIP's."""
        return [
            fuse(c, adapt(o, (c.shape[2], c.shape[3])))
            for fuse, adapt, c, o in zip(self.fusions, self.adapters, clip, other, strict=True)
        ]
