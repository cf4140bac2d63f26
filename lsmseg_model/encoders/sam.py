"""SAM's image encoder, frozen: features of its last three global-attention blocks.

The network is segment-anything's own; only the walk through its blocks is here, so that the
features in between come out. Checked against segment-anything's forward (tests/test_sam.py).
Smaller pictures than SAM's 1024 pixels are possible: the absolute positions are resized here,
the relative ones by segment-anything.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from lsmseg_model.encoders.base import FrozenEncoder
from lsmseg_model.errors import UsageError, nearest


@dataclass(frozen=True)
class SamSizes:
    """The sizes of an encoder; `global_blocks` attend to everything, the others to windows."""

    width: int
    depth: int
    heads: int
    global_blocks: tuple[int, ...]
    image_size: int = 1024
    patch: int = 16
    window: int = 14


SIZES = {
    "sam-b": SamSizes(768, 12, 12, (2, 5, 8, 11)),
    "sam-l": SamSizes(1024, 24, 16, (5, 11, 17, 23)),
    "sam-h": SamSizes(1280, 32, 16, (7, 15, 23, 31)),
    "sam-tiny": SamSizes(96, 6, 3, (1, 3, 5), image_size=128, patch=8, window=4),
}


class Sam(FrozenEncoder):
    """A frozen SAM picture encoder."""

    def __init__(self, name: str) -> None:
        if name not in SIZES:
            raise UsageError(f"There is no SAM {name!r}; {nearest(name, SIZES)}")
        sizes = SIZES[name]
        super().__init__(name, build_encoder(sizes), sizes.width, sizes.patch, sizes.image_size)
        self.sizes = sizes

    def _features(self, images: Tensor) -> list[Tensor]:
        """The outputs of the last three global-attention blocks."""
        x = self.encoder.patch_embed(images)
        x = x + self._position(x.shape[1], x.shape[2])
        features = []
        wanted = self.sizes.global_blocks[-3:]
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

    def _position(self, height: int, width: int) -> Tensor:
        """Absolute positions [1, h, w, D], bicubically resized where the grid differs."""
        position: Tensor = self.encoder.pos_embed
        if position.shape[1:3] == (height, width):
            return position
        rows = position.float().permute(0, 3, 1, 2)
        rows = F.interpolate(rows, (height, width), mode="bicubic", align_corners=False)
        return rows.permute(0, 2, 3, 1).to(position.dtype)


def build_encoder(sizes: SamSizes) -> Any:
    """segment-anything's encoder of these sizes, with random weights."""
    from segment_anything.modeling import ImageEncoderViT

    return ImageEncoderViT(
        img_size=sizes.image_size,
        patch_size=sizes.patch,
        embed_dim=sizes.width,
        depth=sizes.depth,
        num_heads=sizes.heads,
        mlp_ratio=4,
        out_chans=256,
        qkv_bias=True,
        norm_layer=partial(nn.LayerNorm, eps=1e-6),
        use_rel_pos=True,
        window_size=sizes.window,
        global_attn_indexes=sizes.global_blocks,
    )
