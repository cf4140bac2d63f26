"""Training whole networks: the step by hand, resuming, processes and parts equal one run."""

import colorsys
import copy
import csv
import json
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support.mini_network import NETWORK, TEXTS, make_pictures

from lsmseg_model.data.benchmark import load_benchmark
from lsmseg_model.errors import CheckpointError, ConfigError, DataError, TrainingError
from lsmseg_model.networks.build import build, load_network, save_network, start_network
from lsmseg_model.networks.fields import read_fields
from lsmseg_model.networks.lsmseg import bce_sum
from lsmseg_model.processes import Processes, processes
from lsmseg_model.train import TrainResult, train
from lsmseg_model.training import loop
from lsmseg_model.training.dataset import distorted, outlive, places
from lsmseg_model.training.options import TrainOptions, TrainRequest
from lsmseg_model.training.step import Optimizer, Step, embed, pixels, rate_at
from lsmseg_model.training.validation import validate

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.usefixtures("plain_figures")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return make_pictures(tmp_path / "data")


@pytest.fixture
def config(tmp_path: Path) -> str:
    path = tmp_path / "small.json"
    path.write_text(json.dumps(NETWORK))
    return str(path)


def run(
    config: str, data: Path, out: Path, options: dict[str, Any] | None = None, **more: Any
) -> TrainResult:
    values = {
        "pretrained": "random",
        "workers": 0,
        "progress": False,
        "precision": "fp32",
        "tensorboard": False,
        **more,
    }
    request = TrainRequest(
        config=config,
        data="camvid",
        data_root=data,
        texts=TEXTS,
        vocabulary_name="camvid",
        out=out,
        options=TrainOptions.of(config, **(options or {})),
        **values,
    )
    return train(request)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a run of NETWORK leaves that nothing broke off."""
    top = tmp_path_factory.mktemp("whole")
    (top / "small.json").write_text(json.dumps(NETWORK))
    run(str(top / "small.json"), make_pictures(top / "data"), top / "out")
    return top / "out"


def losses(out: Path) -> list[float]:
    with (out / "loss.csv").open() as file:
        return [float(row["loss"]) for row in csv.DictReader(file)]


def weights(path: Path) -> dict[str, torch.Tensor]:
    return load_network(path).state_dict()


# -- the step, by hand -----------------------------------------------------------------------


def test_the_loss_by_hand() -> None:
    """Two pixels, classes 5 and 2 kept; the first pixel is of class 2, the second unlabelled."""
    logits = torch.tensor([[[[2.0, 0.0]], [[-1.0, 0.0]]]])
    kept, labels = torch.tensor([[5, 2]]), torch.tensor([[[2, -1]]])
    wrong, right = np.log1p(np.exp(2.0)), np.log1p(np.exp(1.0))
    assert float(bce_sum(logits, labels, kept, "leave")) == pytest.approx((wrong + right) / 2)
    both = (wrong + right) / 2 + np.log(2.0)
    assert float(bce_sum(logits, labels, kept, "zero")) == pytest.approx(both)
    assert (pixels(labels, "leave"), pixels(labels, "zero")) == (1, 2)
    every = bce_sum(logits, torch.tensor([[[0, 1]]]), None, "leave")
    by_hand = (np.log1p(np.exp(-2.0)) + np.log1p(np.exp(-1.0)) + 2 * np.log(2.0)) / 2
    assert float(every) == pytest.approx(by_hand)


def test_classes_of_the_labels_are_kept_and_learnt_from() -> None:
    """With k = 4 of 11 classes every labelled one must be among the four."""
    torch.manual_seed(0)
    network = build(NETWORK).train()
    images, texts = torch.rand(2, 3, 32, 32), torch.randn(11, 8)
    labels = torch.full((2, 32, 32), -1)
    labels[0, :16], labels[0, 16:], labels[1] = 10, 7, 3
    seen: list[Any] = []
    network.transformer.register_forward_hook(lambda *given: seen.append(given[2][1]))
    Step(network, "leave")(images, labels, texts)
    assert {10, 7} <= set(seen[0][0].tolist()) and 3 in seen[0][1].tolist()


def test_the_rate_by_hand() -> None:
    options = TrainOptions(iterations=12, warmup=2, lr=0.5)
    rates = [rate_at(step, options) for step in (0, 1, 2, 7, 12)]
    assert rates == pytest.approx([0.25, 0.5, 0.5, 0.25, 0.0])


def test_only_the_named_projections_learn_and_decay() -> None:
    torch.manual_seed(0)
    network = build(NETWORK)
    network.trainable("qv")
    options = TrainOptions(clip="qv", weight_decay=0.5, lr=0.1, clip_lr_factor=0.2)
    optimizer = Optimizer(network, options)
    block: Any = network.clip.model.visual.transformer.resblocks[0].attn
    weight = block.in_proj_weight
    before, dim = weight.detach().clone(), block.embed_dim
    weight.grad = torch.zeros_like(weight)
    optimizer.step(0.1)
    shrunk = before * (1 - 0.1 * 0.2 * 0.5)
    assert torch.equal(weight[dim : 2 * dim], before[dim : 2 * dim])
    for rows in (slice(0, dim), slice(2 * dim, 3 * dim)):
        torch.testing.assert_close(weight[rows], shrunk[rows])


def test_norms_do_not_decay_and_clip_learns_slower() -> None:
    network = build(NETWORK)
    network.trainable("full")
    groups = Optimizer(network, TrainOptions(clip="full", clip_lr_factor=0.01)).rule.param_groups
    where = {id(p): (g["factor"], g["weight_decay"]) for g in groups for p in g["params"]}
    assert where[id(network.clip.model.ln_final.weight)] == (0.01, 0.0)
    assert where[id(network.clip.model.text_projection)] == (0.01, 1e-4)
    assert where[id(network.transformer.head.weight)] == (1.0, 1e-4)
    norm: Any = network.transformer.decoder1.conv.double_conv[1]
    assert where[id(norm.weight)] == (1.0, 0.0)
    assert not any(id(p) in where for p in network.sam.parameters())  # frozen


def test_sentences_cut_to_length_are_embedded_as_whole_ones() -> None:
    from lsmseg_model.networks.backbones.text import tokenize

    network = build(NETWORK).eval()
    tokens = tokenize(["a", "a much longer sentence than that", "two words", "three more words"])
    torch.testing.assert_close(
        embed(network.clip, tokens, together=2), network.clip.encode_tokens(tokens)
    )


def test_colours_are_distorted_as_in_cat_seg() -> None:
    """Every change happens, in its measure; but a blue thing never gets red or green."""
    hues, values, spread = [], [], []
    for seed in range(300):
        torch.manual_seed(seed)
        picture = torch.tensor([60, 90, 200], dtype=torch.uint8)[:, None, None].expand(3, 2, 2)
        red, green, blue = (distorted(picture)[:, 0, 0] / 255).tolist()
        hue, saturation, value = colorsys.rgb_to_hsv(red, green, blue)
        hues.append(hue)
        values.append(255 * value)
        spread.append(saturation)
    before = colorsys.rgb_to_hsv(60 / 255, 90 / 255, 200 / 255)
    turned = np.array(hues) - before[0]
    assert np.abs(turned).max() < 0.15 and turned.min() < -0.08 and turned.max() > 0.08
    # The brightest channel: with hue or brightness alone, then times 0.5 to 1.5.
    assert min(values) < 120 and max(values) == 255.0
    assert min(spread) < 0.5 and max(spread) > 0.8
    same = np.mean(np.abs(turned) < 0.01)
    assert 0.4 < same < 0.75


def test_places_are_dealt_out() -> None:
    whole = list(places(3, 7, 6, 5, 4))
    shares = [list(places(3, 7, 6, 5, 4, rank, 2)) for rank in (0, 1)]
    for batch, first, second in zip(whole, *shares, strict=True):
        assert sorted(first + second) == sorted(batch) and len(first) == len(second) == 3


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"iteration": 5}, "did you mean iterations"),
        ({"lr": "fast"}, "lr must be a number above 0, such as 0.0002, not 'fast'"),
        ({"clip": "qkv"}, "There are freeze"),
        ({"ignored": "leaves"}, "did you mean leave"),
        ({"batch_size": 0}, "a whole number from 1 on"),
        ({"scale": [2.0, 1.0]}, "the lower first"),
        ({"scale": ["a", "b"]}, "scale must be two factors"),
        ({"lr": float("inf")}, "a number above 0"),
        ({"weight_decay": float("nan")}, "a number from 0 on"),
    ],
)
def test_wrong_options_are_named(values: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        read_fields(TrainOptions, values, "mine")


# -- whole runs ------------------------------------------------------------------------------


def test_a_run_learns_and_leaves_its_files(config: str, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = {"iterations": 60, "evaluate_every": 20, "clip": "full", "clip_lr_factor": 1.0}
    options |= {"checkpoint_every": 20}
    result = run(config, data, out, options=options)
    found = losses(out)
    assert len(found) == 60 and np.mean(found[-10:]) < 0.6 * np.mean(found[:10])
    assert result.finished and result.best is not None and result.best["miou"] >= 0
    names = {path.name for path in out.iterdir()}
    assert names == {
        "small.safetensors", "best.safetensors", "last.pt", "loss.csv", "scores.csv", "curves.png",
    }  # fmt: skip
    steps = [row["step"] for row in csv.DictReader((out / "scores.csv").open())]
    assert steps == ["20.0", "40.0", "60.0"]


def test_the_file_is_the_network_and_validation_read_fresh_texts(
    config: str, data: Path, tmp_path: Path
) -> None:
    """What was scored at the end is what the file scores: text features are not stale."""
    run(config, data, tmp_path / "out", options={"clip": "full", "clip_lr_factor": 1.0})
    network = load_network(tmp_path / "out/small.safetensors")
    held_out = load_benchmark("camvid", data, None, None, 11, "camvid")
    found = validate(network, held_out, [g[:1] for g in TEXTS], Processes(0, 1, "cpu"))
    last = list(csv.DictReader((tmp_path / "out/scores.csv").open()))[-1]
    assert found["miou"] == pytest.approx(float(last["miou"]), abs=1e-9)
    assert found["pixel_accuracy"] == pytest.approx(float(last["pixel_accuracy"]), abs=1e-9)


@pytest.mark.parametrize("clip", ["freeze", "qv"])
def test_resumed_equals_unbroken(config: str, data: Path, tmp_path: Path, clip: str) -> None:
    options = {"clip": clip}
    run(config, data, tmp_path / "whole", options=options)
    # A run that is cut off at a checkpoint: the schedule is that of all six iterations.
    run(config, data, tmp_path / "broken", options=options, minutes=1e-9)
    assert len(losses(tmp_path / "broken")) == 1
    run(config, data, tmp_path / "broken", options=options, resume=True)
    assert losses(tmp_path / "broken") == losses(tmp_path / "whole")
    one, other = (weights(tmp_path / name / "small.safetensors") for name in ("whole", "broken"))
    assert all(torch.equal(one[key], other[key]) for key in one)
    scores = [(tmp_path / name / "scores.csv").read_text() for name in ("whole", "broken")]
    assert scores[0] == scores[1]


def test_parts_equal_the_whole_batch(config: str, data: Path, tmp_path: Path, whole: Path) -> None:
    run(config, data, tmp_path / "parts", options={"accumulate": 4})
    np.testing.assert_allclose(losses(tmp_path / "parts"), losses(whole), rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.process
def test_two_processes_equal_one(config: str, data: Path, tmp_path: Path) -> None:
    """The doubled batch on one process: the same losses, the same model."""
    run(config, data, tmp_path / "one")
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]); from pathlib import Path; import test_train;"
        "test_train.run(sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))"
    )
    script = tmp_path / "two.py"
    script.write_text(code)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2",
        "--master-addr", "127.0.0.1", "--master-port", str(port),
        str(script), str(Path(__file__).parent), config, str(data), str(tmp_path / "two"),
    ]  # fmt: skip
    paths = f"{ROOT}{os.pathsep}{ROOT / 'tests'}"
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(
        losses(tmp_path / "two"), losses(tmp_path / "one"), rtol=1e-4, atol=1e-6
    )
    one, two = (weights(tmp_path / name / "small.safetensors") for name in ("one", "two"))
    moved = start_network(json.loads(Path(config).read_text()), "random", None).state_dict()
    for key in one:
        torch.testing.assert_close(two[key], one[key], rtol=1e-3, atol=2e-4, msg=key)
    assert any(not torch.equal(one[key], moved[key]) for key in one)


@pytest.mark.process
def test_processes_that_read_pictures_end_with_a_killed_run() -> None:
    ends, held = os.pipe()
    run = os.fork()
    if run == 0:
        if os.fork() == 0:
            outlive(0)
            os.write(held, b"reads")
            while True:  # as torch's own do, which wait for a queue that nobody empties
                signal.pause()
        os.close(held)
        signal.pause()
    os.close(held)
    assert os.read(ends, 9) == b"reads"
    os.kill(run, signal.SIGKILL)
    os.waitpid(run, 0)
    ready, _, _ = select.select([ends], [], [], 10)
    assert ready and os.read(ends, 9) == b""  # closed: the reader is gone
    os.close(ends)


def test_a_loss_that_is_no_number_stops_the_run(
    config: str, data: Path, tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = Step.forward, []

    def forward(self: Step, *given: Any) -> torch.Tensor:
        calls.append(1)
        loss = real(self, *given)
        return loss * float("nan") if len(calls) == 4 else loss

    monkeypatch.setattr(Step, "forward", forward)
    with pytest.raises(TrainingError, match=r"loss is nan at step 3.*last good state"):
        run(config, data, tmp_path / "out")
    monkeypatch.undo()
    run(config, data, tmp_path / "out", resume=True)
    assert losses(tmp_path / "out") == losses(whole)


def test_weights_that_are_no_numbers_are_not_saved(
    config: str, data: Path, tmp_path: Path, whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = Optimizer.step, []

    def step(self: Optimizer, rate: float) -> None:
        real(self, rate)
        calls.append(1)
        if len(calls) == 4:  # a checkpoint would follow
            self.parameters[0].data[0] = float("inf")

    monkeypatch.setattr(Optimizer, "step", step)
    with pytest.raises(TrainingError, match=r"not numbers after step 3.*last good state"):
        run(config, data, tmp_path / "out")
    monkeypatch.undo()
    run(config, data, tmp_path / "out", resume=True)
    assert losses(tmp_path / "out") == losses(whole)


def test_a_full_gpu_says_what_to_lower(
    config: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Step, *given: Any) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(Step, "forward", full)
    with pytest.raises(TrainingError, match=r"lower --batch-size.*Nothing had been saved"):
        run(config, data, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_trained_is_refused(config: str, data: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be dealt out"):
        run(config, data, tmp_path / "out", options={"accumulate": 3})
    with pytest.raises(ConfigError, match="crop of 8 pixels has only 1 positions"):
        run(config, data, tmp_path / "out", changes={"crop": 8})
    with pytest.raises(CheckpointError, match="give --pretrained hf-hub:org/model or a FILE"):
        run(config, data, tmp_path / "out", pretrained=None)
    run(config, data, tmp_path / "out", options={"iterations": 2})
    with pytest.raises(DataError, match="add --resume"):
        run(config, data, tmp_path / "out")
    with pytest.raises(DataError, match="already reached 2"):
        run(config, data, tmp_path / "out", options={"iterations": 2}, resume=True)
    with pytest.raises(CheckpointError, match="made with other options"):
        run(config, data, tmp_path / "out", options={"lr": 0.1}, resume=True)
    (tmp_path / "out/last.pt").write_bytes(b"none")
    with pytest.raises(CheckpointError, match="cannot be resumed from"):
        run(config, data, tmp_path / "out", resume=True)


def test_background_that_no_text_stands_for_is_not_taught(
    config: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in voc-21, whose pixels of class 20 would be taught as the text of prompt 20."""
    real = load_benchmark("camvid", data, "train", None, 11, "camvid")
    real.owners = (0, 1, 2, 3, 4, 5, 6, 7, 8, 8, 8)
    real.class_indices = tuple(range(9))
    monkeypatch.setattr("lsmseg_model.training.loop.load_benchmark", lambda *given: real)
    with pytest.raises(DataError, match="labels background"):
        run(config, data, tmp_path / "out")


