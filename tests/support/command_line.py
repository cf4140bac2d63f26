"""Running the command line from tests: as a process or in this one, on next to nothing.

The fixtures here are for test_bad_input.py and test_interrupted.py, which import them.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from PIL import Image

import cli
from support.small_clip import SMALL

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(sys.executable).with_name("lsmseg-prompts")
COMMAND = [str(SCRIPT)] if SCRIPT.exists() else [sys.executable, "-m", "cli"]


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **more}


def process(*arguments: str, **options: Any) -> Outcome:
    """Run the command as a process of its own."""
    done = subprocess.run([*COMMAND, *arguments], env=environment(), capture_output=True, text=True,
                          timeout=120, check=False, **options)  # fmt: skip
    return Outcome(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def call(capfd) -> Callable[..., Outcome]:
    """Run the command in this process; workers' noise on the real stderr counts too."""

    def run(*arguments: str) -> Outcome:
        capfd.readouterr()
        with pytest.raises(SystemExit) as stop:
            cli.main(arguments)
        captured = capfd.readouterr()
        return Outcome(int(stop.value.code or 0), captured.out, captured.err)

    return run


def listing() -> dict[str, str]:
    """Every file below the working folder with a hash of what it holds, and every folder."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in Path().rglob("*")
    }


def refused(outcome: Outcome, code: int, *says: str) -> None:
    """One sentence on stderr that says all of `says`, nothing on stdout, the right code."""
    assert outcome.code == code, outcome.err
    assert outcome.out == "" and "Traceback" not in outcome.err
    if "Usage:" in outcome.err:  # Typer's own box around what it could not parse
        assert outcome.err.count("─ Error ─") == 1
        sentence = " ".join(re.sub("[│╭╮╰╯─]", " ", outcome.err).split())
    else:
        sentence = outcome.err
        # A progress bar's line may stand before it.
        assert sentence.count("Error: ") == 1 and sentence.splitlines()[-1].startswith("Error: ")
        assert sentence.rstrip().endswith((".", "?")) or "shorten it: " in sentence
    for words in says:
        assert words in sentence


@pytest.fixture(autouse=True)
def shipped_store_stays() -> Iterator[None]:
    path = ROOT / "attribute_store.sqlite"
    before = hashlib.sha256(path.read_bytes()).hexdigest()
    yield
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before
    assert not list(ROOT.glob("attribute_store.sqlite-*"))


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny CLIP of random weights, and beside it the configuration to train one."""
    import torch

    from lsmseg_model.encoders.checkpoints import save_weights
    from lsmseg_model.networks.backbones.clip import build_clip, read_config

    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    torch.manual_seed(0)
    save_weights(path, build_clip(SMALL).model.state_dict(), {"config": SMALL})
    train = {**read_config("lsmseg-tiny")["train"], "iterations": 6, "batch_size": 2}
    config = {**SMALL, "train": {**train, "warmup": 1, "loss_size": 8}}
    path.with_suffix(".json").write_text(json.dumps(config))
    return path


@pytest.fixture
def data() -> Path:
    """A folder benchmark of 11 classes: two pictures of 32 x 24 in each of two splits."""
    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for kind, high, shape in (("images", 255, (24, 32, 3)), ("annotations", 11, (24, 32))):
            folder = Path("data", kind, split)
            folder.mkdir(parents=True)
            for name in ("a.png", "b.png"):
                Image.fromarray(rng.integers(0, high, shape, dtype=np.uint8)).save(folder / name)
    return Path("data")


def arguments_for(command: str, weights: Path) -> list[str]:
    """`evaluate`, `ablate` or `pretrain` on the folder `data`, as small as can be."""
    more = {
        "evaluate": ["--pretrained", str(weights), "--attributes", "name"],
        "ablate": ["--pretrained", str(weights), "--attributes", "color", "--samples", "5",
                   "--out", "o", "--store", "s.sqlite"],
        "pretrain": ["--config", str(weights.with_suffix(".json")), "--out", "o"],
    }  # fmt: skip
    return [command, "--data", "camvid", "--data-root", "data", *more[command]]


DRIVER = """
import os, signal, sys
import importlib
module, _, attribute = {place!r}.rpartition(":")
owner = importlib.import_module(module)
for name in attribute.split(".")[:-1]:
    owner = getattr(owner, name)
name = attribute.split(".")[-1]
original, calls = getattr(owner, name), 0
def hit(*arguments, **options):
    global calls
    calls += 1
    if calls == {step}:
        os.killpg(0, signal.{signal})
    return original(*arguments, **options)
setattr(owner, name, hit)
{more}
import cli
cli.main(sys.argv[1:])
"""


def struck(place: str, step: int, how: str, *arguments: str, more: str = "") -> Outcome:
    """Run the command; at call number `step` of `place` its process group gets the signal."""
    program = DRIVER.format(place=place, step=step, signal=how, more=more)
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        start_new_session=True,  # a group of its own, as a terminal gives it
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    return Outcome(done.returncode, done.stdout, done.stderr)
