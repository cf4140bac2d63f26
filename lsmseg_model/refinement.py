"""Refinement of the cost map: over positions (Swin blocks), then over classes (linear attention).

Eq. 7 and 8 of the paper, with CAT-Seg's parts under CAT-Seg's parameter names, so that its
published weights load. Checked against CAT-Seg's own outputs at small size
(tests/test_golden.py). What the code below does differently changes no number:

- the guidance of the pictures is the same for every class, and that of the texts the same at
  every position: their part of queries and keys is computed once, not once for each class;
- the padding classes of CAT-Seg are all alike: they are one key and value, counted so many times.

Shapes: B pictures, N classes, D channels, H x W positions; cost maps are [B, N, H, W, D].
"""

from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class WindowAttention(nn.Module):
    """Attention inside windows; queries and keys see the guidance, values do not.

    No relative position bias.
    """

    def __init__(self, dim: int, guidance_dim: int, heads: int) -> None:
        super().__init__()
        self.dim, self.heads = dim, heads
        self.q = nn.Linear(dim + guidance_dim, dim)
        self.k = nn.Linear(dim + guidance_dim, dim)
        self.v = nn.Linear(dim, dim)
        self.proj = nn.Linear(dim, dim)

    def forward(self, x: Tensor, guidance: Tensor, mask: Tensor | None) -> Tensor:
        """x: [B, N, W, M, D] in W windows of M positions; guidance: [B, W, M, G].

        mask: [W, M, M] added to the scores, or None. Returns [B, N, W, M, D].
        """
        q, k = (_guided(linear, x, guidance[:, None]) for linear in (self.q, self.k))
        v = self.v(x)
        windows = []
        for i in range(x.shape[2]):
            a, b, c = (_heads(t[:, :, i].flatten(0, 1), self.heads) for t in (q, k, v))
            bias = None if mask is None else mask[i].to(x.dtype)
            out = F.scaled_dot_product_attention(a, b, c, attn_mask=bias)
            windows.append(out.transpose(1, 2).flatten(2))
        return self.proj(torch.stack(windows, dim=1).unflatten(0, x.shape[:2]))


def _guided(linear: nn.Linear, x: Tensor, guidance: Tensor) -> Tensor:
    """linear([x; guidance]) where the guidance is broadcast over a dimension of x."""
    dim = x.shape[-1]
    own = F.linear(x, linear.weight[:, :dim])
    return own + F.linear(guidance, linear.weight[:, dim:], linear.bias)


def _heads(x: Tensor, heads: int) -> Tensor:
    """[R, M, D] -> [R, heads, M, D / heads]"""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


