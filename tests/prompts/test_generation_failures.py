"""What a provider and the way to it can do wrong, driven through the installed command.

Each of these asserts the exit code, the requests that were sent and when, and what is in the
store. Replies that will not do are in test_generation_replies.py, money in
test_generation_budget.py, kills, full disks and other processes in test_generation_kill.py.
"""

from __future__ import annotations

import socket
import subprocess
import threading
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest
from llm_server.client import LLMServer, gaps
from support.generating import (
    KEY,
    asked,
    attempts,
    classes,
    described,
    descriptions,
    span,
    wait_for,
    whole,
)

from lsmseg_prompts.generation import engine
from lsmseg_prompts.generation.limits import Stop

both = pytest.mark.parametrize("provider", ["openai", "dashscope"])
MANY = ("zebra", "cat", "tree", "car", "dog", "bus", "boat", "bird", "cow", "horse", "sheep")


# -- 1: too many requests ----------------------------------------------------------------


@both
@pytest.mark.parametrize(
    ("form", "least"),
    [({"retry_after": 1}, 1.0), ({"retry_after_ms": 400}, 0.4), ({"retry_after_date": 1}, 1.0)],
)
def test_waits_as_told(server, generate, provider, form, least):
    classes("zebra", "cat")
    server.script([{"match": {"n": 1}, "status": 429, **form}])
    generate(server, provider=provider, code=0)
    first, *later = server.requests()
    assert len(later) == 2
    said = first["received" if "retry_after_date" in form else "sent"]  # when the date was made
    assert all(least <= call["received"] - said < least + 3 for call in later)
    assert [(row["http_status"], row["error_class"]) for row in attempts()] == [
        (429, "RateLimit"), (200, None), (200, None),
    ]  # fmt: skip
    assert len(described()) == 2
    whole()


@both
def test_a_pause_holds_for_all_and_concurrency_is_halved(server, generate, provider):
    classes(*MANY)
    attributes = "color,size,shape,texture,material"
    told_off = {"status": 429, "retry_after_ms": 400, "together": 8}
    server.reset([{"match": {"from": 2, "to": 9}, **told_off}], latency=0.06)
    generate(server, "-j", "8", provider=provider, attribute=attributes, code=0)
    calls = server.requests()
    assert [call["rule"] for call in calls[:9]] == ["default", *["0"] * 8]
    assert calls[0]["sent"] <= calls[1]["received"]  # the first goes alone
    assert calls[8]["waiting"] == 8
    assert all(call["status"] == 200 for call in calls[9:])
    begun = calls[9]["received"]
    assert begun - max(call["sent"] for call in calls[1:9]) >= 0.4
    # Refused together, they count once: half of eight go on, and it grows back.
    first = [call for call in calls[9:] if call["received"] < begun + 0.04]
    assert max(call["waiting"] for call in first) <= 4
    spans = [span(row) for row in attempts()[9:]]
    assert max(sum(b <= begin < e - 0.002 for b, e in spans) for begin, _ in spans) >= 7
    assert len(described()) == 55 and len(attempts()) == len(calls) == 55 + 8


def test_a_long_wait_stops_resumably(server, generate):
    classes("zebra", "cat", "tree")
    server.script([{"match": {"from": 2}, "status": 429, "retry_after": 7200}])
    said = generate(server, "-j", "1", code=5).err
    assert "asks to wait 2.0 hours" in said and "UTC" in said
    assert len(server.requests()) == 2 and len(described()) == 1
    server.script()
    generate(server, code=0)
    assert len(server.requests()) == 4 and len(described()) == 3  # only what was missing


# -- 2: quota ----------------------------------------------------------------------------


@both
def test_no_money_stops_at_once(server, generate, provider):
    classes(*MANY)
    server.script([{"insufficient_quota": True}])
    said = generate(server, provider=provider, code=5).err
    assert "ended the run" in said and "the same command" in said
    assert len(server.requests()) == len(attempts()) == 1 and described() == {}
    whole()


@both
def test_money_that_runs_out_on_the_way(server, generate, provider):
    classes(*MANY)
    server.reset([{"match": {"n": 6}, "insufficient_quota": True}], latency=0.1)
    generate(server, "-j", "3", provider=provider, code=5)
    calls = server.requests()
    (refused,) = (span(row) for row in attempts() if row["error_class"])
    assert all(span(row)[0] < refused[1] + 0.002 for row in attempts())  # none begun after it
    good = [call for call in calls if call["status"] == 200]
    assert len(described()) == len(good) >= 5  # those on their way were waited for
    generate(server, provider=provider, code=0)
    answered = [c["cell"]["class"] for c in server.requests() if c["status"] == 200]
    assert sorted(answered) == sorted(MANY) and len(described()) == 11
    whole()


def test_a_throttle_of_dashscope_that_is_called_quota_passes(server, generate):
    classes("zebra")
    rule = {"status": 429, "code": "insufficient_quota", "retry_after_ms": 100, "times": 1}
    server.script([rule])
    generate(server, provider="dashscope", code=0)
    assert [row["http_status"] for row in attempts()] == [429, 200]


# -- 3, 4, 5, 9: what passes -------------------------------------------------------------

