"""Picture towers of convolutions: ConvNeXt, MobileCLIP2's FastViT, and CLIP's ResNets.

They have no class token, so nothing has to be changed for dense features. Their stages see a
picture at 1/4, 1/8, 1/16 ... of its size: what a block puts out has a grid of its own (`strides`).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lsmseg_model.encoders.base import resized_positions
from lsmseg_model.errors import UsageError
from lsmseg_model.kernels.onednn import linear
from lsmseg_model.networks.backbones.base import Backbone, Projection
from lsmseg_model.networks.backbones.dense import PLAIN, VALUES


class Convolutional(Backbone):
    """A tower of stages, each at half the resolution of the one before.

    In training its statistics (BatchNorm) and depth stay as they are.
    """

    STEADY = True

    def _projections(self) -> list[Projection]:
        raise UsageError(
            f"The picture tower of {self.name} has no queries and values to train: choose --clip "
            "freeze or full, or a Vision Transformer, such as ViT-B-16 or ViT-B-16-SigLIP2."
        )

    def _stages(self, images: Tensor) -> list[Tensor]:
        """What each stage puts out, [B, width, h, w]."""
        raise NotImplementedError

    def _positions_of(self, features: Tensor) -> Tensor:
        """The last stage's features [B, C, h, w] -> what is seen at each position, [B, h, w, D]."""
        raise NotImplementedError

    def _walk(
        self, images: Tensor, wanted: tuple[int, ...], proxy: Tensor | None = None
    ) -> tuple[Tensor, list[Tensor]]:
        stages = self._stages((images - self.mean) / self.std)
        between = [stages[block].permute(0, 2, 3, 1) for block in wanted]
        return self._positions_of(stages[-1]), between


class TimmStages(Convolutional):
    """ConvNeXt and FastViT as timm has them: the mean of the positions is the picture.

    Each position goes through the head alone, as in FC-CLIP and SED.
    """

    VARIANTS = (PLAIN,)
    TRAINING_FREE = TRAINED = PLAIN

    @classmethod
    def fits(cls, model: Any) -> bool:
        trunk = getattr(model.visual, "trunk", None)
        return type(trunk).__name__ in ("ConvNeXt", "FastVit")

    def _measure(self) -> None:
        visual = self.model.visual
        trunk = visual.trunk
        self.strides = [stage["reduction"] for stage in trunk.feature_info]
        self.widths = [stage["num_chs"] for stage in trunk.feature_info]
        self.patch_size, self.image_size = self.strides[-1], visual.image_size[0]
        after = [*trunk.head.modules(), *visual.head.modules()]
        sizes = [layer.out_features for layer in after if isinstance(layer, nn.Linear)]
        self.embed_dim = [trunk.num_features, *sizes][-1]

    def _stages(self, images: Tensor) -> list[Tensor]:
        trunk: Any = self.model.visual.trunk
        x = trunk.stem(images)
        stages = []
        for stage in trunk.stages:
            x = stage(x)
            stages.append(x)
        return stages

    def _last(self, features: Tensor) -> Tensor:
        """What the head sees of the last stage's features, [B, C, h, w]."""
        trunk: Any = self.model.visual.trunk
        return trunk.final_conv(features) if hasattr(trunk, "final_conv") else trunk.norm_pre(
            features)  # fmt: skip

    def _head(self, features: Tensor) -> Tensor:
        """[N, C, h, w] -> [N, D], pooled, normalised and projected as the model does."""
        visual: Any = self.model.visual
        return visual.head(visual.trunk.head(features))

    def _positions_of(self, features: Tensor) -> Tensor:
        x = self._last(features).permute(0, 2, 3, 1)
        return self._head(x.flatten(0, 2)[..., None, None]).unflatten(0, x.shape[:3])

    def pooled(self, images: Tensor) -> Tensor:
        features = self._stages((images - self.mean) / self.std)[-1]
        return F.normalize(self._head(self._last(features)), dim=-1)


class ResNet(Convolutional):
    """CLIP's ResNet, whose end is a layer of attention: dense features are its values.

    Their mean, weighted as the attention weighs the positions, is the picture's embedding but for
    the mean of all that it sees beside them (MaskCLIP).
    """

    VARIANTS = (VALUES,)
    TRAINING_FREE = TRAINED = VALUES

    @classmethod
    def fits(cls, model: Any) -> bool:
        return type(model.visual).__name__ == "ModifiedResNet"

    def _measure(self) -> None:
        visual = self.model.visual
        self.widths = [getattr(visual, f"layer{i}")[-1].conv3.out_channels for i in (1, 2, 3, 4)]
        self.strides = [4, 8, 16, 32]
        self.patch_size, self.image_size = 32, visual.image_size
        self.embed_dim = visual.attnpool.c_proj.out_features

    def _stages(self, images: Tensor) -> list[Tensor]:
        visual: Any = self.model.visual
        x = visual.stem(images)
        stages = []
        for stage in (visual.layer1, visual.layer2, visual.layer3, visual.layer4):
            x = stage(x)
            stages.append(x)
        return stages

    def _placed(self, features: Tensor) -> Tensor:
        """[B, C, h, w] -> the mean of all positions, then each, with their places [B, 1 + h*w, C].

        The table of places is resized where the grid differs.
        """
        pool: Any = self.model.visual.attnpool
        table, side = pool.positional_embedding, self.image_size // self.patch_size
        grid = features.shape[2], features.shape[3]
        places = resized_positions(table[1:].unflatten(0, (side, side))[None], grid)
        x = features.flatten(2).mT
        x = torch.cat([x.mean(dim=1, keepdim=True), x], dim=1)
        return x + torch.cat([table[:1], places[0].flatten(0, 1)])

    def _positions_of(self, features: Tensor) -> Tensor:
        pool: Any = self.model.visual.attnpool
        values = pool.c_proj(pool.v_proj(self._placed(features)[:, 1:]))
        return values.unflatten(1, features.shape[2:])

    def pooled(self, images: Tensor) -> Tensor:
        pool: Any = self.model.visual.attnpool
        x = self._placed(self._stages((images - self.mean) / self.std)[-1])
        q, k, v = (
            linear(y, part.weight, part.bias).unflatten(-1, (pool.num_heads, -1)).transpose(1, 2)
            for y, part in ((x[:, :1], pool.q_proj), (x, pool.k_proj), (x, pool.v_proj))
        )
        seen = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)[:, 0]
        return F.normalize(pool.c_proj(seen), dim=-1)
