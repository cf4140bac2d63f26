"""Frozen picture encoders of timm: DINOv2 (Table 5 of the paper), DINOv3, RADIO, PE, SAM 2's.

Which of DINOv2's features the paper took is not said; decided here as for SAM: of three blocks, of
a plain Vision Transformer the last of the last three quarters (of twelve: 5, 8, 11), through its
last LayerNorm, as Meta's own code gives intermediate features out; of SAM 2's Hiera the last three
that attend globally, whose positions are 16 pixels wide. Checked against timm's own forward
(tests/model/test_timm_encoder.py). For pictures of other sizes timm resizes the positions.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import Tensor, nn

from lsmseg_model.encoders.base import FrozenEncoder
from lsmseg_model.errors import UsageError, nearest


class TimmEncoder(FrozenEncoder):
    """A frozen encoder that timm has. sizes: what `build` takes."""

    def __init__(self, name: str, sizes: dict[str, Any]) -> None:
        encoder: Any = self.build(**sizes)
        about = encoder.pretrained_cfg
        options = sizes.get("options", {})
        self.hierarchical = hasattr(encoder, "global_att_blocks")
        if self.hierarchical:
            self.blocks = list(encoder.global_att_blocks[-3:])
            width, patch = encoder.blocks[self.blocks[-1]].dim_out, 16
        else:
            self.blocks = [len(encoder.blocks) * i // 4 - 1 for i in (2, 3, 4)]
            width, patch = encoder.embed_dim, _patch(encoder)
        side = options.get("img_size", about["input_size"][-1])
        about = {**about, "embed_dim": width, "patch_size": patch, "img_size": side}
        super().__init__(name, about, encoder)
        self.mean.copy_(torch.tensor(about["mean"]).view(3, 1, 1))
        self.std.copy_(torch.tensor(about["std"]).view(3, 1, 1))

    def _features(self, images: Tensor) -> list[Tensor]:
        how = {"coarse": False} if self.hierarchical else {"norm": True}
        features: list[Tensor] = self.encoder.forward_intermediates(
            images, indices=self.blocks, intermediates_only=True, **how
        )
        return features

    @staticmethod
    def translate(state: dict[str, Tensor], encoder: nn.Module) -> dict[str, Tensor]:
        """The files of those who trained it as timm's; those of timm stay as they are."""
        convert = sys.modules[type(encoder).__module__].checkpoint_filter_fn
        try:
            converted: dict[str, Tensor] = convert(dict(state), encoder)
        except (KeyError, RuntimeError, ValueError, IndexError, AttributeError):
            return state  # of another network
        return converted

    @staticmethod
    def build(  # type: ignore[override]
        timm: str, embed_dim: int = 0, options: dict[str, Any] | None = None
    ) -> nn.Module:
        """The network of timm's of that name, with random weights.

        options: sizes other than those that timm has for it. embed_dim: channels of its features,
        known before it is built; not needed here.

        Raises UsageError for a name that timm does not have, or whose features are not of one size.
        """
        from timm import create_model
        from timm.models import is_model, list_models

        plain = timm.partition(".")[0]
        if not is_model(plain):
            hint = nearest(plain, list_models(), 3)
            raise UsageError(f"timm has no model {plain!r}; {hint}")
        sides: dict[str, Any] = {} if plain.startswith(("sam2_", "naflex")) else _ANY_SIDE
        try:
            encoder = create_model(
                timm, pretrained=False, num_classes=0, **sides, **(options or {})
            )
        except TypeError:  # takes no pictures of other sizes, or is not a transformer at all
            encoder = nn.Module()
        plain_vit = hasattr(encoder, "blocks") and hasattr(encoder, "embed_dim")
        if not plain_vit and not hasattr(encoder, "global_att_blocks"):
            raise UsageError(
                f"{timm} has no three blocks with features of one size: as a second encoder take "
                "a plain Vision Transformer, such as vit_base_patch16_dinov3, or SAM 2's."
            )
        return encoder


_ANY_SIDE = {"dynamic_img_size": True}


def _patch(encoder: Any) -> int:
    size = getattr(getattr(encoder, "patch_embed", None), "patch_size", None)
    size = size or encoder.embeds.patch_size
    return int(size[0])
