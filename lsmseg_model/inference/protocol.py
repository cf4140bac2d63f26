"""A picture through the network as CAT-Seg's test protocol has it: crops and the whole.

The picture is squashed to 640 x 640 for four crops of 384 at a stride of 256; the whole is resized
to 384 from the picture itself; all are resized to what CLIP takes. Their logits, enlarged to 384,
give sigmoids, which are averaged, crops first, then with the whole, enlarged again. The published
code enlarges and compares all classes at once, which is where its memory goes; here only the
classes that can win somewhere are (`_contenders`), a few at a time (tests/model/test_sliding.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from lsmseg_model.data.descriptions import Description
from lsmseg_model.inference.precision import lowered
from lsmseg_model.networks.base import Encoded, Network
from lsmseg_model.networks.protocol import PUBLISHED_PROTOCOL, Protocol

AT_ONCE = 8  # classes that are enlarged together
TILES = 20  # parts a side in which classes are compared roughly


@dataclass(frozen=True)
class Views:
    """Logits [V, K, h, w] of the views of one picture, of the classes kept [V, K].

    The crops in the order of the protocol's places, then the whole picture.
    """

    logits: Tensor
    kept: Tensor
    protocol: Protocol = PUBLISHED_PROTOCOL


@torch.inference_mode()
def show(network: Network, image: Tensor, protocol: Protocol = PUBLISHED_PROTOCOL) -> list[Tensor]:
    """All views of an image [3, H, W], RGB in 0..1: the crops, then the whole, [3, s, s] each."""
    side = network.clip.view.window
    squashed = _resize(image[None], protocol.side)
    crop = protocol.crop
    crops = [squashed[:, :, y : y + crop, x : x + crop] for y, x in protocol.places]
    whole = _resize(image[None], max(crop, side))
    return [*(_resize(part, side)[0] for part in crops), _resize(whole, side)[0]]


@torch.inference_mode()
def encode(
    network: Network,
    image: Tensor,
    protocol: Protocol = PUBLISHED_PROTOCOL,
    description: Description | None = None,
) -> Encoded:
    """Features of all views of an image, [3, H, W] RGB in 0..1: what `decode` takes.

    Args:
        network: What encodes them.
        image: The picture.
        protocol: Its views.
        description: Of the picture, for a network that is ``described``.
    """
    views = torch.stack(show(network, image, protocol))
    with lowered(network):
        return network.encode(views, None if description is None else [description] * len(views))


def join(parts: Sequence[Encoded]) -> Encoded:
    """The features of views that were encoded apart, as `encode` gives them."""
    features, appearance, guidance = zip(*parts, strict=True)
    together = [torch.cat(layer) for layer in zip(*guidance, strict=True)]
    return torch.cat(features), torch.cat(appearance), together


@torch.inference_mode()
def decode(
    network: Network, features: Encoded, texts: Tensor, protocol: Protocol = PUBLISHED_PROTOCOL
) -> Views:
    """The logits of encoded views.

    Args:
        network: What encoded them.
        features: What `encode` gave.
        texts: [N, D] embeddings.
        protocol: As in `encode`.
    """
    with lowered(network):
        logits, kept = network.decode(features, texts)
    if kept is None:
        kept = torch.arange(texts.shape[0], device=texts.device).expand(len(logits), -1)
    return Views(logits, kept, protocol)


@torch.inference_mode()
def label(views: Views, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The best class of every pixel and its probability: int64 and float32, both `size`."""
    device = views.logits.device
    best = torch.full(size, -1.0, device=device)
    where = torch.zeros(size, dtype=torch.int64, device=device)
    for some in _contenders(views).split(AT_ONCE):
        value, index = scores(views, some, size).max(dim=0)
        better = value > best
        best = torch.where(better, value, best)
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
    whole = _enlarge(_view(views, len(places), wanted), (side, side))
    if places:
        crops = torch.zeros_like(whole)
        seen = whole.new_zeros(side, side)
        for view, (y, x) in enumerate(places):
            crops[:, y : y + crop, x : x + crop] += _view(views, view, wanted)
            seen[y : y + crop, x : x + crop] += 1
        whole = crops.div_(seen).add_(whole).div_(2)
    return _enlarge(whole, size)


