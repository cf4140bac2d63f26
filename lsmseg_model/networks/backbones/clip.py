"""CLIP's own Vision Transformer, with dense features from a changed last block.

Checked against open_clip's own pooled features and zero-shot classifier (tests/model/test_clip.py).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from lsmseg_model.encoders.base import resized_positions
from lsmseg_model.kernels.onednn import linear
from lsmseg_model.networks.backbones.base import Backbone, Projection, View
from lsmseg_model.networks.backbones.dense import DENSE_NAMES, OpenClipBlock


class Clip(Backbone):
    """A ViT of open_clip's own code: its class token is the picture, of CLIPA the mean of all."""

    VARIANTS = DENSE_NAMES
    TRAINING_FREE, TRAINED = "naclip", "catseg"

    def _measure(self) -> None:
        visual = self.model.visual
        self.patch_size, self.image_size = visual.patch_size[0], visual.image_size[0]
        self.embed_dim = visual.proj.shape[1]
        blocks = visual.transformer.resblocks
        self.widths = [visual.conv1.out_channels] * len(blocks)

    @classmethod
    def fits(cls, model: Any) -> bool:
        return hasattr(model.visual, "class_embedding") and model.visual.attn_pool is None

    def default_view(self) -> View:
        """NACLIP's protocol and its neighbours', whatever size a model was trained with.

        In whole patches: of 32 pixels the stride is 96.
        """
        patch = self.patch_size
        return View(336, 224 // patch * patch, 112 // patch * patch)

    def _projections(self) -> list[Projection]:
        blocks = self.model.visual.transformer.resblocks
        return [(block.attn.in_proj_weight, "qkv") for block in blocks]

    def _position(self, grid: tuple[int, int]) -> Tensor:
        """Positional embedding [1 + h*w, D], bicubically resized if the grid differs (CAT-Seg)."""
        position: Tensor = self.model.visual.positional_embedding
        table = position[1:].unflatten(0, self.model.visual.grid_size)[None]
        return torch.cat([position[:1], resized_positions(table, grid)[0].flatten(0, 1)])

    def _begin(self, images: Tensor) -> tuple[Tensor, tuple[int, int]]:
        """What the first block sees, [B, 1 + h*w, width], and the grid."""
        visual = self.model.visual
        x = visual.conv1((images - self.mean) / self.std)  # [B, width, h, w]
        grid = (x.shape[2], x.shape[3])
        x = x.flatten(2).transpose(1, 2)
        cls = visual.class_embedding.expand(x.shape[0], 1, -1)
        return visual.ln_pre(torch.cat([cls, x], dim=1) + self._position(grid)), grid

    def _walk(
        self, images: Tensor, wanted: tuple[int, ...], proxy: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        visual = self.model.visual
        x, grid = self._begin(images)
        blocks = visual.transformer.resblocks
        between = []
        for index, block in enumerate(blocks[:-1]):
            x = block(x)
            if index in wanted:
                between.append(x[:, 1:].unflatten(1, grid))
        x = self._positions(OpenClipBlock(blocks[-1]), x, grid, images, proxy)
        return self._embed(x).unflatten(1, grid), between

    def _embed(self, x: Tensor) -> Tensor:
        """What the last block gives for positions, [B, h*w, width] -> [B, h*w, D]."""
        visual = self.model.visual
        return visual.ln_post(x) @ visual.proj

    def pooled(self, images: Tensor) -> Tensor:
        visual = self.model.visual
        x, _ = self._begin(images)
        x, _ = visual._pool(visual.transformer(x))  # the class token, or the mean of the positions
        return F.normalize(x @ visual.proj, dim=-1)


class Coca(Clip):
    """CoCa's tower: queries attend to what the last block gives, the first of them is the picture.

    Dense features are what the queries would see of a position alone: its value.
    """

    @classmethod
    def fits(cls, model: Any) -> bool:
        pool = getattr(model.visual, "attn_pool", None)
        return pool is not None and getattr(model.visual, "attn_pool_contrastive", None) is None

    def _embed(self, x: Tensor) -> Tensor:
        pool = self.model.visual.attn_pool
        attention = pool.attn
        weight = attention.v_proj_weight  # joint where both widths are the same
        if weight is None:
            weight = attention.in_proj_weight.chunk(3)[2]
        values = linear(pool.ln_k(x), weight, attention.in_proj_bias.chunk(3)[2])
        out = attention.out_proj
        return super()._embed(linear(values, out.weight, out.bias))
