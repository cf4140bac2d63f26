"""Commands as jobs: started without a shell, stopped as by Ctrl-C, found by another studio too."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from llm_server.client import LLMServer
from support.generating import KEY, classes

from ablations.studio.runs import jobs as module
from ablations.studio.runs.jobs import Job, Jobs
from lsmseg_model.files import LOCK, PROGRESS
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.store.store import open_store

RUNS = Path("runs")
LONG = 120.0  # seconds that a busy machine may take


def until(condition: Callable[[], Any]) -> Any:
    """What a condition gives, as soon as that is something."""
    end = time.monotonic() + LONG
    while not (found := condition()):
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)
    return found


def over(jobs: Jobs, job: Job) -> str:
    """The state of a job once it does not run any more."""
    until(lambda: jobs.state(job)["state"] != "running")
    return str(jobs.state(jobs.get(job.id))["state"])


@pytest.fixture
def server() -> Iterator[LLMServer]:
    with LLMServer(latency=0.2) as running:
        yield running


@pytest.fixture
def program(monkeypatch: pytest.MonkeyPatch) -> Path:
    """A script in place of the command line."""
    path = Path("program.py").resolve()
    monkeypatch.setattr(module, "find_spec", lambda _: SimpleNamespace(origin=str(path)))
    return path


def leave(job: Job, **files: str) -> None:
    """A job's record and files, as if it had been started before."""
    folder = RUNS / ".jobs" / job.id
    folder.mkdir(parents=True)
    (folder / "job.json").write_text(json.dumps({**vars(job), "words": list(job.words)}))
    for name, text in files.items():
        (folder / name).write_text(text)


@pytest.mark.process
def test_words_arrive_as_they_are_and_what_is_said_is_kept(program: Path) -> None:
    program.write_text("import sys; print(sys.argv[1:], sys.stdin.read()); sys.exit(3)\n")
    Path("os.py").write_text("raise SystemExit('imported from the folder of the studio')\n")
    jobs, words = Jobs(RUNS), ["generate", "--classes=$(touch x); `y` *", "--a=\N{ZEBRA FACE}"]
    job = jobs.start(words)
    assert over(jobs, job) == "partly" and jobs.state(job)["code"] == 3
    assert jobs.tail(job) == {"stdout": f"{words} \n", "stderr": ""}
    assert not Path("x").exists()
    shown = Jobs(RUNS).shown(Jobs(RUNS).get(job.id))  # another studio of the same folder
    assert shown["state"] == "partly"
    assert shown["command"].startswith("lsmseg-prompts generate '--classes=$(touch x); `y` *' ")


@pytest.mark.slow
@pytest.mark.process
def test_the_first_press_is_as_ctrl_c_and_the_second_ends_it(program: Path) -> None:
    program.write_text(
        "import time, sys, pathlib\n"
        "pathlib.Path('began').touch()\n"
        "try: time.sleep(200)\n"
        "except KeyboardInterrupt:\n"
        "    pathlib.Path('asked').touch()\n"
        "    if sys.argv[1] == 'deaf': time.sleep(200)\n"
        "    sys.exit(130)\n"
    )
    jobs = Jobs(RUNS)
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in a shell's background
    try:
        polite, deaf = jobs.start(["polite"]), None
        until(Path("began").exists)
        assert jobs.stop(polite.id).pressed == 1 and over(jobs, polite) == "stopped"
        assert jobs.state(polite)["code"] == 130
        Path("began").unlink(), Path("asked").unlink()
        deaf = jobs.start(["deaf"])
    finally:
        signal.signal(signal.SIGINT, before)
    until(Path("began").exists)
    other = Jobs(RUNS)  # the studio was started anew
    other.stop(deaf.id)
    until(Path("asked").exists)
    assert other.state(deaf)["state"] == "running"
    assert other.stop(deaf.id).pressed == 2 and over(jobs, deaf) == "stopped"


def test_a_process_with_the_number_of_another_is_not_touched(monkeypatch) -> None:
    killed: list[Any] = []
    monkeypatch.setattr(os, "killpg", lambda *given: killed.append(given))
    for name, born in (("old", 1.0), ("never", None)):
        leave(Job(name, ["run"], 1.0, os.getpid() if born else 0, born))
    jobs = Jobs(RUNS)
    for name in ("old", "never"):
        assert jobs.state(jobs.get(name))["state"] == "failed"
        jobs.stop(name)
    assert killed == []


