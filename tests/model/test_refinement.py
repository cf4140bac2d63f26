"""Refinement and decoder against plain computations: every class by itself, nothing shared."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from lsmseg_model.kernels import onednn
from lsmseg_model.networks import decoder, refinement
from lsmseg_model.networks.decoder import Decoder
from lsmseg_model.networks.refinement import ClassRefinement, SpatialRefinement, SwinBlock, windows


@pytest.fixture(autouse=True, scope="module")
def small_parts() -> Iterator[None]:
    """Everything through oneDNN, in the smallest parts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onednn, "SMALL", 0)
        patch.setattr(refinement, "ROWS", 40)
        patch.setattr(decoder, "AT_ONCE", 1)
        yield


def fill(module: torch.nn.Module, seed: int) -> Any:
    """All parameters random, those that start as zeros or ones too."""
    torch.manual_seed(seed)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return module.eval()


def plain_swin(block: SwinBlock, x: Tensor, guidance: Tensor) -> Tensor:
    """One class: x [H, W, D], guidance [H, W, G]; attention position by position."""
    height, width = x.shape[:2]
    m, shift, heads = block.window, block.shift, block.attn.heads
    pad = (0, 0, 0, -width % m, 0, -height % m)
    normed, seen = F.pad(block.norm1(x), pad), F.pad(guidance, pad)
    full = normed.shape[:2]
    rows = torch.arange(full[0])[:, None].expand(full).flatten()
    columns = torch.arange(full[1])[None].expand(full).flatten()

    def tile(at: Tensor, size: int) -> Tensor:
        return (at - shift) % size // m

    def side(at: Tensor, real: int, size: int) -> Tensor:
        """What a window may not mix: what the shift wrapped around, padding, the rest."""
        return (at < shift).long() + 2 * (at >= real).long()

    def group(rows: Tensor, columns: Tensor) -> Tensor:
        parts = (
            tile(rows, full[0]),
            tile(columns, full[1]),
            side(rows, height, full[0]),
            side(columns, width, full[1]),
        )
        return torch.stack(parts, dim=1)

    key = group(rows, columns)
    same_window = (key[:, None, :2] == key[None, :, :2]).all(dim=2)
    same = (key[:, None] == key[None]).all(dim=2)
    joined = torch.cat([normed, seen], dim=-1).flatten(0, 1)
    q, k = block.attn.q(joined), block.attn.k(joined)
    v = block.attn.v(normed.flatten(0, 1))
    out = []
    for a, b, c in zip(*(t.unflatten(1, (heads, -1)).unbind(1) for t in (q, k, v)), strict=True):
        score = a @ b.T / a.shape[1] ** 0.5 - 100.0 * (~same)
        out.append(score.masked_fill(~same_window, -torch.inf).softmax(dim=1) @ c)
    attended = block.attn.proj(torch.cat(out, dim=1)).unflatten(0, full)[:height, :width]
    x = x + attended
    hidden = F.gelu(block.mlp.fc1(block.norm2(x)))
    return x + block.mlp.fc2(hidden)


def test_windows_by_hand() -> None:
    """3 x 4 positions, windows of 2 x 2 that begin at 1: nothing is wrapped around a border."""
    order, back, sizes = windows(3, 4, 2, 1)
    assert sizes == [1, 2, 1, 2, 4, 2]
    assert order.tolist() == [0, 1, 2, 3, 4, 8, 5, 6, 9, 10, 7, 11]
    assert order[back].tolist() == list(range(12))
    assert windows(3, 4, 2, 0)[2] == [4, 4, 2, 2]


@given(
    pictures=st.integers(1, 2),
    classes=st.integers(1, 4),
    height=st.integers(2, 9),
    width=st.integers(2, 9),
    window=st.integers(2, 4),
    seed=st.integers(0, 99),
)
@torch.inference_mode()
def test_spatial_refinement(
    pictures: int, classes: int, height: int, width: int, window: int, seed: int
) -> None:
    layer = fill(SpatialRefinement(8, 6, 2, window, 8), seed)
    x = torch.randn(pictures, classes, height, width, 8)
    guidance = torch.randn(pictures, height, width, 6)
    found = layer(x, guidance)
    seen = layer.guidance_norm(guidance)
    for b in range(pictures):
        for n in range(classes):
            first = plain_swin(layer.block_1, x[b, n], seen[b])
            expected = plain_swin(layer.block_2, first, seen[b])
            torch.testing.assert_close(found[b, n], expected, atol=1e-4, rtol=1e-4)


