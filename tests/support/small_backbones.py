"""A small model of each family of backbones, with random weights, as open_clip builds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any

import torch
from torch import nn

from lsmseg_model.networks.backbones.base import Backbone
from lsmseg_model.networks.backbones.clip import Clip, Coca
from lsmseg_model.networks.backbones.convolutional import ResNet, TimmStages
from lsmseg_model.networks.backbones.eva import Eva
from lsmseg_model.networks.backbones.siglip import Siglip
from lsmseg_model.networks.backbones.vitamin import Vitamin


@dataclass(frozen=True, eq=False)
class Kind:
    """One small model.

    trunk: builds its tower where that is timm's. alone: whether the dense feature of a picture with
    one position is that picture's embedding.
    """

    name: str
    family: type[Backbone]
    vision: dict[str, Any]
    trunk: Callable[..., nn.Module] | None = None
    alone: bool = False
    model: dict[str, Any] = field(default_factory=lambda: {"custom_text": True})

    @property
    def config(self) -> dict[str, Any]:
        """The model as open_clip's files have it."""
        text = {**TEXT, "embed_cls": True, "output_tokens": True} if "coca" in self.name else TEXT
        return {"embed_dim": 12, "vision_cfg": {"image_size": 16, **self.vision}, "text_cfg": text,
                **self.model}  # fmt: skip

    def __str__(self) -> str:
        return self.name


TEXT = {"context_length": 10, "vocab_size": 49408, "width": 8, "heads": 2, "layers": 1}
SIZES = {"img_size": 16, "patch_size": 4, "embed_dim": 16, "depth": 3, "num_heads": 2}
ROPE = {"use_rot_pos_emb": True, "ref_feat_shape": (3, 3)}


def _vit(**sizes: Any) -> nn.Module:
    from timm.models.vision_transformer import VisionTransformer

    return VisionTransformer(**{**SIZES, **sizes})


def _eva(**sizes: Any) -> nn.Module:
    from timm.models.eva import Eva as TimmEva

    return TimmEva(**{**SIZES, **sizes})


def _hybrid(stem: nn.Module, **sizes: Any) -> nn.Module:
    """A ViT whose positions come from convolutions."""
    from timm.layers import HybridEmbed

    embed = partial(HybridEmbed, backbone=stem, proj=False)
    return _vit(patch_size=1, embed_layer=embed, **sizes)


def _mobileclip(**sizes: Any) -> nn.Module:
    from timm.models.vision_transformer_hybrid import ConvStem

    stem = ConvStem(channels=(4, 4, 16), stride=(2, 2, 2), kernel_size=(2, 2, 2), padding=0)
    return _hybrid(stem, img_size=32, no_embed_class=True, **sizes)


def _vitamin(**sizes: Any) -> nn.Module:
    from timm.models.vitamin import GeGluMlp, MbConvStages, VitCfg

    stem = MbConvStages(VitCfg(embed_dim=(4, 8, 16), depths=(1, 1, 1), stem_width=4))
    mlp = {"mlp_layer": GeGluMlp, "mlp_ratio": 2.0, "class_token": False, "global_pool": "avg"}
    return _hybrid(stem, img_size=64, **{**mlp, **sizes})


def _pe(**sizes: Any) -> nn.Module:
    fixed = {"attn_type": "rope", "use_pre_transformer_norm": True, "attn_pool_num_heads": 4}
    return _eva(**ROPE, **fixed, rope_grid_offset=1.0, rope_grid_indexing="xy", **sizes)


def _convnext(**sizes: Any) -> nn.Module:
    from timm.models.convnext import ConvNeXt

    return ConvNeXt(depths=(1, 1, 1, 1), dims=(4, 8, 8, 16), **sizes)


def _fastvit(**sizes: Any) -> nn.Module:
    """As MobileCLIP2-S3: five stages, attention in the last."""
    from timm.models.fastvit import FastVit, RepConditionalPosEnc

    place = partial(RepConditionalPosEnc, spatial_shape=(3, 3))
    mixers = ("repmixer", "repmixer", "repmixer", "repmixer", "attention")
    return FastVit(
        layers=(1,) * 5, embed_dims=(8, 8, 8, 16, 32), mlp_ratios=(1,) * 5, token_mixers=mixers,
        downsamples=(False, True, True, True, True), se_downsamples=(False,) * 5,
        pos_embs=(None, None, None, None, place), lkc_use_act=True, **sizes,
    )  # fmt: skip


