"""`train` as a user runs it: in a process of its own, killed, gone on with, wrongly asked."""

import copy
import csv
import json
import signal
from pathlib import Path

import pytest
from support.command_line import process, refused, struck
from support.mini_network import NETWORK, make_pictures

STEP = "lsmseg_model.train:NetworkRun.learn"


@pytest.fixture
def arguments(tmp_path: Path) -> list[str]:
    settings = copy.deepcopy(NETWORK)
    settings["train"]["clip"] = "freeze"
    Path("small.json").write_text(json.dumps(settings))
    make_pictures(Path("data"))
    return [
        "train", "--config", "small.json", "--data", "camvid", "--data-root", "data",
        "--pretrained", "random", "--workers", "0", "--precision", "fp32",
    ]  # fmt: skip


def losses(folder: str) -> list[str]:
    with (Path(folder) / "loss.csv").open() as file:
        return [row["loss"] for row in csv.DictReader(file)]


def test_train_then_its_files(arguments: list[str], call) -> None:
    done = call(*arguments, "--out", "o", "--set", "k=3", "--iterations", "2", "--json")
    assert done.code == 0, done.err
    said = json.loads(done.out)
    assert said["iterations"] == 2 and said["finished"] and Path(said["weights"]).is_file()
    assert Path("o/curves.png").is_file() and len(losses("o")) == 2
    from lsmseg_model.networks.build import load_network

    assert load_network(said["weights"]).config.k == 3


def test_wrong_requests_are_sentences(arguments: list[str], call) -> None:
    for more, code, says in (
        (["--set", "kk=3"], 4, "no field 'kk'"),
        (["--set", "fusion=meen"], 4, "mean"),
        (["--config", "lsmseg-bb"], 2, "did you mean lsmseg-b"),
        (["--pretrained", "none.pt"], 4, "no weights of small at none.pt"),
        (["--batch-size", "3", "--accumulate", "2"], 4, "cannot be dealt out"),
        (["--data", "coco-stuf"], 2, "coco-stuff"),
    ):
        refused(call(*arguments, "--out", "o", *more), code, says)
    assert not Path("o").exists()


@pytest.mark.slow
@pytest.mark.process
def test_sigterm_to_all_its_processes_saves(arguments: list[str]) -> None:
    """As a queue or a service manager ends a job: those that read pictures get it too."""
    more = ["--out", "o", "--checkpoint-every", "0", "--workers", "2"]
    ended = struck(STEP, 3, "SIGTERM", *arguments, *more)
    assert ended.code == 143 and "Unexpected" not in ended.err
    assert len(losses("o")) == 3 and Path("o/last.pt").is_file()


@pytest.mark.slow
@pytest.mark.process
def test_killed_and_resumed_equals_unbroken(arguments: list[str], call) -> None:
    # All in processes of their own: with another number of threads sums are rounded otherwise.
    assert process(*arguments, "--out", "whole").code == 0
    more = ["--out", "o", "--checkpoint-every", "2"]
    assert struck(STEP, 4, "SIGKILL", *arguments, *more).code == -signal.SIGKILL
    assert len(losses("o")) == 2
    refused(call(*arguments, *more), 4, "add --resume")
    assert process(*arguments, *more, "--resume").code == 0
    assert losses("o") == losses("whole")
