"""Refinement of the cost map: over positions (Swin blocks), then over classes (linear attention).

Eq. 7 and 8 of the paper, with CAT-Seg's parts under CAT-Seg's parameter names, so that its
published weights load. Checked against CAT-Seg's own outputs at small size
(tests/model/test_golden.py) and a plain computation (tests/model/test_refinement.py). What the
code below does differently changes no number:

- the guidance of the pictures is the same for every class, and that of the texts the same at
  every position: their part of queries and keys is computed once, not once for each class;
- the padding classes of CAT-Seg are all alike: they are one key and value, counted so many times;
- shifted windows are cut where CAT-Seg masks what does not belong together, see `windows`;
- on the CPU without gradients, a few classes (or positions) at a time go through a block, so that
  what lies between its steps stays in the cache.

Shapes: B pictures, N classes, D channels, H x W positions; cost maps are [B, N, H, W, D].
"""

from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lsmseg_model.kernels.onednn import elu_plus_1, linear, map_parts
from lsmseg_model.networks.config import REFINEMENTS, NetworkConfig

ROWS = 2304  # positions times classes at once


class GuidedAttention(nn.Module):
    """Attention whose queries and keys see the guidance; its values do not."""

    def __init__(self, dim: int, guidance_dim: int, heads: int) -> None:
        super().__init__()
        self.dim, self.heads = dim, heads
        self.q = nn.Linear(dim + guidance_dim, dim)
        self.k = nn.Linear(dim + guidance_dim, dim)
        self.v = nn.Linear(dim, dim)

    def guided(self, guidance: Tensor) -> tuple[Tensor, Tensor]:
        """What the guidance [..., G] and the biases add to queries and keys: [..., D] each."""
        q, k = (F.linear(guidance, t.weight[:, self.dim :], t.bias) for t in (self.q, self.k))
        return q, k


class WindowAttention(GuidedAttention):
    """Attention inside windows, without a relative position bias."""

    def __init__(self, dim: int, guidance_dim: int, heads: int) -> None:
        super().__init__(dim, guidance_dim, heads)
        self.proj = nn.Linear(dim, dim)

    def added(self, guidance: Tensor) -> Tensor:
        """What the guidance [B, P, G] and the biases add to q, k and v: [B, 1, P, 3 D]."""
        q, k = self.guided(guidance)
        return torch.cat([q, k, self.v.bias.expand_as(q)], dim=-1)[:, None]

    def forward(self, x: Tensor, added: Tensor, sizes: Sequence[int]) -> Tensor:
        """x: [B, N, P, D], window after window, so many positions each -> [B, N, P, D].

        added: what `added` made.
        """
        weight = [self.q.weight[:, : self.dim], self.k.weight[:, : self.dim], self.v.weight]
        qkv = linear(x, torch.cat(weight)).add_(added)
        out = []
        for window in qkv.flatten(0, 1).split(sizes, dim=1):
            q, k, v = window.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
            out.append(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return linear(torch.cat(out, dim=1).view(x.shape), self.proj.weight, self.proj.bias)


class Mlp(nn.Module):
    """Two linear layers with GELU between them, added to what comes in beside."""

    def __init__(self, dim: int, ratio: int = 4) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, ratio * dim)
        self.fc2 = nn.Linear(ratio * dim, dim)

    def forward(self, x: Tensor, plus: Tensor) -> Tensor:
        hidden = linear(x, self.fc1.weight, self.fc1.bias, "gelu")
        return linear(hidden, self.fc2.weight, self.fc2.bias, plus=plus)


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
        # CAT-Seg's files have it; `windows` does without.
        mask = shift_mask(resolution, resolution, window, shift).clone() if shift else None
        self.register_buffer("attn_mask", mask)

    def forward(self, x: Tensor, guidance: Tensor) -> Tensor:
        """x: [B, N, H, W, D], guidance: [B, H, W, G] -> [B, N, H, W, D]."""
        return self.guided(guidance)(x)

    def guided(self, guidance: Tensor) -> Callable[[Tensor], Tensor]:
        """The block for pictures with that guidance, see `forward`: for some classes or all."""
        order, back, sizes = windows(guidance.shape[1], guidance.shape[2], self.window, self.shift)
        order, back = order.to(guidance.device), back.to(guidance.device)
        added = self.attn.added(guidance.flatten(1, 2).index_select(1, order))

        def block(x: Tensor) -> Tensor:
            ordered = self.norm1(x).flatten(2, 3).index_select(2, order)
            attended = self.attn(ordered, added, sizes).index_select(2, back)
            x = x + attended.view(x.shape)
            return self.mlp(self.norm2(x), x)

        return block


@lru_cache(maxsize=32)
@torch.inference_mode(False)
def windows(height: int, width: int, window: int, shift: int) -> tuple[Tensor, Tensor, list[int]]:
    """The positions of a grid window after window, where each then stands, and the windows' sizes.

    Windows begin at `shift`; those at the border are smaller. So no position attends to one that
    only a shift around the border, or padding, would bring into its window: there CAT-Seg adds
    -100 to the scores, which leaves a weight of about e^-100.

    Args:
        height: Positions down.
        width: Positions across.
        window: Positions a side of a window.
        shift: Positions that the windows are moved by.
    """

    def bands(side: int) -> list[Tensor]:
        place = torch.arange(side, device="cpu")
        cuts = list(range(shift or window, side, window))
        return list(place.tensor_split(cuts))

    places = torch.arange(height * width, device="cpu").view(height, width)
    parts = [
        places[rows][:, columns].flatten() for rows in bands(height) for columns in bands(width)
    ]
    order = torch.cat(parts)
    return order, order.argsort(), [len(part) for part in parts]


