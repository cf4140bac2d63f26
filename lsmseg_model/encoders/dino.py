"""DINOv2's picture encoder, frozen: the alternative to SAM in Table 5 of the paper.

The network is timm's. Which of its features the paper took is not said; decided here as for SAM:
the last blocks of the last three quarters (of twelve: 5, 8, 11), through DINOv2's last LayerNorm,
as Meta's own code gives intermediate features out. Checked against timm's forward
(tests/test_dino.py). For pictures of other sizes timm resizes the positions (bicubic).
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from lsmseg_model.encoders.base import FrozenEncoder
from lsmseg_model.errors import UsageError, nearest


@dataclass(frozen=True)
class DinoSizes:
    """The sizes of an encoder; `registers`: tokens of the later release, which are left out."""

    width: int
    depth: int
    heads: int
    registers: int = 0
    image_size: int = 518
    patch: int = 14

    @property
    def blocks(self) -> tuple[int, int, int]:
        """The blocks whose outputs are taken."""
        quarters = [self.depth * i // 4 - 1 for i in (2, 3, 4)]
        return quarters[0], quarters[1], quarters[2]


SIZES = {
    "dinov2-b": DinoSizes(768, 12, 12),
    "dinov2-b-reg": DinoSizes(768, 12, 12, registers=4),
    "dinov2-l": DinoSizes(1024, 24, 16),
    "dinov2-l-reg": DinoSizes(1024, 24, 16, registers=4),
    "dinov2-tiny": DinoSizes(48, 4, 3, image_size=56),
}


class Dino(FrozenEncoder):
    """A frozen DINOv2, its positions resized for pictures of any size."""

    def __init__(self, name: str) -> None:
        if name not in SIZES:
            raise UsageError(f"There is no DINOv2 {name!r}; {nearest(name, SIZES)}")
        sizes = SIZES[name]
        super().__init__(name, build_encoder(sizes), sizes.width, sizes.patch, sizes.image_size)
        self.sizes = sizes

    def _features(self, images: Tensor) -> list[Tensor]:
        features: list[Tensor] = self.encoder.forward_intermediates(
            images, indices=list(self.sizes.blocks), norm=True, intermediates_only=True
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


def build_encoder(sizes: DinoSizes) -> nn.Module:
    """The network of timm of these sizes, with random weights (vit_base_patch14_dinov2 ...)."""
    from timm.models.vision_transformer import VisionTransformer

    return VisionTransformer(
        img_size=sizes.image_size,
        patch_size=sizes.patch,
        embed_dim=sizes.width,
        depth=sizes.depth,
        num_heads=sizes.heads,
        num_classes=0,
        init_values=1e-5,
        reg_tokens=sizes.registers,
        no_embed_class=sizes.registers > 0,
        dynamic_img_size=True,
    )
