"""Checkpoints in CAT-Seg's layout."""

from __future__ import annotations

import os
import pickle
import warnings
from pathlib import Path

import pytest
import torch
from support.small_network import network
from support.whole_network import theirs

from lsmseg_model.errors import CheckpointError
from lsmseg_model.networks.catseg import load_catseg


def test_a_checkpoint_in_their_layout(tmp_path: Path) -> None:
    net = network(pad_len=8).eval()
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    path = tmp_path / "model_base.pth"
    extra = {"pixel_mean": torch.zeros(3), "sem_seg_head.predictor.text": torch.zeros(2)}
    torch.save({"model": {**theirs(net), **extra}, "iteration": 79999}, path)
    other = network(pad_len=8).eval()
    loaded = load_catseg(other, path)
    assert set(loaded.unexpected) == set(extra) and loaded.missing == ()
    images, texts = torch.rand(1, 3, 16, 16), torch.randn(5, 8)
    with torch.inference_mode():
        torch.testing.assert_close(other(images, texts)[0], net(images, texts)[0])


def test_other_files_are_refused(tmp_path: Path) -> None:
    net = network(pad_len=8)
    path = tmp_path / "m.pth"
    state = theirs(net)
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        load_catseg(net, path)
    path.write_bytes(b"not a checkpoint")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_catseg(net, path)
    torch.save({"model": {"x": torch.zeros(1)}}, path)
    with pytest.raises(CheckpointError, match="not a CAT-Seg checkpoint"):
        load_catseg(net, path)
    lacking = {k: v for k, v in state.items() if not k.endswith("head.weight")}
    torch.save({"model": lacking}, path)
    with pytest.raises(CheckpointError, match=r"1 keys missing.*head\.weight"):
        load_catseg(net, path)
    torch.save({"model": {**state, "upsample1.bias": torch.zeros(3)}}, path)
    with pytest.raises(CheckpointError, match="1 of another shape"):
        load_catseg(net, path)
    half = {k: v for k, v in state.items() if not k.endswith("0.attn.k_proj_weight")}
    torch.save({"model": half}, path)
    with pytest.raises(CheckpointError, match="lacks one of its query"):
        load_catseg(net, path)


class Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, ("touch evil-was-run",)


def test_a_pickle_with_code_is_not_run(tmp_path: Path) -> None:
    path = tmp_path / "evil.pth"
    torch.save({"model": Evil()}, path)
    with pytest.raises(CheckpointError, match="never run"):
        load_catseg(network(), path)
    path.write_bytes(pickle.dumps(Evil(), 4))  # without torch's archive, and told without a warning
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(CheckpointError, match="never run"):
            load_catseg(network(), path)
    assert not Path("evil-was-run").exists()
