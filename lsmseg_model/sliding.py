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
from .errors import ConfigError
from .lsmseg import LsmSeg

AT_ONCE = 16  # classes that are enlarged together


@dataclass(frozen=True)
class Protocol:
    """How a picture is looked at, in pixels: squashed to `side` x `side`, then crops of `crop` x
    `crop` every `stride`, and the whole. Crops as large as the side: the whole alone.

    Raises ConfigError where the crops would not cover the picture exactly.
    """

    side: int = 640
    crop: int = 384
    stride: int = 256

    def __post_init__(self) -> None:
        side, crop, stride = self.side, self.crop, self.stride
        if min(side, crop, stride) < 1 or crop > side:
            raise ConfigError(
                f"crops of {crop} every {stride} do not fit a picture of {side}; "
                "choose 1 <= crop <= side and stride >= 1."
            )
        if side > crop and (stride > crop or (side - crop) % stride):
            raise ConfigError(
                f"crops of {crop} every {stride} do not cover a picture of {side}; "
                "choose a stride that divides side - crop and is at most crop."
            )

    @property
    def places(self) -> tuple[tuple[int, int], ...]:
        """Top and left of the crops in the squashed picture."""
        if self.crop == self.side:
            return ()
        steps = range(0, self.side - self.crop + 1, self.stride)
        return tuple((top, left) for top in steps for left in steps)


@dataclass(frozen=True)
class Views:
    """Logits of the views of one picture: [V, K, h, w], of the classes kept [V, K]; the crops
    in the order of the protocol's places, then the whole picture."""

    logits: Tensor
    kept: Tensor
    protocol: Protocol = Protocol()


@torch.inference_mode()
def look(network: LsmSeg, image: Tensor, texts: Tensor, protocol: Protocol = Protocol()) -> Views:
    """The network's logits of all views. image: [3, H, W] RGB in 0..1; texts: [N, D]."""
    side = network.clip.view.window
    squashed = _resize(image[None], protocol.side)
    crop = protocol.crop
    crops = [squashed[:, :, y : y + crop, x : x + crop] for y, x in protocol.places]
    views = torch.cat([*(_resize(part, side) for part in crops), _resize(squashed, side)])
    logits, kept = network(views, texts)
    if kept is None:
        kept = torch.arange(texts.shape[0], device=texts.device).expand(len(views), -1)
    return Views(logits, kept, protocol)


@torch.inference_mode()
def label(
    views: Views, classes: int, size: tuple[int, int], dense: bool = False
) -> tuple[Tensor, Tensor]:
    """The best class of every pixel and its probability: int64 and float32, both `size`.

    dense: as published, all classes at once; the result is the same.
    """
    device = views.logits.device
    if dense:
        every = torch.arange(classes, device=device)
        whole = Views(
            scatter(views.logits, views.kept, classes),
            every.expand(len(views.kept), -1),
            views.protocol,
        )
        best, where = scores(whole, every, size).max(dim=0)
        return where, best
    best = torch.full(size, -1.0, device=device)
    where = torch.zeros(size, dtype=torch.int64, device=device)
    for some in views.kept.unique().split(AT_ONCE):
        found, index = scores(views, some, size).max(dim=0)
        better = found > best
        best = torch.where(better, found, best)
        where = torch.where(better, some[index], where)
    return where, best


@torch.inference_mode()
def scores(views: Views, wanted: Tensor, size: tuple[int, int]) -> Tensor:
    """Probabilities [W, *size] of the classes `wanted` [W]: the averaged sigmoids.

    A class that a view did not keep counts as 0 there. Memory grows with W: ask for a few
    classes at a time.
    """
    side, crop = views.protocol.side, views.protocol.crop
    places = views.protocol.places
    whole = _view(views, len(places), wanted, side)
    if places:
        crops = whole.new_zeros(len(wanted), side, side)
        seen = whole.new_zeros(side, side)
        for view, (y, x) in enumerate(places):
            crops[:, y : y + crop, x : x + crop] += _view(views, view, wanted, crop)
            seen[y : y + crop, x : x + crop] += 1
        whole = (crops / seen + whole) / 2
    return F.interpolate(whole[None], size, mode="bilinear", align_corners=False)[0]


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
