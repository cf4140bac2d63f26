"""What make would do for a stranger: which PyTorch, and a sentence for what is missing."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from support.command_line import ROOT

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(shutil.which("make") is None, reason="make is not there"),
]
CPU = "https://download.pytorch.org/whl/cpu"


def make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """In the checkout, with the environment `v` of the working folder."""
    return subprocess.run(
        ["make", "-C", ROOT, "--no-print-directory", f"VENV={Path('v').absolute()}", *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_torch_names_the_index_and_no_other_counts() -> None:
    (line,) = [one for one in make("-n", "run", "TORCH=cpu").stdout.splitlines() if CPU in one]
    assert f"PIP_EXTRA_INDEX_URL={CPU}" in line and f"--index-url {CPU}" in line
    assert "torch torchvision" in line
    assert "download.pytorch.org" not in make("-n", "run").stdout


def test_another_torch_than_the_installed_one_is_refused() -> None:
    Path("v").mkdir()
    Path("v/.installed").touch()
    done = make("torch", "TORCH=cpu")
    assert done.returncode != 0
    assert "v holds another PyTorch than TORCH=cpu: run make clean first." in done.stderr
    assert make("torch").returncode == 0  # what is installed stays
    Path("v/.torch").write_text("cpu\n")
    assert make("torch", "TORCH=cpu").returncode == make("torch").returncode == 0
    assert "another PyTorch" in make("torch", "TORCH=cu128").stderr


def test_a_python_that_is_too_old_or_not_there() -> None:
    done = make("shell", "PYTHON=false")
    assert done.returncode != 0 and not Path("v").exists()
    assert "Python 3.11 or newer is needed: make shell PYTHON=python3.12, say." in done.stderr
