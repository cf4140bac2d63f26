"""SAM's image encoder, frozen: features of its last three global-attention blocks.

The network is segment-anything's own; only the walk through its blocks is here, so that the
features in between come out. Checked against segment-anything's forward (tests/model/test_sam.py).
Smaller pictures than SAM's 1024 pixels are possible: the absolute positions are resized here,
the relative ones by segment-anything.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor, nn

from lsmseg_model.encoders.base import FrozenEncoder, resized_positions


class Sam(FrozenEncoder):
    """A frozen SAM picture encoder."""

    def _features(self, images: Tensor) -> list[Tensor]:
        """The outputs of the last three global-attention blocks."""
        x = self.encoder.patch_embed(images)
        x = x + resized_positions(self.encoder.pos_embed, (x.shape[1], x.shape[2]))
        features = []
        wanted = self.sizes["global_attn_indexes"][-3:]
        for index, block in enumerate(self.encoder.blocks):
            x = block(x)
            if index in wanted:
                features.append(x.permute(0, 3, 1, 2))
        return features

    @staticmethod
    def translate(state: dict[str, Tensor], encoder: nn.Module) -> dict[str, Tensor]:
        """Of Meta's files only the picture encoder is of use."""
        prefix = "image_encoder."
        own = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        return own or state

    @staticmethod
    def build(**sizes: Any) -> nn.Module:
        """segment-anything's encoder of these sizes, with random weights."""
        from segment_anything.modeling import ImageEncoderViT

        return ImageEncoderViT(
            **sizes,
            mlp_ratio=4,
            out_chans=256,
            qkv_bias=True,
            norm_layer=partial(nn.LayerNorm, eps=1e-6),
            use_rel_pos=True,
        )