PASSING = {
    "cat": ({"status": 500}, "HTTP500"),
    "tree": ({"status": 503}, "HTTP503"),
    "car": ({"status": 408}, "HTTP408"),
    "dog": ({"hang": True}, "Timeout"),
    "bus": ({"trickle": 0.2}, "Timeout"),
    "boat": ({"reset": True}, "Reset"),
    "bird": ({"close": True}, "Reset"),
    "cow": ({"truncate": True}, "Reset"),
    "horse": ({"malformed": True}, "NotJSON"),
    "sheep": ({"html200": True}, "NotJSON"),
    "bear": ({"no_choices": True}, "NoChoices"),
    "mouse": ({"body": {"object": "error"}}, "NoChoices"),
    "clock": ({"body": [1, 2]}, "NotJSON"),
}


@both
def test_what_passes_is_asked_again(server, generate, provider):
    classes("zebra", *PASSING)
    rules = [{"match": {"class": name}, "times": 1, **r} for name, (r, _) in PASSING.items()]
    server.script(rules)
    generate(server, "-j", "16", "--timeout", "1.5", provider=provider, code=0)
    calls = server.requests()
    assert len(calls) == len(attempts()) == 1 + 2 * len(PASSING)  # and nobody resends unasked
    for index, (name, (rule, kind)) in enumerate(PASSING.items(), start=1):
        failed, good = (row for row in attempts() if row["class_index"] == index)
        assert failed["error_class"] == kind and failed["state"] == "ended", name
        assert failed["http_status"] == (rule.get("status") or failed["http_status"])
        assert failed["duration_seconds"] < 3 and "event loop" not in failed["error_message"]
        assert good["verdict"] == "accepted"
        (_, over), (again, _) = (span(row) for row in (failed, good))
        assert again - over >= 0.36, name  # half a second, more or less
        if kind == "Timeout":
            first = next(call for call in calls if call["cell"]["class"] == name)
            assert failed["duration_seconds"] > 1.2
            assert first["aborted"] and first["aborted_after"] - first["received"] < 3
    assert len(described()) == 14
    whole()


@both
def test_the_waits_grow(server, generate, provider, monkeypatch):
    assert engine.FIRST_BACKOFF == 0.5
    monkeypatch.setattr(engine, "FIRST_BACKOFF", 0.1)
    waits: list[float] = []
    sleep = Stop.sleep

    def noted(stop: Stop, seconds: float) -> Coroutine[Any, Any, None]:
        waits.append(seconds)
        return sleep(stop, seconds)

    monkeypatch.setattr(Stop, "sleep", noted)
    classes("zebra")
    server.script([{"match": {"to": 3}, "status": 500}])
    generate(server, provider=provider, code=0)
    first, second, third = waits  # a tenth of a second, then twice as long, a quarter more or less
    assert 0.075 <= first <= 0.125 and 0.15 <= second <= 0.25 and 0.3 <= third <= 0.5
    assert all(gap > wait - 0.002 for gap, wait in zip(gaps(server.requests()), waits, strict=True))


@both
def test_a_provider_that_is_down_ends_the_run(server, generate, provider):
    classes("zebra")
    server.script([{"status": 500, "retry_after_ms": 50}])
    said = generate(server, "--max-retries", "2", provider=provider, code=5).err
    assert "keeps failing (3 times in a row)" in said
    assert len(server.requests()) == len(attempts()) == 3 and descriptions() == []
    assert all(gap >= 0.05 for gap in gaps(server.requests()))
    server.script()
    generate(server, provider=provider, code=0)
    assert len(described()) == 1


def test_one_cell_that_keeps_failing_stays_missing(server, generate):
    classes("zebra", "cat", "tree")
    keeps = {"match": {"class": "cat", "attribute": "color"}, "status": 500, "retry_after_ms": 50}
    server.script([keeps])
    said = generate(server, "-j", "2", "--max-retries", "2", attribute="color,size", code=3).err
    assert "1 cells are still to be asked for" in said
    assert "Error: 1 of the 6 descriptions that were asked for could not be had this time" in said
    assert asked(server).count(("cat", "color")) == 3 and len(server.requests()) == 8
    assert len(descriptions()) == len(described()) == 5
    server.script()
    generate(server, attribute="color,size", code=0)
    assert asked(server)[8:] == [("cat", "color")] and len(described()) == 6


def test_a_provider_that_goes_away(server, generate):
    classes(*MANY)
    with LLMServer(latency=0.2) as first:

        def go_away() -> None:
            wait_for(lambda: len(first.requests()) >= 5)
            first.stop()

        going = threading.Thread(target=go_away)
        going.start()
        outcome = generate(first, "-j", "2", "--max-retries", "1")
        going.join()
        answered = [call for call in first.requests() if call["status"] == 200]
    assert outcome.code == 5 and len(described()) == len(answered)
    generate(server, code=0)  # on another port: the store goes by the name
    assert len(server.requests()) == 11 - len(answered)
    assert len(described()) == 11
    whole()


