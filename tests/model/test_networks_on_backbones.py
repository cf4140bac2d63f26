"""The network on every family of backbones: it learns for two steps and predicts."""

from __future__ import annotations

import copy

import pytest
import torch
from support.small_backbones import KINDS, Kind, small_backbone
from support.small_network import SIZES

from lsmseg_model.errors import ConfigError
from lsmseg_model.networks.backbones.base import Backbone, View
from lsmseg_model.networks.backbones.convolutional import Convolutional
from lsmseg_model.networks.build import read_network
from lsmseg_model.networks.config import NetworkConfig
from lsmseg_model.networks.fields import read_fields
from lsmseg_model.networks.lsmseg import LsmSeg
from lsmseg_model.networks.profile import profile
from lsmseg_model.training.options import TrainOptions
from lsmseg_model.training.step import Optimizer, Step

FAMILIES = list({kind.family: kind for kind in KINDS}.values())


def blocks_for(clip: Backbone) -> list[int]:
    """The first blocks that are not finer than two and four times the grid."""
    return [
        next(i for i, s in enumerate(clip.strides) if times * s >= clip.patch_size)
        for times in (2, 4)
    ]


def small_network(kind: Kind, **changes: object) -> LsmSeg:
    torch.manual_seed(0)
    clip = copy.deepcopy(small_backbone(kind))
    side = 4 * clip.patch_size
    clip.view = View(side, side, side)
    settings = {**SIZES, "blocks": blocks_for(clip), **changes}
    return LsmSeg(clip, read_fields(NetworkConfig, settings, "test"))


@pytest.mark.parametrize("kind", FAMILIES, ids=str)
def test_a_network_learns_and_predicts(kind: Kind) -> None:
    network = small_network(kind)
    convolutions = isinstance(network.clip, Convolutional)
    options = TrainOptions(clip="freeze" if convolutions else "qv", lr=0.1, clip_lr_factor=1.0)
    network.trainable(options.clip)
    optimizer = Optimizer(network, options)
    side = network.clip.view.window
    images, labels = torch.rand(2, 3, side, side), torch.randint(-1, 4, (2, side, side))
    texts = network.clip.encode_texts([[text] for text in ("sky", "sea", "zebra", "wood")])
    before = {name: p.detach().clone() for name, p in network.named_parameters()}
    loss = Step(network.train(), "leave")
    for _ in range(2):
        loss(images, labels, texts.clone()).backward()
        optimizer.step(0.1)
    changed = {n for n, p in network.named_parameters() if not torch.equal(p, before[n])}
    assert any(name.startswith("upsample1") for name in changed)
    assert any(name.startswith("clip.model.visual") for name in changed) is not convolutions
    with torch.inference_mode():
        logits, kept = network.eval()(images, texts)
    assert logits.shape == (2, 3, 16, 16) and kept is not None
    assert logits.isfinite().all()


@pytest.mark.parametrize("kind", [k for k in FAMILIES if k.name in ("fastvit", "resnet")], ids=str)
def test_blocks_that_are_finer_than_the_decoder(kind: Kind) -> None:
    with pytest.raises(ConfigError, match=r"block 0 of small-.* sees a position every 4 pixels"):
        small_network(kind, blocks=[0, 1])


@pytest.mark.parametrize(
    ("name", "tokens", "grid"),
    [
        ("cat-seg-convnext-b", 77, 24),
        ("lsmseg-siglip2-b", 64, 24),
    ],
)
def test_named_networks_are_described(name: str, tokens: int, grid: int) -> None:
    settings = read_network(name)
    assert settings["crop"] // {"cat-seg-convnext-b": 32}.get(name, 16) == grid
    described = profile(name)
    assert (described.tokens, described.crop) == (tokens, settings["crop"])
    frozen = settings.get("train", {}).get("clip") == "freeze"
    pictures = next(row for row in described.parts if row["part"] == "CLIP, pictures")
    assert (pictures["trainable"] == 0) is frozen
