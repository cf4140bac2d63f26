"""Fixtures of all tests: away from the user's files, the command in this process, a tiny model."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path

import pytest
import typer
from hypothesis import HealthCheck, settings
from hypothesis.database import DirectoryBasedExampleDatabase
from hypothesis.internal.conjecture import providers
from support.ablation_runs import plain_figures
from support.browsing import _chromium, browser, complaints, page  # noqa: F401
from support.command_line import ROOT, Outcome
from support.small_clip import SMALL

import cli
from lsmseg_prompts.llm.providers import shipped

CLEARED = (
    "HF_HUB_OFFLINE",
    "TRANSFORMERS_OFFLINE",
    "LSMSEG_PROMPTS_CACHE",
    "LSMSEG_PROMPTS_STORE",
    "LSMSEG_PROMPTS_PROVIDERS",
    "LSMSEG_PROMPTS_KEY",
    *filter(None, (name for one in shipped() for name in (one.key, one.endpoint_variable))),
    "NO_COLOR",
    "FORCE_COLOR",
)

# Tests run beside one another (pytest -n); each with all threads would only slow the rest. This
# counts only where numpy and torch are not yet imported: they are imported in the fixtures below.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Property tests draw the same examples every time, or (make fuzz) new ones, keeping what failed.
# How many is said here alone, and nothing depends on how fast the machine is.
_ANY_MACHINE = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.register_profile(
    "repeatable", _ANY_MACHINE, derandomize=True, database=None, max_examples=50
)
settings.register_profile(
    "fuzz",
    _ANY_MACHINE,
    database=DirectoryBasedExampleDatabase(ROOT / ".hypothesis" / "examples"),
    max_examples=300,
)
settings.load_profile("repeatable")  # --hypothesis-profile=fuzz is read later


def pytest_configure(config: pytest.Config) -> None:
    """Only `make fuzz` draws constants of our modules: which are imported depends on the order."""
    if config.option.hypothesis_profile != "fuzz":  # tests/test_property_tests.py notices changes
        providers._get_local_constants = lambda: providers._local_constants


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Under a failed property test of `make fuzz`: the command that draws the same again."""
    options = terminalreporter.config.option
    again = f"--hypothesis-profile=fuzz --hypothesis-seed={options.hypothesis_seed}"
    if options.hypothesis_profile == "fuzz" and options.hypothesis_seed:
        for report in terminalreporter.stats.get("failed", []):
            terminalreporter.write_line(
                f"To repeat: .venv/bin/python -m pytest -n 0 '{report.nodeid}' {again}"
            )


@pytest.fixture(autouse=True)
def _away_from_the_users_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in an empty folder (`runs/` would be made in it) with a bare environment."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in CLEARED:
        monkeypatch.delenv(name, raising=False)


SHIPPED = ROOT / "attribute_store.sqlite"


@pytest.fixture(scope="session")
def _shipped_store_stays() -> Iterator[None]:
    before = hashlib.sha256(SHIPPED.read_bytes()).hexdigest()
    yield
    assert hashlib.sha256(SHIPPED.read_bytes()).hexdigest() == before


@pytest.fixture(autouse=True)
def _shipped_store_is_not_written(_shipped_store_stays: None) -> Iterator[None]:
    """No test writes to the store that ships, and none leaves a journal beside it."""
    before = SHIPPED.stat()
    yield
    after = SHIPPED.stat()
    assert (after.st_ino, after.st_size, after.st_mtime_ns) == (
        before.st_ino, before.st_size, before.st_mtime_ns,
    )  # fmt: skip
    assert not list(ROOT.glob("attribute_store.sqlite-*"))


@pytest.fixture(scope="session")
def root() -> Path:
    """The top of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def _commands_are_built_once() -> Iterator[None]:
    """Typer builds all commands for each call of one, which takes longer than most calls."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("typer.main.get_command", cache(typer.main.get_command))
        yield


@pytest.fixture
def call(
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    _commands_are_built_once: None,
) -> Callable[..., Outcome]:
    """Run the command in this process; workers' noise on the real stderr counts too.

    call("store", "path", env={"NO_COLOR": "1", "OPENAI_API_KEY": None}) -> Outcome(code, out, err)
    """

    def run(*arguments: str, env: Mapping[str, str | None] | None = None) -> Outcome:
        capfd.readouterr()
        with monkeypatch.context() as patched:
            patched.setenv("HF_HUB_OFFLINE", os.environ.get("HF_HUB_OFFLINE", ""))  # --offline
            for name, value in (env or {}).items():
                if value is None:
                    patched.delenv(name, raising=False)
                else:
                    patched.setenv(name, value)
            # Not pytest.raises: it would keep the frames, and in them a loader's processes, alive.
            code: object = None
            try:
                cli.main(arguments)
            except SystemExit as stop:
                code = stop.code or 0
        captured = capfd.readouterr()
        assert isinstance(code, int), "main() always exits, with a number"
        return Outcome(code, captured.out, captured.err)

    return run


@pytest.fixture(scope="module", name="plain_figures")
def _plain_figures() -> Iterator[None]:
    """For modules that do not look at figures."""
    with plain_figures():
        yield


@pytest.fixture
def drawn_plainly() -> Iterator[None]:
    """For single tests."""
    with plain_figures():
        yield


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny CLIP of random weights, and beside it the configuration to train one."""
    import torch

    from lsmseg_model.encoders.checkpoints import save_weights
    from lsmseg_model.networks.backbones.load import build_backbone, read_config

    path = tmp_path_factory.mktemp("model") / "small.safetensors"
    torch.manual_seed(0)
    save_weights(path, build_backbone(SMALL).model.state_dict(), {"config": SMALL})
    train = {**read_config("lsmseg-tiny")["train"], "iterations": 6, "batch_size": 2}
    config = {**SMALL, "train": {**train, "warmup": 1, "loss_size": 8}}
    path.with_suffix(".json").write_text(json.dumps(config))
    return path


@pytest.fixture
def drawings(weights: Path, tmp_path: Path) -> Path:
    """The same CLIP, its file saying that it was trained on MiniStuff alone."""
    from safetensors.torch import load_file

    from lsmseg_model.encoders.checkpoints import read_metadata, save_weights

    path = tmp_path / "drawings.safetensors"
    about = {**read_metadata(weights), "data": "ministuff"}
    save_weights(path, load_file(weights), about)
    return path


@pytest.fixture
def data() -> Path:
    """A folder of 11 classes: two pictures of 32 x 24 in each of two splits, none like another."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(0)
    for split in ("train", "val"):
        for kind, high, shape in (("images", 255, (24, 32, 3)), ("annotations", 11, (24, 32))):
            folder = Path("data", kind, split)
            folder.mkdir(parents=True)
            for name in ("a.png", "b.png"):
                Image.fromarray(rng.integers(0, high, shape, dtype=np.uint8)).save(folder / name)
    each = [f"{split}/{name},{split} {name}" for split in ("train", "val") for name in "ab"]
    Path("data", "groups.csv").write_text("\n".join(["picture,group", *each, ""]))
    return Path("data")
