"""The scores of texts in a picture with numpy alone, as `inference/pictures.py` has them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from lsmseg_model.deploy.resizing import bilinear, places
from lsmseg_model.inference.best import at_pixel, best_of
from lsmseg_model.inference.geometry import neighbours
from lsmseg_model.networks.protocol import Protocol

CELLS = 2  # positions a side of the parts of a picture in which classes are compared


class Cosines:
    """The cosines of dense features [h, w, D] with rows [M, D]; methods as of `CostMaps`.

    owners: the text that each row belongs to, whose score is its highest; None: each is one.
    """

    def __init__(
        self,
        features: np.ndarray,
        rows: np.ndarray,
        owners: Sequence[int] | None,
        size: tuple[int, int],
    ) -> None:
        self.features, self.rows, self.owners, self.size = features, rows, owners, size

    def label(self, owners: Sequence[int] | None = None) -> tuple[np.ndarray, np.ndarray]:
        where, best = best_row(self.features, self.rows, self.size)
        for mapping in (self.owners, owners):
            if mapping is not None:
                where = np.asarray(mapping)[where]
        return where, best

    def scores(self, wanted: Sequence[int]) -> np.ndarray:
        if self.owners is None:
            return self._enlarged(list(wanted))
        rows = [[r for r, owner in enumerate(self.owners) if owner == w] for w in wanted]
        return np.stack([self._enlarged(some).max(axis=0) for some in rows])

    def at(self, wanted: Sequence[int], pixel: tuple[int, int]) -> np.ndarray:
        (height, width), (rows, columns) = self.size, self.features.shape[:2]
        above, below, down = neighbours(rows, height, pixel[0])
        left, right, across = neighbours(columns, width, pixel[1])
        pair = self.features[[above, below]]
        pair = pair[:, left] * (1 - across) + pair[:, right] * across
        cosines = self.rows @ (pair[0] * (1 - down) + pair[1] * down)
        owners = np.arange(len(self.rows)) if self.owners is None else np.asarray(self.owners)
        found = [cosines[owners == one].max() for one in wanted]
        return np.asarray(found, np.float32)

    def _enlarged(self, rows: list[int]) -> np.ndarray:
        return bilinear((self.features @ self.rows[rows].T).transpose(2, 0, 1), self.size)

    @cached_property
    def range(self) -> tuple[float, float]:
        flat = self.features.reshape(-1, self.features.shape[-1])
        parts = [flat @ self.rows[at : at + 256].T for at in range(0, len(self.rows), 256)]
        return min(float(p.min()) for p in parts), max(float(p.max()) for p in parts)


def best_row(
    features: np.ndarray, rows: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """The row of the highest cosine at every pixel, of equals the first, and the cosine.

    Part by part of the picture: enlarging makes means of neighbours, so that a row whose cosines
    there all lie below the lowest of another one cannot win in a part.
    """
    where, best = np.empty(size, np.int64), np.empty(size, np.float32)
    height, width = features.shape[:2]
    down, across = places(height, size[0]), places(width, size[1])
    for top in range(0, height, CELLS):
        band = (features[top : top + CELLS + 1] @ rows.T).transpose(2, 0, 1)
        ys = _span(down[0], top)
        for left in range(0, width, CELLS):
            xs = _span(across[0], left)
            part = band[:, :, left : left + CELLS + 1]
            bar = part.min(axis=(1, 2)).max()
            able = np.flatnonzero(part.max(axis=(1, 2)) >= bar)
            values = _between(part[able], down, across, ys, xs, top, left)
            winner = values.argmax(axis=0)
            where[ys, xs] = able[winner]
            best[ys, xs] = np.take_along_axis(values, winner[None], axis=0)[0]
    return where, best


def _span(first: np.ndarray, start: int) -> slice:
    """The pixels whose position before them is one of CELLS from `start` on."""
    low, high = np.searchsorted(first, [start, start + CELLS])
    return slice(int(low), int(high))


def _between(
    part: np.ndarray,
    down: tuple[np.ndarray, np.ndarray],
    across: tuple[np.ndarray, np.ndarray],
    ys: slice,
    xs: slice,
    top: int,
    left: int,
) -> np.ndarray:
    """The values [K, pixels, pixels] of a part of maps [K, h, w] that begins at a position.

    Args:
        part: The maps there.
        down: What `places` gave of the rows.
        across: And of the columns.
        ys: Its pixels down.
        xs: And across.
        top: Its first row of positions.
        left: And column.
    """
    for axis, (first, share), pixels, start in ((1, down, ys, top), (2, across, xs, left)):
        one = first[pixels] - start
        two = np.minimum(one + 1, part.shape[axis] - 1)
        weight = share[pixels].reshape([-1 if at == axis else 1 for at in range(3)])
        part = part.take(one, axis) * (1 - weight) + part.take(two, axis) * weight
    return part


class ViewScores:
    """The probabilities that a whole network gives texts; methods as of `Probabilities`.

    logits: float32 [V, K, h, w] of the views of a picture. kept: int64 [V, K], their classes.
    """

    range = (0.0, 1.0)

    def __init__(
        self, logits: np.ndarray, kept: np.ndarray, protocol: Protocol, size: tuple[int, int]
    ) -> None:
        self.logits, self.kept, self.protocol, self.size = logits, kept, protocol, size

    def label(self, owners: Sequence[int] | None = None) -> tuple[np.ndarray, np.ndarray]:
        where, best = best_of(self.scores, np.unique(self.kept).tolist(), self.size)
        return (where if owners is None else np.asarray(owners)[where]), best

    def scores(self, wanted: Sequence[int] | np.ndarray) -> np.ndarray:
        """float32 [W, *size]: sigmoids averaged over the crops, then with the whole picture."""
        side, crop, views = self.protocol.side, self.protocol.crop, self.protocol.places
        whole = bilinear(self._view(len(views), wanted), (side, side))
        if views:
            crops, seen = np.zeros_like(whole), np.zeros((side, side), np.float32)
            for view, (y, x) in enumerate(views):
                crops[:, y : y + crop, x : x + crop] += self._view(view, wanted)
                seen[y : y + crop, x : x + crop] += 1
            whole = (crops / seen + whole) / 2
        return bilinear(whole, self.size)

    def at(self, wanted: Sequence[int], pixel: tuple[int, int]) -> np.ndarray:
        return at_pixel(self.scores, wanted, pixel)

    def _view(self, view: int, wanted: Sequence[int] | np.ndarray) -> np.ndarray:
        """[W, crop, crop]: the sigmoids of some classes in a view, 0 for those it did not keep."""
        side = self.protocol.crop
        shown = np.zeros((len(wanted), side, side), np.float32)
        place = {int(one): at for at, one in enumerate(self.kept[view])}
        for at, one in enumerate(wanted):
            if int(one) in place:
                logits = bilinear(self.logits[view, place[int(one)]][None], (side, side))[0]
                shown[at] = 1 / (1 + np.exp(-logits))
        return shown
