"""LSMSeg: CLIP, a frozen second encoder, fusion, category filter, refinement, decoder.

One network for the paper's model, the thesis's and CAT-Seg; a configuration
(`lsmseg_model/configs`) says which. No public code of LSMSeg exists: what the texts leave open is
decided in `NetworkConfig` and docs/network.md. Shapes: B pictures, N classes, H x W positions.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .aggregator import Aggregator, HeadSizes
from .clip import Clip
from .errors import ConfigError
from .fusion import FUSIONS, Fusion
from .sam import SIZES, Sam

REFINEMENTS = {
    "both": (True, True),
    "spatial": (True, False),
    "class": (False, True),
    "none": (False, False),
}
COST_MAPS = ("clip", "fused")


@dataclass(frozen=True)
class NetworkConfig:
    """What a network is made of, beside its CLIP.

    blocks: CLIP's blocks (from 0) whose outputs guide the decoder. encoder: the second encoder
    ("sam-b", ..., or "none"), fused by `fusion`. cost_map: from CLIP's dense features ("clip",
    the paper) or the fused ones ("fused", the thesis). refinement: "both", "spatial", "class" or
    "none". k: classes that the category filter keeps. pad_len: see `HeadSizes`.
    """

    blocks: tuple[int, int] = (3, 7)
    encoder: str = "none"
    encoder_size: int = 1024
    fusion: str = "none"
    cost_map: str = "clip"
    refinement: str = "both"
    k: int = 32
    pad_len: int = 0
    hidden: int = 128
    guidance: tuple[int, int] = (256, 128)
    projected: tuple[int, int] = (32, 16)
    decoder: tuple[int, int] = (64, 32)
    layers: int = 2
    heads: int = 4
    window: int = 12
    resolution: int = 24
    pooling: tuple[int, int] = field(default=(2, 1))  # in training, at test

    @classmethod
    def read(cls, values: dict[str, Any], where: str) -> NetworkConfig:
        """From the field `network` of a configuration; `where` names it in messages.

        Raises ConfigError for an unknown field or value, with the nearest right one.
        """
        known = [f.name for f in fields(cls)]
        for name in values:
            if name not in known:
                near = get_close_matches(name, known, 1)
                hint = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}."
                raise ConfigError(f"{where}: the network has no field {name!r}{hint}")
        given: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        made = cls(**given)
        choices: dict[str, Sequence[str]] = {
            "encoder": [*SIZES, "none"],
            "fusion": [*FUSIONS, "none"],
            "cost_map": COST_MAPS,
            "refinement": list(REFINEMENTS),
        }
        for name, allowed in choices.items():
            value = getattr(made, name)
            if value not in allowed:
                near = get_close_matches(str(value), allowed, 1)
                hint = f"; did you mean {near[0]!r}?" if near else "."
                raise ConfigError(
                    f"{where}: {name} is {value!r}; choose {', '.join(allowed)}{hint}"
                )
        if (made.encoder == "none") != (made.fusion == "none"):
            raise ConfigError(f"{where}: encoder and fusion go together; one of them is none.")
        if made.cost_map == "fused" and made.fusion == "none":
            raise ConfigError(f"{where}: a fused cost map needs a fusion.")
        return made


class LsmSeg(nn.Module):
    """The network. Its logits are of the classes that the category filter keeps."""

    def __init__(self, clip: Clip, config: NetworkConfig) -> None:
        super().__init__()
        self.clip, self.config = clip, config
        width = clip.model.visual.conv1.out_channels
        dim = clip.embed_dim
        spatial, classes = REFINEMENTS[config.refinement]
        self.upsample1 = nn.ConvTranspose2d(width, config.guidance[0], 2, stride=2)
        self.upsample2 = nn.ConvTranspose2d(width, config.guidance[1], 4, stride=4)
        self.sam: Sam | None = None
        self.fusion: Fusion | None = None
        if config.encoder != "none":
            self.sam = Sam(config.encoder)
            self.fusion = Fusion(config.fusion, [width, width, dim], [self.sam.width] * 3)
        self.transformer = Aggregator(
            HeadSizes(
                text=dim,
                appearance=dim,
                guidance=config.guidance,
                hidden=config.hidden,
                projected=config.projected,
                decoder=config.decoder,
                layers=config.layers if spatial or classes else 0,
                heads=config.heads,
                window=config.window,
                resolution=config.resolution,
                k=config.k,
                pad_len=config.pad_len,
                spatial=spatial,
                classes=classes,
            )
        )

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

        images: [B, 3, H, W] RGB in 0..1 for CLIP. texts: [N, D] class embeddings. wanted: bool
        [B, N], classes that the filter must keep. large: the same pictures for the second
        encoder, [B, 3, S, S] (by default resized to its size).
        Returns (logits [B, k, 4h, 4w], kept classes [B, k], None where all were kept).
        """
        dense, layers = self.clip.encode_layers(images, self.config.blocks)
        appearance = dense
        if self.sam is not None and self.fusion is not None:
            if large is None:
                side = self.config.encoder_size
                large = F.interpolate(images, (side, side), mode="bilinear", align_corners=False)
            first, second, appearance = self.fusion([*layers, dense], self.sam(large))
            layers = [first, second]
        guidance = [self.upsample1(layers[0]), self.upsample2(layers[1])]
        features = appearance if self.config.cost_map == "fused" else dense
        each = texts.expand(images.shape[0], -1, -1)
        return self.transformer(features, each, appearance, guidance, wanted)

    def trainable(self, clip: str = "qv") -> None:
        """Set which parameters learn: the head, and of CLIP's blocks, in both towers, the
        queries and values ("qv"), "qk", "kv", everything ("full") or nothing ("freeze").

        The rows of the joint projections that are not named get no gradient; no weight is copied.
        """
        if clip not in CLIP_PARTS:
            raise ConfigError(f"clip is {clip!r}; choose {', '.join(CLIP_PARTS)}.")
        self.clip.requires_grad_(clip == "full")
        if clip in ("full", "freeze"):
            return
        for block in _blocks(self.clip):
            attention = block.attn
            attention.in_proj_weight.requires_grad_(True)
            rows = torch.zeros(3, 1, dtype=torch.bool)
            for part in clip:
                rows["qkv".index(part)] = True
            mask = rows.repeat_interleave(attention.embed_dim, dim=0)
            attention.in_proj_weight.register_hook(
                lambda grad, mask=mask: grad * mask.to(grad.device, grad.dtype)
            )


CLIP_PARTS = ("freeze", "qk", "kv", "qv", "full")


def _blocks(clip: Clip) -> list[Any]:
    return [*clip.model.visual.transformer.resblocks, *clip.model.transformer.resblocks]
