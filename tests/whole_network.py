"""A whole network small enough for tests, with its files."""

from __future__ import annotations

from pathlib import Path

import torch
from test_catseg import theirs
from test_lsmseg import network

from lsmseg_model.lsmseg import LsmSeg
from lsmseg_model.sliding import Protocol


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
