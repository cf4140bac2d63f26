"""The best class of every pixel of an enlarged cost map, visiting only classes that can win.

Between four neighbouring positions, a *cell*, bilinear enlargement is a mean of the four values
with weights of at least 0. So no class whose four corners all lie below the lowest corner of
another one can win anywhere in the cell. What is left, a few classes a cell, is enlarged and
compared: exact, and many times faster than enlarging all classes. Checked against
`upsample(cost).max(dim=0)` (tests/test_argmax.py).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional as F

AT_ONCE = 1 << 20  # enlarged values that are compared together: 4 MB, which caches hold
BAND = 1 << 24  # values of a cost map that are looked at together: 64 MB
FEW = 8  # so few classes are enlarged and compared sooner than chosen among


@torch.inference_mode()
def best_class(features: Tensor, text: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The class of the highest cosine at every pixel, in bounded memory.

    features: [h, w, D]; text: [N, D] -> int64 [H, W], of equals the first, and [H, W] the cosines:
    what `upsample(cost_map(...)).max(dim=1)` gives.
    """
    if len(text) <= FEW:
        cost = torch.einsum("hwd,nd->nhw", features, text)
        best, where = F.interpolate(cost[None], size, mode="bilinear")[0].max(dim=0)
        return where, best
    features = _at_least_two(features)
    height, width = features.shape[:2]
    rows, columns = _Axis.of(height, size[0]), _Axis.of(width, size[1])
    where = torch.empty(size, dtype=torch.int64, device=features.device)
    best = features.new_empty(size)
    band = max(1, BAND // (4 * len(text) * width))
    for top in range(0, height - 1, band):
        part = rows.part(top, top + band)
        cost = torch.einsum("hwd,nd->nhw", features[top : top + band + 1], text)
        pixels = slice(part.first, part.first + len(part.cell))
        where[pixels], best[pixels] = best_of_band(cost, part, columns)
    return where, best


def best_of_enlarged(cost: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """The argmax and maximum over classes of a bilinearly enlarged cost map (align_corners=False).

    cost: [N, h, w] -> int64 [H, W], of equals the first, and [H, W] of the cost's kind. In 32 bits
    the result may differ from that of enlarging everything where the two best are within 1e-6.
    """
    cost = _at_least_two(cost.permute(1, 2, 0)).permute(2, 0, 1)
    return best_of_band(cost, _Axis.of(cost.shape[1], size[0]), _Axis.of(cost.shape[2], size[1]))


def best_of_band(cost: Tensor, rows: _Axis, columns: _Axis) -> tuple[Tensor, Tensor]:
    """`best_of_enlarged` for the pixels of some rows of cells. cost: [N, cells + 1, w]"""
    across = cost.shape[2] - 1
    corners = torch.stack(
        [cost[:, :-1, :-1], cost[:, :-1, 1:], cost[:, 1:, :-1], cost[:, 1:, 1:]], dim=-1
    ).flatten(1, 2)  # [N, cells, 4]
    bar = corners.amin(dim=2).amax(dim=0)  # the highest of the lowest corners, [cells]
    able = corners.amax(dim=2) >= bar  # [N, cells]
    count = able.sum(dim=0)
    _, classes = able.T.nonzero(as_tuple=True)  # by cell, then by class
    first = count.cumsum(0) - count
    where = torch.zeros(len(count), rows.most, columns.most, dtype=torch.int64, device=cost.device)
    best = cost.new_zeros(where.shape)
    tall, wide = rows.share.to(cost), columns.share.to(cost)  # [cells along an axis, pixels]
    for some, most in _alike(count, rows.most * columns.most):
        # Cells with fewer classes repeat their last one: it wins no more than it did.
        turn = torch.arange(most, device=cost.device)
        place = first[some, None] + turn.minimum(count[some, None] - 1)
        chosen = classes[place]  # [cells, K]
        four = corners[chosen, some[:, None]].unflatten(2, (2, 2))  # [cells, K, above/below, 2]
        y, x = tall[some // across][:, None], wide[some % across]  # [cells, ., pixels]
        left = torch.lerp(four[:, :, 0, 0, None], four[:, :, 1, 0, None], y)
        right = torch.lerp(four[:, :, 0, 1, None], four[:, :, 1, 1, None], y)
        value = torch.lerp(left[..., None], right[..., None], x[:, None, None])
        best[some], index = value.max(dim=1)  # of [cells, K, pixels, pixels]
        where[some] = chosen.gather(1, index.flatten(1)).view(index.shape)
    return rows.lay_out(where, columns), rows.lay_out(best, columns)


def _alike(count: Tensor, pixels: int) -> Iterator[tuple[Tensor, int]]:
    """Cells with about as many classes each, few enough to be compared at once; the most of
    their counts."""
    order = count.argsort()
    sizes = count[order].tolist()
    start = 0
    while start < len(sizes):
        most = max(sizes[start] + 1, int(1.25 * sizes[start]))
        stop = start + max(1, AT_ONCE // (most * pixels))
        stop = min(stop, bisect_right(sizes, most))
        yield order[start:stop], sizes[stop - 1]
        start = stop


def _at_least_two(features: Tensor) -> Tensor:
    """A single row or column twice: then there are cells. features: [h, w, D]"""
    for dim in (0, 1):
        if features.shape[dim] == 1:
            features = features.repeat_interleave(2, dim=dim)
    return features


@dataclass(frozen=True)
class _Axis:
    """Which pixels of one axis lie in which cell, and how far along it.

    share: [cells, most] the weight of the further corner. cell, place: of each pixel, its cell
    and its place among the cell's pixels. first: the first pixel.
    """

    share: Tensor
    cell: Tensor
    place: Tensor
    first: int = 0

    @property
    def most(self) -> int:
        return self.share.shape[1]

    @staticmethod
    @lru_cache(maxsize=64)
    def of(few: int, many: int) -> _Axis:
        """few positions, at least 2, enlarged to many pixels."""
        with torch.inference_mode(False):
            at = (torch.arange(many, dtype=torch.float64) + 0.5) * (few / many) - 0.5
            at = at.clamp(0, few - 1)
            cell = at.floor().long().clamp(max=few - 2)
            count = cell.bincount(minlength=few - 1)
            place = torch.arange(many) - (count.cumsum(0) - count)[cell]
            share = torch.zeros(few - 1, max(1, int(count.max())), dtype=torch.float64)
            share[cell, place] = at - cell
            return _Axis(share, cell, place)

    def part(self, start: int, stop: int) -> _Axis:
        """Some of the cells, with their pixels."""
        inside = ((self.cell >= start) & (self.cell < stop)).nonzero()[:, 0]
        first = int(inside[0]) if len(inside) else 0
        return _Axis(self.share[start:stop], self.cell[inside] - start, self.place[inside], first)

    def lay_out(self, values: Tensor, columns: _Axis) -> Tensor:
        """values: [cells, pixels, pixels] of rows x columns -> [H, W]"""
        down = self.cell * len(columns.share) * self.most + self.place  # in rows of pixels
        down = down * columns.most
        along = columns.cell * self.most * columns.most + columns.place
        return values.flatten()[(down[:, None] + along[None]).to(values.device)]
