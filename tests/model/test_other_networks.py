"""CAA, ECAC and LLMFormer by the same training, files and scoring as LSMSeg."""

import csv
import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from support.mini_network import CLIP, TEXTS, make_pictures
from torch import nn

from lsmseg_model.data.benchmark import load_benchmark
from lsmseg_model.data.captioners import FileCaptions, open_captions, words_of
from lsmseg_model.data.descriptions import Described, Description
from lsmseg_model.errors import ConfigError, DataError, UsageError
from lsmseg_model.inference.open_words import count_words
from lsmseg_model.networks.build import build, load_network, read_network, start_network
from lsmseg_model.networks.config import parse_changes
from lsmseg_model.networks.profile import profile
from lsmseg_model.segmenter import Segmenter
from lsmseg_model.train import TrainResult, train
from lsmseg_model.training.options import TrainOptions, TrainRequest
from lsmseg_model.training.step import Optimizer, rate_at

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.usefixtures("plain_figures")
TRAIN = {"iterations": 4, "batch_size": 4, "lr": 0.003, "warmup": 1, "clip": "freeze",
         "clip_grad": 1.0, "short_side": 32, "evaluate_every": 2,
         "checkpoint_every": 2}  # fmt: skip
NETWORKS: dict[str, dict[str, Any]] = {
    "caa": {"kind": "closed-set", "network": {"addon": "caa"}},
    "host": {"kind": "closed-set", "clip": "timm/test_resnet", "network": {"addon": "caa"}},
    "ecac": {"kind": "closed-set", "network": {"addon": "ecac", "memory_from": 1}},
    "llmformer": {"kind": "llmformer", "network": {"width": 16, "queries": 4, "layers": 1}},
}


def config(folder: Path, which: str, **train: Any) -> str:
    settings = {
        "name": "small", "title": "For tests", "clip": CLIP, "crop": 32, **NETWORKS[which],
        "test": {"side": 32, "crop": 32, "stride": 32}, "train": {**TRAIN, **train},
    }  # fmt: skip
    path = folder / f"{which}.json"
    path.write_text(json.dumps(settings))
    return str(path)


def captions(folder: Path) -> str:
    lines = [
        {"picture": name, "objects": [{"name": "sky", "attributes": ["blue"]}, {"name": "block"}],
         "relations": [["sky", "above", "block"]]}
        for name in "abcdexy"
    ]  # fmt: skip
    path = folder / "captions.jsonl"
    path.write_text("\n".join(map(json.dumps, lines)))
    return str(path)


def run(which: str, folder: Path, out: str, **more: Any) -> TrainResult:
    """Train one of NETWORKS on the pictures in `folder`."""
    given = config(folder, which)
    request = TrainRequest(
        config=given, data="camvid", data_root=folder / "data", texts=TEXTS,
        vocabulary_name="camvid", out=folder / out,
        **{"captions": captions(folder) if which == "llmformer" else None,
           "pretrained": "random", "workers": 0, "progress": False, "precision": "fp32",
           "tensorboard": False, "options": TrainOptions.of(given), **more},
    )  # fmt: skip
    return train(request)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_pictures(tmp_path / "data")
    return tmp_path


def losses(out: Path) -> list[float]:
    with (out / "loss.csv").open() as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


# -- training ----------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["ecac", "llmformer"])
def test_resumed_equals_unbroken(which: str, folder: Path) -> None:
    """The bank is state: without it the losses after the break would be others."""
    run(which, folder, "whole")
    run(which, folder, "broken", minutes=1e-9)
    assert len(losses(folder / "broken")) == 1
    run(which, folder, "broken", resume=True)
    assert losses(folder / "broken") == losses(folder / "whole")
    one, other = (
        load_network(folder / name / "small.safetensors").state_dict()
        for name in ("whole", "broken")
    )
    assert all(torch.equal(one[key], other[key]) for key in one)
    if which == "ecac":
        bank, filled = one["addon.bank"], one["addon.filled"]
        assert filled.tolist() == [True, True] + [False] * 9  # what the pictures have
        assert bank[:2].abs().sum() > 0 and not bank[2:].any()
        assert int(one["addon.iterations"]) == 4


