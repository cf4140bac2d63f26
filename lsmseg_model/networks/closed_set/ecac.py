"""ECAC, the extended context-aware classifier, an add-on to any host: chapter 4 of the thesis.

Published in IEEE TMM 2025 (arXiv 2510.25174) without code; built on CAC (Tian et al., AAAI 2023),
whose code settles what the text leaves open. A class's row of the classifier is made for each
picture from what the picture shows of the class and what a memory bank holds of it. Shapes: B
pictures, d channels, N classes, h x w positions.

Added at inference with d = 512 and N = 150: 0.865 M parameters, of which the bank is 0.077 M, and
on 64 x 64 positions 0.75 G multiply-adds. Published (table 4.6): 1.02 to 1.05 M and 1.13 to 1.45 G,
from layers whose width the thesis does not give; no usual one fits. The teacher: 0.788 M more.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lsmseg_model.networks.closed_set import ecac_losses
from lsmseg_model.networks.closed_set.config import ClosedSetOptions
from lsmseg_model.processes import Processes

SCALE = 15.0  # of the cosines, as in CAC's code


class Classifier(nn.Module):
    """A classifier that is made for each picture, and its calibration (Eq. 4.5, 4.7 to 4.10).

    Decided: two layers 2d -> d -> d with a ReLU between them; cosines times 15, because plain
    products of growing features are unstable; a class's gain starts at 1, its shift at 0.
    """

    def __init__(self, channels: int, classes: int, options: ClosedSetOptions) -> None:
        super().__init__()
        self.kind = options.scores
        self.layers = nn.Sequential(
            nn.Linear(2 * channels, channels), nn.ReLU(), nn.Linear(channels, channels)
        )
        gain, shift = torch.ones(classes, 1, 1), torch.zeros(classes, 1, 1)
        self.gain = nn.Parameter(gain) if options.calibration else None
        self.shift = nn.Parameter(shift) if options.calibration else None

    def forward(self, features: Tensor, centres: Tensor, bank: Tensor) -> Tensor:
        """Logits [B, N, h, w] from features [B, d, h, w], centres [B, N, d] and the bank [N, d]."""
        rows = self.layers(torch.cat([centres, bank.expand_as(centres)], dim=-1))
        logits = scores(features, rows, self.kind)
        if self.gain is None or self.shift is None:
            return logits
        return logits * self.gain + self.shift


class ECAC(nn.Module):
    """Student and teacher classifiers, and the memory bank that both read.

    The student knows a picture's centres of classes from the coarse logits, the teacher from the
    labels; only the student is left at inference. State: `bank` [N, d], `filled` [N], the rows that
    have been set, and `iterations`; they change in `update` alone. Decided: the bank has no
    gradient; with the option `memory` off it stays empty, so that nothing else differs.
    frequencies: each class's share of the training pixels (None: all alike).
    """

    bank: Tensor
    filled: Tensor
    iterations: Tensor
    weights: Tensor

    def __init__(
        self,
        channels: int,
        classes: int,
        options: ClosedSetOptions,
        frequencies: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.options = options
        self.student = Classifier(channels, classes, options)
        self.teacher = Classifier(channels, classes, options)
        self.register_buffer("bank", torch.zeros(classes, channels))
        self.register_buffer("filled", torch.zeros(classes, dtype=torch.bool))
        self.register_buffer("iterations", torch.zeros((), dtype=torch.int64))
        weights = ecac_losses.class_weights(frequencies or [1.0] * classes, options.rho)
        self.register_buffer("weights", weights, persistent=False)  # known from the frequencies
        # Not a buffer: torchrun's processes would be given the first one's before each part.
        self._collected: Tensor | None = None

    def forward(
        self, features: Tensor, coarse: Tensor, labels: Tensor | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The student's logits, which labels do not change, and with labels the losses.

        Decided: a centre is divided by the class's mass, as in CAC's code (Eq. 4.6 has no divisor).

        Args:
            features: [B, d, h, w].
            coarse: [B, N, h, w], the logits of the host's own classifier.
            labels: int64 [B, h, w], -1 where unlabelled.

        Returns (logits [B, N, h, w], losses by name).
        """
        centres = _means(features, coarse.flatten(2).softmax(dim=1))
        student = self.student(features, centres, self.bank)
        if labels is None:
            return student, {}
        if self.training:
            self.collect(features, labels)
        teacher = self.teach(features, labels)
        return student, self._losses(features, labels, student, teacher)

    def teach(self, features: Tensor, labels: Tensor) -> Tensor:
        """The teacher's logits [B, N, h, w] (Eq. 4.3 to 4.5): an upper bound, which sees labels.

        Decided: centres are of each picture; a class that is not in it has its row of the bank.
        """
        shares = ecac_losses.one_hot(labels, len(self.bank)).mT
        centres = _means(features, shares)
        present = shares.sum(dim=-1, keepdim=True) > 0
        return self.teacher(features, torch.where(present, centres, self.bank), self.bank)

    def _losses(
        self, features: Tensor, labels: Tensor, student: Tensor, teacher: Tensor
    ) -> dict[str, Tensor]:
        """The losses of Eq. 4.21 by name, weighted; each a mean. One without weight is left out.

        "student", "teacher": re-weighted cross-entropies; "kl", "iv": the student mimics the
        teacher; "memory": of the bank as a classifier, from the iteration `memory_from` on.
        Decided: C_m of Eq. 4.20 are the features' scores with the filled rows, so that this
        reaches the features only. The host's own classifier needs a loss beside these.
        """
        options = self.options
        student, teacher = student.float(), teacher.float()
        taught = teacher.detach()
        found = {
            "student": ecac_losses.weighted_cross_entropy(student, labels, self.weights),
            "teacher": ecac_losses.weighted_cross_entropy(teacher, labels, self.weights),
        }
        if options.kl:
            kl = ecac_losses.distillation(student, taught, labels, options.smoothing)
            found["kl"] = options.kl * kl
        if options.iv:
            found["iv"] = options.iv * ecac_losses.variation(student, taught, labels)
        late = int(self.iterations) >= options.memory_from
        if options.memory and options.memory_loss and late and bool(self.filled.any()):
            logits = scores(features, self.bank[self.filled], options.scores).float()
            place = (self.filled.cumsum(0) - 1).where(self.filled, -1)
            known = place[labels.clamp(min=0)].where(labels >= 0, -1)
            plain = logits.new_ones(logits.shape[1])
            loss = ecac_losses.weighted_cross_entropy(logits, known, plain)
            found["memory"] = options.memory_loss * loss
        return found

    @torch.no_grad()
    def collect(self, features: Tensor, labels: Tensor) -> None:
        """Add the features' sum and the number of positions of every class to this step's."""
        with torch.autocast(features.device.type, enabled=False):
            shares = ecac_losses.one_hot(labels, len(self.bank)).flatten(0, 1)  # [B h w, N]
            each = features.detach().float().movedim(1, -1).flatten(0, -2)
            found = shares.T @ torch.cat([each, each.new_ones(len(each), 1)], dim=1)
        self._collected = found if self._collected is None else self._collected + found

    @torch.no_grad()
    def update(self, team: Processes) -> None:
        """Move the bank once, after a step, by what all its parts and processes collected.

        z: mean of a class's features; row = (1 - momentum) row + momentum z (Eq. 4.2), at first
        sight z (Eq. 4.1). Decided: over the whole batch. Every process of a run must call this.
        """
        rows, channels = self.bank.shape
        found = self._collected
        found = team.sum(self.bank.new_zeros(rows, channels + 1) if found is None else found)
        self._collected, count = None, found[:, -1:]
        share = torch.where(self.filled[:, None], self.options.momentum, 1.0)
        moved = (1 - share) * self.bank + share * found[:, :-1] / count.clamp(min=1)
        if self.options.memory:
            self.bank.copy_(moved.where(count > 0, self.bank))
            self.filled |= count[:, 0] > 0
        self.iterations += 1


def scores(features: Tensor, rows: Tensor, kind: str) -> Tensor:
    """[B, N, h, w] how near features [B, d, h, w] are to rows [B, N, d], or [N, d] for all."""
    if kind == "cosine":
        features, rows = F.normalize(features, dim=1), F.normalize(rows, dim=-1) * SCALE
    return (rows @ features.flatten(2)).unflatten(-1, features.shape[2:])


def _means(features: Tensor, shares: Tensor) -> Tensor:
    """[B, N, d] means of features [B, d, h, w], weighted by shares [B, N, h w]."""
    mass = shares.sum(dim=-1, keepdim=True) + 1e-12
    return shares.to(features.dtype) @ features.flatten(2).mT / mass
