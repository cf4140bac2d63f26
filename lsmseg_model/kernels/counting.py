"""Counts of many prompt sets on a picture, at once and without a label map for each.

Where only one class can win in a cell (see argmax.py), it wins at all of the cell's pixels, and
the labels there are counted beforehand; the classes are compared at the other cells' pixels only.
The counts are those of `metrics.confusion_counts` for every set's map (tests/test_counting.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lsmseg_model.kernels.argmax import Axis, Contenders, address, bordered, first_max

AT_ONCE = 1 << 19  # values of the sets' cost maps that are looked at together: 2 MB


@dataclass(frozen=True)
class Labels:
    """A picture's label map, its pixels dealt out to the cells of a feature map.

    at: int64 [cells, pixels] class positions, -1 for unlabelled pixels and beyond a cell's own;
    table: float64 [cells, C] how many pixels of a cell have each label.
    """

    at: Tensor
    table: Tensor
    rows: Axis
    columns: Axis

    @classmethod
    def of(cls, labels: np.ndarray, grid: tuple[int, int], classes: int) -> Labels:
        """labels: int [H, W] positions, below 0 where ignored; grid: h and w of the features."""
        rows, columns = (
            Axis.of(few + 2, many) for few, many in zip(grid, labels.shape, strict=True)
        )
        cells = len(rows.share) * len(columns.share)
        at = torch.full((cells, rows.most * columns.most), -1)
        flat = torch.from_numpy(labels.astype(np.int64)).clamp(min=-1)
        at.view(-1)[address(rows, columns)] = flat
        cell = torch.arange(cells)[:, None].expand_as(at)
        labelled = at >= 0
        table = torch.bincount(cell[labelled] * classes + at[labelled], minlength=cells * classes)
        return cls(at, table.view(cells, classes).double(), rows, columns)


@torch.inference_mode()
def count_sets(
    features: Tensor, text: Tensor, labels: np.ndarray, stands_for: np.ndarray, classes: int
) -> np.ndarray:
    """int64 [S, C, 3] counts (see ``metrics``) of S prompt sets on one picture.

    Args:
        features: [h, w, D].
        text: [S, N, D].
        labels: int [H, W] class positions, below 0 ignored.
        stands_for: int [N], the class position of each prompt.
        classes: C.
    """
    device = features.device
    grid = (features.shape[0], features.shape[1])
    ruled = Labels.of(labels, grid, classes)
    at, table = ruled.at.to(device), ruled.table.to(device)
    owner = torch.from_numpy(np.asarray(stands_for, np.int64)).to(device)
    flat = bordered(features)
    high, wide = flat.shape[:2]
    flat = flat.flatten(0, 1).T.contiguous()
    counts = torch.zeros(len(text), classes, 3, dtype=torch.float64, device=device)
    counts[:, :, 2] = table.sum(dim=0)
    labelled = table.sum(dim=1)
    step = max(1, AT_ONCE // (text.shape[1] * high * wide))
    for start in range(0, len(text), step):
        part = text[start : start + step]
        cost = (part.flatten(0, 1) @ flat).view(*part.shape[:2], high, wide)
        contenders = Contenders.of(cost)
        bins = len(part) * classes
        hit = torch.zeros(bins + 1, dtype=torch.float64, device=device)  # the last: of no interest
        predicted = torch.zeros_like(hit)
        sure = (contenders.count == 1).nonzero()[:, 0]
        cell, winner = sure % len(at), owner[contenders.classes[contenders.first[sure]]]
        place = sure // len(at) * classes + winner
        predicted += torch.bincount(place, labelled[cell], minlength=bins + 1)
        hit += torch.bincount(place, table[cell, winner], minlength=bins + 1)
        for some, chosen, value in contenders.contests(cost, ruled.rows, ruled.columns, least=2):
            winner = owner.take(chosen).gather(1, first_max(value)[1])  # [cells, pixels]
            label = at.index_select(0, some % len(at))
            place = (some // len(at) * classes)[:, None] + winner
            place = torch.where(label >= 0, place, bins)
            predicted += torch.bincount(place.flatten(), minlength=bins + 1)
            place = torch.where(label == winner, place, bins)
            hit += torch.bincount(place.flatten(), minlength=bins + 1)
        counts[start : start + step, :, 0] = hit[:bins].view(-1, classes)
        counts[start : start + step, :, 1] = predicted[:bins].view(-1, classes)
    return counts.round().long().cpu().numpy()