@pytest.mark.slow
@pytest.mark.process
def test_two_processes_have_one_bank(folder: Path) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path\n"
        "import test_other_networks as t; t.run('ecac', Path(sys.argv[2]), 'two')"
    )
    script = folder / "two.py"
    script.write_text(code)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2",
        "--master-addr", "127.0.0.1", "--master-port", str(port),
        str(script), str(Path(__file__).parent), str(folder),
    ]  # fmt: skip
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    run("ecac", folder, "one")
    one, two = (load_network(folder / n / "small.safetensors").state_dict() for n in ("one", "two"))
    # The host is frozen: what the bank takes in is the same whichever process has seen it.
    torch.testing.assert_close(two["addon.bank"], one["addon.bank"], rtol=1e-4, atol=1e-6)


def test_descriptions_reach_training_and_scores(folder: Path) -> None:
    run("llmformer", folder, "told")
    network = load_network(folder / "told/small.safetensors")
    segmenter = Segmenter.of(network)
    image = np.zeros((32, 32, 3), np.uint8)
    with pytest.raises(UsageError, match="reads a description of each picture"):
        segmenter.encode(image, "picture x")
    segmenter.tell(captions(folder))
    told = segmenter.encode(image, "picture some/where/x.png").features[0]
    with pytest.raises(DataError, match="no caption of z"):
        segmenter.encode(image, "picture z")
    network.captions = Nothing()
    silent = segmenter.encode(image, "picture x").features[0]
    assert told.shape == silent.shape and not torch.equal(told, silent)


class Nothing:
    def describe(self, key: str) -> Description:
        return Description()


def test_a_closed_set_is_scored_and_asked_by_its_sentences(folder: Path) -> None:
    result = run("caa", folder, "closed")
    assert result.best is not None and result.best["miou"] > 0
    segmenter = Segmenter.of(load_network(result.weights))
    with pytest.raises(UsageError, match="reads no captions"):
        segmenter.tell(captions(folder))
    image = load_benchmark("camvid", folder / "data", "val", None, 11).picture(0)
    found = segmenter.predict(image, ["sky", "zebra"], [[TEXTS[1][0]], ["a zebra"]])
    assert found.shares == {"sky": 1.0, "zebra": 0.0}  # it has no row for a zebra
    with pytest.raises(UsageError, match="knows only the 11 classes"):
        segmenter.predict(image, ["zebra"])


def test_steps_of_gradient_descent_by_hand() -> None:
    """Momentum 0.9, lr 0.5: -0.5 * 2, then -0.5 * (0.9 * 2 + 2)."""
    network: Any = nn.Module()
    network.weight, network.clip = nn.Parameter(torch.zeros(1)), nn.Module()
    options = TrainOptions(optimizer="sgd", clip="freeze", weight_decay=0.0, lr=0.5)
    optimizer = Optimizer(network, options)
    for expected in (-1.0, -2.9):
        network.weight.grad = torch.full((1,), 2.0)
        optimizer.step(0.5)
        assert float(network.weight.detach()) == pytest.approx(expected)


def test_the_poly_rate_by_hand() -> None:
    options = TrainOptions(iterations=12, warmup=2, lr=0.5, schedule="poly")
    rates = [rate_at(step, options) for step in (0, 2, 7, 12)]
    assert rates == pytest.approx([0.25, 0.5, 0.5 * 0.5358867, 0.0])


# -- settings ----------------------------------------------------------------------------


def test_fields_of_every_kind_are_read() -> None:
    texts = ["addon=ecac", "calibration=false", "rho=0.25", "kl=10", "queries=7", "k=3"]
    assert parse_changes(texts) == {
        "addon": "ecac", "calibration": False, "rho": 0.25, "kl": 10, "queries": 7, "k": 3,
    }  # fmt: skip
    assert read_network("ecac-tiny", rho=0.25)["network"]["rho"] == 0.25
    with pytest.raises(ConfigError, match="has no field 'queries'"):
        read_network("caa-tiny", queries=7)


def test_hosts_want_weights() -> None:
    settings = read_network("caa-fcn-r50")
    with pytest.raises(Exception, match="torchvision/fcn_resnet50 ships without weights"):
        start_network(settings, None, None)


