"""The fields of a request: what passes, what is refused, and how many are worked on at once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ablations.studio.web import inputs
from ablations.studio.web.inputs import AT_ONCE, Input, route
from ablations.studio.web.replies import error_reply
from lsmseg_prompts.errors import UsageError
from tests.support.asgi_calls import Caller


@pytest.mark.parametrize("text", ["\ud800", "a\udfffb", "a\0b", "x" * 5_001, 7, None, ["a"]])
def test_a_text_can_be_stored(text: Any) -> None:
    with pytest.raises(UsageError, match="a"):
        Input({"a": text}).text("a")
    with pytest.raises(UsageError, match="a"):
        Input({"a": [text]}).texts("a")


@pytest.mark.parametrize(
    "number", [10**400, -(10**400), float("nan"), float("inf"), "1e999", "nan", "", "x", [], True]
)
def test_a_number_is_one(number: Any) -> None:
    for get in (Input({"a": number}).number, Input({"a": number}).integer):
        with pytest.raises(UsageError, match="a number from 0 to 9"):
            get("a", 0, 9)
    assert Input({"a": "7"}).integer("a", 0, 9) == Input({"a": 7.0}).integer("a", 0, 9) == 7


@pytest.fixture
def serve() -> Iterator[Callable[..., Caller]]:
    """Serve one route alone: `serve("POST", function, **more)`, at /x."""
    callers: list[Caller] = []

    def make(method: str, function: Callable[[Input], Any], **more: Any) -> Caller:
        callers.append(Caller(route(method, "/x", function, **more), None))
        return callers[-1]

    yield make
    for caller in callers:
        caller.close()


def test_json_has_no_nan(serve: Any) -> None:
    ask = serve("POST", lambda given: dict(given.fields))
    assert ask("POST", "/x", b'{"a": 1}').text == '{"a": 1}'
    for wrong in (b'{"a": NaN}', b'{"a": [Infinity]}', b'{"a": -Infinity}'):
        assert ask("POST", "/x", wrong).status == 400


def test_a_body_is_read_only_where_one_is_sent(serve: Any) -> None:
    ask = serve("GET", lambda given: dict(given.fields))
    assert ask("GET", "/x?a=1", b'{"a": 2}').text == '{"a": "1"}'


def test_one_request_more_than_are_worked_on_is_told_so(serve: Any, monkeypatch: Any) -> None:
    monkeypatch.setitem(AT_ONCE, "POST", 1)
    inside, go_on = threading.Event(), threading.Event()

    def work(given: Input) -> dict[str, Any]:
        inside.set()
        go_on.wait(10)
        return {}

    ask, other = serve("POST", work), serve("POST", work)
    first = threading.Thread(target=lambda: ask("POST", "/x"))
    first.start()
    assert inside.wait(10)
    refused = other("POST", "/x")
    go_on.set()
    first.join(10)
    assert refused.status == 503 and "too much at once" in refused.text
    assert other("POST", "/x").status == 200


def test_a_body_that_does_not_come_is_given_up(serve: Any, monkeypatch: Any) -> None:
    monkeypatch.setattr(inputs, "PATIENCE", -1.0)
    assert serve("POST", lambda given: {})("POST", "/x", [b"{", b"}"]).status == 408


def test_an_unforeseen_error_tells_no_path_and_drives_no_terminal(capfd: Any) -> None:
    error = ValueError("/home/somebody/key.txt \x1b[2J")
    said = bytes(error_reply(error).body).decode()
    assert "ValueError" in said and "somebody" not in said
    told = capfd.readouterr().err
    assert "somebody" in told and "\x1b" not in told