def test_files_of_something_else_are_no_networks(config: str, data: Path, tmp_path: Path) -> None:
    from lsmseg_model.networks.backbones.load import WEIGHTS

    with pytest.raises(CheckpointError, match="not a network that `train` left"):
        load_network(WEIGHTS / "lsmseg-tiny.safetensors")
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        load_network(tmp_path / "none.safetensors")
    run(config, data, tmp_path / "out", options={"iterations": 1})
    with pytest.raises(CheckpointError, match="the weights are the"):
        load_network(tmp_path / "out/last.pt")
    path = tmp_path / "out/small.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError):
        load_network(path)
    path.write_bytes(whole)
    network = load_network(path)
    with torch.no_grad():
        network.transformer.head.weight.fill_(float("nan"))
    save_network(path, network, {})
    with pytest.raises(CheckpointError, match=r"NaN or infinite, in 1 .* transformer\.head"):
        load_network(path)


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_asked_to_stop_it_ends_the_step_and_saves(
    config: str,
    data: Path,
    tmp_path: Path,
    whole: Path,
    monkeypatch: pytest.MonkeyPatch,
    stop: signal.Signals,
) -> None:
    real, calls = Step.forward, []

    def forward(self: Step, *given: Any) -> torch.Tensor:
        calls.append(1)
        if len(calls) == 2:
            os.kill(os.getpid(), stop)
        return real(self, *given)

    monkeypatch.setattr(Step, "forward", forward)
    with pytest.raises(KeyboardInterrupt) as caught:
        run(config, data, tmp_path / "out", options={"checkpoint_every": 0})
    assert caught.value.exit_code == 128 + stop  # type: ignore[attr-defined]
    assert len(losses(tmp_path / "out")) == 2
    monkeypatch.undo()
    options = {"checkpoint_every": 0}
    run(config, data, tmp_path / "out", options=options, resume=True)
    assert losses(tmp_path / "out") == losses(whole)