class Mlp(nn.Module):
    """Two linear layers with GELU between them."""

    def __init__(self, dim: int, ratio: int = 4) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, ratio * dim)
        self.fc2 = nn.Linear(ratio * dim, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class SwinBlock(nn.Module):
    """A Swin Transformer block; `shift` moves its windows by so many positions."""

    def __init__(
        self, dim: int, guidance_dim: int, heads: int, window: int, shift: int, resolution: int
    ) -> None:
        super().__init__()
        self.window, self.shift = window, shift
        self.norm1 = nn.LayerNorm(dim)
        self.attn = WindowAttention(dim, guidance_dim, heads)
        self.norm2 = nn.LayerNorm(dim)
        self.mlp = Mlp(dim)
        # CAT-Seg saves the mask of its training resolution; others are made as they come up.
        mask = shift_mask(resolution, resolution, window, shift) if shift else None
        self.register_buffer("attn_mask", mask)

    def forward(self, x: Tensor, guidance: Tensor) -> Tensor:
        """x: [B, N, H, W, D], guidance: [B, H, W, G] -> [B, N, H, W, D]"""
        height, width = x.shape[2:4]
        parts = self._windows(self.norm1(x))
        seen = self._windows(guidance[:, None])[:, 0]
        mask = None
        if self.shift or height % self.window or width % self.window:
            mask = shift_mask(height, width, self.window, self.shift).to(x.device)
        x = x + self._whole(self.attn(parts, seen, mask), height, width)
        return x + self.mlp(self.norm2(x))

    def _windows(self, x: Tensor) -> Tensor:
        """[B, N, H, W, D] -> [B, N, windows, window * window, D], padded with zeros."""
        m = self.window
        down, right = -x.shape[2] % m, -x.shape[3] % m
        x = F.pad(x, (0, 0, 0, right, 0, down)) if down or right else x
        x = x.roll((-self.shift, -self.shift), dims=(2, 3)) if self.shift else x
        x = x.unflatten(3, (-1, m)).unflatten(2, (-1, m))  # [B, N, rows, m, columns, m, D]
        return x.transpose(3, 4).flatten(4, 5).flatten(2, 3)

    def _whole(self, parts: Tensor, height: int, width: int) -> Tensor:
        """What `_windows` took apart, without the padding."""
        m = self.window
        rows, columns = -(-height // m), -(-width // m)
        x = parts.unflatten(3, (m, m)).unflatten(2, (rows, columns)).transpose(3, 4)
        x = x.flatten(4, 5).flatten(2, 3)
        x = x.roll((self.shift, self.shift), dims=(2, 3)) if self.shift else x
        return x[:, :, :height, :width]


@lru_cache(maxsize=32)
def shift_mask(height: int, width: int, window: int, shift: int) -> Tensor:
    """[windows, M, M]: -100 between positions that only the shift, or padding, brought together."""
    full = (-(-height // window) * window, -(-width // window) * window)

    def part(size: int, real: int) -> Tensor:
        place = torch.arange(size)
        if not shift:
            return (place >= real).long()
        rolled = (place + shift) % size
        zone = (place >= size - window).long() + (place >= size - shift).long()
        return zone + 3 * (rolled >= real).long()

    regions = 10 * part(full[0], height)[:, None] + part(full[1], width)[None]
    tiles = regions.unflatten(0, (-1, window)).unflatten(2, (-1, window)).transpose(1, 2)
    flat = tiles.flatten(2).flatten(0, 1)
    return (flat[:, :, None] != flat[:, None]).float() * -100.0


class SpatialRefinement(nn.Module):
    """S of Eq. 7: two Swin blocks, the second with shifted windows, guided by visual features."""

    def __init__(
        self, dim: int, guidance_dim: int, heads: int, window: int, resolution: int
    ) -> None:
        super().__init__()
        window = min(window, resolution)
        shift = window // 2 if resolution > window else 0
        self.block_1 = SwinBlock(dim, guidance_dim, heads, window, 0, resolution)
        self.block_2 = SwinBlock(dim, guidance_dim, heads, window, shift, resolution)
        self.guidance_norm = nn.LayerNorm(guidance_dim)

    def forward(self, x: Tensor, guidance: Tensor) -> Tensor:
        """x: [B, N, H, W, D], guidance: [B, H, W, G] -> [B, N, H, W, D]"""
        guidance = self.guidance_norm(guidance)
        return self.block_2(self.block_1(x, guidance), guidance)


class LinearAttention(nn.Module):
    """Attention linear in the number of classes: softmax is replaced by elu + 1 of q and k."""

    def __init__(self, dim: int, guidance_dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(dim + guidance_dim, dim)
        self.k = nn.Linear(dim + guidance_dim, dim)
        self.v = nn.Linear(dim, dim)

    def forward(
        self, x: Tensor, guidance: Tensor, padding: tuple[Tensor, Tensor, int] | None
    ) -> Tensor:
        """x: [B, P, N, D] at P positions, guidance: [B, N, G] -> [B, P, N, D].

        padding: (x, guidance, count) of classes that are only attended to, all alike.
        """

        def split(t: Tensor) -> Tensor:
            return t.unflatten(-1, (self.heads, -1))

        q = split(F.elu(_guided(self.q, x, guidance[:, None])) + 1)
        k = split(F.elu(_guided(self.k, x, guidance[:, None])) + 1)
        v = split(self.v(x))
        both = torch.einsum("bpnhd,bpnhv->bphdv", k, v)
        keys = k.sum(dim=2)
        if padding is not None and padding[2]:
            token, guide, count = padding
            one = split(F.elu(_guided(self.k, token, guide)) + 1)[0, 0]  # [heads, d]
            both = both + count * torch.einsum("hd,hv->hdv", one, split(self.v(token))[0, 0])
            keys = keys + count * one
        scale = 1 / (torch.einsum("bpnhd,bphd->bpnh", q, keys) + 1e-6)
        out = torch.einsum("bpnhd,bphdv->bpnhv", q, both) * scale[..., None]
        return out.flatten(3)


class ClassRefinement(nn.Module):
    """C of Eq. 8: the classes of a position attend to each other, guided by their texts.

    Fewer than `pad_len` classes are filled up with learnt padding classes (0: never). `pooling`
    averages so many positions a side before, and enlarges the result after.
    """

    def __init__(
        self, dim: int, guidance_dim: int, heads: int, pad_len: int = 0, pooling: int = 1
    ) -> None:
        super().__init__()
        self.pad_len, self.pooling = pad_len, pooling
        self.norm1 = nn.LayerNorm(dim)
        self.norm2 = nn.LayerNorm(dim)
        self.attention = LinearAttention(dim, guidance_dim, heads)
        self.MLP = nn.Sequential(nn.Linear(dim, 4 * dim), nn.ReLU(), nn.Linear(4 * dim, dim))
        if pad_len:
            self.padding_tokens = nn.Parameter(torch.zeros(1, 1, dim))
            self.padding_guidance = nn.Parameter(torch.zeros(1, 1, guidance_dim))

    def forward(self, x: Tensor, guidance: Tensor) -> Tensor:
        """x: [B, N, H, W, D], guidance: [B, N, G] -> [B, N, H, W, D]"""
        height, width = x.shape[2:4]
        pooled = self._pool(x).permute(0, 2, 3, 1, 4)  # [B, h, w, N, D]
        small = pooled.shape[1:3]
        pooled = pooled.flatten(1, 2)
        padding = None
        if count := max(0, self.pad_len - x.shape[1]):
            padding = (self.norm1(self.padding_tokens), self.padding_guidance, count)
        pooled = pooled + self.attention(self.norm1(pooled), guidance, padding)
        pooled = pooled + self.MLP(self.norm2(pooled))
        pooled = pooled.unflatten(1, small).permute(0, 3, 1, 2, 4)  # [B, N, h, w, D]
        return x + _enlarge(pooled, height, width)

    def _pool(self, x: Tensor) -> Tensor:
        if self.pooling == 1:
            return x
        flat = x.flatten(0, 1).permute(0, 3, 1, 2)
        flat = F.avg_pool2d(flat, self.pooling, self.pooling)
        return flat.permute(0, 2, 3, 1).unflatten(0, x.shape[:2])


def _enlarge(x: Tensor, height: int, width: int) -> Tensor:
    """[B, N, h, w, D] -> [B, N, H, W, D], bilinear with the corners aligned."""
    if x.shape[2:4] == (height, width):
        return x
    flat = x.flatten(0, 1).permute(0, 3, 1, 2)
    flat = F.interpolate(flat, (height, width), mode="bilinear", align_corners=True)
    return flat.permute(0, 2, 3, 1).unflatten(0, x.shape[:2])


class RefinementLayer(nn.Module):
    """One layer of refinement: `swin_block` over positions, `attention` over classes."""

    def __init__(
        self,
        dim: int,
        guidance_dim: int,
        text_dim: int,
        *,
        heads: int = 4,
        window: int = 12,
        resolution: int = 24,
        pad_len: int = 0,
        pooling: int = 1,
        spatial: bool = True,
        classes: bool = True,
    ) -> None:
        super().__init__()
        self.swin_block = (
            SpatialRefinement(dim, guidance_dim, heads, window, resolution) if spatial else None
        )
        self.attention = (
            ClassRefinement(dim, text_dim, heads, pad_len, pooling) if classes else None
        )

    def forward(self, x: Tensor, appearance: Tensor | None, texts: Tensor | None) -> Tensor:
        """x: [B, N, H, W, D], appearance: [B, H, W, G], texts: [B, N, G'] -> as x

        What guides a part that is left out may be None.
        """
        if self.swin_block is not None:
            x = self.swin_block(x, appearance)
        if self.attention is not None:
            x = self.attention(x, texts)
        return x
