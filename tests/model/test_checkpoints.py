"""Files of weights: their layouts and wrappers, and that none with NaN or infinite values loads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from support.small_network import network
from support.whole_network import catseg_file, small_network
from torch import Tensor

from lsmseg_model.encoders.checkpoints import check_finite, read_metadata, read_state_dict
from lsmseg_model.encoders.checkpoints import save_weights as save
from lsmseg_model.encoders.registry import load_second_encoder, second_encoder
from lsmseg_model.errors import CheckpointError
from lsmseg_model.networks.backbones.load import load_backbone
from lsmseg_model.networks.build import FORMAT, load_network, read_network
from lsmseg_model.networks.catseg import load_catseg
from lsmseg_model.training.state import read_last

STATE = {"a.weight": torch.arange(6.0).view(2, 3), "b.bias": torch.ones(2).half()}


@pytest.mark.parametrize("key", [None, "model", "state_dict"])
@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
def test_wrappers_are_taken_off(tmp_path: Path, key: str | None, prefix: str) -> None:
    state = {f"{prefix}{name}": value for name, value in STATE.items()}
    torch.save(state if key is None else {key: state, "epoch": 3}, tmp_path / "w.pt")
    found, openai = read_state_dict(tmp_path / "w.pt")
    assert found.keys() == STATE.keys() and not openai
    assert all(torch.equal(found[name], STATE[name]) for name in STATE)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_cat_seg_file_saved_in_its_wrapper(tmp_path: Path, prefix: str) -> None:
    net = small_network(pad_len=8)
    path = catseg_file(tmp_path / "m.pth", net)
    model = torch.load(path)["model"]
    torch.save({"model": {prefix + k: v for k, v in model.items()}}, path)
    loaded = load_catseg(other := network(pad_len=8), path)
    assert loaded.missing == () and len(loaded.unexpected) == 2
    assert all(torch.equal(v, net.state_dict()[k]) for k, v in other.state_dict().items())


def test_the_sentence_counts_and_names() -> None:
    nan, inf = float("nan"), float("inf")
    good, bad = torch.zeros(3), torch.tensor([nan, 1.0, -inf])
    with pytest.raises(CheckpointError) as error:
        check_finite(Path("w.pt"), {"a": good, "b": {"c": [good, bad]}, "d": torch.tensor(inf)})
    assert str(error.value) == (
        "w.pt holds 3 values that are NaN or infinite, in 2 tensor(s), the first of them b.c.1; "
        "fetch or copy the file again, or use an earlier one."
    )


def test_what_is_finite_or_a_mask_passes() -> None:
    large = torch.full((1000,), 60000.0).half()  # the sum is infinite in 16 bits
    mask = torch.full((2, 2), float("-inf")).triu(1)
    whole = torch.tensor([7])
    eight = torch.ones(3).to(torch.float8_e4m3fn)
    check_finite(Path("w.pt"), {"a": large, "t.attn_mask": mask, "n": whole, "e": eight, "s": "x"})


def spoil(state: dict[str, Tensor]) -> str:
    """Make one weight NaN and one infinite, in the last tensor of floats; returns its name."""
    name = next(k for k in reversed(state) if state[k].is_floating_point() and state[k].ndim)
    state[name] = state[name].clone()
    state[name].view(-1)[0], state[name].view(-1)[1] = float("nan"), float("inf")
    return name


def of_clip(path: Path, weights: Path) -> tuple[str, Callable[[], object]]:
    state = load_file(weights)
    name = spoil(state)
    save(path, state, read_metadata(weights))
    return name, lambda: load_backbone("lsmseg-tiny", path)


def of_network(path: Path, weights: Path) -> tuple[str, Callable[[], object]]:
    state = dict(STATE)
    name = spoil(state)
    save(path, state, {"format": FORMAT, "config": read_network("lsmseg-tiny")})
    return name, lambda: load_network(path)


def of_cat_seg(path: Path, weights: Path) -> tuple[str, Callable[[], object]]:
    file = torch.load(catseg_file(path, small_network()))
    name = spoil(file["model"])
    torch.save(file, path)
    return name, lambda: load_network(path, format="cat-seg")


def of_encoder(kind: str) -> Callable[[Path, Path], tuple[str, Callable[[], object]]]:
    def make(path: Path, weights: Path) -> tuple[str, Callable[[], object]]:
        state = second_encoder(kind).encoder.state_dict()
        name = spoil(state)
        save_file(state, path)
        return name, lambda: load_second_encoder(kind, path)

    return make


def of_last(path: Path, weights: Path) -> tuple[str, Callable[[], object]]:
    state = dict(STATE)
    name = spoil(state)
    torch.save({"same": "s", "step": 3, "optimizer": {"state": {0: state}}}, path)
    return f"optimizer.state.0.{name}", lambda: read_last(path, torch.device("cpu"), "s")


@pytest.mark.parametrize(
    "make",
    [of_clip, of_network, of_cat_seg, of_encoder("sam-tiny"), of_encoder("dinov2-tiny"), of_last],
)
def test_no_loader_takes_weights_that_are_not_numbers(
    tmp_path: Path, weights: Path, make: Callable[[Path, Path], tuple[str, Callable[[], object]]]
) -> None:
    path = tmp_path / "spoiled.safetensors"
    if make in (of_cat_seg, of_last):
        path = path.with_suffix(".pt")
    name, load = make(path, weights)
    with pytest.raises(CheckpointError) as error:
        load()
    assert str(error.value).startswith(f"{path} holds 2 values that are NaN or infinite, in 1 ")
    assert f"the first of them {name};" in str(error.value)