def test_networks_without_a_second_encoder_train_too(data: Path, tmp_path: Path) -> None:
    settings = copy.deepcopy(NETWORK)
    settings["network"] |= {"encoder": "none", "fusion": "none", "k": 16, "pad_len": 16}
    path = tmp_path / "plain.json"
    path.write_text(json.dumps(settings))
    result = run(str(path), data, tmp_path / "out", precision="bf16")
    assert result.finished and np.isfinite(result.loss)


def test_tensorboard_has_the_same_numbers(config: str, data: Path, tmp_path: Path) -> None:
    loader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    run(config, data, tmp_path / "out", tensorboard=True)
    events = loader.EventAccumulator(str(tmp_path / "out/tensorboard")).Reload()
    found = [event.value for event in events.Scalars("loss")]
    np.testing.assert_allclose(found, losses(tmp_path / "out"), rtol=1e-6)
    assert [event.step for event in events.Scalars("validation/miou")] == [3, 6]


# -- several processes, and signals ----------------------------------------------------------


def test_torchruns_echo_of_ctrl_c_is_no_second_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal's Ctrl-C reaches the processes, and torchrun sends them one more."""
    with loop.stop_between_steps() as asked:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        assert asked == [130, 143]
        monkeypatch.setattr(loop, "PATIENCE", -1.0)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_what_one_process_is_asked_all_do(
    config: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others stop after the same step, and do not leave weights as if they were done."""
    monkeypatch.setattr(Processes, "highest", lambda *_: 143)
    with pytest.raises(KeyboardInterrupt) as caught:
        run(config, data, tmp_path / "out")
    assert caught.value.exit_code == 143  # type: ignore[attr-defined]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "last.pt", "loss.csv", "curves.png", ".lsmseg-progress.json",
    }  # fmt: skip


def test_a_process_that_lost_another_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("init_process_group", "destroy_process_group"):
        monkeypatch.setattr(torch.distributed, name, lambda *_: None)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: 1)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    lost = RuntimeError("[/gloo/transport/tcp/pair.cc:561] Connection closed by peer")
    for error in (lost, torch.distributed.DistBackendError("NCCL")):
        with (
            pytest.raises(TrainingError, match="Another process"),
            processes("cpu") as team,
            team.together(),
        ):
            raise error
    with pytest.raises(RuntimeError, match="ours"), processes("cpu"):
        raise RuntimeError("ours")


def test_more_classes_than_labels_used_to_have_room_for(config: str, tmp_path: Path) -> None:
    root = tmp_path / "many"
    for folder in ("images", "annotations"):
        (root / folder).mkdir(parents=True)
    labels = np.full((40, 48), 1049, np.uint16)
    Image.fromarray(labels).save(root / "annotations/a.png")
    Image.fromarray(labels.astype(np.uint8)).save(root / "images/a.png")
    request = TrainRequest(
        config=config, data=str(root), texts=[[f"thing {i}"] for i in range(1050)],
        vocabulary_name="many", out=tmp_path / "out", pretrained="random", workers=0,
        progress=False, precision="fp32", tensorboard=False,
        options=TrainOptions.of(config, iterations=1, clip="freeze"),
    )  # fmt: skip
    result = train(request)
    assert result.loss > 0  # zero if no pixel is labelled


def test_a_file_in_place_of_the_folder(config: str, data: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(DataError, match="is a file, not a folder"):
        run(config, data, tmp_path / "out", tensorboard=True)
