"""A network of a few channels, built by parts."""

from __future__ import annotations

import copy

import torch

from lsmseg_model.networks.backbones.load import build_backbone
from lsmseg_model.networks.config import NetworkConfig
from lsmseg_model.networks.fields import read_fields
from lsmseg_model.networks.lsmseg import LsmSeg
from support.small_clip import SMALL as CLIP

SIZES = {
    "blocks": [0, 1], "hidden": 32, "guidance": [24, 24], "projected": [16, 16],
    "decoder": [32, 16], "layers": 1, "window": 2, "resolution": 4, "k": 3,
}  # fmt: skip


WITH_SAM = {"encoder": "sam-tiny", "encoder_size": 64, "fusion": "weight_generator"}


def network(**changes: object) -> LsmSeg:
    torch.manual_seed(0)
    settings = copy.deepcopy(CLIP)
    settings["clip"]["vision_cfg"]["layers"] = 3
    return LsmSeg(
        build_backbone(settings), read_fields(NetworkConfig, {**SIZES, **changes}, "test")
    )
