"""A whole network small enough for tests, with its files."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from lsmseg_model.networks.catseg import CLIP, HEAD
from lsmseg_model.networks.lsmseg import LsmSeg
from lsmseg_model.networks.protocol import Protocol
from support.small_network import network


def small_network(**changes: object) -> LsmSeg:
    """Random weights; a picture is squashed to 24 x 24 and seen through crops of 16."""
    made = network(**changes).eval()
    for parameter in made.transformer.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    made.name, made.protocol = "small", Protocol(24, 16, 8)
    return made


def catseg_file(path: Path, made: LsmSeg) -> Path:
    """A checkpoint in CAT-Seg's layout, with two keys that are of no use here."""
    extra = {"pixel_mean": torch.zeros(3), "sem_seg_head.predictor.text": torch.zeros(2)}
    torch.save({"model": {**theirs(made), **extra}, "iteration": 79999}, path)
    return path


def theirs(net: LsmSeg) -> dict[str, Tensor]:
    """The network's weights as CAT-Seg's files hold them."""
    state: dict[str, Tensor] = {}
    for key, value in net.state_dict().items():
        key = key.replace("clip.model.", CLIP, 1) if key.startswith("clip.model.") else key
        key = key.replace("transformer.", HEAD, 1) if key.startswith("transformer.") else key
        if key.endswith("attn.in_proj_weight"):
            for part, rows in zip("qkv", value.chunk(3), strict=True):
                state[key.replace("in_proj_weight", f"{part}_proj_weight")] = rows.clone()
        else:
            state[key] = value
    return state
