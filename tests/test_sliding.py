"""The test protocol with crops: against a plain computation of all classes."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from lsmseg_model.category_filter import scatter
from lsmseg_model.errors import ConfigError
from lsmseg_model.sliding import Protocol, Views, label, scores

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


def test_only_the_kept_classes_are_looked_at_and_nothing_changes() -> None:
    seen = views(40, 6)
    sparse, best = label(seen, 40, (60, 90))
    dense, dense_best = label(seen, 40, (60, 90), dense=True)
    torch.testing.assert_close(best, dense_best)
    assert (sparse == dense).float().mean() > 0.999  # ties aside
    assert set(sparse.unique().tolist()) <= set(seen.kept.unique().tolist())


def test_a_plain_computation() -> None:
    """Sigmoids of enlarged logits, crops averaged where they overlap, then with the whole."""
    seen = views(7, 7)
    logits = scatter(seen.logits, seen.kept, 7)
    total, count = torch.zeros(7, SIDE, SIDE), torch.zeros(SIDE, SIDE)
    for view, (y, x) in enumerate(Protocol().places):
        large = F.interpolate(logits[view : view + 1], (CROP, CROP), mode="bilinear")[0].sigmoid()
        total[:, y : y + CROP, x : x + CROP] += large
        count[y : y + CROP, x : x + CROP] += 1
    whole = F.interpolate(logits[4:], (SIDE, SIDE), mode="bilinear")[0].sigmoid()
    expected = (total / count + whole) / 2
    _, best = label(seen, 7, (SIDE, SIDE))
    torch.testing.assert_close(best, expected.amax(dim=0))
    torch.testing.assert_close(
        scores(seen, torch.tensor([5, 0]), (SIDE, SIDE)), expected[torch.tensor([5, 0])]
    )


def test_a_class_that_no_view_kept_never_wins() -> None:
    seen = views(9, 2)
    seen = Views(seen.logits - 30.0, seen.kept)
    where, _ = label(seen, 9, (32, 32))
    assert set(where.unique().tolist()) <= set(seen.kept.unique().tolist())
