"""LLMFormer (Shi, Dao and Cai, IJCV 2024): masks that know what a description of the picture says.

The paper's code is not public; what is decided here stands where it is done, and in
docs/other-networks.md. The backbone stays frozen: its dense features are what a multimodal model's
picture encoder is there, its text tower reads the descriptions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lsmseg_model.data.descriptions import Description
from lsmseg_model.errors import ConfigError
from lsmseg_model.networks.base import Batch, Encoded, Network
from lsmseg_model.networks.llmformer.config import LlmFormerOptions
from lsmseg_model.networks.llmformer.decoder import MaskDecoder, Masks
from lsmseg_model.networks.llmformer.losses import Targets, set_loss, targets_of
from lsmseg_model.networks.llmformer.priors import Phrases, read_priors

LEAST = 1e-6  # of a semantic map, before its logarithm
MOST = math.log(100.0)  # of the class logits' scale, CLIP's


class LlmFormer(Network):
    """A frozen backbone, descriptions as priors, and a mask decoder."""

    described: ClassVar[bool] = True

    def __init__(self, clip: Any, options: LlmFormerOptions) -> None:
        super().__init__(clip)
        self.options = options
        self.decoder = MaskDecoder(clip.embed_dim, options)
        self.void = nn.Parameter(torch.randn(clip.embed_dim))
        self.scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))  # -log tau
        self.phrases = Phrases()
        self.trainable("freeze")

    def trainable(self, clip: str = "freeze") -> None:
        """The decoder learns; of the backbone nothing. Raises ConfigError for another `clip`."""
        if clip != "freeze":
            raise ConfigError(f"LLMFormer's backbone stays frozen: clip is {clip!r}, not 'freeze'.")
        super().trainable(clip)

    def features(self, images: Tensor) -> Tensor:
        """images: [B, 3, H, W] RGB in 0..1 -> the backbone's dense features [B, D, h, w]."""
        with torch.no_grad():
            return self.clip.encode_layers(images, ())[0]

    def masks(
        self, features: Tensor, descriptions: Sequence[Description] | None = None
    ) -> list[Masks]:
        """The masks of every layer, of `features` [B, D, h, w].

        descriptions: one a picture; None: of each nothing is said.
        """
        told = descriptions if descriptions is not None else [Description((), ())] * len(features)
        return self.decoder(features, read_priors(told, self.clip, self.phrases))

    def class_logits(self, classes: Tensor, texts: Tensor) -> Tensor:
        """cos(class embedding, text) / tau: [B, q, D], [N, D] -> [B, q, N + 1], the last void."""
        all_texts = torch.cat([texts, self.void[None].to(texts.dtype)])
        scale = self.scale.clamp(max=MOST).exp()
        return scale * classes @ F.normalize(all_texts, dim=-1).to(classes.dtype).T

    def semantic_map(self, classes: Tensor, masks: Tensor, texts: Tensor) -> Tensor:
        """sum_q softmax(class)_q sigmoid(mask)_q, void left out: [B, N, h, w].

        Args:
            classes: [B, q, D] of length 1.
            masks: logits [B, q, h, w].
            texts: [N, D].
        """
        likely = self.class_logits(classes, texts).softmax(dim=-1)[..., :-1]
        return torch.einsum("bqn,bqhw->bnhw", likely, masks.sigmoid())

    def encode(self, images: Tensor, descriptions: Sequence[Description] | None = None) -> Encoded:
        """Class embeddings [B, q, D], mask logits [B, q, 2h, 2w] and [scale scores [B, q, L]]."""
        last = self.masks(self.features(images), descriptions)[-1]
        return last.classes, last.masks, [last.scales]

    def decode(
        self, encoded: Encoded, texts: Tensor, wanted: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """The logarithm of the semantic map as logits; all classes are kept.

        Whoever takes their sigmoid keeps the order of the classes, not the map's values.
        """
        classes, masks, _ = encoded
        return (self.semantic_map(classes, masks, texts) + LEAST).log(), None

    def training_loss(self, batch: Batch) -> Tensor:
        """See `Network`. Unlabelled pixels leave the loss, whatever ``ignored`` says."""
        found = self.masks(self.features(batch.images), batch.descriptions)
        return self.loss_of(found, batch.labels, batch.texts) * (batch.labels >= 0).sum()

    def loss_of(self, found: Sequence[Masks], labels: Tensor, texts: Tensor) -> Tensor:
        """The losses of all layers summed, the mean over pictures that have labels.

        Args:
            found: What `masks` gave.
            labels: int64 [B, H, W], -1 unlabelled.
            texts: [N, D].
        """
        height, width = found[0].masks.shape[2:]
        layers = len(found)
        once = targets_of(labels, (height, width))
        every = Targets(*(x.repeat(layers, *[1] * (x.dim() - 1)) for x in vars(once).values()))
        logits = self.class_logits(torch.cat([m.classes for m in found]), texts).float()
        masks = torch.cat([m.masks for m in found]).flatten(2).float()
        here = once.labelled.any(dim=1)  # a picture without labels says nothing, not even void
        each = set_loss(logits, masks, every, self.options).unflatten(0, (layers, -1)).sum(dim=0)
        return (each * here).sum() / here.sum().clamp(min=1)
