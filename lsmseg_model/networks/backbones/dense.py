"""A picture tower's last block changed for dense features: the variants by name.

Written from the papers, once for all towers with a class token: a family gives its last block in
the parts of `LastBlock`. Shapes: x is [B, L, D], the class token first; the grid is h x w.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from lsmseg_model.errors import UsageError, nearest
from lsmseg_model.kernels.onednn import linear
from lsmseg_model.networks.backbones.proxy import NEEDS_PROXY as NEEDS_PROXY
from lsmseg_model.networks.backbones.proxy import SAM_PROXY as SAM_PROXY


class LastBlock(Protocol):
    """The parts of a transformer's block that the variants put together in other ways."""

    def norm(self, x: Tensor) -> Tensor:
        """What the attention sees of x."""

    def qkv(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x: [B, L, D], from `norm` -> queries, keys, values, each [B, heads, L, D / heads]."""

    def values(self, x: Tensor) -> Tensor:
        """The values of `qkv` alone."""

    def out(self, heads: Tensor) -> Tensor:
        """heads: [B, heads, L, D / heads] -> what is added to x, [B, L, D]."""

    def mlp(self, x: Tensor) -> Tensor:
        """The block's second half: x and its MLP."""


class OpenClipBlock:
    """A block of open_clip's own transformer."""

    def __init__(self, block: Any) -> None:
        self.block, self.attention = block, block.attn

    def norm(self, x: Tensor) -> Tensor:
        return self.block.ln_1(x)

    def qkv(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        attention = self.attention
        joint = linear(x, attention.in_proj_weight, attention.in_proj_bias)
        q, k, v = joint.unflatten(-1, (3, attention.num_heads, -1)).permute(2, 0, 3, 1, 4)
        return q, k, v

    def values(self, x: Tensor) -> Tensor:
        width, attention = x.shape[-1], self.attention
        weight, bias = attention.in_proj_weight[-width:], attention.in_proj_bias[-width:]
        return linear(x, weight, bias).unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)

    def out(self, heads: Tensor) -> Tensor:
        out = self.attention.out_proj
        return linear(heads.transpose(1, 2).flatten(2), out.weight, out.bias)

    def mlp(self, x: Tensor) -> Tensor:
        return x + self.block.mlp(self.block.ln_2(x))


def _catseg(block: LastBlock, x: Tensor, grid: tuple[int, int]) -> Tensor:
    """CAT-Seg's: values only, the class token added to every position, then the MLP."""
    return block.mlp(block.out(block.values(block.norm(x))) + x[:, :1])


def _maskclip(block: LastBlock, x: Tensor, grid: tuple[int, int]) -> Tensor:
    """MaskCLIP: identity attention, no residual, no MLP."""
    return block.out(block.values(block.norm(x)))


def _sclip(block: LastBlock, x: Tensor, grid: tuple[int, int]) -> Tensor:
    """SCLIP: softmax(q q^T) + softmax(k k^T), residual and MLP kept."""
    q, k, v = block.qkv(block.norm(x))
    scale = q.shape[-1] ** -0.5
    attention = (q @ q.mT * scale).softmax(-1) + (k @ k.mT * scale).softmax(-1)
    return block.mlp(x + block.out(attention @ v))


def _clearclip(block: LastBlock, x: Tensor, grid: tuple[int, int]) -> Tensor:
    """ClearCLIP: softmax(q q^T), no residual, no MLP."""
    q, _, v = block.qkv(block.norm(x))
    return block.out((q @ q.mT * q.shape[-1] ** -0.5).softmax(-1) @ v)


def _naclip(block: LastBlock, x: Tensor, grid: tuple[int, int]) -> Tensor:
    """NACLIP: softmax(k k^T / sqrt(d) + Gaussian of the distance, sigma 5), no residual, no MLP."""
    _, k, v = block.qkv(block.norm(x))
    rows = torch.arange(grid[0], device=x.device).repeat_interleave(grid[1])
    columns = torch.arange(grid[1], device=x.device).repeat(grid[0])
    distance = (rows[:, None] - rows) ** 2 + (columns[:, None] - columns) ** 2
    near = torch.exp(-distance / (2 * 5.0**2)).to(x.dtype)
    attention = (k @ k.mT * k.shape[-1] ** -0.5) + F.pad(near, (1, 0, 1, 0))
    return block.out(attention.softmax(-1) @ v)


def sam_proxy(block: LastBlock, x: Tensor, other: Tensor) -> Tensor:
    """ProxyCLIP: another encoder says which positions belong together, for all heads alike.

    x: [B, L, D] without the class token; other: [B, L, C]. With c their cosines, the scores are
    GAMMA (c - BETA mean(c)), those below zero left out: softmax, no residual, no MLP. A position
    always sees itself: where all features are much alike the threshold would leave it nothing.
    """
    v = block.values(block.norm(x))
    other = F.normalize(other.float(), dim=-1)
    cosines = other @ other.mT
    scores = GAMMA * (cosines - BETA * cosines.mean(dim=(1, 2), keepdim=True))
    itself = torch.eye(scores.shape[1], dtype=torch.bool, device=scores.device)
    scores = scores.masked_fill((scores < 0) & ~itself, -torch.inf)
    return block.out(scores.softmax(-1)[:, None].to(v.dtype) @ v)


GAMMA, BETA = 3.0, 1.2  # ProxyCLIP's, for all data and encoders
DENSE = {
    "catseg": _catseg,
    "maskclip": _maskclip,
    "sclip": _sclip,
    "clearclip": _clearclip,
    "naclip": _naclip,
}
DENSE_NAMES = (*DENSE, SAM_PROXY)  # of towers with a class token
VALUES = "values"  # of attention pooling: what it gives of a position that it sees alone
PLAIN = "plain"  # of mean pooling: each position through the layers that follow it
ALL_NAMES = (*DENSE_NAMES, VALUES, PLAIN)
ABLE = {
    **dict.fromkeys(DENSE_NAMES, "ViT-B-16, EVA02-B-16 and other models with a class token"),
    VALUES: "ViT-B-16-SigLIP2, PE-Core-B-16 and other models with attention pooling",
    PLAIN: "convnext_base, ViTamin-B and other models that take a mean of positions",
}


def check_dense(dense: str, variants: Sequence[str] = DENSE_NAMES, model: str = "") -> None:
    """Raise UsageError for an unknown variant, and for one that a model's tower cannot do."""
    if dense not in ALL_NAMES:
        raise UsageError(f"There is no dense variant {dense!r}; {nearest(dense, ALL_NAMES)}")
    if dense not in variants:
        raise UsageError(
            f"{model} has no dense variant {dense!r}: it can do {', '.join(variants)}; "
            f"{ABLE[dense]} can do {dense}."
        )
