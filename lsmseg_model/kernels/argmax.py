"""The best class of every pixel of an enlarged cost map, visiting only classes that can win.

Between four neighbouring positions, a *cell*, bilinear enlargement is a mean of the four values
with weights of at least 0. So no class whose four corners all lie below the lowest corner of
another one can win anywhere in the cell. What is left, a few classes a cell, is enlarged and
compared: exact, and many times faster than enlarging all classes. Many cost maps of one picture
are compared together, one a prompt set. Checked against `upsample(cost).max(dim=0)`
(tests/model/test_argmax.py).
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
    what `upsample(cost_map(...)).max(dim=1)` gives. In 32 bits the class may differ from that
    where the two best are within 1e-6.
    """
    if len(text) <= FEW:
        cost = torch.einsum("hwd,nd->nhw", features, text)
        best, where = F.interpolate(cost[None], size, mode="bilinear")[0].max(dim=0)
        return where, best
    features = bordered(features)
    height, width = features.shape[:2]
    rows, columns = Axis.of(height, size[0]), Axis.of(width, size[1])
    where = torch.empty(size, dtype=torch.int64, device=features.device)
    best = features.new_empty(size)
    band = max(1, BAND // (4 * len(text) * width))
    for top in range(0, height - 1, band):
        part = rows.part(top, top + band)
        cost = torch.einsum("hwd,nd->nhw", features[top : top + band + 1], text)
        pixels = slice(part.first, part.first + len(part.cell))
        where[pixels], best[pixels] = _best_of_band(cost, part, columns)
    return where, best


def _best_of_band(cost: Tensor, rows: Axis, columns: Axis) -> tuple[Tensor, Tensor]:
    """`best_class` for the pixels of some rows of cells. cost: [N, cells + 1, w]."""
    cost = cost.contiguous()[None]
    contenders = Contenders.of(cost)
    shape = (len(contenders.count), rows.most, columns.most)
    where = torch.zeros(shape, dtype=torch.int64, device=cost.device)
    best = cost.new_zeros(shape)
    for some, chosen, value in contenders.contests(cost, rows, columns):
        most, index = first_max(value)
        best[some] = most.view(-1, *shape[1:])
        where[some] = chosen.gather(1, index).view(-1, *shape[1:])
    return rows.lay_out(where, columns), rows.lay_out(best, columns)


def bordered(features: Tensor) -> Tensor:
    """Add positions beyond the border, equal to those at it: [h, w, D] -> [h + 2, w + 2, D].

    Then every pixel lies in a cell, and cells have about the same number of pixels.
    """
    for dim in (0, 1):
        last = features.shape[dim] - 1
        first = features.narrow(dim, 0, 1)
        features = torch.cat([first, features, features.narrow(dim, last, 1)], dim=dim)
    return features


def first_max(value: Tensor) -> tuple[Tensor, Tensor]:
    """The maximum over dim 1 and where it is, of equals the first.

    As `value.max(dim=1)`, but several times faster on a CPU. value: [cells, K, pixels] ->
    [cells, pixels] both.
    """
    most = value.amax(dim=1)
    count = value.shape[1]
    kind = torch.uint8 if count < 256 else torch.int32
    rank = torch.arange(count, 0, -1, dtype=kind, device=value.device)
    turn = ((value == most[:, None]).to(kind) * rank[:, None]).amax(dim=1)
    return most, count - turn.long().clamp_(min=1)


@dataclass(frozen=True)
class Contenders:
    """Which classes can win in which cell of S cost maps, the maps' cells one after the other.

    count: int64 [S * cells] how many; classes: those of all cells, cell by cell, in order; first:
    where a cell's begin.
    """

    count: Tensor
    first: Tensor
    classes: Tensor

    @classmethod
    def of(cls, cost: Tensor, places: int = 1) -> Contenders:
        """cost: [S, N, h, w], at least 2 x 2; places: how many of the best are wanted, up to N."""
        high = torch.maximum(cost[..., :-1, :], cost[..., 1:, :])
        high = torch.maximum(high[..., :-1], high[..., 1:])
        low = torch.minimum(cost[..., :-1, :], cost[..., 1:, :])
        low = torch.minimum(low[..., :-1], low[..., 1:])
        # The highest of the lowest corners, or that of the last place.
        bar = low.amax(dim=1, keepdim=True) if places == 1 else low.topk(places, dim=1)[0][:, -1:]
        able = (high >= bar).flatten(2).mT.flatten(0, 1)  # [S * cells, N]
        count = able.sum(dim=1)
        classes = able.nonzero()[:, 1]
        return cls(count, count.cumsum(0) - count, classes)

    def contests(
        self, cost: Tensor, rows: Axis, columns: Axis, least: int = 1
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Cells, the classes that can win in them [cells, K], and their values at the pixels.

        The values are [cells, K, pixels].

        Args:
            cost: [S, N, h, w], as in `of`.
            rows: Of the pixels.
            columns: Of the pixels.
            least: Only cells with so many classes or more.
        """
        height, width = cost.shape[-2:]
        across = width - 1
        flat = cost.flatten()
        weight = weights(rows, columns, cost.dtype, cost.device)  # [cells, 4, pixels]
        for some, most in self._alike(weight.shape[2], least):
            # Cells with fewer classes repeat their last one: it wins no more than it did.
            turn = torch.arange(most, device=cost.device)
            place = self.first[some, None] + turn.minimum(self.count[some, None] - 1)
            chosen = self.classes.take(place)  # [cells, K]
            cell = some % len(weight)
            corner = (some // len(weight))[:, None] * cost.shape[1] + chosen
            corner = corner * (height * width)
            corner = corner + (cell // across * width + cell % across)[:, None]
            corner = corner[..., None] + corner.new_tensor([0, 1, width, width + 1])
            yield some, chosen, enlarged(flat.take(corner), weight.index_select(0, cell))

    def _alike(self, pixels: int, least: int) -> Iterator[tuple[Tensor, int]]:
        """Cells with about as many classes each, few enough to be compared at once.

        With the most of their counts.
        """
        order = self.count.argsort()
        sizes = self.count[order].tolist()
        start = bisect_right(sizes, least - 1)
        while start < len(sizes):
            most = max(sizes[start] + 1, int(1.25 * sizes[start])) if sizes[start] > 1 else 1
            stop = start + max(1, AT_ONCE // (most * pixels))
            stop = min(stop, bisect_right(sizes, most))
            yield order[start:stop], sizes[stop - 1]
            start = stop


def enlarged(corner: Tensor, weight: Tensor) -> Tensor:
    """corner: [cells, K, 4]; weight: [cells, 4, pixels] -> [cells, K, pixels] the values between.

    Corner after corner, not as a product of matrices, whose last bits depend on their sizes: so a
    map has the same values whatever others it is compared with.
    """
    first, *others = corner[..., None].unbind(2)
    value = first * weight[:, None, 0]
    for place, one in enumerate(others, 1):
        value.addcmul_(one, weight[:, None, place])
    return value


@dataclass(frozen=True, eq=False)
class Axis:
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
    def of(few: int, many: int) -> Axis:
        """Positions (few) enlarged to pixels (many).

        The first and the last position are those added by `bordered`.
        """
        with torch.inference_mode(False):
            inner = few - 2
            at = (torch.arange(many, dtype=torch.float64) + 0.5) * (inner / many) + 0.5
            cell = at.floor().long().clamp(max=few - 2)
            count = cell.bincount(minlength=few - 1)
            place = torch.arange(many) - (count.cumsum(0) - count)[cell]
            share = torch.zeros(few - 1, max(1, int(count.max())), dtype=torch.float64)
            share[cell, place] = at - cell
            return Axis(share, cell, place)

    def part(self, start: int, stop: int) -> Axis:
        """Some of the cells, with their pixels."""
        if start <= 0 and stop >= len(self.share):
            return self
        inside = ((self.cell >= start) & (self.cell < stop)).nonzero()[:, 0]
        first = int(inside[0]) if len(inside) else 0
        return Axis(self.share[start:stop], self.cell[inside] - start, self.place[inside], first)

    def lay_out(self, values: Tensor, columns: Axis) -> Tensor:
        """values: [cells, pixels, pixels] of rows x columns -> [H, W]."""
        return values.flatten()[address(self, columns).to(values.device)]


@lru_cache(maxsize=8)
def weights(rows: Axis, columns: Axis, kind: torch.dtype, device: torch.device) -> Tensor:
    """What each pixel is made of: [rows x columns of cells, 4, pixels].

    The shares of the corners above left, above right, below left and below right.

    Args:
        rows: Of the pixels.
        columns: Of the pixels.
        kind: Of the numbers.
        device: Where they are.
    """
    with torch.inference_mode(False):
        y, x = rows.share[:, None, :, None], columns.share[None, :, None, :]
        four = [(1 - y) * (1 - x), (1 - y) * x, y * (1 - x), y * x]
        return torch.stack([w.flatten(2) for w in four], dim=2).flatten(0, 1).to(device, kind)


@lru_cache(maxsize=8)
def address(rows: Axis, columns: Axis) -> Tensor:
    """int64 [H, W]: where each pixel lies in [cells, pixels, pixels]."""
    with torch.inference_mode(False):
        down = (rows.cell * len(columns.share) * rows.most + rows.place) * columns.most
        along = columns.cell * rows.most * columns.most + columns.place
        return down[:, None] + along[None]