def _contenders(views: Views) -> Tensor:
    """The classes that may have the highest probability somewhere, int64, in order.

    Enlarging makes means of neighbours: in a tile of the picture no pixel is above the highest
    of the logits around it, or below the lowest.
    """
    side, crop, places = views.protocol.side, views.protocol.crop, views.protocol.places
    kept = views.kept.unique()
    shape = (len(kept), TILES, TILES)
    most, least = views.logits.new_zeros(shape).float(), views.logits.new_ones(shape).float()
    for view, (top, left, width) in enumerate([*((y, x, crop) for y, x in places), (0, 0, side)]):
        index = torch.searchsorted(kept, views.kept[view])
        logits = views.logits[view].float()
        via = crop if view == len(places) else 0
        rows = _tiles(side, top, width, logits.shape[1], via)
        columns = _tiles(side, left, width, logits.shape[2], via)
        high, low = torch.zeros_like(most), torch.zeros_like(least)
        high[index] = _pool(_pool(logits, rows, 1), columns, 2).sigmoid()
        low[index] = (-_pool(_pool(-logits, rows, 1), columns, 2)).sigmoid()
        if not via:  # a part of the crops, whichever are there: the extremes of all
            there = high.new_tensor([b > a for a, b in rows])[:, None] * high.new_tensor(
                [b > a for a, b in columns]
            )
            most = torch.where(there > 0, most.maximum(high), most)
            least = torch.where(there > 0, least.minimum(low), least)
        else:
            most, least = (most + high, least + low) if places else (high, low)
    margin = 1e-5  # rounding
    return kept[(most + margin >= least.amax(dim=0)).flatten(1).any(dim=1)]


def _tiles(side: int, start: int, width: int, cells: int, via: int = 0) -> list[tuple[int, int]]:
    """For each tile of the side the cells [first, last) of a view that its pixels are made of.

    The view has so many cells from `start` over `width` pixels, enlarged at once or by way of
    `via` pixels. Empty where it does not reach.
    """
    reach = 1 + (cells / via if via else 0)
    ranges = []
    for tile in range(TILES):
        # Enlarged to any size, a pixel is made of pixels that lie one further at most.
        first = max(tile * side // TILES - 1, start)
        last = min(-(-(tile + 1) * side // TILES) + 1, start + width)
        share = cells / width
        low = int((first - start) * share - reach) if last > first else 0
        high = int((last - start) * share + 1 + reach) if last > first else 0
        ranges.append((max(0, low), min(cells, high)))
    return ranges


def _pool(x: Tensor, ranges: list[tuple[int, int]], dim: int) -> Tensor:
    """The highest of each range along a dimension; -100 where it is empty."""
    shape = list(x.shape)
    del shape[dim]
    parts = [
        x.narrow(dim, a, b - a).amax(dim=dim) if b > a else x.new_full(shape, -100.0)
        for a, b in ranges
    ]
    return torch.stack(parts, dim=dim)


def _view(views: Views, view: int, wanted: Tensor) -> Tensor:
    """[W, crop, crop]: the sigmoids of some classes in a view, 0 for those it did not keep."""
    side = views.protocol.crop
    match = wanted[:, None] == views.kept[view][None]
    kept = match.any(dim=1)
    chosen = views.logits[view][match.to(torch.int8).argmax(dim=1)[kept]]
    shown = torch.zeros(len(wanted), side, side, device=chosen.device)
    if len(chosen):
        shown[kept] = _enlarge(chosen.float(), (side, side)).sigmoid()
    return shown


def _enlarge(x: Tensor, size: tuple[int, int]) -> Tensor:
    """[W, h, w] -> [W, *size]."""
    if x.shape[1:] == size:
        return x
    return F.interpolate(x[None], size, mode="bilinear", align_corners=False)[0]


def _resize(images: Tensor, side: int) -> Tensor:
    if images.shape[2:] == (side, side):
        return images
    return F.interpolate(
        images, (side, side), mode="bilinear", align_corners=False, antialias=False
    )
