"""DINOv2's picture encoder, frozen: the alternative to SAM in Table 5 of the paper.

The network is timm's. Which of its features the paper took is not said; decided here as for SAM:
the last blocks of the last three quarters (of twelve: 5, 8, 11), through DINOv2's last LayerNorm,
as Meta's own code gives intermediate features out. Checked against timm's forward
(tests/model/test_dino.py). For pictures of other sizes timm resizes the positions (bicubic).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from lsmseg_model.encoders.base import FrozenEncoder


class Dino(FrozenEncoder):
    """A frozen DINOv2, its positions resized for pictures of any size."""

    def __init__(self, name: str, sizes: dict[str, Any]) -> None:
        super().__init__(name, sizes)
        self.blocks = [self.sizes["depth"] * i // 4 - 1 for i in (2, 3, 4)]

    def _features(self, images: Tensor) -> list[Tensor]:
        features: list[Tensor] = self.encoder.forward_intermediates(
            images, indices=self.blocks, norm=True, intermediates_only=True
        )
        return features

    @staticmethod
    def translate(state: dict[str, Tensor], encoder: nn.Module) -> dict[str, Tensor]:
        """Meta's files as timm's; those of timm stay as they are."""
        from timm.models.vision_transformer import VisionTransformer, checkpoint_filter_fn

        assert isinstance(encoder, VisionTransformer)
        table = state.get("pos_embed")
        if table is None or table.ndim != 3 or table.shape[2] != encoder.embed_dim:
            return state  # of another network
        return checkpoint_filter_fn(dict(state), encoder)

    @staticmethod
    def build(reg_tokens: int = 0, **sizes: Any) -> nn.Module:
        """The network of timm of these sizes, with random weights (vit_base_patch14_dinov2 ...)."""
        from timm.models.vision_transformer import VisionTransformer

        return VisionTransformer(
            **sizes,
            reg_tokens=reg_tokens,
            no_embed_class=reg_tokens > 0,
            num_classes=0,
            init_values=1e-5,
            dynamic_img_size=True,
        )