@given(
    pictures=st.integers(1, 2),
    classes=st.integers(1, 6),
    pad_len=st.sampled_from([0, 3, 8]),
    side=st.sampled_from([2, 4, 6]),
    pooling=st.integers(1, 2),
    seed=st.integers(0, 99),
)
@torch.inference_mode()
def test_class_refinement(
    pictures: int, classes: int, pad_len: int, side: int, pooling: int, seed: int
) -> None:
    layer = fill(ClassRefinement(8, 6, 2, pad_len, pooling), seed)
    x = torch.randn(pictures, classes, side, side, 8)
    texts = torch.randn(pictures, classes, 6)
    found = layer(x, texts)
    for b in range(pictures):
        small = F.avg_pool2d(x[b].permute(0, 3, 1, 2), pooling).permute(2, 3, 0, 1)
        refined = torch.empty_like(small)  # [h, w, N, D]
        for i in range(small.shape[0]):
            for j in range(small.shape[1]):
                refined[i, j] = plain_class(layer, small[i, j], texts[b])
        large = F.interpolate(
            refined.permute(2, 3, 0, 1), (side, side), mode="bilinear", align_corners=True
        )
        expected = x[b] + large.permute(0, 2, 3, 1)
        torch.testing.assert_close(found[b], expected, atol=1e-4, rtol=1e-4)


def plain_class(layer: ClassRefinement, x: Tensor, texts: Tensor) -> Tensor:
    """One position: x [N, D], texts [N, G]; the padding classes are really there."""
    classes = len(x)
    if more := max(0, layer.pad_len - classes):
        x = torch.cat([x, layer.padding_tokens[0].expand(more, -1)])
        texts = torch.cat([texts, layer.padding_guidance[0].expand(more, -1)])
    normed = layer.norm1(x)
    joined = torch.cat([normed, texts], dim=1)
    attention = layer.attention
    q, k = F.elu(attention.q(joined)) + 1, F.elu(attention.k(joined)) + 1
    v = attention.v(normed)
    out = []
    for a, b, c in zip(*(t.chunk(attention.heads, dim=1) for t in (q, k, v)), strict=True):
        weights = a @ b.T
        out.append(weights @ c / (weights.sum(dim=1, keepdim=True) + 1e-6))
    x = x + torch.cat(out, dim=1)
    return (x + layer.MLP(layer.norm2(x)))[:classes]


@given(
    pictures=st.integers(1, 2),
    classes=st.integers(1, 3),
    height=st.integers(1, 5),
    width=st.integers(1, 5),
    gradients=st.booleans(),
    seed=st.integers(0, 99),
)
def test_decoder(
    pictures: int, classes: int, height: int, width: int, gradients: bool, seed: int
) -> None:
    """The two linear steps that are one here, and their gradients."""
    made = fill(Decoder(16, (32, 16), (6, 5), (8, 4)), seed)
    x = torch.randn(pictures, classes, height, width, 16)
    guidance = [
        torch.randn(pictures, 6, 2 * height, 2 * width),
        torch.randn(pictures, 5, 4 * height, 4 * width),
    ]
    with torch.set_grad_enabled(gradients):
        found, expected = made(x, guidance), plain_decoder(made, x, guidance)
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    if gradients:
        weights = list(made.parameters())
        several = torch.autograd.grad(found.square().mean(), weights)
        for mine, plain in zip(
            several, torch.autograd.grad(expected.square().mean(), weights), strict=True
        ):
            torch.testing.assert_close(mine, plain, atol=1e-3, rtol=1e-3)


def plain_decoder(made: Decoder, x: Tensor, guidance: list[Tensor]) -> Tensor:
    pictures = []
    for b in range(len(x)):
        y = x[b].permute(0, 3, 1, 2)
        for up, project, g in zip(
            (made.decoder1, made.decoder2), made.decoder_guidance_projection, guidance, strict=True
        ):
            y = up.up(y)
            seen = project(g[b : b + 1]).expand(len(y), -1, -1, -1)
            y = up.conv.double_conv(torch.cat([y, seen], dim=1))
        pictures.append(made.head(y)[:, 0])
    return torch.stack(pictures)
