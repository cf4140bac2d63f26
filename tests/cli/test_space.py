"""examples/space: what Hugging Face needs, and an application that strangers cannot change."""

from __future__ import annotations

import re
import tomllib
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest

pytest.importorskip("starlette", reason="the extra [studio] is not installed")

from starlette.testclient import TestClient
from support.command_line import ROOT

from ablations.studio.state import Studio

SPACE = ROOT / "examples" / "space"
HERE = "https://user-space.hf.space"


@pytest.fixture
def loading() -> ModuleType:
    """app.py."""
    spec = spec_from_file_location("space_app", SPACE / "app.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def app(loading: ModuleType, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """app.py, which here loads no model."""
    monkeypatch.setattr(Studio, "load", lambda studio: None)
    return loading


def test_what_hugging_face_reads(app: ModuleType) -> None:
    front = (SPACE / "README.md").read_text("utf-8").split("---\n")[1]
    settings = dict(line.split(": ", 1) for line in front.splitlines())
    assert settings["sdk"] == "docker"
    assert len(settings["short_description"]) <= 60
    docker = (SPACE / "Dockerfile").read_text("utf-8")
    exposed = re.search(r"^EXPOSE (\d+)$", docker, re.M)
    assert exposed and settings["app_port"] == exposed[1] == str(app.PORT)
    copied = re.findall(r"^COPY --chown=user (\S+)", docker, re.M)
    assert [one for one in copied if one != "wheels" and not (SPACE / one).exists()] == []
    extra = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    needed = extra["project"]["optional-dependencies"]["studio"]
    assert (SPACE / "requirements.txt").read_text("utf-8").split() == needed


def test_everybody_sees_it_in_a_frame(app: ModuleType) -> None:
    client = TestClient(app.make_app(), base_url=HERE)
    for path in ("/", "/compare"):
        shown = client.get(path, headers={"sec-fetch-site": "cross-site",
                                          "sec-fetch-mode": "navigate"})  # fmt: skip
        assert shown.status_code == 200
        assert "frame-ancestors *" in shown.headers["content-security-policy"]
        assert 'href="/texts"' not in shown.text and 'href="/runs"' not in shown.text


def test_nobody_changes_anything(app: ModuleType) -> None:
    application = app.make_app()
    paths = [route.path for route in application.routes]
    assert "/compare" in paths
    assert [path for path in paths if re.match(r"/(api/)?(texts|runs)", path)] == []
    client = TestClient(application, base_url=HERE)
    for path in ("/texts", "/runs", "/api/texts", "/api/runs"):
        assert client.get(path).status_code == 404
    for path in ("/texts", "/runs", "/api/texts/edit", "/api/texts/lock", "/api/runs/start"):
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            assert client.request(method, path, json={}).status_code in (404, 405)
    foreign = client.post("/api/tasks/1/cancel", headers={"origin": "https://evil.example"})
    assert foreign.status_code == 403
    assert list(Path().iterdir()) == []


def test_another_model(app: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Studio] = []
    monkeypatch.setattr(app, "create_app", opened.append)
    monkeypatch.setenv("MODEL", "ViT-B-16")
    monkeypatch.setenv("PRETRAINED", "openai")
    app.make_app()
    options = opened[0].options
    assert (options.model, options.pretrained, options.public) == ("ViT-B-16", "openai", True)


@pytest.mark.slow
def test_visitors_try_and_compare_and_leave_no_file(loading: ModuleType) -> None:
    client = TestClient(loading.make_app(), base_url=HERE)
    asked = {"picture": "report-0000", "lines": ["brick wall", "wood floor"]}
    tried = client.post("/api/try/segment", json=asked)
    assert tried.status_code == 200 and tried.json()["classes"] == asked["lines"]
    first = {"kind": "name", "template": "name"}
    second = {"kind": "attributes", "attributes": ["color"], "llm": "bundled"}
    sets = {"first": first, "second": second, "split": "report", "limit": 2}
    task = client.post("/api/compare/split", json=sets).json()
    while task["state"] == "running":
        task = client.get(f"/api/tasks/{task['id']}").json()
    assert task["state"] == "done", task
    assert list(Path().iterdir()) == []
