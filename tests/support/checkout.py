"""A copy of the checkout, as a fresh clone has it, to run documented commands in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.command_line import ROOT


def git(folder: Path, *arguments: str) -> str:
    """What git prints; the test is skipped where there is no git or no checkout."""
    if shutil.which("git") is None:
        pytest.skip("git is not there")
    done = subprocess.run(
        ["git", *arguments], cwd=folder, capture_output=True, text=True, check=False
    )
    if done.returncode:
        pytest.skip(f"not a git checkout: {done.stderr}")
    return done.stdout


def fresh_clone(folder: Path) -> Path:
    """A new repository of every file that git does not ignore, uncommitted ones too."""
    for name in git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard").splitlines():
        if (ROOT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
    git(folder, "init", "--quiet")
    git(folder, "add", "--all")
    return folder


def changed(folder: Path) -> list[str]:
    """What `git status` would show in a clone."""
    new = git(folder, "ls-files", "--others", "--exclude-standard")
    return [*git(folder, "diff", "--name-only").splitlines(), *new.splitlines()]


def run_in(
    folder: Path, command: list[str], **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command in a clone, whose own packages it imports, with this Python first."""
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=1800,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(folder), "OMP_NUM_THREADS": "1",
             **environment},
    )  # fmt: skip
