"""The texts of classes embedded, as a reading (`reading.py`) has them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from lsmseg_model.inference.reading import MEAN, Groups, Reading, check_direction


class TextTower(Protocol):
    """What embeds texts: `Clip`."""

    def encode_texts(self, texts: Groups) -> Tensor:
        """N groups of texts -> [N, D], the mean of each group, of length 1."""


@dataclass(frozen=True)
class ClassEmbeddings:
    """Embedded texts of N classes, as a reading has them.

    rows: [M, D], what is compared with features; of `adaptive` [N, K, D], the texts of each class,
    mixed anew for each picture. owners: the class of each row; None where each is a class. present:
    bool [N, K], which of those of `adaptive` there are. temperature: of `adaptive`.
    """

    rows: Tensor
    owners: tuple[int, ...] | None = None
    present: Tensor | None = None
    temperature: float | None = None

    def __len__(self) -> int:
        return len(self.rows) if self.owners is None else self.owners[-1] + 1

    def parts(self) -> list[Tensor]:
        """Each class's own row [D], where each is one row."""
        return [row.clone() for row in self.rows]

    @classmethod
    def of_parts(cls, parts: Sequence[Tensor]) -> ClassEmbeddings:
        """Of rows that `parts` gave."""
        return cls(torch.stack(list(parts)))

    def to(self, device: torch.device) -> ClassEmbeddings:
        """On another device."""
        present = None if self.present is None else self.present.to(device)
        return replace(self, rows=self.rows.to(device), present=present)

    @torch.inference_mode()
    def of(self, features: Tensor) -> Tensor:
        """The rows [M, D] that are compared with a picture's features [h, w, D]."""
        if self.present is None or self.temperature is None:
            return self.rows
        pooled = F.normalize(features.flatten(0, -2).mean(dim=0), dim=-1)
        fit = (self.rows @ pooled).double().masked_fill(~self.present, -torch.inf)
        fit = fit - fit.amax(dim=1, keepdim=True)
        weight = (fit / self.temperature).softmax(dim=1).to(self.rows.dtype)
        return F.normalize(torch.einsum("nk,nkd->nd", weight, self.rows), dim=-1)


@torch.inference_mode()
def embed(tower: TextTower, sets: Iterable[tuple[Groups, Reading]]) -> list[ClassEmbeddings]:
    """Embed the texts of many sets, equal ones once.

    Raises what `Clip.encode_texts` raises, and UsageError for a class whose weights cancel out.
    """
    asked = [([tuple(group) for group in groups], reading) for groups, reading in sets]
    wanted: dict[tuple[str, ...], int] = {}
    for groups, reading in asked:
        for group in groups:
            apart = bool(group) and reading != MEAN
            for one in [(text,) for text in group] if apart else [group]:
                wanted.setdefault(one, len(wanted))
    embedded = tower.encode_texts(list(wanted))
    made = []
    for groups, reading in asked:
        if reading == MEAN:
            made.append(ClassEmbeddings(embedded[[wanted[group] for group in groups]]))
        else:
            texts = [embedded[[wanted[text,] for text in group]] for group in groups]
            made.append(_read(texts, groups, reading))
    return made


def _read(texts: Sequence[Tensor], groups: Groups, reading: Reading) -> ClassEmbeddings:
    """texts: of each class [K, D]."""
    if reading.kind == "max":
        owners = tuple(at for at, group in enumerate(groups) for _ in group)
        return ClassEmbeddings(torch.cat(list(texts)), owners)
    if reading.kind == "adaptive":
        rows = torch.nn.utils.rnn.pad_sequence(list(texts), batch_first=True)
        count = torch.tensor([len(group) for group in groups], device=rows.device)
        present = torch.arange(rows.shape[1], device=rows.device) < count[:, None]
        return ClassEmbeddings(rows, None, present, reading.temperature)
    weights = reading.weights or [[1.0] * len(group) for group in groups]
    means = []
    for rows, group, weight in zip(texts, groups, weights, strict=True):
        each = torch.tensor(weight, dtype=torch.float64, device=rows.device)
        each = (each / each.abs().sum()).to(rows.dtype)
        means.append((each[:, None] * rows).sum(dim=0))
        if reading.kind == "mean":
            check_direction(float(means[-1].norm()), group)
    matrix = torch.stack(means)
    return ClassEmbeddings(F.normalize(matrix, dim=-1) if reading.kind == "mean" else matrix)
