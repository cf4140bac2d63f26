"""Attribute prototypes: a helper of pre-training, which nothing needs afterwards.

Each value of an attribute ("color red", "shape ring") has a vector in the space that pictures and
texts share. A position must be nearest to those of the thing it shows, a caption to those of what
it claims: so both towers learn attributes apart from each other, and meet in the same places.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Prototypes(nn.Module):
    """A vector for each claim; those that begin with the same word are alternatives.

    claims: all that there are. width: D.
    """

    def __init__(self, claims: Sequence[str], width: int, scale: float = 20.0) -> None:
        super().__init__()
        self.place = {claim: place for place, claim in enumerate(claims)}
        attributes = dict.fromkeys(claim.partition(" ")[0] for claim in claims)
        self.groups = [
            [place for claim, place in self.place.items() if claim.partition(" ")[0] == attribute]
            for attribute in attributes
        ]
        self.vectors = nn.Parameter(torch.randn(len(claims), width) * 0.1)
        self.scale = scale

    def truths(self, sets: Sequence[Collection[str]]) -> Tensor:
        """[N, claims], which claims each set holds; unknown ones are passed over."""
        table = torch.zeros(len(sets), len(self.place))
        for row, claims in enumerate(sets):
            for claim in claims:
                if claim in self.place:
                    table[row, self.place[claim]] = 1.0
        return table

    def loss(self, features: Tensor, truths: Tensor, weight: Tensor) -> Tensor:
        """Cross-entropy over the alternatives of each attribute that something is known of.

        What is common in the batch ("pattern plain") is held back: each value counts by the root of
        its share.

        Args:
            features: [N, D] of length 1.
            truths: [N, claims], see `truths`; of several true ones each counts alike.
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
    labels: Tensor, looks: Sequence[Mapping[int, frozenset[str]]]
) -> tuple[Tensor, list[frozenset[str]]]:
    """Which look every position has.

    Args:
        labels: int64 [B, h, w].
        looks: For each picture, label value -> what is true of it.

    Returns rows int64 [B, h, w] of the list of looks; row 0 knows nothing.
    """
    rows, sets = torch.zeros_like(labels), [frozenset[str]()]
    for picture, known in enumerate(looks):
        for value, claims in known.items():
            rows[picture][labels[picture] == value] = len(sets)
            sets.append(claims)
    return rows, sets
