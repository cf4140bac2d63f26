"""A second encoder's part in scoring: `--dense sam-proxy --sam FILE`, and `--cache DIR`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from support.command_line import Outcome, refused
from torch.nn import functional as F

from lsmseg_model.encoders.base import resized
from lsmseg_model.encoders.registry import second_encoder
from lsmseg_model.inference.windows import picture_features
from lsmseg_model.networks.backbones.clip import Clip
from lsmseg_model.networks.backbones.dense import SAM_PROXY
from lsmseg_model.networks.backbones.load import load_backbone
from lsmseg_model.networks.build import build_network, save_network
from lsmseg_model.segmenter import Segmenter


@pytest.fixture
def sam(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    path = tmp_path / "sam.pth"
    encoder = second_encoder("sam-tiny").encoder
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    torch.save({f"image_encoder.{k}": v for k, v in encoder.state_dict().items()}, path)
    return path


def test_windows_see_their_part_of_the_whole_picture(weights: Path, sam: Path) -> None:
    """16 x 24 pixels in windows of 16 every 8: two windows of 4 x 4 cells, 2 of them shared."""
    clip = Segmenter(pretrained=weights, dense=SAM_PROXY, sam=sam).clip
    picture = np.random.default_rng(0).integers(0, 256, (16, 24, 3), dtype=np.uint8)
    image = torch.from_numpy(picture).permute(2, 0, 1)[None] / 255
    calls: list[torch.Size] = []
    assert clip.proxy is not None
    clip.proxy.register_forward_pre_hook(lambda _m, given: calls.append(given[0].shape))
    found = picture_features(clip, picture)
    assert calls == [(1, 3, 128, 128)]  # once, whole
    large = F.interpolate(image, (128, 128), mode="bilinear", antialias=True)
    other = resized(clip.proxy(large)[-1], (4, 6))
    left = clip.encode_dense(image[..., :16], proxy=other[..., :4])[0]
    right = clip.encode_dense(image[..., 8:], proxy=other[..., 2:])[0]
    torch.testing.assert_close(found[:, :2], left[:, :2])
    torch.testing.assert_close(found[:, 2:4], (left[:, 2:] + right[:, :2]) / 2)
    torch.testing.assert_close(found[:, 4:], right[:, 2:])


def test_what_computed_a_score_tells_the_encoder(weights: Path, sam: Path) -> None:
    plain = load_backbone(pretrained=weights)
    proxied: Clip = Segmenter(pretrained=weights, dense=SAM_PROXY, sam=sam).clip
    assert proxied.weights_hash.startswith(f"{plain.weights_hash}-")
    assert proxied.dense == "sam-proxy"


def test_on_the_command_line(
    call: Callable[..., Outcome],
    weights: Path,
    sam: Path,
) -> None:
    given = ["evaluate", "--pretrained", str(weights), "--limit", "1", "--attributes", "name"]
    for dense in (["--dense", "maskclip"], ["--dense", "sam-proxy", "--sam", str(sam)]):
        done = call(*given, *dense, "--json")
        assert json.loads(done.out)["summary"]["dense"] == dense[1]
    refused(call(*given, "--dense", "sam-proxy"), 2, "--dense sam-proxy --sam FILE")
    refused(call(*given, "--sam", str(sam)), 2, "--dense sam-proxy --sam FILE")
    refused(call(*given, "--dense", "sclop"), 2, "no dense variant 'sclop'")
    refused(call(*given, "--dense", "sam-proxy", "--sam", str(weights)), 4, "not a second encoder")
    refused(call(*given, "--cache", "kept"), 2, "give --checkpoint FILE too")


def test_a_networks_encoder_looks_once(
    call: Callable[..., Outcome],
    sam: Path,
    tmp_path: Path,
) -> None:
    torch.manual_seed(0)
    path = tmp_path / "net.safetensors"
    save_network(path, build_network("lsmseg-tiny"), {})
    given = ["evaluate", "--checkpoint", str(path), "--limit", "1", "--attributes", "name"]
    kept = tmp_path / "kept"
    without = json.loads(call(*given, "--json").out)["summary"]
    first, second = (
        json.loads(call(*given, "--cache", str(kept), "--json").out)["summary"] for _ in range(2)
    )
    assert without["miou"] == pytest.approx(first["miou"], abs=1e-3)
    assert second["miou"] == first["miou"]
    assert len(list(kept.rglob("*.safetensors"))) == 5  # views
    assert "0 pictures read" in first["cache"] and "5 computed" in first["cache"]
    assert "5 pictures read" in second["cache"] and "0 computed" in second["cache"]
    refused(call(*given, "--dense", "sam-proxy", "--sam", str(sam)), 2, "has its own")
