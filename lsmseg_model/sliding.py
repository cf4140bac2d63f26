"""A picture through the network as CAT-Seg's test protocol has it: crops and the whole.

The picture is squashed to 640 x 640; four crops of 384 at a stride of 256 and the whole, all
resized to what CLIP takes, give logits; their sigmoids are averaged, crops first, then with the
whole. A class that no view kept has a probability of 0 nearly and cannot win, so only the classes
that some view kept are enlarged and compared, a few at a time: the published code does it for all
of them at once (`dense`), which is where its memory goes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from .category_filter import scatter
from .lsmseg import LsmSeg

SIDE, CROP, STRIDE = 640, 384, 256
AT_ONCE = 16  # classes that are enlarged together


@dataclass(frozen=True)
class Views:
    """Logits of the views of one picture: [V, K, h, w], of the classes kept [V, K]; the last
    view is the whole picture, the others crops, with their places (top, left)."""

    logits: Tensor
    kept: Tensor
    places: tuple[tuple[int, int], ...]


def places() -> tuple[tuple[int, int], ...]:
    """Top and left of the crops, in pixels of the squashed picture."""
    steps = range(0, SIDE - CROP + 1, STRIDE)
    return tuple((top, left) for top in steps for left in steps)


@torch.inference_mode()
def look(network: LsmSeg, image: Tensor, texts: Tensor) -> Views:
    """The network's logits of all views. image: [3, H, W] RGB in 0..1; texts: [N, D]."""
    side = network.clip.view.window
    squashed = _resize(image[None], SIDE)
    crops = [squashed[:, :, y : y + CROP, x : x + CROP] for y, x in places()]
    views = torch.cat([*(_resize(crop, side) for crop in crops), _resize(squashed, side)])
    logits, kept = network(views, texts)
    if kept is None:
        kept = torch.arange(texts.shape[0], device=texts.device).expand(len(views), -1)
    return Views(logits, kept, places())


@torch.inference_mode()
def label(
    views: Views, classes: int, size: tuple[int, int], dense: bool = False
) -> tuple[Tensor, Tensor]:
    """The best class of every pixel and its probability: int64 and float32, both `size`.

    dense: as published, all classes at once; the result is the same.
    """
    if dense:
        whole = Views(
            scatter(views.logits, views.kept, classes),
            torch.arange(classes, device=views.kept.device).expand(len(views.kept), -1),
            views.places,
        )
        best, where = _probabilities(whole, torch.arange(classes), size).max(dim=0)
        return where, best
    able = views.kept.unique()
    best = torch.full(size, -1.0, device=views.logits.device)
    where = torch.zeros(size, dtype=torch.int64, device=views.logits.device)
    for some in able.split(AT_ONCE):
        found, index = _probabilities(views, some, size).max(dim=0)
        better = found > best
        best = torch.where(better, found, best)
        where = torch.where(better, some[index], where)
    return where, best


def _probabilities(views: Views, wanted: Tensor, size: tuple[int, int]) -> Tensor:
    """[W, *size]: the averaged sigmoids of some classes."""
    crops = torch.zeros(len(wanted), SIDE, SIDE, device=views.logits.device)
    seen = torch.zeros(SIDE, SIDE, device=views.logits.device)
    for view, (y, x) in enumerate(views.places):
        crops[:, y : y + CROP, x : x + CROP] += _view(views, view, wanted, CROP)
        seen[y : y + CROP, x : x + CROP] += 1
    crops /= seen
    crops += _view(views, len(views.places), wanted, SIDE)
    return F.interpolate(crops[None] / 2, size, mode="bilinear", align_corners=False)[0]


def _view(views: Views, view: int, wanted: Tensor, side: int) -> Tensor:
    """[W, side, side]: the sigmoids of some classes in a view, 0 for those it did not keep."""
    match = wanted[:, None] == views.kept[view][None]
    found = match.any(dim=1)
    chosen = views.logits[view][match.to(torch.int8).argmax(dim=1)[found]]
    shown = torch.zeros(len(wanted), side, side, device=chosen.device)
    if len(chosen):
        large = F.interpolate(chosen[None].float(), (side, side), mode="bilinear")[0]
        shown[found] = large.sigmoid_()
    return shown


def _resize(images: Tensor, side: int) -> Tensor:
    if images.shape[2:] == (side, side):
        return images
    return F.interpolate(
        images, (side, side), mode="bilinear", align_corners=False, antialias=False
    )
