"""Running the command line from tests as a process; tests/conftest.py has `call`, in this one."""

from __future__ import annotations

import hashlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = Path(sys.executable).with_name("lsmseg-prompts")
COMMAND = [str(SCRIPT)] if SCRIPT.exists() else [sys.executable, "-m", "cli"]


class Outcome(NamedTuple):
    code: int
    out: str
    err: str


def environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **more}


def process(*arguments: str, more: dict[str, str] | None = None, **options: Any) -> Outcome:
    """Run the command as a process of its own; `more`: variables of its environment."""
    done = subprocess.run([*COMMAND, *arguments], env=environment(**(more or {})),
                          capture_output=True, text=True, timeout=120, check=False,
                          **options)  # fmt: skip
    return Outcome(done.returncode, done.stdout, done.stderr)


def listing() -> dict[str, str]:
    """Every file below the working folder with a hash of what it holds, and every folder."""
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for path in Path().rglob("*")
    }


def without_help(err: str) -> str:
    """What stands on stderr before the last line, which names a part of docs/errors.md."""
    return re.sub(r"^Help: \S*errors\.md#[a-z0-9-]+\n\Z", "", err, flags=re.MULTILINE)


def refused(outcome: Outcome, code: int, *says: str) -> None:
    """One sentence on stderr that says all of `says`, nothing on stdout, the right code."""
    assert outcome.code == code, outcome.err
    assert outcome.out == "" and "Traceback" not in outcome.err
    sentence = without_help(outcome.err)
    if "Usage:" in outcome.err:  # Typer's own box around what it could not parse
        assert outcome.err.count("─ Error ─") == 1
        sentence = " ".join(re.sub("[│╭╮╰╯─]", " ", sentence).split())
    else:
        # A progress bar's line may stand before it.
        assert sentence.count("Error: ") == 1 and sentence.splitlines()[-1].startswith("Error: ")
        assert sentence.rstrip().endswith((".", "?")) or "shorten it: " in sentence
    for words in says:
        assert words in sentence


def arguments_for(command: str, weights: Path) -> list[str]:
    """`evaluate`, `ablate` or `pretrain` on the folder `data`, as small as can be."""
    more = {
        "evaluate": ["--pretrained", str(weights), "--attributes", "name"],
        "ablate": ["--pretrained", str(weights), "--attributes", "color", "--samples", "200",
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