def test_connecting_is_bounded_too(generate):
    classes("zebra")
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        port = full.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for client in waiting:  # fill the queue: further connections are not taken
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
        url = f"http://127.0.0.1:{port}/v1"
        said = generate(url, "--timeout", "1", "--max-retries", "0", code=5).err
        for client in waiting:
            client.close()
    assert "did not take the connection in time" in said
    (attempt,) = attempts()
    assert attempt["error_class"] == "Timeout" and 0.4 < attempt["duration_seconds"] < 3


# -- 20: key, model, host, TLS, proxy ----------------------------------------------------


@both
@pytest.mark.parametrize(
    ("rule", "says"),
    [
        ({"status": 401, "message": "Wrong: {key}"}, ["key was refused", "sk-***"]),
        ({"status": 403}, ["may not use"]),
        ({"status": 404}, ["There is no model"]),
        ({"status": 405}, ["is not the base URL"]),
        ({"status": 301, "headers": {"location": "http://127.0.0.1:9/"}}, ["not the base URL"]),
    ],
)
def test_setup_costs_one_request(server, generate, provider, rule, says):
    classes(*MANY)
    server.script([rule])
    said = generate(server, provider=provider, code=4).err
    assert all(words in said for words in says), said
    assert len(server.requests()) == 1 and descriptions() == []
    (attempt,) = attempts()
    assert attempt["http_status"] == rule["status"] and attempt["state"] == "ended"
    assert KEY not in (attempt["error_message"] or "")
    whole()


@both
def test_no_key_no_request(server, generate, provider):
    classes("zebra")
    name = "LSMSEG_PROMPTS_KEY"
    for wrong in (f"{KEY} {KEY}", f"'{KEY}'", f"{name}={KEY}", f"{KEY[:9]}\n{KEY[9:]}"):
        said = generate(server, provider=provider, env={name: wrong}, code=4).err
        assert f"variable {name}" in said
    assert server.requests() == [] and not Path("s.sqlite").exists()


@both
def test_keys_are_stripped_and_may_come_from_a_file(server, generate, provider):
    classes("zebra")
    name = "LSMSEG_PROMPTS_KEY"
    Path("key").write_text(f"{KEY}\n")
    server.reset(key=KEY)
    generate(server, provider=provider, env={name: f" {KEY}\r\n"}, code=0)
    generate(server, "--redo", "--key-file", "key", provider=provider, env={name: "x"}, code=0)
    assert [call["status"] for call in server.requests()] == [200, 200]
    generate(server, "--redo", provider=provider, env={name: "sk-other"}, code=4)


@both
def test_nobody_listens(generate, provider):
    classes(*MANY)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    said = generate(f"http://127.0.0.1:{port}/v1", provider=provider, code=4).err
    assert f"127.0.0.1:{port} refuses connections" in said
    assert [row["error_class"] for row in attempts()] == ["Refused"]


@both
def test_https_to_a_server_without(server, generate, provider):
    classes(*MANY)
    url = f"https://127.0.0.1:{server.port}/v1"
    said = generate(url, provider=provider, code=4).err
    assert "does not speak TLS" in said and "http://" in said
    assert [row["error_class"] for row in attempts()] == ["TLS"] and server.requests() == []


@both
@pytest.mark.process
def test_a_certificate_that_nobody_knows(generate, tmp_path, provider):
    classes("zebra")
    pem, key = tmp_path / "server.pem", tmp_path / "server.key"
    made = subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj",
         "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out",
         str(pem)],
        capture_output=True, check=False,
    )  # fmt: skip
    if made.returncode:
        pytest.skip("the openssl program, which makes the certificate, is not there")
    together = tmp_path / "both.pem"
    together.write_bytes(pem.read_bytes() + key.read_bytes())
    with LLMServer(certificate=together) as server:
        said = generate(server, provider=provider, code=4).err
        assert "self-signed certificate" in said and "SSL_CERT_FILE" in said
        assert [row["error_class"] for row in attempts()] == ["TLS"]
        generate(server, provider=provider, env={"SSL_CERT_FILE": str(pem)}, code=0)
        assert len(server.requests()) == len(described()) == 1


@both
def test_proxies(server, generate, provider):
    classes(*MANY[:3])
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    dead = {"HTTP_PROXY": f"http://me:secret@127.0.0.1:{port}", "NO_PROXY": ""}
    said = generate(server, provider=provider, env=dead, code=4).err
    assert f"The proxy 127.0.0.1:{port}" in said and "secret" not in said
    assert len(attempts()) == 1 and server.requests() == []
    away = "http://llm.example/v1"  # never looked up: the proxy is asked for it
    generate(away, provider=provider, env={"HTTP_PROXY": server.root}, code=0)
    assert all(call["proxied"] for call in server.requests()) and len(described()) == 3
    generate(server, "--redo", provider=provider, env={**dead, "NO_PROXY": "127.0.0.1"}, code=0)
    assert [call["proxied"] for call in server.requests()] == [True] * 3 + [False] * 3
    server.script([{"status": 407, "headers": {"proxy-authenticate": "Basic"}}])
    said = generate(away, "--redo", provider=provider, env={"HTTP_PROXY": server.root}, code=4).err
    assert "proxy" in said.lower() and len(server.requests()) == 7