def _timm(name: str, pool: str = "token", proj: str | None = None) -> dict[str, Any]:
    return {"timm_model_name": f"small_{name}", "timm_model_pretrained": False, "timm_pool": pool,
            "timm_proj": proj}  # fmt: skip


EVA02 = {"qkv_fused": False, "swiglu_mlp": True, "scale_mlp": True, "scale_attn_inner": True}
NO_CLASS = {"class_token": False, "global_pool": "map"}
COCA = {"custom_text": True, "multimodal_cfg": {"width": 8, "heads": 2, "layers": 1}}
OPEN_CLIP = {"layers": 3, "width": 16, "head_width": 8, "patch_size": 4}
KINDS = [
    Kind("clip", Clip, OPEN_CLIP, model={}),
    Kind("eva01", Eva, _timm("eva01"), _eva),
    Kind("eva02", Eva, _timm("eva02"), partial(_eva, **EVA02, **ROPE)),
    Kind("eva02_e", Eva, _timm("eva02_e"), partial(_eva, use_post_norm=True)),
    Kind("mobileclip_b", Eva, {**_timm("mobileclip_b"), "image_size": 32}, _mobileclip),
    Kind("mobileclip_l", Eva, _timm("mobileclip_l"), partial(_vit, pre_norm=True)),
    Kind("siglip", Siglip, _timm("siglip", "map", "none"), partial(_vit, **NO_CLASS), alone=True),
    Kind("pe_core", Siglip, _timm("pe_core", "map"), partial(_pe, global_pool="map")),
    Kind("pe_core_g", Siglip, _timm("pe_core_g", "map"), partial(_pe, **NO_CLASS), alone=True),
    Kind("vitamin", Vitamin, {**_timm("vitamin", "", "linear"), "image_size": 64}, _vitamin,
         alone=True),
    Kind("convnext", TimmStages, {**_timm("convnext", "", "linear"), "image_size": 128}, _convnext,
         alone=True, model={}),
    Kind("convnext_d", TimmStages, {**_timm("convnext", "", "mlp"), "image_size": 128}, _convnext,
         alone=True, model={}),
    Kind("fastvit", TimmStages, {**_timm("fastvit", "avg"), "image_size": 256}, _fastvit,
         alone=True),
    Kind("resnet", ResNet, {"layers": [1, 1, 1, 1], "width": 8, "image_size": 128}, model={}),
    Kind("metaclip", Clip, OPEN_CLIP, model={"quick_gelu": True}),
    Kind("clipa", Clip, {**OPEN_CLIP, "no_ln_pre": True, "pool_type": "avg",
                         "final_ln_after_pool": True}, model={}),
    Kind("coca", Coca, {**OPEN_CLIP, "attentional_pool": True, "attn_pooler_queries": 5,
                        "attn_pooler_heads": 2, "output_tokens": True}, model=COCA),
]  # fmt: skip


def registered(kind: Kind) -> None:
    """Make timm know a kind's tower by its name."""
    from timm.models import is_model, register_model

    name = kind.vision.get("timm_model_name", "")
    if kind.trunk is None or is_model(name):
        return

    def build(pretrained: bool = False, **options: Any) -> nn.Module:
        asked = {k: v for k, v in options.items() if k in ("num_classes", "global_pool")}
        trunk: Any = kind.trunk(**asked)  # type: ignore[misc]
        trunk.default_cfg = {}
        return trunk

    build.__name__ = name
    register_model(build)


@cache
def small_model(kind: Kind) -> Any:
    """The open_clip model of a kind, its weights all random: none is 0 or 1."""
    from open_clip import CLIP, CoCa, CustomTextCLIP

    registered(kind)
    torch.manual_seed(0)
    config = {k: v for k, v in kind.config.items() if k != "custom_text"}
    other = CoCa if "multimodal_cfg" in config else CustomTextCLIP
    model: Any = (other if kind.model.get("custom_text") else CLIP)(**config)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model.eval()


def small_backbone(kind: Kind, dense: str | None = None) -> Backbone:
    """The kind's backbone, with the variant of a network that is trained by default."""
    name = dense or kind.family.TRAINED
    return kind.family(small_model(kind), f"small-{kind}", name, None, "none").eval()
