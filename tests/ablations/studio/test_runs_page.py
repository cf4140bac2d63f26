"""The page Runs: what it tells, which files it hands out, and what it refuses."""

from __future__ import annotations

import json
import os
import sys
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from ablations.report.html import SCRIPT
from ablations.runs.directory import REPORT
from lsmseg_model.files import PROGRESS
from lsmseg_model.progress_file import ProgressFile
from lsmseg_prompts.store.store import open_store

EVIL = "<script>alert(1)<"


@pytest.fixture
def runs(client: Any) -> Path:
    """A folder of runs with one in it, whose name is HTML, and one that goes on."""
    folder = client.studio.runs
    (folder / EVIL).mkdir(parents=True)
    record = {"format": "lsmseg-prompts/run", "summary": EVIL, "best": {"prompts": EVIL}}
    (folder / EVIL / "run.json").write_text(json.dumps(record))
    (folder / EVIL / REPORT).write_text("<p>the report</p>")
    (folder / EVIL / "single.csv").write_text("a,b\n")
    (folder / EVIL / "map.png").write_bytes(b"\x89PNG")
    (folder / "going").mkdir()
    file = ProgressFile(folder / "going" / PROGRESS, "train")
    for step in (1, 2):
        file.loss(step, 3.0 / step)
    file.update("training", 2, 10)
    return folder


def test_what_goes_on_is_told_with_its_numbers(client: Any, runs: Path) -> None:
    told = client.get("/api/runs/now").json()
    (one,) = told["activity"]
    assert (one["kind"], one["name"], one["state"]) == ("train", "going", "running")
    assert (one["done"], one["total"], one["losses"]) == (2, 10, [[1, 3.0], [2, 1.5]])
    assert told["busy"] is True and told["jobs"] == [] and one["job"] is None


def test_the_runs_are_listed_and_shown(client: Any, runs: Path) -> None:
    (one,) = client.get("/api/runs/results").json()["results"]
    assert (one["name"], one["best"], one["report"]) == (EVIL, EVIL, True)
    told = client.get("/api/runs/one", params={"run": EVIL}).json()
    names = [file["name"] for file in told["files"]]
    assert names == ["map.png", REPORT, "run.json", "single.csv"]
    page = client.get("/runs/one", params={"run": EVIL}).text
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)&lt;" in page


def test_a_report_is_alone_in_its_frame(client: Any, runs: Path) -> None:
    reply = client.get(f"/runs/files/{EVIL}/{REPORT}")
    assert reply.text == "<p>the report</p>"
    policy = reply.headers["content-security-policy"].split("; ")
    assert policy[0] == "sandbox allow-scripts" and "default-src 'none'" in policy
    assert "frame-ancestors 'self'" in policy and "'unsafe-inline'" not in next(
        part for part in policy if part.startswith("script-src")
    )
    assert reply.headers["content-disposition"].startswith("inline")


def test_the_script_of_our_reports_may_run(client: Any, runs: Path) -> None:
    """By its digest, as the page itself allows it (tests/ablations/test_report.py)."""
    script = files("ablations.report").joinpath("templates", SCRIPT).read_bytes()
    digest = b64encode(sha256(script).digest()).decode()
    policy = client.get(f"/runs/files/{EVIL}/{REPORT}").headers["content-security-policy"]
    assert f"script-src 'sha256-{digest}';" in policy


def test_other_files_are_downloads_that_may_do_nothing(client: Any, runs: Path) -> None:
    reply = client.get(f"/runs/files/{EVIL}/single.csv")
    assert reply.content == b"a,b\n"
    assert reply.headers["content-disposition"].startswith("attachment")
    assert reply.headers["content-security-policy"].startswith("sandbox; default-src 'none'")
    assert reply.headers["x-content-type-options"] == "nosniff"
    picture = client.get(f"/runs/files/{EVIL}/map.png")
    assert picture.headers["content-type"] == "image/png"