@lru_cache(maxsize=32)
@torch.inference_mode(False)
def shift_mask(height: int, width: int, window: int, shift: int) -> Tensor:
    """[windows, M, M]: -100 between positions that only the shift, or padding, brought together.

    On the CPU, whoever needs it first: kept for training as for inference, not to be changed.

    Args:
        height: Positions down.
        width: Positions across.
        window: Positions a side of a window.
        shift: Positions that the windows are moved by.
    """
    full = (-(-height // window) * window, -(-width // window) * window)

    def part(size: int, real: int) -> Tensor:
        place = torch.arange(size, device="cpu")
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
        """x: [B, N, H, W, D], guidance: [B, H, W, G] -> [B, N, H, W, D]."""
        guidance = self.guidance_norm(guidance)
        first, second = self.block_1.guided(guidance), self.block_2.guided(guidance)
        return map_parts(lambda part: second(first(part)), x, ROWS, dim=1)


class LinearAttention(GuidedAttention):
    """Attention linear in the number of classes: softmax is replaced by elu + 1 of q and k."""

    def forward(
        self,
        x: Tensor,
        guided: tuple[Tensor, Tensor],
        padding: tuple[Tensor, Tensor, int] | None,
    ) -> Tensor:
        """x: [B, N, P, D] at P positions, guided: `guided` of [B, N, 1, G] -> [B, N, P, D].

        padding: (x [1, 1, D], guidance [1, 1, G], count) of classes that are only attended to,
        all alike.
        """

        def split(t: Tensor) -> Tensor:  # [..., P, D] -> [..., P * heads, D / heads]
            return t.unflatten(-1, (self.heads, -1)).flatten(-3, -2)

        q, k = (
            split(elu_plus_1(linear(x, t.weight[:, : self.dim]).add_(what)))
            for t, what in zip((self.q, self.k), guided, strict=True)
        )
        v = split(linear(x, self.v.weight, self.v.bias))
        both = k.permute(0, 2, 3, 1) @ v.transpose(1, 2)  # [B, P * heads, d, d]
        keys = k.sum(dim=1)
        if padding is not None:
            token, guide, count = padding
            one = F.linear(token, self.k.weight[:, : self.dim]) + self.guided(guide)[1]
            one = split(elu_plus_1(one))[0]  # [heads, d]
            value = split(F.linear(token, self.v.weight, self.v.bias))[0]
            again = x.shape[2]
            both = both + (count * one[:, :, None] * value[:, None]).repeat(again, 1, 1)
            keys = keys + (count * one).repeat(again, 1)
        q = q / ((q * keys[:, None]).sum(dim=-1, keepdim=True) + 1e-6)
        out = q.transpose(1, 2) @ both  # [B, P * heads, N, d]
        return out.transpose(1, 2).reshape(x.shape)


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
        """x: [B, N, H, W, D], guidance: [B, N, G] -> [B, N, H, W, D]."""
        pooled = x
        if self.pooling > 1:
            pooled = _resized(x, lambda maps: F.avg_pool2d(maps, self.pooling, self.pooling))
        flat = pooled.flatten(2, 3)
        guided = self.attention.guided(guidance[:, :, None])
        padding = None
        count: Any = torch.sym_max(0, self.pad_len - x.shape[1])
        if self.pad_len and (torch.compiler.is_exporting() or count):
            padding = (self.norm1(self.padding_tokens), self.padding_guidance, count)
        block = partial(self._block, guided=guided, padding=padding)
        if self.pooling == 1:
            done = map_parts(lambda part: part + block(part), flat, ROWS, dim=2)
            return done.view(x.shape)
        refined = map_parts(block, flat, ROWS, dim=2)
        return x + _resized(
            refined.view(pooled.shape),
            lambda maps: F.interpolate(maps, x.shape[2:4], mode="bilinear", align_corners=True),
        )

    def _block(
        self, x: Tensor, guided: tuple[Tensor, Tensor], padding: tuple[Tensor, Tensor, int] | None
    ) -> Tensor:
        x = x + self.attention(self.norm1(x), guided, padding)
        first: Any = self.MLP[0]
        second: Any = self.MLP[2]
        hidden = linear(self.norm2(x), first.weight, first.bias, "relu")
        return linear(hidden, second.weight, second.bias, plus=x)


def _resized(x: Tensor, resize: Callable[[Tensor], Tensor]) -> Tensor:
    """[B, N, h, w, D] -> [B, N, H, W, D]; `resize` takes and gives maps [B * N, D, h, w]."""
    maps = resize(x.flatten(0, 1).permute(0, 3, 1, 2))
    return maps.permute(0, 2, 3, 1).unflatten(0, x.shape[:2])


class RefinementLayer(nn.Module):
    """One layer of refinement: `swin_block` over positions, `attention` over classes."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        dim, heads = config.hidden, config.heads
        spatial, classes = REFINEMENTS[config.refinement]
        self.swin_block = (
            SpatialRefinement(dim, dim, heads, config.window, config.resolution)
            if spatial
            else None
        )
        self.attention = ClassRefinement(dim, dim, heads, config.pad_len) if classes else None

    def forward(self, x: Tensor, appearance: Tensor | None, texts: Tensor | None) -> Tensor:
        """x: [B, N, H, W, D], appearance: [B, H, W, G], texts: [B, N, G'] -> as x.

        What guides a part that is left out may be None.
        """
        if self.swin_block is not None:
            x = self.swin_block(x, appearance)
        if self.attention is not None:
            x = self.attention(x, texts)
        return x
