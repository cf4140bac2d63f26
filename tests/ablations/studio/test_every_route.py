"""Every route of the studio, whichever there are: hostile fields do nothing but a clear message.

A route that is new is found by itself, and its fields are found by what it asks for. Where one of
them has to be right for the next to be looked at, its ordinary value stands in ORDINARY.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from ablations.studio.options import StudioOptions
from ablations.studio.web.inputs import Input
from ablations.studio.web.tasks import Task, Tasks
from tests.support.asgi_calls import Caller, Reply

pytest.importorskip("starlette", reason="the extra [studio] is not installed")

from starlette.routing import Route

from ablations.studio.app import create_app
from ablations.studio.state import Studio

SCRIPT, SECRET = "<script>alert(7)</script>", "hush, nobody may read this"
TEXTS = (
    SCRIPT, "../../../../../../../../etc/passwd", "%2e%2e%2f%2e%2e%2fsecret.json", "a\0b",
    "\u202eevil\u200b", "x" * 10_000, "__proto__", "a\r\nx-evil: 1", "", "-1", "1e999", "nan",
    "9" * 400, "{{ 7 * 7 }}", "\x1b[31m", "-", "--help", ".", "..", "/etc/passwd",
    "'\"><img src=x>",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, -1, 10**400, -(2**63), 1e308, 0.5, [], {}, [[]], [None], {"__proto__": {"x": 1}},
    json.loads("[" * 200 + "]" * 200), "\ud800", ["\ud800", "a\0b"], ["x"] * 10_000, [SCRIPT],
    {"kind": "own", "own": SCRIPT}, {"kind": "run", "run": "../..", "file": "secret.json"},
)  # fmt: skip
BODIES = (
    b"", b"\0" * 100, b"[" * 20_000, b'{"a": NaN}', b"\xff\xfe", b'{"a":' * 5000, b"[1]",
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\x7f\xff\xff\xff\x7f\xff\xff\xff\x08\x02\0\0\0",
    b"GIF89a\xff\xff", b'{"__proto__": {"x": [1]}}', b"%!PS-Adobe-3.0 EPSF-3.0\n", SCRIPT.encode(),
)  # fmt: skip
TRIED = {
    "picture": "report-0000", "lines": ["sky", "sea"], "attributes": ["color"], "llm": "bundled",
    "background": [], "threshold": 0, "place": 0, "x": 1, "y": 1,
}  # fmt: skip
SET = {"kind": "attributes", "attributes": ["color"], "llm": "bundled", "composition": "concat"}
NAMES = {"kind": "name", "template": "name"}
CELL = {"index": 0, "attribute": "color", "llm": "bundled"}
ORDINARY: dict[str, dict[str, Any]] = {
    "/assets/{name}": {"name": "studio.css"},
    **{f"/api/try/{name}": {"name": "report-0000"} for name in ("picture", "thumbnail", "labels")},
    **{f"/api/try/{name}": TRIED for name in ("segment", "map", "pixel")},
    "/api/compare/set": {"set": SET},
    "/api/compare/pictures": {"split": "report", "page": "0"},
    "/api/compare/thumbnail": {"split": "report", "place": "0"},
    "/api/compare/picture": {"first": NAMES, "second": NAMES, "split": "report", "place": 0},
    "/api/compare/split": {"first": SET, "second": NAMES, "split": "report", "limit": 2},
    "/api/texts/table": {"sort": "class", "limit": "5"},
    **{f"/api/texts/{name}": CELL for name in ("cell", "now")},
    **{f"/api/texts/{name}": {**CELL, "text": "red", "force": True} for name in ("draft", "edit")},
    "/api/texts/lock": {**CELL, "locked": True},
    "/api/runs/preview": {"command": "generate", "values": {}},
    "/runs/one": {"run": "one"},
    "/api/runs/one": {"run": "one"},
    "/runs/files/{path:path}": {"path": "one/run.json"},
}
"""What makes each route say 200."""


@pytest.fixture
def started() -> list[str]:
    return []


@pytest.fixture
def studio(tmp_path: Path, tiny: Any, monkeypatch: Any, started: list[str]) -> Studio:
    """One whose tasks and jobs are not worked on: what is tested is what starts them."""
    (tmp_path / "runs" / "one").mkdir(parents=True)
    (tmp_path / "secret.json").write_text(SECRET)
    (tmp_path / "runs" / "one" / "run.json").write_text('{"format": "lsmseg-prompts/run"}')

    def start(self: Tasks, what: str, work: Callable[[Task], Any]) -> Task:
        started.append(what)
        return Task(what, state="done")

    def no_process(*given: Any, **more: Any) -> None:
        started.append("process")
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(Tasks, "start", start)
    monkeypatch.setattr("subprocess.Popen", no_process)
    options = StudioOptions(store=str(tmp_path / "store.sqlite"), runs=tmp_path / "runs")
    return Studio(options, tiny)


@pytest.fixture
def ask(studio: Studio) -> Iterator[Caller]:
    caller = Caller(create_app(studio), studio.token)
    yield caller
    caller.close()


def routes(ask: Caller) -> list[tuple[str, str]]:
    """(method, path as Starlette writes it) of each; no route is of another kind."""
    found = []
    for route in ask.app.routes:
        assert isinstance(route, Route) and route.methods, route
        found += [(method, route.path) for method in route.methods - {"HEAD"}]
    assert len(found) > 15
    return sorted(found)


def address_of(path: str, fields: dict[str, Any], used: set[str]) -> str:
    """The address with what of the fields is in the path; says which those are."""
    for name, value in fields.items():
        for place in (f"{{{name}}}", f"{{{name}:path}}"):
            if place in path:
                used.add(name)
                path = path.replace(place, quote(str(value), safe=""))
    return path.replace("{", "").replace("}", "")


def send(ask: Caller, method: str, path: str, fields: dict[str, Any]) -> Reply:
    used: set[str] = set()
    address = address_of(path, fields, used)
    rest = {name: value for name, value in fields.items() if name not in used}
    if method != "GET":
        return ask(method, address, json.dumps(rest).encode())
    query = {n: v if isinstance(v, str) else json.dumps(v) for n, v in rest.items()}
    return ask(method, f"{address}?{urlencode(query, errors='replace')}" if query else address)


def fields_of(ask: Caller, method: str, path: str, monkeypatch: Any) -> list[str]:
    """What a route asks for, by what it does with ordinary fields."""
    asked: dict[str, None] = dict.fromkeys(
        part.strip("{}").partition(":")[0] for part in path.split("/") if part.startswith("{")
    )
    get = Input._get

    def watched(self: Input, name: str, default: Any) -> Any:
        asked[name] = None
        return get(self, name, default)

    with monkeypatch.context() as patched:
        patched.setattr(Input, "_get", watched)
        before = 0
        reply = send(ask, method, path, ORDINARY.get(path, {}))
        while len(asked) != before:  # a text where there was nothing may bring it further
            before = len(asked)
            send(ask, method, path, {**dict.fromkeys(asked, "x"), **ORDINARY.get(path, {})})
    assert path not in ORDINARY or reply.status == 200, (path, reply)
    return list(asked)


def inner_fields(value: Any) -> dict[str, Any]:
    """Those of a field that is an object."""
    return value if isinstance(value, dict) else {}


def check(reply: Reply, about: Any) -> None:
    """A reply to something hostile: a clear message, or what is there anyhow."""
    assert reply.status < 500, (about, reply)
    text = reply.text
    assert SECRET not in text and "root:x:" not in text and "Traceback" not in text, about
    assert not any("evil" in name for name in reply.headers), about
    kind = reply.headers.get("content-type", "")
    if kind.startswith("text/html"):
        assert SCRIPT not in text and "<img src=x>" not in text and "alert(7)<" not in text, about
    if kind == "application/json":
        told = json.loads(text, parse_constant=lambda name: pytest.fail(f"{about}: {name}"))
        if reply.status >= 400:
            assert isinstance(told["error"], str) and told["error"], about
            assert len(told["error"]) < 20_000
    elif reply.status >= 400:
        assert text and kind.startswith(("text/plain", "text/html")), about


def test_nobody_comes_in_without_the_token(ask: Caller) -> None:
    stranger = Caller(ask.app, None)
    for method, path in routes(ask):
        address = address_of(path, ORDINARY.get(path, {}), set())
        if not path.startswith("/assets/"):
            assert stranger(method, address).status == 401, path
            assert stranger(method, address, headers={"authorization": "Bearer x"}).status == 401
        for headers in (
            {"origin": "https://evil.example"},
            {"origin": "null"},
            {"host": "evil.example"},
            {"host": "127.0.0.1.evil.example:7877"},
            {"host": "evil.example:7877/assets/x?"},
            {"sec-fetch-site": "cross-site"},
            {"sec-fetch-site": "same-site", "sec-fetch-mode": "no-cors"},
        ):
            reply = ask(method, address, headers=headers)
            assert reply.status == 403 and "another page" in reply.text, (path, headers)
    stranger.close()


def test_what_host_says_opens_nothing(ask: Caller) -> None:
    """Whatever address is made of it, that of the request is the path alone."""
    stranger = Caller(ask.app, None)
    for host in ("127.0.0.1:7877/assets/?", "127.0.0.1/assets/", "[::1", "127.0.0.1:x", "", "a b"):
        assert stranger("GET", "/api/ready", headers={"host": host}).status in (401, 403), host
        assert ask("GET", "/api/ready", headers={"host": host}).status == 403, host
    for path in ("/assets/../api/ready", "/assets/%2e%2e/api/ready", "//assets/../api/ready"):
        assert stranger("GET", path).status in (401, 404)
    stranger.close()


def some(values: tuple[Any, ...], at: int, each: int) -> tuple[Any, ...]:
    """Every so manieth of them, others for each field."""
    return values[at % each :: each]


@pytest.mark.parametrize("each", [29, pytest.param(1, marks=pytest.mark.slow)])
def test_hostile_fields(ask: Caller, monkeypatch: Any, each: int, capfd: Any) -> None:
    """Quickly few of them for each field, all in the slow run."""
    at = 0
    for method, path in routes(ask):
        ordinary = ORDINARY.get(path, {})
        for name in fields_of(ask, method, path, monkeypatch):
            at += 1
            in_body = method != "GET" and f"{{{name}" not in path
            values = (*TEXTS, *VALUES) if in_body else TEXTS
            for value in some(values, at, each):
                reply = send(ask, method, path, {**ordinary, name: value})
                check(reply, (method, path, name, str(value)[:60]))
            inside = inner_fields(ordinary.get(name))
            for place, inner in enumerate(inside):
                for value in some((*TEXTS, *VALUES), at + place, each):
                    fields = {**ordinary, name: {**inside, inner: value}}
                    check(send(ask, method, path, fields), (path, name, inner, str(value)[:60]))
    assert "Traceback" not in capfd.readouterr().err


def test_hostile_bodies_and_fields_that_nobody_asked_for(ask: Caller, capfd: Any) -> None:
    for at, (method, path) in enumerate(routes(ask)):
        ordinary = ORDINARY.get(path, {})
        address = address_of(path, ordinary, set())
        check(send(ask, method, path, {**ordinary, "__proto__": SCRIPT, SCRIPT: SCRIPT}), path)
        check(ask(method, f"{address}?{'a=1&' * 2000}=%ff%00&&=&{SCRIPT}"), path)
        for body in some(BODIES, at, 1 if method == "POST" else 6):
            check(ask(method, address, body), (method, path, body[:40]))
    assert "Traceback" not in capfd.readouterr().err