@pytest.mark.parametrize(
    "path",
    [
        "../../etc/passwd", "%2e%2e/%2e%2e/etc/passwd", f"{EVIL}/../../secret.json", "/etc/passwd",
        "%2Fetc/passwd", f"{EVIL}/link.csv", "linked/run.json", f"{EVIL}/.hidden.json", EVIL, "",
        f"{EVIL}/a%00.csv", "going/.lsmseg-progress.json", f"{EVIL}/%5c..%5csecret.json",
    ],
)  # fmt: skip
def test_no_path_leads_out_of_the_runs(client: Any, runs: Path, path: str) -> None:
    secret = runs.parent / "secret.json"
    secret.write_text("hush")
    (runs / EVIL / "link.csv").symlink_to(secret)
    (runs / EVIL / ".hidden.json").write_text("hush")
    (runs / "linked").symlink_to(runs.parent)
    reply = client.get(f"/runs/files/{path}")
    assert reply.status_code in (400, 404) and "hush" not in reply.text
    assert client.get("/api/runs/one", params={"run": path}).status_code == 400 or path == EVIL


def test_the_leaderboard_with_its_filters(client: Any) -> None:
    assert client.get("/api/runs/leaderboard").json()["rows"] == []
    row = {"run": "r", "benchmark": "ministuff", "split": "report", "pictures": 200, "miou": 0.5}
    with open_store(client.studio.store) as store:
        for model, prompts in (("a", "name"), ("b", EVIL)):
            store.add_evaluation(model=model, prompt_set=prompts, subset="all", **row)
    told = client.get("/api/runs/leaderboard").json()
    assert [r["prompts"] for r in told["rows"]] == ["name", EVIL]
    assert told["choices"] == {"benchmark": ["ministuff"], "model": ["a", "b"], "llm": []}
    only = client.get("/api/runs/leaderboard", params={"model": "b", "top": "1"}).json()
    assert [r["prompts"] for r in only["rows"]] == [EVIL]
    for wrong in ({"model": "c"}, {"sort": "x"}, {"top": "0"}):
        assert client.get("/api/runs/leaderboard", params=wrong).status_code == 400


def test_a_command_is_shown_before_it_is_started(client: Any) -> None:
    def preview(**values: Any) -> Any:
        return client.post("/api/runs/preview", json={"command": "generate", "values": values})

    told = preview(llm="gpt-4", vocab="camvid").json()
    assert told["command"].startswith("lsmseg-prompts generate --llm=gpt-4 --vocab=camvid --store=")
    assert told["needs"] == "max_cost"
    assert preview(llm="--help").status_code == 400
    wrong = client.post("/api/runs/preview", json={"command": "generate", "values": [1]})
    assert wrong.status_code == 400


def test_nothing_is_started_or_stopped_that_should_not_be(client: Any, open_studio: Any) -> None:
    for command in ("generate", "store rm", "studio"):
        body = {"command": command, "values": {"llm": "gpt-4"}}
        assert client.post("/api/runs/start", json=body).status_code == 400
    for job in ("../x", "x", ""):
        assert client.post("/api/runs/stop", json={"job": job}).status_code == 400
        assert client.get("/api/runs/log", params={"job": job}).status_code == 400
    assert client.get("/api/runs/start").status_code == 405
    assert not (client.studio.runs / ".jobs").exists()
    body = {"command": "run", "values": {"out": "x"}}
    stranger = open_studio(token=False)
    assert stranger.post("/api/runs/start", json=body).status_code == 401
    public = open_studio(token=False, public=True)
    for path in ("/runs", "/api/runs/now", "/api/runs/results", "/runs/files/x/run.json"):
        assert public.get(path).status_code == 404
    assert public.post("/api/runs/start", json=body).status_code == 404


@pytest.mark.skipif(sys.platform != "linux", reason="other systems do not say when one began")
def test_a_record_from_elsewhere_stops_no_process(client: Any, monkeypatch: Any) -> None:
    """A folder of runs may come from anybody, with a record that names a process of ours."""
    monkeypatch.setattr("os.killpg", pytest.fail)
    folder = client.studio.runs / ".jobs" / "x"
    folder.mkdir(parents=True)
    record = {"id": "x", "words": ["run"], "started": 1.0, "pid": os.getpid(), "born": None}
    (folder / "job.json").write_text(json.dumps(record))
    assert client.post("/api/runs/stop", json={"job": "x"}).json()["state"] == "failed"
