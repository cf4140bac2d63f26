"""Attribute prototypes: a helper of pre-training, which nothing needs afterwards.

Each value of an attribute ("color red", "shape ring") has a vector in the space that pictures and
texts share. A position must be nearest to those of the thing it shows, a sentence to those that it
tells of: so both towers learn attributes apart from each other, and meet in the same places.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Prototypes(nn.Module):
    """A vector for each value; those that begin with the same word are one attribute's.

    values: all that there are. width: D.
    """

    def __init__(self, values: Sequence[str], width: int, scale: float = 20.0) -> None:
        super().__init__()
        self.place = {value: place for place, value in enumerate(values)}
        attributes = dict.fromkeys(value.partition(" ")[0] for value in values)
        self.groups = [
            [place for value, place in self.place.items() if value.partition(" ")[0] == attribute]
            for attribute in attributes
        ]
        self.vectors = nn.Parameter(torch.randn(len(values), width) * 0.1)
        self.scale = scale

    def truths(self, sets: Sequence[Collection[str]]) -> Tensor:
        """[N, values], which values each set holds; unknown ones are passed over."""
        table = torch.zeros(len(sets), len(self.place))
        for row, values in enumerate(sets):
            for value in values:
                if value in self.place:
                    table[row, self.place[value]] = 1.0
        return table

    def loss(self, features: Tensor, truths: Tensor, weight: Tensor) -> Tensor:
        """Cross-entropy over the values of each attribute that something is known of.

        What is common in the batch ("pattern plain") is held back: each value counts by the root of
        its share.

        Args:
            features: [N, D] of length 1.
            truths: [N, values], see `truths`; of several true ones each counts alike.
            weight: [N].
        """
        logits = self.scale * features @ F.normalize(self.vectors, dim=-1).T
        total = logits.new_zeros(())
        for places in self.groups:
            true = truths[:, places]
            share = true / true.sum(dim=1, keepdim=True).clamp(min=1) * weight[:, None]
            share = share * share.sum(dim=0).clamp(min=1e-6).rsqrt()
            each = -(share * logits[:, places].log_softmax(dim=1)).sum()
            total = total + each / share.sum().clamp(min=1e-6)
        return total / len(self.groups)


def rows_of(
    labels: Tensor, values: Sequence[Mapping[int, frozenset[str]]]
) -> tuple[Tensor, list[frozenset[str]]]:
    """Which values every position has.

    Args:
        labels: int64 [B, h, w].
        values: For each picture, label -> values of what it is.

    Returns rows int64 [B, h, w] of the list of sets of values; row 0 is empty.
    """
    rows, sets = torch.zeros_like(labels), [frozenset[str]()]
    for picture, known in enumerate(values):
        for label, some in known.items():
            rows[picture][labels[picture] == label] = len(sets)
            sets.append(some)
    return rows, sets
