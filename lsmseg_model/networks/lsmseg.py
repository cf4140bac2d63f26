"""LSMSeg: CLIP, a frozen second encoder, fusion, category filter, refinement, decoder.

One network for the paper's model, the thesis's and CAT-Seg; a configuration
(`lsmseg_model/networks`) says which. No public code of LSMSeg exists: what the texts leave open is
decided in `NetworkConfig` and docs/network.md. Shapes: B pictures, N classes, H x W positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lsmseg_model.data.descriptions import Description
from lsmseg_model.encoders.base import FrozenEncoder
from lsmseg_model.encoders.cache import CachedEncoder
from lsmseg_model.encoders.registry import second_encoder
from lsmseg_model.errors import ConfigError, UsageError
from lsmseg_model.kernels.onednn import use_onednn
from lsmseg_model.networks.backbones.base import Backbone
from lsmseg_model.networks.base import Batch, Encoded, Network
from lsmseg_model.networks.config import REFINEMENTS, NetworkConfig
from lsmseg_model.networks.fusion import Fusion
from lsmseg_model.networks.head import Aggregator


class LsmSeg(Network):
    """The network. Its logits are of the classes that the category filter keeps."""

    clip: Backbone

    def __init__(self, clip: Backbone, config: NetworkConfig) -> None:
        super().__init__(clip)
        self.config = config
        _check_fit(clip, config)
        first, second = (clip.widths[block] for block in config.blocks)
        dim = clip.embed_dim
        one, two = _enlargements(clip, config)
        self.upsample1 = nn.ConvTranspose2d(first, config.guidance[0], one, stride=one)
        self.upsample2 = nn.ConvTranspose2d(second, config.guidance[1], two, stride=two)
        self.sam: FrozenEncoder | None = None
        self.cached: CachedEncoder | None = None
        self.fusion: Fusion | None = None
        if config.encoder != "none":
            self.sam = second_encoder(config.encoder)
            use_onednn(self.sam)
            if config.encoder_size % self.sam.patch:
                raise ConfigError(
                    f"The encoder_size is {config.encoder_size}, but {config.encoder} takes "
                    f"multiples of {self.sam.patch} pixels."
                )
            self.fusion = Fusion(config.fusion, [first, second, dim], [self.sam.width] * 3)
        self.transformer = Aggregator(config, dim)

    def train(self, mode: bool = True) -> LsmSeg:
        """CAT-Seg pools before the class refinement in training, not at test."""
        super().train(mode)
        for layer in self.transformer.layers:
            attention: Any = layer.attention
            if attention is not None:
                attention.pooling = self.config.pooling[not mode]
        return self

    def forward(  # type: ignore[override]  # filter and second encoder are LSMSeg's
        self,
        images: Tensor,
        texts: Tensor,
        wanted: Tensor | None = None,
        large: Tensor | None = None,
    ) -> tuple[Tensor, Tensor | None]:
        """Logits at four times CLIP's grid.

        Args:
            images: [B, 3, H, W] RGB in 0..1 for CLIP.
            texts: [N, D] class embeddings.
            wanted: bool [B, N], classes that the filter must keep.
            large: The same pictures for the second encoder, [B, 3, S, S] (by default resized to
                its size).

        Returns (logits [B, k, 4h, 4w], kept classes [B, k], None where all were kept).
        """
        return self.decode(self.encode(images, large=large), texts, wanted)

    def encode(
        self,
        images: Tensor,
        descriptions: Sequence[Description] | None = None,
        large: Tensor | None = None,
    ) -> Encoded:
        """Features for the cost map, for the refinement, and for the decoder. See `forward`."""
        dense, layers = self.clip.encode_layers(images, self.config.blocks)
        appearance = dense
        if self.sam is not None and self.fusion is not None:
            if large is None:
                side = self.config.encoder_size or self.sam.size
                large = F.interpolate(images, (side, side), mode="bilinear", align_corners=False)
            encoder = self.sam if self.training or self.cached is None else self.cached
            first, second, appearance = self.fusion([*layers, dense], encoder(large))
            layers = [first, second]
        guidance = [self.upsample1(layers[0]), self.upsample2(layers[1])]
        features = appearance if self.config.cost_map == "fused" else dense
        return features, appearance, guidance

    def decode(
        self, encoded: Encoded, texts: Tensor, wanted: Tensor | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """The head alone: the logits of `forward` for encoded pictures."""
        features, appearance, guidance = encoded
        each = texts.expand(features.shape[0], -1, -1)
        return self.transformer(features, each, appearance, guidance, wanted)

    def keep_features(self, folder: str | Path, half: bool = True) -> CachedEncoder:
        """Keep what the second encoder sees on disk, for evaluation; see `CachedEncoder`.

        Raises UsageError where there is no second encoder.
        """
        if self.sam is None:
            raise UsageError(f"{self.name or 'This network'} has no second encoder to keep.")
        cells = self.clip.view.window // self.clip.patch_size
        alike = {self.clip.strides[block] for block in self.config.blocks} == {self.clip.patch_size}
        self.cached = CachedEncoder(self.sam, folder, (cells, cells) if alike else None, half)
        return self.cached

    def training_loss(self, batch: Batch) -> Tensor:
        """The sum of the binary cross-entropies of pixels x kept classes, over the kept classes."""
        labels, texts = batch.labels, batch.texts
        wanted = torch.zeros(len(labels), len(texts) + 1, dtype=torch.bool, device=labels.device)
        wanted.scatter_(1, labels.flatten(1) + 1, True)
        logits, kept = self(batch.images, texts, wanted[:, 1:])
        logits = F.interpolate(logits.float(), labels.shape[1:], mode="bilinear")
        return bce_sum(logits, labels, kept, batch.ignored)


def bce_sum(logits: Tensor, labels: Tensor, kept: Tensor | None, ignored: str) -> Tensor:
    """Binary cross-entropy, summed over pixels and averaged over the kept classes.

    Args:
        logits: [B, k, H, W].
        labels: int64 [B, H, W], -1 for unlabelled pixels.
        kept: The classes of the logits, [B, k] (None: all).
        ignored: Unlabelled pixels "leave" the sum, or are "zero" for every class.
    """
    if kept is None:
        kept = torch.arange(logits.shape[1], device=logits.device).expand(len(logits), -1)
    target = (labels[:, None] == kept[:, :, None, None]).to(logits.dtype)
    each = F.binary_cross_entropy_with_logits(logits, target, reduction="none").mean(dim=1)
    return (each * (labels >= 0)).sum() if ignored == "leave" else each.sum()


def _enlargements(clip: Backbone, config: NetworkConfig) -> tuple[int, int]:
    """How often the blocks' outputs are enlarged to two and four times CLIP's grid.

    Raises ConfigError for a block that sees more than that.
    """
    found = []
    for times, block in zip((2, 4), config.blocks, strict=True):
        if times * clip.strides[block] % clip.patch_size:
            most = max(i for i, s in enumerate(clip.strides) if s * times <= clip.patch_size)
            raise ConfigError(
                f"The blocks are {config.blocks[0]},{config.blocks[1]}, but block {block} of "
                f"{clip.name} sees a position every {clip.strides[block]} pixels, more than the "
                f"decoder takes at {times} times the grid: choose block {most} or a later one."
            )
        found.append(times * clip.strides[block] // clip.patch_size)
    return found[0], found[1]


def _check_fit(clip: Backbone, config: NetworkConfig) -> None:
    """Raise ConfigError where CLIP does not have what the configuration asks for."""
    depth = len(clip.widths)
    if max(config.blocks) >= depth - 1:
        raise ConfigError(
            f"The blocks are {config.blocks[0]},{config.blocks[1]}, but {clip.name} has {depth} "
            f"blocks and the last one gives the dense features: choose from 0 to {depth - 2}."
        )
    side, patch = clip.view.window, clip.patch_size
    if side % patch:
        raise ConfigError(
            f"The crop is {side}, but {clip.name} takes multiples of {patch} pixels; "
            f"try crop={max(1, side // patch) * patch}."
        )
    if REFINEMENTS[config.refinement][1] and max(config.pooling) > side // patch:
        raise ConfigError(
            f"The pooling is {config.pooling[0]},{config.pooling[1]}, but a crop of {side} pixels "
            f"has only {side // patch} positions a side."
        )
