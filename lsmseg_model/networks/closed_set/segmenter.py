"""A closed-set segmenter: a host's features, a learned classifier, and an add-on on both.

BatchNorm sees the pictures that one process computes together, so other than with LSMSeg a batch in
parts is not the same as a whole one; torchrun's GPUs want SyncBatchNorm, as published.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lsmseg_model.data.descriptions import Description
from lsmseg_model.errors import ConfigError
from lsmseg_model.networks.base import Batch, Encoded, Network
from lsmseg_model.networks.closed_set.caa import CAA
from lsmseg_model.networks.closed_set.config import ClosedSetOptions
from lsmseg_model.networks.closed_set.ecac import ECAC
from lsmseg_model.networks.closed_set.ecac_losses import class_weights
from lsmseg_model.networks.closed_set.hosts import Host
from lsmseg_model.networks.closed_set.plain import Plain
from lsmseg_model.processes import Processes

UNKNOWN = -1e4  # the logit of a class that was not trained on


class ClosedSet(Network):
    """A segmenter of the classes that it is trained on.

    Args:
        host: What sees pictures; it is told the classes.
        options: The add-on and its parts.
        classes: The first sentence of each class, in the order of the labels.
        frequencies: Share of each class in the training pixels, for the classes' weights (None:
            all alike).

    Raises:
        ConfigError: Without classes.
    """

    clip: Host
    weights: Tensor

    def __init__(
        self,
        host: Host,
        options: ClosedSetOptions,
        classes: Sequence[str],
        frequencies: Sequence[float] | None = None,
    ) -> None:
        super().__init__(host)
        if not classes:
            raise ConfigError(
                "A closed-set network needs the sentences of its classes: train one, or load one "
                "that was trained."
            )
        host.classes, self.config = tuple(classes), options
        sizes = host.channels, len(classes)
        self.coarse = nn.Conv2d(*sizes, 1)
        shares = frequencies if options.reweighted and frequencies else [1.0] * len(classes)
        weights = class_weights(shares, options.rho)
        self.register_buffer("weights", weights, persistent=False)  # known from the frequencies
        self.addon: nn.Module | None = None
        if options.addon == "ecac":
            self.addon = ECAC(*sizes, options, frequencies)
        elif options.addon != "none":
            self.addon = {"caa": CAA, "plain": Plain}[options.addon](*sizes, options)

    def encode(self, images: Tensor, descriptions: Sequence[Description] | None = None) -> Encoded:
        """The host's features [B, D, h, w]; see `Network.encode`."""
        features = self.clip(images)
        return features, features[:, :0], []

    def decode(
        self, encoded: Encoded, texts: Tensor, wanted: Tensor | None = None
    ) -> tuple[Tensor, None]:
        """The classifier's logits of the rows that `Host.encode_texts` gave.

        Decided: the logit of a class that was not trained on is `UNKNOWN`, so it never wins.
        """
        logits = self.classify(encoded[0])[0]
        rows = texts.to(logits.dtype)
        chosen = torch.einsum("bnhw,kn->bkhw", logits, rows)
        return chosen + UNKNOWN * (1 - rows.sum(dim=1))[:, None, None], None

    def classify(
        self, features: Tensor, labels: Tensor | None = None
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Final and coarse logits [B, N, h, w] of features, and the add-on's losses.

        labels: int64 [B, h, w] on the grid of the features, -1 unlabelled; for the losses alone.
        """
        coarse = self.coarse(features)
        if self.addon is None:
            return coarse, coarse, {}
        logits, losses = self.addon(features, coarse, labels)
        return logits, coarse, losses

    def training_loss(self, batch: Batch) -> Tensor:
        """See `Network.training_loss`. The texts are not used: labels are the classifier's rows."""
        return self.loss(self.encode(batch.images)[0], batch.labels)

    def loss(self, features: Tensor, labels: Tensor) -> Tensor:
        """`training_loss` of the host's features [B, D, h, w]; labels: int64 [B, H, W].

        Decided: cross-entropies of the final and of the coarse logits at the labels' size, as in
        mmsegmentation; the add-on's own losses on the grid, labels by the nearest pixel. ECAC's
        losses have the final logits' in them.
        """
        small = F.interpolate(labels[:, None].float(), features.shape[2:], mode="nearest-exact")
        grid = small[:, 0].long()  # the pixel in the middle of each position
        logits, coarse, losses = self.classify(features, grid)
        known = (labels >= 0).flatten(1).sum(dim=1)
        total = sum(((loss * known).sum() for loss in losses.values()), features.new_zeros(()))
        if self.config.addon != "ecac":
            total = total + _cross_entropy(logits, labels, self.weights)
        if self.addon is not None and self.config.aux_loss:
            total = total + self.config.aux_loss * _cross_entropy(coarse, labels)
        return total

    def after_step(self, team: Processes) -> None:
        """ECAC's bank takes in what the step has shown."""
        if isinstance(self.addon, ECAC):
            self.addon.update(team)


def _cross_entropy(logits: Tensor, labels: Tensor, weights: Tensor | None = None) -> Tensor:
    """Summed over the labelled pixels of labels [B, H, W], to which the logits are enlarged."""
    large = F.interpolate(logits.float(), labels.shape[1:], mode="bilinear", align_corners=False)
    return F.cross_entropy(large, labels, weights, ignore_index=-1, reduction="sum")