def test_sizes_of_a_closed_set_network() -> None:
    """A classifier of 128 channels and 7 classes."""
    found = {row["part"]: row for row in profile("caa-tiny", classes=7).parts}
    assert found["coarse"]["parameters"] == 128 * 7 + 7
    with torch.device("meta"):
        network = build({**read_network("caa-tiny"), "classes": ["x"] * 7})
    assert found["addon"]["parameters"] == sum(
        p.numel() for name, p in network.named_parameters() if name.startswith("addon.")
    )
    assert found["host"]["trainable"] == 0 and found["addon"]["trainable"] > 0


# -- words without classes ---------------------------------------------------------------


class Halves:
    """A model that calls the upper half of a picture by the first word, the lower by the last."""

    name, score = "halves", "cosine"

    def default_texts(self, classes: Any) -> Any:
        return [[name] for name in classes]

    def embed(self, texts: Any, reading: Any = None) -> Any:
        return texts

    def encode(self, image: Any, name: str = "") -> Any:
        return self

    def decode(self, text: Any) -> Any:
        self.count = len(text)
        return self

    def label(self, owners: Any = None) -> Any:
        where = np.zeros((4, 2), np.int64)
        where[2:] = self.count - 1
        return where, where


class TwoPictures:
    class_indices, owners, seen = (5, 9), None, None

    def __len__(self) -> int:
        return 2

    def key(self, index: int) -> str:
        return "ab"[index]

    def picture(self, index: int) -> Any:
        return np.zeros((4, 2, 3), np.uint8)

    def labels(self, index: int) -> Any:
        return np.array([[5, 5], [9, 5], [9, 9], [9, -1]])


class Said:
    def describe(self, key: str) -> Description:
        objects = {"a": ("car", "road"), "b": ("road",)}[key]
        return Description(tuple(Described(name) for name in objects))


def test_words_are_counted_by_hand() -> None:
    """a: car above, other below; b: road above, other below. Of 7 labelled pixels 4 lie above."""
    benchmark: Any = TwoPictures()
    found = count_words(Halves(), benchmark, Said())
    assert found.words == ("car", "road", "other")
    assert found.confusion.tolist() == [[3, 3, 0], [1, 1, 6]]
    assert words_of(Said(), "ab") == ["car", "road"]


def test_rules_of_labelled_pictures_by_their_names(folder: Path) -> None:
    val = load_benchmark("camvid", folder / "data", "val", None, 11)
    told = open_captions("rules", val, ["sky", "building", *"abcdefghi"])
    assert told is not None
    said = told.describe("x")
    assert {one.name for one in said.objects} == {"sky", "building"}
    with pytest.raises(UsageError, match="know the names of MiniStuff's classes"):
        open_captions("rules", val)


@pytest.mark.slow
def test_a_host_learns_and_is_kept(folder: Path) -> None:
    options = replace(TrainOptions.of(config(folder, "host")), clip="full", iterations=1)
    weights = run("host", folder, "out", options=options).weights
    assert load_network(weights).settings["clip"] == "timm/test_resnet"


def test_training_wants_captions_or_none(folder: Path) -> None:
    with pytest.raises(UsageError, match="small reads no captions"):
        run("caa", folder, "caa", captions="rules")
    with pytest.raises(UsageError, match="small reads a description of each picture"):
        run("llmformer", folder, "none", captions=None)


def test_names_with_a_point_and_without_an_ending(tmp_path: Path) -> None:
    path = tmp_path / "points.jsonl"
    lines = ({"picture": f"a.{n}", "objects": [{"name": f"thing {n}"}]} for n in "123")
    path.write_text("\n".join(map(json.dumps, lines)))
    assert words_of(FileCaptions(path), ["a.1", "a.2.png"]) == ["thing 1", "thing 2"]


def test_whose_captions(tmp_path: Path) -> None:
    assert open_captions(None, None) is None
    with pytest.raises(UsageError, match="pictures alone have none"):
        open_captions("rules", None)
    report = load_benchmark("ministuff", split="report", limit=1)
    told = open_captions(None, report)
    assert told is not None and told.describe("report-0000").objects
    assert isinstance(open_captions(captions(tmp_path), None), FileCaptions)
