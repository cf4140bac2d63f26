"""The test protocol with crops: against a plain computation of all classes."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.cost_maps import scatter
from torch.nn import functional as F

from lsmseg_model.errors import ConfigError
from lsmseg_model.inference.protocol import (
    TILES,
    Protocol,
    Views,
    _contenders,
    _tiles,
    label,
    scores,
)

SIDE, CROP = 640, 384


def views(classes: int, kept: int, seed: int = 0) -> Views:
    torch.manual_seed(seed)
    chosen = torch.stack([torch.randperm(classes)[:kept] for _ in range(5)])
    return Views(torch.randn(5, kept, 24, 24), chosen)


def test_the_places_cover_the_picture() -> None:
    assert Protocol().places == ((0, 0), (0, 256), (256, 0), (256, 256))
    assert Protocol(8, 4, 2).places[-1] == (4, 4)
    assert Protocol(8, 8, 3).places == ()  # the whole alone


@pytest.mark.parametrize("numbers", [(8, 9, 1), (8, 4, 5), (8, 4, 3), (8, 0, 1), (8, 4, 0)])
def test_crops_that_do_not_cover_the_picture(numbers: tuple[int, int, int]) -> None:
    with pytest.raises(ConfigError, match="choose"):
        Protocol(*numbers)


@given(
    protocol=st.sampled_from([Protocol(40, 24, 16), Protocol(33, 9, 6), Protocol(16, 16, 1)]),
    classes=st.integers(1, 12),
    share=st.floats(0.1, 1),
    spread=st.sampled_from([0.1, 3.0, 20.0]),
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    seed=st.integers(0, 1000),
)
def test_all_classes_at_once_give_the_same(
    protocol: Protocol,
    classes: int,
    share: float,
    spread: float,
    size: tuple[int, int],
    seed: int,
) -> None:
    torch.manual_seed(seed)
    kept, count = max(1, round(share * classes)), len(protocol.places) + 1
    chosen = torch.stack([torch.randperm(classes)[:kept] for _ in range(count)])
    level = spread * torch.randn(1, kept, 1, 1)  # of a class; so some never win
    seen = Views(level + spread * torch.randn(count, kept, 7, 7), chosen, protocol)
    sparse, best = label(seen, size)
    every = torch.arange(classes)
    logits = scatter(seen.logits, seen.kept, classes)
    whole = Views(logits, every.expand(count, -1), protocol)
    dense_best, dense = scores(whole, every, size).max(dim=0)
    torch.testing.assert_close(best, dense_best)
    tied = scores(seen, torch.arange(classes), size).topk(min(2, classes), dim=0).values
    clear = tied[0] - tied[-1] > 1e-6 if classes > 1 else torch.ones(size, dtype=torch.bool)
    assert torch.equal(sparse[clear], dense[clear])
    assert set(sparse.unique().tolist()) <= set(_contenders(seen).tolist())


@pytest.mark.parametrize(
    ("side", "start", "width", "cells", "via"),
    [
        (640, 256, 384, 96, 0), (33, 6, 9, 7, 0), (5, 0, 5, 12, 0), (100, 0, 64, 3, 0),
        (640, 0, 640, 96, 384), (33, 0, 33, 7, 9), (60, 0, 60, 12, 6),
    ],
)  # fmt: skip
def test_the_cells_that_the_pixels_of_a_tile_are_made_of(
    side: int, start: int, width: int, cells: int, via: int
) -> None:
    shares = torch.eye(cells)[None]
    for size in (via, width) if via else (width,):
        shares = F.interpolate(shares, size, mode="linear")  # in the end [1, cells, width]
    shares = shares[0]
    ranges = _tiles(side, start, width, cells, via)
    for tile, (first, last) in enumerate(ranges):
        pixels = torch.arange(tile * side // TILES, -(-(tile + 1) * side // TILES) + 1) - start
        pixels = pixels[(pixels >= 0) & (pixels < width)]
        used = shares[:, pixels].sum(dim=1).nonzero()
        assert len(used) == 0 or (first <= int(used.min()) and int(used.max()) < last)
        assert last > first or len(used) == 0
    widest = max(last - first for first, last in ranges)
    assert widest <= (side / TILES + 4) * cells / width + 4 + (
        2 * cells / via if via else 0
    )  # and hardly more


def test_classes_that_cannot_win_are_left_out() -> None:
    logits = torch.zeros(5, 3, 24, 24)
    logits[:, 1] = 4.0
    logits[:, 2] = -4.0
    logits[4, 2, 3, 3] = 40.0  # one place of the whole: 0.51 there, less than class 1
    assert _contenders(Views(logits, torch.arange(3).expand(5, 3))).tolist() == [1]
    logits[:4, 2, :6, :6] = 40.0  # now it wins there
    assert _contenders(Views(logits, torch.arange(3).expand(5, 3))).tolist() == [1, 2]


def test_a_plain_computation() -> None:
    """Sigmoids of enlarged logits, crops averaged where they overlap, then with the whole."""
    seen = views(7, 7)
    logits = scatter(seen.logits, seen.kept, 7)
    total, count = torch.zeros(7, SIDE, SIDE), torch.zeros(SIDE, SIDE)
    for view, (y, x) in enumerate(Protocol().places):
        large = F.interpolate(logits[view : view + 1], (CROP, CROP), mode="bilinear")[0].sigmoid()
        total[:, y : y + CROP, x : x + CROP] += large
        count[y : y + CROP, x : x + CROP] += 1
    whole = F.interpolate(logits[4:], (CROP, CROP), mode="bilinear").sigmoid()
    whole = F.interpolate(whole, (SIDE, SIDE), mode="bilinear")[0]
    expected = (total / count + whole) / 2
    _, best = label(seen, (SIDE, SIDE))
    torch.testing.assert_close(best, expected.amax(dim=0))
    torch.testing.assert_close(
        scores(seen, torch.tensor([5, 0]), (SIDE, SIDE)), expected[torch.tensor([5, 0])]
    )


def test_a_class_that_no_view_kept_never_wins() -> None:
    seen = views(9, 2)
    seen = Views(seen.logits - 30.0, seen.kept)
    where, _ = label(seen, (32, 32))
    assert set(where.unique().tolist()) <= set(seen.kept.unique().tolist())
