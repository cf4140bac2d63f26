"""Networks by name: their sizes are the published ones."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import torch
from support.command_line import Outcome

from lsmseg_model.errors import ConfigError, UsageError
from lsmseg_model.networks.build import available, build_network, read_network
from lsmseg_model.networks.config import NetworkConfig, changed, overlay, parse_changes
from lsmseg_model.networks.fields import read_fields
from lsmseg_model.networks.profile import profile as profile_it
from lsmseg_model.networks.profile import summary_lines
from lsmseg_model.training.options import TrainOptions

profile = cache(profile_it)  # several tests look at the same networks


def test_the_names() -> None:
    assert set(available()) >= {
        "lsmseg-b", "lsmseg-l", "lsmseg-b-thesis", "lsmseg-l-thesis", "cat-seg-b", "cat-seg-l",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "learn", "total"), [("cat-seg-b", 25.12, 154.29), ("cat-seg-l", 70.27, None)]
)
def test_cat_segs_parameters_are_as_published(name: str, learn: float, total: float | None) -> None:
    found = profile(name)
    assert round(found.trainable / 1e6, 2) == learn
    assert total is None or round(found.parameters / 1e6, 2) == total
    assert sum(row["parameters"] for row in found.parts) == found.parameters


def test_the_papers_network_learns_as_much_as_it_says() -> None:
    found = profile("lsmseg-l")
    assert abs(found.trainable / 1e6 - 73.4) < 0.1
    assert {row["part"] for row in found.parts} >= {"second encoder", "fusion"}
    assert not next(r for r in found.parts if r["part"] == "second encoder")["trainable"]
    assert "73.4 million" in summary_lines(found)[-1]


@pytest.mark.parametrize("name", ["cat-seg-b", "cat-seg-l", "lsmseg-b", "lsmseg-l-thesis"])
def test_training_shows_the_whole_short_side(name: str) -> None:
    """As CAT-Seg, which shrinks its crops of 384 for ViT-L: else things are larger than at test."""
    settings = read_network(name)
    assert TrainOptions.of(name).short_side == settings["crop"]


def test_the_filter_saves_operations() -> None:
    few, many = profile("lsmseg-b-no-sam", 100), profile("lsmseg-b-no-sam", 800)
    assert many.gflops < 1.01 * few.gflops
    assert many.gflops < 0.5 * profile("cat-seg-b").gflops


def test_operations_add_up_and_follow_the_protocol() -> None:
    found = profile("lsmseg-tiny", 40)
    shown = [row["gflops"] for row in found.parts if row["part"] != "CLIP, texts"]
    assert found.gflops == pytest.approx(sum(shown), abs=0.5)
    assert (found.side, found.views) == (160, 5)
    assert found.gflops_picture == pytest.approx(5 * found.gflops)
    large = profile("lsmseg-tiny", 80, size=208)  # two steps of 48 more: 3 x 3 crops
    assert (large.side, large.views) == (208, 10)
    assert large.paper is None
    assert large.gflops_texts == pytest.approx(2 * found.gflops_texts)
    with pytest.raises(ConfigError, match="do not cover a picture of 200"):
        profile("lsmseg-tiny", size=200)


def test_operations_of_clip_by_hand() -> None:
    """ViT-B/16 at 384: 577 positions, 12 blocks, the last one with values only."""
    found = next(r for r in profile("cat-seg-b").parts if r["part"] == "CLIP, pictures")
    blocks = 577 * (12 * 12 - 2) * 768**2 + 11 * 2 * 577**2 * 768
    others = 576 * 768 * 3 * 16**2 + 576 * 768 * 512
    assert found["gflops"] == pytest.approx(2 * (blocks + others) / 1e9, rel=0.001)


def test_memory_is_that_of_the_tensors() -> None:
    freeze, qv = profile("lsmseg-tiny", learns="freeze").memory, profile("lsmseg-tiny").memory
    found = profile("lsmseg-tiny")
    assert qv["weights"] == pytest.approx(4 * found.parameters / 1e6)
    assert qv["adamw"] == pytest.approx(2 * qv["gradients"])
    assert freeze["gradients"] < qv["gradients"] and freeze["kept"] < qv["kept"]
    assert freeze["kept_texts"] == 0 < qv["kept_texts"]
    assert qv["forward"] < qv["picture"] < 6 * qv["forward"]
    fewer = profile("lsmseg-tiny", 80).memory
    assert fewer["kept_texts"] == pytest.approx(qv["kept_texts"] * 80 / 171, rel=0.01)


def test_describe_from_the_command_line(call: Callable[..., Outcome]) -> None:
    done = call("model", "describe", "lsmseg-tiny", "--set", "k=8", "--set", "refinement=class",
                "--size", "112", "--classes", "40", "--json")  # fmt: skip
    found = json.loads(done.out)
    assert (found["views"], found["side"], found["classes"]) == (1, 112, 40)
    assert found["parameters"] < profile("lsmseg-tiny").parameters
    done = call("model", "describe", "lsmseg-tiny")
    assert (done.code, done.err) == (0, "") and "GFLOPs" in done.out
    for change, says in (("kk=8", "did you mean k"), ("k=eight", "k must be a whole number")):
        done = call("model", "describe", "lsmseg-tiny", "--set", change)
        assert done.code == 4 and says in done.err


@pytest.mark.parametrize(
    ("texts", "changes"),
    [
        (["k=64", "fusion = mean"], {"k": 64, "fusion": "mean"}),
        (["blocks=7,15", "pooling=[1, 1]"], {"blocks": (7, 15), "pooling": (1, 1)}),
        (["encoder_size=0", "crop=336"], {"encoder_size": 0, "crop": 336}),
        (["clip=ViT-L-14-336-quickgelu"], {"clip": "ViT-L-14-336-quickgelu"}),
        (["k=1", "k=2"], {"k": 2}),
        ([], {}),
    ],
)
def test_changes_as_text(texts: list[str], changes: dict[str, object]) -> None:
    assert parse_changes(texts) == changes


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("k", "write a field and its value, like k=64"),
        ("k=", "is not a change"),
        ("refinment=both", "no field 'refinment'; did you mean refinement"),
        ("colour=3", "no field 'colour'; there are blocks"),
        ("fusion=maen", "fusion is 'maen'; did you mean mean. There are weight_generator"),
        ("encoder=dino-b", r"did you mean dinov[23]-b"),
        ("k=many", "k must be a whole number from 1 on, such as 32, not 'many'"),
        ("k=0", "k must be a whole number from 1 on"),
        ("k=1.5", "k must be a whole number"),
        ("k=1,2", "k must be a whole number"),
        ("blocks=3", "blocks must be two whole numbers from 0 on, such as 3,7, not 3"),
        ("blocks=-1,3", "blocks must be two whole numbers from 0 on"),
    ],
)
def test_wrong_changes(text: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        parse_changes([text])


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"k": "64"}, "k must be a whole number"),
        ({"k": True}, "k must be a whole number"),
        ({"blocks": [1, 2, 3]}, "two whole numbers"),
        ({"fusion": ["mean"]}, "fusion is"),
        ({"hidden": 30}, "not a multiple of heads"),
        ({"decoder": [64, 5]}, "decoder is 64,5, but it takes multiples of 16"),
    ],
)
def test_wrong_values_in_files(values: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        read_fields(NetworkConfig, values, "mine.json")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"network": [1]}, r"network must hold fields, not \[1\]"),
        ({"train": [1]}, "train must hold fields"),
        ({"test": 640}, "test must hold fields"),
        ({"clip": 3}, "clip must hold a name or fields"),
        ({"crop": "384"}, "crop must be a whole number"),
        ({"name": "../mine"}, "name must be letters and digits"),
    ],
)
def test_wrong_kinds_in_a_whole_file(tmp_path: Path, values: dict[str, object], says: str) -> None:
    own = tmp_path / "own.json"
    own.write_text(json.dumps({**read_network("lsmseg-b"), **values}))
    with pytest.raises(ConfigError, match=says):
        read_network(str(own))


def test_settings_over_a_base() -> None:
    base = {"name": "a", "title": "A", "clip": "x", "crop": 384, "network": {"k": 32, "layers": 2}}
    made = overlay(base, {"base": "a", "network": {"k": 64}, "test": {"side": 512}}, "mine.json")
    assert made == {**base, "network": {"k": 64, "layers": 2}, "test": {"side": 512}}
    assert changed(base, {"crop": 336, "k": 8})["network"] == {"k": 8, "layers": 2}
    assert changed(base, {"crop": 336, "k": 8})["crop"] == 336
    with pytest.raises(ConfigError, match="network must hold fields"):
        overlay(base, {"network": 3}, "mine.json")


def shapes(network: torch.nn.Module) -> dict[str, torch.Size]:
    return {name: one.shape for name, one in network.named_parameters()}


def test_fields_may_be_changed_and_wrong_ones_are_named(tmp_path: Path) -> None:
    with torch.device("meta"):
        changed_one = build_network("lsmseg-b", encoder="none", fusion="none")
        shipped = build_network("lsmseg-b-no-sam")
    assert shapes(changed_one) == shapes(shipped)
    with pytest.raises(ConfigError, match="did you mean refinement"):
        read_network("lsmseg-b", refinment="none")
    with pytest.raises(UsageError, match="did you mean lsmseg-b"):
        read_network("lsmseg-bb")
    own = tmp_path / "own.json"
    own.write_text(json.dumps({**read_network("lsmseg-b"), "crop": 336}))
    assert read_network(str(own))["crop"] == 336
    own.write_text('{"base": "lsmseg-b", "network": {"k": 64}}')
    found, base = read_network(str(own), clip="ViT-L-14-336-quickgelu"), read_network("lsmseg-b")
    assert found == {
        **base,
        "name": "own",
        "clip": "ViT-L-14-336-quickgelu",
        "network": {**base["network"], "k": 64},
    }
    too_large = pytest.raises(
        ConfigError, match=r"crop is 384, .* multiples of 14 pixels; try crop=378"
    )
    with torch.device("meta"), too_large:
        build_network(str(own), clip="ViT-L-14-336-quickgelu")
    with pytest.raises(UsageError, match="no model 'ViT-B-61'; did you mean ViT-B-16"):
        build_network(str(own), clip="ViT-B-61")
    own.write_text('{"base": "lsmseg-b", "netwrok": {}}')
    with pytest.raises(ConfigError, match="did you mean network"):
        read_network(str(own))
    own.write_text('{"base": "own.json", "network": {"k": 64}}')
    with pytest.raises(ConfigError, match=r"base is 'own[.]json'; choose caa-fcn-r50"):
        read_network(str(own))
    own.write_text("{}")
    with pytest.raises(ConfigError, match=r"lacks the field.*name"):
        read_network(str(own))
    own.write_text("{")
    with pytest.raises(ConfigError, match="not valid JSON"):
        read_network(str(own))
