"""What is going on is told by what runs, trainings and generations leave while they last."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from time import time

import pytest
from support.ablation_runs import options
from support.command_line import Outcome

from ablations.runs import live
from ablations.runs.ablate import ablate
from ablations.runs.directory import run_directory
from ablations.runs.live import Activity, activity, generation_progress, result_folders
from ablations.runs.request import AblationRequest
from lsmseg_model.files import PROGRESS
from lsmseg_model.progress_file import ProgressFile
from lsmseg_prompts.store.store import open_store
from lsmseg_prompts.terminal import progress_bar, progress_to
from lsmseg_prompts.vocabularies import load_vocabulary

STORE = "runs/attribute_store.sqlite"


def told(**changed: object) -> None:
    """Change what the progress file of runs/a says."""
    path = Path("runs/a", PROGRESS)
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))


@pytest.mark.slow
def test_an_ablation_tells_each_of_its_steps(world: Path, monkeypatch, plain_figures) -> None:
    seen: list[Activity] = []
    update = ProgressFile.update

    def watched(self: ProgressFile, what: str, *numbers: int) -> None:
        update(self, what, *numbers)
        self.write()
        seen.extend(activity())

    monkeypatch.setattr(ProgressFile, "update", watched)
    ablate(AblationRequest(**options(world, out="runs/a")), progress=False)
    assert {(one.kind, one.name, one.state, one.pid) for one in seen} == {
        ("ablate", "a", "running", os.getpid())
    }
    steps = list(dict.fromkeys(one.what for one in seen))
    assert [step for step in steps if step.startswith("Stage")] == [
        "Stage 3  every attribute alone", "Stage 4  combinations", "Stage 4  report split",
    ]  # fmt: skip
    last = {one.what: (one.done, one.total) for one in seen}
    assert last["pictures: looking at selection pictures"] == (20, 20)
    assert activity() == [] and not Path("runs/a", PROGRESS).exists()


def test_bars_are_heard_of_whether_they_are_shown_or_not(capsys) -> None:
    heard: list[tuple[str, int, int]] = []
    with progress_to(lambda *step: heard.append(step)), progress_bar("x", False) as bar:
        assert bar is not None
        bar(1, 2)
    assert heard == [("x", 0, 0), ("x", 1, 2)]
    with progress_bar("x", False) as bar:
        assert bar is None


def test_one_that_was_cut_short_or_failed_says_so() -> None:
    with pytest.raises(ValueError), run_directory("runs/a") as folder:
        (folder / "half").touch()
        raise ValueError("no")
    (one,) = activity()
    assert (one.state, one.error, one.folder) == ("failed", "ValueError: no", Path("runs/a"))
    told(state="running")
    assert activity()[0].state == "running"  # it is this process
    told(born=1.0)
    assert activity()[0].state == "stopped"
    told(typed="lsmseg-prompts -q refine runs/b")
    assert activity()[0].kind == "refine"
    with run_directory("runs/a"):
        assert [(one.state, one.error) for one in activity()] == [("running", "")]
    assert activity() == []


def test_links_and_hidden_folders_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    for name in ("a/b/c/d", ".hidden", "<script>", "cache"):
        Path("runs", name).mkdir(parents=True)
    Path("runs/link").symlink_to(tmp_path / "elsewhere")
    Path("runs/a/up").symlink_to("..")
    names = [name for name, _ in result_folders(Path("runs"))]
    assert names == ["<script>", "a", "cache", "a/b", "a/b/c"]
    assert result_folders(Path("nowhere")) == [] and activity("nowhere") == []


@pytest.mark.slow
def test_a_generation_tells_what_it_does_and_what_it_costs(
    call: Callable[..., Outcome], monkeypatch
) -> None:
    seen: list[Activity] = []
    update = ProgressFile.update

    def watched(self: ProgressFile, *step: object) -> None:
        update(self, *step)  # type: ignore[arg-type]
        self.write()
        seen.extend(activity("runs", STORE))

    monkeypatch.setattr(ProgressFile, "update", watched)
    Path("four.txt").write_text("zebra\nsky\n")
    open_store(STORE).close()
    words = ["generate", "--vocab", "four.txt", "--attributes", "color,shape", "-q"]
    assert call(*words, "--store", STORE).code in (0, 3)
    assert {(one.kind, one.state, one.total, one.cost_usd) for one in seen} == {
        ("generate", "running", 4, 0.0)
    }
    assert seen[-1].name.startswith("four, bundled") and seen[-1].done == 4
    assert activity("runs", STORE) == [] and not list(Path("runs").glob("*.progress-*"))


def test_a_generation_that_was_killed_is_stopped_until_the_next_one() -> None:
    open_store(STORE).close()
    ProgressFile(Path(f"{STORE}{live.BESIDE}7"), "generate").write(born=1.0, what="v, l; w, m")
    (one,) = activity("runs", STORE)
    assert (one.kind, one.name, one.state, one.folder) == ("generate", "v, l", "stopped", None)
    with generation_progress(Path(STORE)):
        assert [one.state for one in activity("runs", STORE)] == ["running"]
    assert activity("runs", STORE) == []


def test_a_store_tells_of_runs_without_a_file_and_of_batches() -> None:
    with open_store(STORE) as store:
        run = {"id": "r", "host": "elsewhere", "pid": 7, "started_at": "2026-01-01T00:00:00.000Z"}
        store.write("runs", {**run, "seen_at": time()})
        for cost, verdict in ((0.25, "kept"), (0.5, None)):
            store.record_attempt(
                None, None, None, "gpt-4", asked_model="gpt-4", prompt="p", run="r",
                cost_usd=cost, verdict=verdict,
            )  # fmt: skip
        store.add_vocabulary(load_vocabulary("camvid"))
        batch = {"id": "b", "vocabulary": "camvid", "llm": "gpt-4", "remote_id": "batch_1"}
        batch |= {"status": "in_progress", "calls": "[1, 2, 3]"}
        store.write("batches", {**batch, "created_at": "2026-01-01T00:00:01.000Z"})
    found = {one.kind: one for one in activity("runs", STORE)}
    asked = found["generate"]
    assert (asked.state, asked.what, asked.done, asked.cost_usd) == (
        "running", "2 requests", 1, 0.75,
    )  # fmt: skip
    assert (asked.started, asked.host, asked.pid) == (1767225600.0, "elsewhere", 7)
    assert (found["batch"].name, found["batch"].total) == ("camvid, gpt-4", 3)
    assert found["batch"].what == "batch batch_1: in_progress"


def test_what_a_run_asks_is_its_own_cost() -> None:
    Path("runs/a").mkdir(parents=True)
    file = ProgressFile(Path("runs/a", PROGRESS), "ablate")
    file.update("Refine", 1, 3)
    with open_store(STORE) as store:
        run = {"id": "r", "host": file._told["host"], "pid": os.getpid()}
        started = {"started_at": "2026-01-01T00:00:00.000Z", "seen_at": time()}
        store.write("runs", {**run, **started})
        asked = {"asked_model": "gpt-4", "prompt": "p", "run": "r", "cost_usd": 0.25}
        store.record_attempt(None, None, None, "gpt-4", **asked)
    found = activity("runs", STORE)
    assert [(one.kind, one.what, one.cost_usd) for one in found] == [("ablate", "Refine", 0.25)]


def test_a_file_that_is_no_store_is_no_reason_to_fail() -> None:
    Path("s.sqlite").write_text("hello")
    assert activity("runs", "s.sqlite") == []
