"""SigLIP, SigLIP 2 and PE-Core: timm's ViTs pooled by attention with one learnt query."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lsmseg_model.kernels.onednn import linear
from lsmseg_model.networks.backbones.base import Projection
from lsmseg_model.networks.backbones.dense import VALUES
from lsmseg_model.networks.backbones.timm_vit import TimmVit


class Siglip(TimmVit):
    """A ViT of timm's with attention pooling.

    Dense features are what the pooling gives where its query sees one position alone: that
    position's value through all that follows. Their mean, weighted as the query does, would be the
    picture's embedding if nothing that follows were curved (MaskCLIP's idea).
    """

    VARIANTS = (VALUES,)
    TRAINING_FREE = TRAINED = VALUES
    POOLING = "map"

    @classmethod
    def fits(cls, model: Any) -> bool:
        if not super().fits(model):
            return False
        pool = model.visual.trunk.attn_pool
        return pool.pos_embed is None and pool.latent_len == 1 and pool.mlp is not None

    def _walk(
        self, images: Tensor, wanted: tuple[int, ...], proxy: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        trunk = self._trunk
        x, rope, grid = self._begin(images)
        x, between = self._through(trunk.blocks, x, rope, grid, wanted)
        x = trunk.norm(x)[:, trunk.num_prefix_tokens :]
        return self._after_attention(self._values(x)).unflatten(1, grid), between

    def _values(self, x: Tensor) -> Tensor:
        """x: [B, L, width], what the pooling sees -> [B, L, width], its heads' values joined."""
        both = self._trunk.attn_pool.kv
        bias = None if both.bias is None else both.bias.chunk(2)[1]
        return linear(x, both.weight.chunk(2)[1], bias)

    def _after_attention(self, x: Tensor) -> Tensor:
        """x: [..., width], values, weighted or alone -> [..., D]."""
        pool = self._trunk.attn_pool
        x = pool.proj(x)
        return self._embed(x + pool.mlp(pool.norm(x)))

    def _projections(self) -> list[Projection]:
        return [*super()._projections(), (self._trunk.attn_pool.kv.weight, "kv")]