def test_only_so_many_run_and_so_many_are_kept(monkeypatch) -> None:
    born = module.process_born(os.getpid())
    monkeypatch.setattr(module, "KEPT", 5)
    monkeypatch.setattr(Jobs, "_popen", lambda *_: SimpleNamespace(pid=0, poll=lambda: None))
    for n in range(8):
        leave(Job(f"old{n}", ["run"], float(n)), exit="0")
    jobs = Jobs(RUNS)
    new = jobs.start(["run"])
    assert [job.id for job in jobs.all()] == [new.id, "old7", "old6", "old5", "old4"]
    for n in range(module.MOST_RUNNING):
        leave(Job(f"new{n}", ["run"], 100.0 + n, os.getpid(), born))
    with pytest.raises(UsageError, match="4 commands run already"):
        jobs.start(["run"])


@pytest.mark.parametrize(
    "record",
    ["", "{", "[]", "{}", '{"id": "other", "words": [], "started": 1}',
     '{"id": "j", "words": "run", "started": 1}', '{"id": "j", "words": [1], "started": 1}',
     '{"id": "j", "words": [], "started": "now"}',
     '{"id": "j", "words": [], "started": 1, "x": 1}'],
)  # fmt: skip
def test_a_damaged_record_is_none(record: str) -> None:
    (RUNS / ".jobs" / "j").mkdir(parents=True)
    (RUNS / ".jobs" / "j" / "job.json").write_text(record)
    assert Jobs(RUNS).all() == []
    with pytest.raises(UsageError):
        Jobs(RUNS).get("j")


def test_of_a_long_log_the_end_is_read_and_it_steers_nothing() -> None:
    leave(Job("j", ["run"], 1.0), stdout="x\n" * 50_000 + "end\x1b[2J", stderr="")
    tail = Jobs(RUNS).tail(Job("j", ["run"], 1.0))
    assert len(tail["stdout"]) <= module.TAIL and tail["stdout"].endswith("x\nend[2J")


@pytest.mark.slow
@pytest.mark.process
def test_a_generation_is_watched_and_stopped(open_studio, server, monkeypatch) -> None:
    """Nothing is lost, nothing is left claimed, and the key is nowhere."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_BASE_URL", server.url)
    vocab = classes(*(f"thing {n}" for n in range(60)))
    client = open_studio(vocab=str(Path(vocab).resolve()))
    values = {"llm": "gpt-4", "attributes": "color", "concurrency": 1, "max_calls": 500}
    body = {"command": "generate", "values": {**values, "vocab": client.studio.options.vocab}}
    started = client.post("/api/runs/start", json=body)
    assert started.status_code == 200, started.text
    job = started.json()["id"]

    def going() -> Any:
        now = client.get("/api/runs/now").json()
        assert now["busy"], client.get("/api/runs/log", params={"job": job}).text
        return next((one for one in now["activity"] if one["done"] > 3), None)

    seen = until(going)
    assert (seen["kind"], seen["total"], seen["job"]) == ("generate", 60, job)
    client.post("/api/runs/stop", json={"job": job})
    fresh = open_studio()  # a reload, by another studio

    def ended() -> Any:
        told = fresh.get("/api/runs/log", params={"job": job}).json()
        return told if told["state"] != "running" else None

    told = until(ended)
    assert (told["state"], told["code"], told["pressed"]) == ("stopped", 130, 1), told
    assert "what was finished is kept" in told["stderr"]
    with open_store(client.studio.store) as store:
        assert store.rows("SELECT * FROM claims") == []
        (done,) = store.rows("SELECT count(*) AS n FROM descriptions WHERE status = 'done'")
        assert 3 < done["n"] < 60
        assert store.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert client.get("/api/runs/now").json()["activity"] == []
    for path in client.studio.runs.rglob("*"):
        assert not path.is_file() or KEY.encode() not in path.read_bytes(), path


@pytest.mark.slow
@pytest.mark.process
def test_an_ablation_that_is_stopped_leaves_nothing_half(open_studio: Any) -> None:
    client = open_studio()
    values = {"attributes": "color", "limit": 200, "samples": 200, "out": "one"}
    body = {"command": "ablate", "values": values}
    job = client.post("/api/runs/start", json=body).json()["id"]

    def going() -> Any:
        now = client.get("/api/runs/now").json()
        assert now["busy"], client.get("/api/runs/log", params={"job": job}).text
        return [one for one in now["activity"] if "pictures" in one["what"] and one["done"]]

    (seen,) = until(going)
    assert (seen["kind"], seen["name"], seen["job"]) == ("ablate", "one", job)
    client.post("/api/runs/stop", json={"job": job})
    until(lambda: not client.get("/api/runs/now").json()["busy"])
    assert client.get("/api/runs/log", params={"job": job}).json()["state"] == "stopped"
    folder = client.studio.runs / "one"
    assert not folder.exists() or {p.name for p in folder.iterdir()} <= {LOCK, PROGRESS}
    assert client.get("/api/runs/results").json()["results"] == []
    assert sys.platform != "linux" or not client.get("/api/runs/now").json()["activity"]
