"""CAA, class-aware affinity: an add-on between a segmenter's features and its classifier.

Thesis chapter 3 (Knowledge-Based Systems 2024, 112097); no public code is known. Two cues: whether
two positions are of one class (the affinity map), and how near a position is to the mean of a class
in this picture (the class centre). Shapes: B pictures, D channels, D' after the reduction, N
classes, P = h * w positions. Decided where the text is silent: D' is D / 2; a centre is a softmax
over positions; M = sigmoid(Q K^T / sqrt(D')); the parts of Eq. 3.2 and 3.3 are divided by their
mass; Eq. 3.8 joins the reduced features; pairs with an unlabelled end are in no loss.

Sizes at D = 512, 64 x 64 positions, 150 classes, as torch counts: 0.63 million parameters and 16.2
thousand million multiply-adds with D' = 256; 1.65 and 34.1 with D' = 512. Published: +3.61 million
and +13.05 G. No D' gives both.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lsmseg_model.networks.closed_set.config import ClosedSetOptions

Losses = dict[str, Tensor]


class CAA(nn.Module):
    """Features and coarse logits -> logits that know of affinities and centres.

    Args:
        channels: D of the features.
        classes: N.
        options: Which parts there are, see `ClosedSetOptions`.
    """

    def __init__(self, channels: int, classes: int, options: ClosedSetOptions) -> None:
        super().__init__()
        self.options = options
        inner = options.reduce or max(1, channels // 2)
        self.reduction = reduction(channels, inner)
        associated = 1
        if options.affinity:
            associated = options.intra + options.inter
            self.query = nn.Conv2d(channels, inner, 1)
            self.key = nn.Conv2d(channels, inner, 1)
        self.fusion = nn.Conv2d((1 + associated) * inner, inner, 1)
        self.classifier = nn.Conv2d(inner, classes, 1)

    def forward(
        self,
        features: Tensor,
        coarse: Tensor,
        labels: Tensor | None = None,
        affinity: Tensor | None = None,
    ) -> tuple[Tensor, Losses]:
        """Logits [B, N, h, w], and the loss "affinity" [B], weighted, where there are labels.

        Args:
            features: [B, D, h, w].
            coarse: [B, N, h, w], logits of the host's own classifier.
            labels: int64 [B, h, w], -1 for unlabelled; only for the loss.
            affinity: [B, P, P] in 0..1 in place of the map M that is computed; then there is no
                loss.
        """
        options, losses = self.options, Losses()
        reduced = self.reduction(features)
        x = _positions(reduced)
        parts = [x]
        if options.affinity:
            if affinity is None:
                logits = self.affinity(features)
                affinity = logits.sigmoid()
                if labels is not None and options.affinity_loss:
                    losses["affinity"] = options.affinity_loss * affinity_loss(logits, labels)
            parts = split(x, affinity.to(x.dtype), options)
        if options.centres:
            c = centres(x, coarse, options.centre)
            parts = [associate(part, c, options.scale) for part in parts]
        together = torch.cat([x, *parts], dim=-1)
        fused = self.fusion(together.mT.unflatten(2, features.shape[2:]))
        return self.classifier(fused), losses

    def affinity(self, features: Tensor) -> Tensor:
        """features: [B, D, h, w] -> logits [B, P, P] of the affinity map M (section 3.2.4)."""
        query, key = _positions(self.query(features)), _positions(self.key(features))
        return (query @ key.mT).float() / query.shape[-1] ** 0.5


def reduction(channels: int, inner: int) -> nn.Sequential:
    """Conv1x1, BatchNorm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels, inner, 1, bias=False), nn.BatchNorm2d(inner), nn.ReLU()
    )


def centres(x: Tensor, coarse: Tensor, centre: str = "positions") -> Tensor:
    """C = softmax(A) X of Eq. 3.1, [B, N, D'].

    Args:
        x: Reduced features [B, P, D'].
        coarse: A, [B, N, h, w].
        centre: The softmax is over the "positions" of a class, or over "classes", divided by each
            class's mass (CAC's public code).
    """
    scores = coarse.flatten(2).float()
    if centre == "positions":
        weight = scores.softmax(dim=2)
    else:
        weight = scores.softmax(dim=1)
        weight = weight / (weight.sum(dim=2, keepdim=True) + 1e-12)
    return weight.to(x.dtype) @ x


def split(x: Tensor, affinity: Tensor, options: ClosedSetOptions) -> list[Tensor]:
    """X_in = M X and X_out = (1 - M) X of Eq. 3.2 and 3.3, those that are switched on.

    Args:
        x: [B, P, D'].
        affinity: M, [B, P, P] in 0..1.
        options: Says which, and whether rows are divided by their mass.
    """
    parts = []
    for there, weight in ((options.intra, affinity), (options.inter, 1 - affinity)):
        if there:
            part = weight @ x
            if options.normalise == "rows":
                part = part / (weight.sum(dim=2, keepdim=True) + 1e-6)
            parts.append(part)
    return parts


def associate(x: Tensor, centres: Tensor, scale: bool = True) -> Tensor:
    """X~ = softmax over classes(X C^T) C of Eq. 3.4 to 3.7, [B, P, D'].

    Args:
        x: [B, P, D'].
        centres: C, [B, N, D'].
        scale: Divide the relations by sqrt(D') before the softmax.
    """
    relations = (x @ centres.mT).float()
    if scale:
        relations = relations / x.shape[-1] ** 0.5
    return relations.softmax(dim=-1).to(x.dtype) @ centres


def same_class(labels: Tensor) -> tuple[Tensor, Tensor]:
    """labels: int64 [B, h, w] -> L = G G^T as [B, P, P] of 0 and 1, and the pairs that count.

    A pair with an unlabelled end (-1) does not.
    """
    flat = labels.flatten(1)
    known = flat >= 0
    pairs = known[:, :, None] & known[:, None, :]
    return ((flat[:, :, None] == flat[:, None, :]) & pairs).float(), pairs


def affinity_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Binary cross-entropy of M against L = G G^T (Eq. 3.9 and 3.10), [B], mean over pairs.

    Args:
        logits: Of M, [B, P, P].
        labels: int64 [B, h, w], -1 for unlabelled. Without two labelled ends the loss is 0.
    """
    target, pairs = same_class(labels)
    each = F.binary_cross_entropy_with_logits(logits, target, reduction="none") * pairs
    return each.sum(dim=(1, 2)) / pairs.sum(dim=(1, 2)).clamp(min=1)


def _positions(features: Tensor) -> Tensor:
    return features.flatten(2).mT  # [B, C, h, w] -> [B, P, C]
