"""EVA01, EVA02, MobileCLIP2-B and -L-14: timm's ViTs whose class token is the embedding."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from lsmseg_model.networks.backbones.dense import DENSE_NAMES
from lsmseg_model.networks.backbones.timm_vit import TimmBlock, TimmVit


class Eva(TimmVit):
    """A ViT of timm's with a class token. Its last block is changed as CLIP's."""

    VARIANTS = DENSE_NAMES
    TRAINING_FREE, TRAINED = "naclip", "catseg"
    POOLING = "token"

    @classmethod
    def fits(cls, model: Any) -> bool:
        return super().fits(model) and model.visual.trunk.num_prefix_tokens == 1

    def _walk(
        self, images: Tensor, wanted: tuple[int, ...], proxy: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        trunk = self._trunk
        x, rope, grid = self._begin(images)
        x, between = self._through(trunk.blocks[:-1], x, rope, grid, wanted)
        x = self._positions(TimmBlock(trunk.blocks[-1], rope), x, grid, images, proxy)
        return self._embed(trunk.norm(x)).unflatten(1, grid), between
