"""Who the studio lets in, and what it says to the others."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import pytest

from ablations.studio.options import StudioOptions
from lsmseg_prompts.errors import UsageError

PAGES = ("/", "/compare", "/texts", "/runs", "/api/ready", "/api/tasks/x")


@pytest.fixture
def stranger(open_studio: Any) -> Any:
    return open_studio(token=False)


@pytest.mark.parametrize("path", PAGES)
def test_nothing_without_the_token(stranger: Any, path: str) -> None:
    for address in (path, f"{path}?token=wrong", f"{path}?token="):
        reply = stranger.get(address, follow_redirects=False)
        assert reply.status_code == 401 and "set-cookie" not in reply.headers
    assert stranger.get(path, headers={"authorization": "Bearer x"}).status_code == 401
    assert stranger.get(path, cookies={"lsmseg-studio-7877": "x"}).status_code == 401
    assert stranger.post("/api/tasks/x/cancel").status_code == 401


def test_the_token_lets_a_browser_in(stranger: Any) -> None:
    reply = stranger.get(f"/texts?token={stranger.studio.token}&q=1", follow_redirects=False)
    assert (reply.status_code, reply.headers["location"]) == (303, "/texts?q=1")
    cookie = reply.headers["set-cookie"]
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie
    assert stranger.studio.token not in cookie
    assert stranger.get("/texts").status_code == 200


def test_a_redirect_never_leaves_the_studio(stranger: Any) -> None:
    address = f"//evil.example/x?token={stranger.studio.token}"
    reply = stranger.get(f"http://127.0.0.1:7877{address}", follow_redirects=False)
    assert reply.headers.get("location", "/").startswith("/")
    assert not reply.headers.get("location", "/").startswith("//")


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9999"},
        {"host": "evil.example:7877"},
        {"host": "evil.example"},
        {"sec-fetch-site": "cross-site"},
    ],
)
def test_other_pages_are_refused(client: Any, headers: dict[str, str]) -> None:
    for method in ("GET", "POST"):
        reply = client.request(method, "/api/ready", headers=headers)
        assert reply.status_code == 403 and "another page" in reply.text


@pytest.mark.parametrize("host", ["localhost:7877", "127.0.0.1:7877", "[::1]:7877", "localhost"])
def test_names_of_this_machine(client: Any, host: str) -> None:
    headers = {"host": host, "origin": f"http://{host}"}
    assert client.get("/api/ready", headers=headers).status_code == 200


def test_a_link_from_elsewhere_may_open_it(client: Any) -> None:
    headers = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert client.get("/", headers=headers).status_code == 200
    assert client.post("/api/tasks/x/cancel", headers=headers).status_code == 403


def test_others_need_a_password() -> None:
    with pytest.raises(UsageError, match="LSMSEG_STUDIO_PASSWORD"):
        StudioOptions(host="0.0.0.0")
    assert StudioOptions(host="0.0.0.0", password="x").password == "x"


def test_the_password(open_studio: Any) -> None:
    client = open_studio(token=False, host="0.0.0.0", password="open, sesame")
    form = client.get("/")
    assert 'type="password"' in form.text
    # Under "no-referrer" browsers send a form with the Origin "null", which is refused.
    assert form.headers["referrer-policy"] == "same-origin"
    wrong = client.post("/login", content="password=sesame")
    assert wrong.status_code == 401 and "not the password" in wrong.text
    right = client.post("/login", content="password=open%2C+sesame", follow_redirects=False)
    assert (right.status_code, right.headers["location"]) == (303, "/")
    assert client.get("/").status_code == 200


def test_passwords_cannot_be_tried_for_long(open_studio: Any) -> None:
    client = open_studio(token=False, host="0.0.0.0", password="open")
    codes = [client.post("/login", content=f"password={n}").status_code for n in range(12)]
    assert codes == [401] * 10 + [429] * 2
    assert client.post("/login", content="password=open").status_code == 429
    assert client.post("/login", content="x" * 20_000).status_code in (413, 429)


def test_strangers_see_what_changes_nothing(open_studio: Any) -> None:
    client = open_studio(token=False, public=True, host="0.0.0.0")
    assert client.get("/").status_code == client.get("/compare").status_code == 200
    assert client.get("/texts").status_code == client.get("/runs").status_code == 404
    page = client.get("/")
    assert ">Texts<" not in page.text and "frame-ancestors *" in str(page.headers)


def test_what_every_reply_says(client: Any) -> None:
    for path in ("/", "/api/ready", "/assets/studio.css", "/nothing"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


def test_only_assets_are_served(client: Any, open_studio: Any) -> None:
    for name in ("..%2Foptions.py", "%2e%2e/options.py", "../app.py", "studio.css/../x", "x.css"):
        assert client.get(f"/assets/{name}").status_code == 404
    assert open_studio(token=False).get("/assets/studio.css").status_code == 200


def test_wrong_bodies(client: Any) -> None:
    for body in (b"[1]", b"{", b"[" * 10_000, b"\xff", b'"x"'):
        reply = client.post("/api/tasks/x/cancel", content=body)
        assert reply.status_code == 400 and "JSON object" in reply.json()["error"]
    assert client.post("/api/tasks/x/cancel", content=b"x" * (2**20 + 1)).status_code == 413
    assert "no such task" in client.post("/api/tasks/x/cancel").json()["error"]


def test_nobody_is_told_where_the_model_lies(open_studio: Any, tmp_path: Any) -> None:
    client = open_studio(token=False, public=True)
    studio = client.studio
    studio.options = replace(studio.options, runtime="onnx", model=str(tmp_path / "exported"))
    studio._loading = Future()
    assert client.get("/api/ready").json() == {"ready": False, "model": "exported"}
