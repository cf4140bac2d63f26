"""What the towers have in common that are timm's Vision Transformers, its EVA among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lsmseg_model.kernels.onednn import linear
from lsmseg_model.networks.backbones.base import Backbone, Projection

BLOCKS = ("Block", "EvaBlock", "EvaBlockPostNorm")  # timm's, that `TimmBlock` takes apart


class TimmVit(Backbone):
    """A ViT of timm's; the families differ in how its end is pooled: ``POOLING``, as timm says it.

    Pictures may have any sides that are multiples of the patch: tables of positions are resized
    and rotations made for the grid, as timm does where it is built for that (dynamic_img_size).
    """

    POOLING: ClassVar[str]
    STEADY = True  # no blocks are dropped in training; MobileCLIP's batch norms stay

    @classmethod
    def fits(cls, model: Any) -> bool:
        trunk: Any = getattr(model.visual, "trunk", None)
        return (
            type(trunk).__name__ in ("VisionTransformer", "Eva")
            and trunk.global_pool == cls.POOLING
            and not getattr(trunk, "rope_mixed", False)
            and all(type(block).__name__ in BLOCKS for block in trunk.blocks)
            and all(block.attn.gate is None for block in trunk.blocks)
        )

    def _measure(self) -> None:
        trunk, head = self._trunk, self.model.visual.head
        embed = trunk.patch_embed
        self.patch_size = embed.img_size[0] // embed.grid_size[0]
        self.image_size = embed.grid_size[0] * self.patch_size
        self.widths = [trunk.embed_dim] * len(trunk.blocks)
        after = [*trunk.head.modules(), *head.modules()]
        sizes = [layer.out_features for layer in after if isinstance(layer, nn.Linear)]
        self.embed_dim = [trunk.num_features, *sizes][-1]
        _take_any_size(trunk)

    @property
    def _trunk(self) -> Any:
        return self.model.visual.trunk

    def _begin(self, images: Tensor) -> tuple[Tensor, Tensor | None, tuple[int, int]]:
        """What the first block sees, [B, prefix + h*w, width], the rotations, and the grid."""
        trunk = self._trunk
        x = trunk.patch_embed((images - self.mean) / self.std)  # [B, h, w, width]
        grid = (x.shape[1], x.shape[2])
        placed = trunk._pos_embed(x)  # timm's EVA gives the rotations, too
        x, rope = placed if isinstance(placed, tuple) else (placed, None)
        return trunk.norm_pre(x), rope, grid

    def _through(
        self,
        blocks: Sequence[Any],
        x: Tensor,
        rope: Tensor | None,
        grid: tuple[int, int],
        wanted: tuple[int, ...] = (),
    ) -> tuple[Tensor, list[Tensor]]:
        """X after these blocks, and the wanted ones' outputs [B, h, w, width] for positions."""
        between = []
        for index, block in enumerate(blocks):
            x = block(x) if rope is None else block(x, rope=rope)
            if index in wanted:
                between.append(x[:, self._trunk.num_prefix_tokens :].unflatten(1, grid))
        return x, between

    def _embed(self, x: Tensor) -> Tensor:
        """x: [..., width], pooled or as if it were -> [..., D]."""
        trunk = self._trunk
        return self.model.visual.head(trunk.head(trunk.fc_norm(x)))

    def pooled(self, images: Tensor) -> Tensor:
        trunk = self._trunk
        x, rope, grid = self._begin(images)
        x = trunk.norm(self._through(trunk.blocks, x, rope, grid)[0])
        return F.normalize(self._embed(trunk.pool(x)), dim=-1)

    def _projections(self) -> list[Projection]:
        return [pair for block in self._trunk.blocks for pair in _projections(block.attn)]


def _take_any_size(trunk: Any) -> None:
    """Set a trunk of timm's as its option dynamic_img_size would have, which open_clip has not."""
    from timm.layers.format import Format

    embed = trunk.patch_embed
    trunk.dynamic_img_size, embed.strict_img_size = True, False
    embed.flatten, embed.output_fmt = False, Format.NHWC
    if rope := getattr(trunk, "rope", None):
        rope._use_cached_embed = False


def _projections(attention: Any) -> list[Projection]:
    if attention.qkv is not None:
        return [(attention.qkv.weight, "qkv")]
    return [(getattr(attention, f"{part}_proj").weight, part) for part in "qkv"]


class TimmBlock:
    """A block of timm's for the dense variants; see `dense.LastBlock`."""

    def __init__(self, block: Any, rope: Tensor | None) -> None:
        self.block, self.attention, self.rope = block, block.attn, rope
        self.post_norm = type(block).__name__ == "EvaBlockPostNorm"

    def norm(self, x: Tensor) -> Tensor:
        return x if self.post_norm else self.block.norm1(x)

    def qkv(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        attention = self.attention
        q = self._rotated(attention.q_norm(self._heads(x, "q")))
        k = self._rotated(attention.k_norm(self._heads(x, "k")))
        return q, k, self._heads(x, "v")

    def values(self, x: Tensor) -> Tensor:
        return self._heads(x, "v")

    def out(self, heads: Tensor) -> Tensor:
        block, attention = self.block, self.attention
        x = attention.proj(attention.norm(heads.transpose(1, 2).flatten(2)))
        return block.norm1(x) if self.post_norm else _scaled(block, 1, x)

    def mlp(self, x: Tensor) -> Tensor:
        block = self.block
        if self.post_norm:
            return x + block.norm2(block.mlp(x))
        return x + _scaled(block, 2, block.mlp(block.norm2(x)))

    def _heads(self, x: Tensor, part: str) -> Tensor:
        """x: [B, L, D] -> its queries, keys or values, [B, heads, L, D / heads]."""
        attention = self.attention
        if attention.qkv is None:
            y = getattr(attention, f"{part}_proj")(x)
        else:
            third = "qkv".index(part)
            bias = getattr(attention, f"{part}_bias", None)  # EVA's are apart
            if attention.qkv.bias is not None:
                bias = attention.qkv.bias.chunk(3)[third]
            y = linear(x, attention.qkv.weight.chunk(3)[third], bias)
        return y.unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)

    def _rotated(self, heads: Tensor) -> Tensor:
        """Queries or keys turned by their positions; the class token has none."""
        from timm.layers import apply_rot_embed_cat

        if self.rope is None:
            return heads
        prefix, half = self.attention.num_prefix_tokens, self.attention.rotate_half
        turned = apply_rot_embed_cat(heads[:, :, prefix:], self.rope, half=half)
        return torch.cat([heads[:, :, :prefix], turned], dim=2)


def _scaled(block: Any, half: int, x: Tensor) -> Tensor:
    """X times the block's learnt scale, where it has one: ViTs a layer, EVAs a parameter."""
    if hasattr(block, f"ls{half}"):
        return cast(Tensor, getattr(block, f"ls{half}")(x))
    scale = getattr(block, f"gamma_{half}")
    return x if scale is None else cast(Tensor, scale * x)
