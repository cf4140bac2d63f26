"""How several texts of a class are read together.

With e_i the embedding of a class's text i, of length 1, w_i its weight (1 where there are none),
and f the feature at a position of a picture, the class scores there

    mean        f . m / |m|,   m = sum_i w_i e_i / sum_i |w_i|
    mean-score  f . m = sum_i w_i (f . e_i) / sum_i |w_i|
    max         max_i f . e_i
    adaptive    f . m / |m|,   m = sum_i a_i e_i,   a_i = exp(p . e_i / t) / sum_j exp(p . e_j / t)

where p is the mean of the picture's features, of length 1, and t the temperature. `mean` is
open_clip's ensemble, `mean-score` the mean of cosines of DCLIP; of `max` every text is a sub-class
that competes by itself; `adaptive` weighs the texts of a class anew for each picture, by how well
they fit it: with t to infinity it is `mean`, with t to 0 the text that fits best.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from lsmseg_model.errors import UsageError

KINDS = ("mean", "mean-score", "max", "adaptive")
CANCELLED = 1e-6  # a mean shorter than this has no direction

Groups = Sequence[Sequence[str]]


class TextTower(Protocol):
    """What embeds texts: `Clip`."""

    def encode_texts(self, texts: Groups) -> Tensor:
        """N groups of texts -> [N, D], the mean of each group, of length 1."""


@dataclass(frozen=True)
class Reading:
    """How the texts of each class are read together: one of `KINDS`.

    weights: of each class's texts, for `mean` and `mean-score`; None: all 1. temperature: of
    `adaptive`.
    """

    kind: str = "mean"
    weights: tuple[tuple[float, ...], ...] | None = None
    temperature: float | None = None

    def followed_by(self, groups: Groups) -> Reading:
        """The same for more classes, whose texts all weigh 1."""
        if self.weights is None:
            return self
        return replace(self, weights=(*self.weights, *((1.0,) * len(group) for group in groups)))

    def for_network(self) -> Reading:
        """The reading; UsageError where a whole network cannot do it."""
        if self.kind != "mean":
            raise UsageError(
                "A whole network compares one embedding of length 1 a class and cannot read texts "
                f"by {self.kind}: use --composition ensemble, or a CLIP without --checkpoint."
            )
        return self


MEAN = Reading()


def some_texts(
    prompts: object, indices: Sequence[int]
) -> tuple[tuple[tuple[str, ...], ...], Reading]:
    """The texts of some classes of a prompt set, and how they are read.

    prompts: has `texts`, and may have a `composition` (all but those of `KINDS` are read as
    `mean`), `weights` and a `temperature`. Where each class has one text, all readings are one.
    """
    texts: Groups = prompts.texts  # type: ignore[attr-defined]
    groups = tuple(tuple(texts[index]) for index in indices)
    weights = getattr(prompts, "weights", None)
    if weights is not None:
        weights = tuple(tuple(weights[index]) for index in indices)
    elif all(len(group) == 1 for group in groups):
        return groups, MEAN
    kind = getattr(prompts, "composition", "mean")
    temperature = getattr(prompts, "temperature", None)
    return groups, Reading(kind if kind in KINDS else "mean", weights, temperature)


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
        if reading.kind == "mean" and float(means[-1].norm()) < CANCELLED:
            raise UsageError(
                f"The weights of {group[0]!r} and the other texts of its class cancel out: give "
                "others."
            )
    matrix = torch.stack(means)
    return ClassEmbeddings(F.normalize(matrix, dim=-1) if reading.kind == "mean" else matrix)
