"""LSMSeg: CLIP, a frozen second encoder, fusion, category filter, refinement, decoder.

One network for the paper's model, the thesis's and CAT-Seg; a configuration
(`lsmseg_model/networks`) says which. No public code of LSMSeg exists: what the texts leave open is
decided in `NetworkConfig` and docs/network.md. Shapes: B pictures, N classes, H x W positions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lsmseg_model.encoders.base import FrozenEncoder
from lsmseg_model.encoders.cache import CachedEncoder
from lsmseg_model.encoders.registry import second_encoder
from lsmseg_model.errors import ConfigError, UsageError
from lsmseg_model.kernels.onednn import use_onednn
from lsmseg_model.networks.backbones.base import Backbone
from lsmseg_model.networks.config import CLIP_PARTS, REFINEMENTS, NetworkConfig
from lsmseg_model.networks.fusion import Fusion
from lsmseg_model.networks.head import Aggregator
from lsmseg_model.networks.protocol import PUBLISHED_PROTOCOL

Encoded = tuple[Tensor, Tensor, list[Tensor]]
"""Features of pictures: for the cost map, for the refinement, for the decoder."""


class LsmSeg(nn.Module):
    """The network. Its logits are of the classes that the category filter keeps.

    ``precision``, ``compiled``: how pictures go through it, see `inference/precision.py` and
    `inference/compiled.py`.
    """

    precision, compiled = "fp32", False

    def __init__(self, clip: Backbone, config: NetworkConfig) -> None:
        super().__init__()
        # Who this is and how it is tested; `networks.build` and `load_network` fill them in.
        self.name, self.weights_hash = "", "random"
        self.settings: dict[str, Any] = {}
        self.protocol = PUBLISHED_PROTOCOL
        self.loaded: Any = None  # catseg.Loaded
        self._masks: list[Any] = []  # handles of what `trainable` hung on CLIP's projections
        self.clip, self.config = clip, config
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

    @property
    def device(self) -> torch.device:
        return self.clip.device

    def train(self, mode: bool = True) -> LsmSeg:
        """CAT-Seg pools before the class refinement in training, not at test."""
        super().train(mode)
        for layer in self.transformer.layers:
            attention: Any = layer.attention
            if attention is not None:
                attention.pooling = self.config.pooling[not mode]
        return self

    def forward(
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
        return self.decode(self.encode(images, large), texts, wanted)

    def encode(self, images: Tensor, large: Tensor | None = None) -> Encoded:
        """The features of pictures, which no text changes. See `forward`."""
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

    def trainable(self, clip: str = "qv") -> None:
        """Set which parameters learn: the head, and of CLIP what `clip` says.

        In both towers' blocks the queries and values ("qv"), "qk", "kv", or everything ("full") or
        nothing ("freeze"). The rows of joint projections that are not named get no gradient; no
        weight is copied.
        """
        if clip not in CLIP_PARTS:
            raise ConfigError(f"There is no part of CLIP {clip!r}; choose {', '.join(CLIP_PARTS)}.")
        self.clip.requires_grad_(clip == "full")
        for hook in self._masks:
            hook.remove()
        self._masks.clear()
        if clip in ("full", "freeze"):
            return
        for weight, rows in self.clip.learning_rows(clip):
            weight.requires_grad_(True)
            hook = weight.register_hook(
                lambda grad, rows=rows: grad * rows.to(grad.device, grad.dtype)
            )
            self._masks.append(hook)


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
