"""CLIP's last block changed for dense features: the variants by name.

Written from the papers. Shapes: x is [B, L, D], the class token first; the grid is h x w.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lsmseg_model.errors import UsageError, nearest
from lsmseg_model.kernels.onednn import linear


def _qkv(block: nn.Module, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """x: [B, L, D] -> queries, keys, values, each [B, heads, L, D / heads]."""
    attention: Any = block.attn
    joint = linear(x, attention.in_proj_weight, attention.in_proj_bias)
    q, k, v = joint.unflatten(-1, (3, attention.num_heads, -1)).permute(2, 0, 3, 1, 4)
    return q, k, v


def _out(block: Any, heads: Tensor) -> Tensor:
    """heads: [B, heads, L, D / heads] -> [B, L, D] through the block's output projection."""
    return _project(block, heads.transpose(1, 2).flatten(2))


def _project(block: Any, x: Tensor) -> Tensor:
    return linear(x, block.attn.out_proj.weight, block.attn.out_proj.bias)


def _values(block: Any, x: Tensor) -> Tensor:
    """x: [B, L, D] -> what attention puts out where each position sees itself alone."""
    width = x.shape[-1]
    attention = block.attn
    values = linear(x, attention.in_proj_weight[-width:], attention.in_proj_bias[-width:])
    return _project(block, values)


def _mlp(block: Any, x: Tensor) -> Tensor:
    return x + block.mlp(block.ln_2(x))


def _catseg(block: Any, x: Tensor, grid: tuple[int, int]) -> Tensor:
    """CAT-Seg's last block: values only, the class token added to every position, then the MLP."""
    return _mlp(block, _values(block, block.ln_1(x)) + x[:, :1])


def _maskclip(block: Any, x: Tensor, grid: tuple[int, int]) -> Tensor:
    """MaskCLIP: identity attention, no residual, no MLP."""
    return _values(block, block.ln_1(x))


def _sclip(block: Any, x: Tensor, grid: tuple[int, int]) -> Tensor:
    """SCLIP: softmax(q q^T) + softmax(k k^T), residual and MLP kept."""
    q, k, v = _qkv(block, block.ln_1(x))
    scale = q.shape[-1] ** -0.5
    attention = (q @ q.mT * scale).softmax(-1) + (k @ k.mT * scale).softmax(-1)
    return _mlp(block, x + _out(block, attention @ v))


def _clearclip(block: Any, x: Tensor, grid: tuple[int, int]) -> Tensor:
    """ClearCLIP: softmax(q q^T), no residual, no MLP."""
    q, _, v = _qkv(block, block.ln_1(x))
    return _out(block, (q @ q.mT * q.shape[-1] ** -0.5).softmax(-1) @ v)


def _naclip(block: Any, x: Tensor, grid: tuple[int, int]) -> Tensor:
    """NACLIP: softmax(k k^T / sqrt(d) + Gaussian of the distance, sigma 5), no residual, no MLP."""
    _, k, v = _qkv(block, block.ln_1(x))
    rows = torch.arange(grid[0], device=x.device).repeat_interleave(grid[1])
    columns = torch.arange(grid[1], device=x.device).repeat(grid[0])
    distance = (rows[:, None] - rows) ** 2 + (columns[:, None] - columns) ** 2
    near = torch.exp(-distance / (2 * 5.0**2)).to(x.dtype)
    attention = (k @ k.mT * k.shape[-1] ** -0.5) + F.pad(near, (1, 0, 1, 0))
    return _out(block, attention.softmax(-1) @ v)


def sam_proxy(block: Any, x: Tensor, other: Tensor) -> Tensor:
    """ProxyCLIP: another encoder says which positions belong together, for all heads alike.

    x: [B, L, D] without the class token; other: [B, L, C]. With c their cosines, the scores are
    GAMMA (c - BETA mean(c)), those below zero left out: softmax, no residual, no MLP. A position
    always sees itself: where all features are much alike the threshold would leave it nothing.
    """
    _, _, v = _qkv(block, block.ln_1(x))
    other = F.normalize(other.float(), dim=-1)
    cosines = other @ other.mT
    scores = GAMMA * (cosines - BETA * cosines.mean(dim=(1, 2), keepdim=True))
    itself = torch.eye(scores.shape[1], dtype=torch.bool, device=scores.device)
    scores = scores.masked_fill((scores < 0) & ~itself, -torch.inf)
    return _out(block, scores.softmax(-1)[:, None].to(v.dtype) @ v)


GAMMA, BETA = 3.0, 1.2  # ProxyCLIP's, for all data and encoders
SAM_PROXY = "sam-proxy"  # needs another encoder's features, so stands apart
DENSE = {
    "catseg": _catseg,
    "maskclip": _maskclip,
    "sclip": _sclip,
    "clearclip": _clearclip,
    "naclip": _naclip,
}
DENSE_NAMES = (*DENSE, SAM_PROXY)
ALL_NAMES = DENSE_NAMES  # and what only other families have
NEEDS_PROXY = (
    "The dense variant sam-proxy and a second encoder go together: --dense sam-proxy --sam FILE "
    "(weights of SAM or DINOv2)."
)


def check_dense(dense: str, variants: Sequence[str] = DENSE_NAMES, model: str = "") -> None:
    """Raise UsageError for an unknown variant, and for one that a model's tower cannot do."""
    if dense not in ALL_NAMES:
        raise UsageError(f"There is no dense variant {dense!r}; {nearest(dense, ALL_NAMES)}")
    if dense not in variants:
        able = "ViT-B-16 and other CLIPs of that make" if dense in DENSE_NAMES else "other models"
        raise UsageError(
            f"{model} has no dense variant {dense!r}: it can do {', '.join(variants)}; {able} "
            f"can do {dense}."
        )
