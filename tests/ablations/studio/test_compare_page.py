"""The page Compare, in this process: which sets there are, one picture, a split, and strangers."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.striped_model import StripedModel

from ablations.report.run_file import FORMAT, VERSION
from ablations.runs.compare_prompts import compare_prompts
from ablations.scoring.loaded import ModelScorer
from ablations.studio.comparing import maps
from ablations.studio.comparing.sets import shown_name
from lsmseg_model.data.benchmark import load_benchmark
from lsmseg_prompts import load_vocabulary, prompt_set
from lsmseg_prompts.export.native import export_native

NAME = {"kind": "name", "template": "name"}
COLOR = {"kind": "attributes", "attributes": ["color"], "llm": "bundled"}
EVIL = "<script>alert(1)</script>\u202e.json"


@pytest.fixture
def striped(open_studio: Callable[..., Any]) -> Any:
    return open_studio(model=StripedModel())


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    made = prompt_set("coco-stuff", ["shape"])
    path = tmp_path_factory.mktemp("exported") / "shape.json"
    return export_native(made, load_vocabulary("coco-stuff"), path).read_bytes()


def ask(client: Any, path: str, **fields: Any) -> Any:
    reply = client.post(f"/api/compare/{path}", json=fields)
    assert reply.status_code == 200, reply.text
    return reply.json()


def refused(client: Any, path: str, **fields: Any) -> str:
    reply = client.post(f"/api/compare/{path}", json=fields)
    assert reply.status_code in (400, 409, 422), reply.text
    return str(reply.json()["error"])


def over(client: Any, task: dict[str, Any]) -> dict[str, Any]:
    """The task when it is over."""
    while task["state"] == "running":
        task = client.get(f"/api/tasks/{task['id']}").json()
    return task


def unpacked(packed: str, dtype: Any, size: list[int]) -> np.ndarray:
    return np.frombuffer(zlib.decompress(base64.b64decode(packed)), dtype).reshape(size)


def leave_run(runs: Path, name: str, file: str, data: bytes) -> None:
    folder = runs / name
    folder.mkdir(parents=True)
    record = {"format": FORMAT, "version": VERSION, "best": {"prompts": "<b>shape"}}
    (folder / "run.json").write_text(json.dumps(record))
    (folder / file).write_bytes(data)


def test_what_may_be_chosen(striped: Any, exported: bytes) -> None:
    leave_run(striped.studio.runs, "one & <i>", "best_prompts.json", exported)
    told = striped.get("/api/compare/choices").json()
    assert told["splits"] == {"selection": 200, "report": 200}
    (bundled,) = told["llms"]
    assert bundled["attributes"]["color"] == told["classes"] == 171
    assert "adaptive" in told["compositions"] and "refined" not in told["compositions"]
    assert [run["files"] for run in told["runs"]] == [["best_prompts.json"]]
    assert told["runs"][0]["name"] == "one & <i>"
    assert told["most"] is None
    assert "no longer an honest report" in striped.get("/compare").text


def test_the_sets_are_the_librarys(striped: Any, exported: bytes) -> None:
    leave_run(striped.studio.runs, "first", "seen_labels_prompts.json", exported)
    assert ask(striped, "set", set=NAME)["name"] == "name"
    of_run = {"kind": "run", "run": "first", "file": "seen_labels_prompts.json"}
    assert ask(striped, "set", set=of_run)["name"] == "shape"
    given = {**COLOR, "attributes": ["color", "size"], "composition": "max", "control": "shuffled"}
    told = ask(striped, "set", set=given)
    assert told["name"] == "shuffled(max(color+size))" and told["texts"] == 342
    own = striped.post(f"/api/compare/own?name={EVIL}", content=exported).json()
    assert own["file"] == "script>.json" and own["name"] == "shape"
    assert ask(striped, "set", set={"kind": "own", "own": own["own"]})["texts"] == 171


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("text", "has to be an object"),
        (None, "has to be an object"),
        ({"__proto__": {"kind": "name"}}, "kind is missing"),
        ({"kind": "constructor"}, "has to be one of attributes"),
        ({**COLOR, "attributes": []}, "No attribute is named"),
        ({**COLOR, "attributes": ["colour", "x"]}, "There is no attribute"),
        ({**COLOR, "attributes": "color"}, "list of at most"),
        ({**COLOR, "composition": "refined"}, "has to be one of concat"),
        ({**COLOR, "control": "<b>"}, "has to be one of random"),
        ({**COLOR, "llm": "../x"}, "x"),
        ({"kind": "name", "template": "{}"}, "has to be one of name"),
        ({"kind": "own", "own": "x"}, "give it again"),
        ({"kind": "run", "run": "../..", "file": "best_prompts.json"}, "no run '../..'"),
        ({"kind": "run", "run": "first", "file": "../first/best_prompts.json"}, "no file"),
        ({"kind": "run", "run": "first", "file": "run.json"}, "is not a prompt set of the run"),
        ({"kind": "run", "run": "first", "file": "best_prompts.json"}, "another program"),
    ],
)
def test_what_cannot_be_a_set(striped: Any, given: Any, says: str) -> None:
    foreign = b'{"format": "another program"}'
    leave_run(striped.studio.runs, "first", "best_prompts.json", foreign)
    (striped.studio.runs / "link").symlink_to("/")
    said = refused(striped, "set", set=given)
    assert says in said or (says == "another program" and "is not a prompt set" in said)


def test_files_that_are_none(striped: Any, exported: bytes) -> None:
    reply = striped.post("/api/compare/own?name=/etc/x.json", content=b"[]")
    assert reply.status_code == 400
    assert reply.json()["error"].startswith("x.json is not a prompt set")
    for data, says in (
        (b"", "not valid JSON"),
        (exported.replace(b"coco-stuff", b"camvid"), "export it again"),
        (exported.replace(b"zebra", b"horse"), "export it again"),
        (b"\xff" * 100, "x.json"),
        (b"[" * 100_000, "x.json"),
    ):
        reply = striped.post("/api/compare/own?name=x.json", content=data)
        assert reply.status_code in (400, 422) and says in reply.json()["error"], reply.text
        assert "/tmp" not in reply.text and "given.json" not in reply.text
    assert striped.post("/api/compare/own", content=b" " * (2**21 + 1)).status_code == 413
    assert shown_name("a\\\u202e\n") == "the file"
    wrong = striped.post("/api/compare/own?format=pickle", content=exported)
    assert "has to be one of native" in wrong.json()["error"]


def test_a_map_of_differences_by_hand() -> None:
    first = np.array([[0, 0, 1, 1], [2, 2, 0, 0]])
    second = np.array([[0, 1, 0, 1], [1, 2, 1, 0]])
    truth = np.array([[0, 1, 1, 0], [0, 0, -1, -1]])
    codes = maps.difference(first, second, truth)
    assert codes.tolist() == [
        [maps.RIGHT, maps.TO_RIGHT, maps.TO_WRONG, maps.WRONG],
        [maps.OTHER_WRONG, maps.WRONG, maps.DIFFERENT, maps.ALIKE],
    ]
    parts = {row["name"]: row["share"] for row in maps.shares(codes, truth)}
    assert parts == pytest.approx(
        {
            "wrong, then right": 1 / 6,
            "right, then wrong": 1 / 6,
            "both wrong, different": 1 / 6,
            "both right": 1 / 6,
            "both wrong, alike": 2 / 6,
        }
    )
    unlabelled = maps.difference(first, second, None)
    parts = {row["name"]: row["share"] for row in maps.shares(unlabelled, None)}
    assert parts == {"alike": 0.5, "different": 0.5}


def test_one_picture(striped: Any) -> None:
    where = {"split": "report", "place": 3}
    told = ask(striped, "picture", first=NAME, second=COLOR, **where)
    benchmark = load_benchmark("ministuff", split="report", limit=4)
    lower = {"first": 0, "second": 0}
    for key, attribute in (("first", "name"), ("second", "color")):
        text = prompt_set("coco-stuff", [attribute]).texts[benchmark.class_indices[0]][0]
        lower[key] = len(text) % 40
        found = unpacked(told[key]["map"], "<u2", told["size"])
        assert (found[:64] == 0).all() and (found[64:] == lower[key]).all()
    truth = unpacked(told["truth"]["map"], "<u2", told["size"]).astype(int)
    labels = benchmark.labels(3)
    held = labels >= 0
    assert (np.array(benchmark.class_indices)[truth[held]] == labels[held]).all()
    codes = unpacked(told["difference"]["map"], np.uint8, told["size"])
    assert lower["first"] != lower["second"] and (codes[:64] <= maps.WRONG).all()
    assert sum(row["share"] for row in told["difference"]["shares"]) == pytest.approx(1)
    right = (truth == unpacked(told["first"]["map"], "<u2", told["size"]))[held].mean()
    assert told["scores"]["right"][0] == pytest.approx(right)
    assert len(told["classes"]) == len(told["colours"]) == 40
    assert striped.studio.model.encoded == 1
    ask(striped, "picture", first=COLOR, second=NAME, **where)
    assert striped.studio.model.encoded == 1  # features are kept


def test_pictures_and_what_is_none(striped: Any) -> None:
    told = striped.get("/api/compare/pictures?split=selection&page=8").json()
    assert told["total"] == 200 and len(told["pictures"]) == 8
    assert told["pictures"][0] == {"place": 192, "key": "selection-0192"}
    png = striped.get("/api/compare/thumbnail?split=report&place=0")
    assert png.headers["content-type"] == "image/png" and png.content[:4] == b"\x89PNG"
    for query in ("split=../x&place=0", "split=report&place=-1", "split=report&place=200", ""):
        assert striped.get(f"/api/compare/thumbnail?{query}").status_code == 400
    both = {"first": NAME, "second": COLOR}
    assert "give it again" in refused(striped, "picture", **both, sent="x")
    assert "split is missing" in refused(striped, "picture", **both)
    assert "first has to be" in refused(striped, "picture", second=COLOR)


def test_a_picture_of_ones_own(striped: Any) -> None:
    buffer = BytesIO()
    Image.new("RGB", (30, 20)).save(buffer, "PNG")
    sent = striped.post("/api/compare/send", content=buffer.getvalue()).json()
    assert sent["size"] == [20, 30]
    told = ask(striped, "picture", first=NAME, second=COLOR, sent=sent["sent"])
    assert told["truth"] is None and told["scores"] is None
    parts = {row["name"]: row["share"] for row in told["difference"]["shares"]}
    assert parts == {"alike": 0.5, "different": 0.5}
    reply = striped.post("/api/compare/send", content=b"<svg onload=alert(1)>")
    assert reply.status_code == 409 and "picture" in reply.json()["error"]
    assert striped.post("/api/compare/send", content=b"x" * (2**25 + 1)).status_code == 413


def test_a_split_has_the_numbers_of_the_library(striped: Any) -> None:
    both = {"first": NAME, "second": COLOR, "split": "report", "limit": 4}
    task = over(striped, ask(striped, "split", **both))
    assert task["state"] == "done", task["error"]
    told = task["result"]
    scorer = ModelScorer(StripedModel(), load_benchmark("ministuff", split="report", limit=4))
    first, second = (prompt_set("coco-stuff", [attribute]) for attribute in ("name", "color"))
    found = compare_prompts(first, second, scorer)
    assert told["means"]["miou"]["difference"] == found.means["miou"]["difference"]
    assert told["means"].keys() == {"miou", "seen", "unseen"}
    assert [row["difference"] for row in told["classes"]] == [
        row["difference"] for row in found.classes
    ]
    assert "too few pictures (4" in told["no_interval"] and told["pictures"] == 4
    assert [row["place"] for row in told["shown"]] == [row["place"] for row in found.shown]
    model = striped.studio.model
    assert model.encoded == 4
    again = over(striped, ask(striped, "split", **{**both, "first": COLOR, "second": NAME}))
    assert model.encoded == 4  # counts are kept
    assert again["result"]["means"]["miou"]["difference"] == -found.means["miou"]["difference"]


def test_a_comparison_is_called_off(open_studio: Callable[..., Any]) -> None:
    model = StripedModel()
    client = open_studio(model=model)

    def cancel() -> None:
        if model.encoded == 2:
            (task,) = client.studio.tasks.running()
            task.cancelled.set()

    model.on_encode = cancel
    both = {"first": NAME, "second": COLOR, "split": "report", "limit": 6}
    task = over(client, ask(client, "split", **both))
    assert task["state"] == "cancelled" and task["result"] is None and model.encoded == 2
    task = over(client, ask(client, "split", **both))
    assert task["state"] == "done" and model.encoded == 8


def test_one_comparison_at_a_time(open_studio: Callable[..., Any]) -> None:
    """Another waits and can be called off; of strangers it is refused. Other pages go on."""
    go, begun = Event(), Event()
    model = StripedModel(on_encode=lambda: begun.set() or go.wait(10))  # type: ignore[func-returns-value]
    both = {"first": NAME, "second": COLOR, "split": "report"}
    client = open_studio(model=model)
    first = ask(client, "split", **both, limit=1)
    assert begun.wait(10)
    second = ask(client, "split", **both, limit=2)
    client.post(f"/api/tasks/{second['id']}/cancel")
    assert over(client, second)["state"] == "cancelled"
    go.set()
    assert over(client, first)["state"] == "done"
    go.clear()
    begun.clear()
    public = open_studio(model=StripedModel(on_encode=model.on_encode), public=True)
    assert "at most 50" in refused(public, "split", **both)
    assert "at most 50" in refused(public, "split", **both, limit=51)
    first = ask(public, "split", **both, limit=1)
    assert begun.wait(10)
    assert "Another comparison is going on" in refused(public, "split", **both, limit=1)
    go.set()
    assert over(public, first)["state"] == "done"
    assert public.get("/api/compare/choices").json()["most"] == 50
