"""ViTamin and other ViTs of timm's that take the mean of their positions."""

from __future__ import annotations

from torch import Tensor

from lsmseg_model.networks.backbones.dense import PLAIN
from lsmseg_model.networks.backbones.timm_vit import TimmVit


class Vitamin(TimmVit):
    """A ViT of timm's with mean pooling: its positions have no class token to be told from.

    Dense features are the positions through the layers that follow the mean.
    """

    VARIANTS = (PLAIN,)
    TRAINING_FREE = TRAINED = PLAIN
    POOLING = "avg"

    def _walk(
        self, images: Tensor, wanted: tuple[int, ...], proxy: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        trunk = self._trunk
        x, rope, grid = self._begin(images)
        x, between = self._through(trunk.blocks, x, rope, grid, wanted)
        x = trunk.norm(x)[:, trunk.num_prefix_tokens :]
        return self._embed(x).unflatten(1, grid), between
