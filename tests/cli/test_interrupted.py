"""Ctrl-C, kill -9, closed pipes: nothing half-written, and the same command goes on from there.

The command runs as a process of its own and hits itself with the signal at a chosen step, so that
nothing here depends on time.
"""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import sqlite3
import subprocess
from pathlib import Path

import pytest
from safetensors.torch import load_file
from support.command_line import COMMAND, Outcome, arguments_for, environment, listing, struck


def interrupted(outcome: Outcome) -> None:
    assert outcome.code == 130, outcome.err
    assert outcome.out == "" and "Traceback" not in outcome.err
    assert "Interrupted; what was finished is kept." in outcome.err


# -- stage 2 -----------------------------------------------------------------------------

GENERATE = ("generate", "--vocab", "camvid", "--store", "s.sqlite")


@pytest.mark.slow
@pytest.mark.parametrize("how", ["SIGINT", "SIGKILL"])
@pytest.mark.process
def test_generate_goes_on(how: str, call) -> None:
    place = "lsmseg_prompts.llm.bundled:Bundled.complete"
    outcome = struck(place, 60, how, *GENERATE)
    if how == "SIGINT":
        assert outcome.code == 130 and "Traceback" not in outcome.err
        assert "Interrupted; what was finished is kept." in outcome.err
    else:
        assert outcome.code == -signal.SIGKILL
    with sqlite3.connect("s.sqlite") as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        counts = [connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
                  for table in ("attempts", "descriptions")]  # fmt: skip
    connection.close()
    assert counts[0] - 1 <= counts[1] <= counts[0] and 55 <= counts[1] < 110
    summary = json.loads(call(*GENERATE, "--json").out)
    assert summary["skipped"] + summary["done"] == 110 and summary["failed"] == 0
    assert counts[1] <= summary["skipped"] <= counts[1] + 1


# -- stages 3 and 4 ----------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(
    ("place", "step"),
    [
        ("lsmseg_model.inference.feature_cache:picture_features", 2),
        ("ablations.report.html:write_report", 1),
    ],
    ids=["pictures", "report"],
)
@pytest.mark.process
def test_ablate_interrupted(place: str, step: int, data: Path, weights: Path, call) -> None:
    before = listing()
    arguments = arguments_for("ablate", weights)
    interrupted(struck(place, step, "SIGINT", *arguments))
    left = listing().keys() - before.keys()
    if place.endswith("picture_features"):
        features = [name for name in left if name.endswith(".safetensors")]
        folders = {str(p) for name in features for p in Path(name).parents[:-1]}
        assert left == {*features, *folders} and 1 <= len(features) <= 2  # side by side
        assert all(load_file(name) for name in features)  # of the pictures before, whole
    else:  # what is there is whole
        assert {"o/run.json", "o/single.csv"} <= left and "o/report.html" not in left
        json.loads(Path("o/run.json").read_text())
    assert not [name for name in left if "tmp" in name]
    assert call(*arguments).code == 0
    assert Path("o/report.html").is_file()


# -- training ----------------------------------------------------------------------------

STEP = "lsmseg_model.pretrain:choose_texts"
PROGRESS = ".lsmseg-progress.json"  # how far it was, which the studio shows


@pytest.mark.slow
@pytest.mark.process
def test_pretrain_interrupted_then_resumed(data: Path, weights: Path, call) -> None:
    train = arguments_for("pretrain", weights)
    interrupted(struck(STEP, 4, "SIGINT", *train))
    assert sorted(path.name for path in Path("o").iterdir()) == [PROGRESS, "last.pt"]
    result = call(*train, "--resume", "--json")
    assert result.code == 0 and json.loads(result.out)["iterations"] == 6
    steps = [line.split(",")[0] for line in Path("o/loss.csv").read_text().splitlines()[1:]]
    assert steps == [str(step) for step in range(6)]


@pytest.mark.slow
@pytest.mark.process
def test_pretrain_killed(data: Path, weights: Path, call) -> None:
    """Before the first checkpoint the same command begins anew; after it --resume goes on."""
    train = arguments_for("pretrain", weights)
    assert struck(STEP, 3, "SIGKILL", *train).code == -signal.SIGKILL
    assert sorted(path.name for path in Path("o").iterdir()) == [".lsmseg-lock", PROGRESS]
    often = "original.__globals__['CHECKPOINT_EVERY'] = 2"
    assert struck(STEP, 4, "SIGKILL", *train, more=often).code == -signal.SIGKILL
    assert {p.name for p in Path("o").iterdir()} == {".lsmseg-lock", PROGRESS, "last.pt"}
    assert call(*train).code == 4
    assert call(*train, "--resume").code == 0
    assert Path("o/small.safetensors").is_file()


# -- pipes, terminals, JSON --------------------------------------------------------------


@pytest.mark.parametrize("command", ["vocab list", "vocab show coco-stuff", "attributes --json"])
@pytest.mark.process
def test_a_pipe_closed_early_is_quiet(command: str) -> None:
    pipe = subprocess.PIPE
    process = subprocess.Popen([*COMMAND, *command.split()], env=environment(), stdout=pipe,
                               stderr=pipe)  # fmt: skip
    assert process.stdout is not None and process.stderr is not None
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait(30) in (0, 1)


@pytest.mark.process
def test_a_closed_stdout_is_no_matter() -> None:
    done = subprocess.run(f"{' '.join(COMMAND)} store path >&-", shell=True, env=environment(),
                          capture_output=True, check=False)  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.parametrize("arguments", ["vocab list", "genrate", "--help"])
@pytest.mark.process
def test_no_color(arguments: str) -> None:
    """On a terminal: colours only without NO_COLOR."""
    colour = re.compile(rb"\x1b\[([0-9]+;)*3[0-9]")

    def shown(**more: str) -> bytes:
        ours, theirs = pty.openpty()
        terminal = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
        command = [*COMMAND, *arguments.split()]
        process = subprocess.Popen(command, env=environment(TERM="xterm", **more), **terminal)
        os.close(theirs)
        text = b""
        try:
            while part := os.read(ours, 65536):
                text += part
        except OSError:  # the terminal's other end is closed
            pass
        os.close(ours)
        process.wait(30)
        return text

    assert not colour.search(shown(NO_COLOR="1"))
    if arguments != "vocab list":
        assert colour.search(shown())


def test_json_of_what_needs_a_model(call, data: Path, weights: Path, drawn_plainly: None) -> None:
    evaluated = json.loads(call(*arguments_for("evaluate", weights), "--json").out)
    assert len(evaluated["classes"]) == 11 and 0 <= evaluated["summary"]["miou"] <= 1
    ablated = json.loads(call(*arguments_for("ablate", weights), "--json").out)
    assert ablated["directory"] == "o" and ablated["single"]
    trained = json.loads(
        call(*arguments_for("pretrain", weights), "--out", "t", "--iterations", "2", "--json").out
    )
    assert Path(trained["weights"]).is_file()
    picture = ("predict", "data/images/val/a.png", "--classes", "sky, road", "--json")
    predicted = json.loads(call(*picture, "--pretrained", str(weights), "-o", "o.png").out)
    assert sum(predicted["shares"].values()) == pytest.approx(1)
    assert Path(predicted["overlay"]).is_file()
