"""What a request asks for, checked: the fields of its address, its query and its JSON body."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from math import isfinite
from typing import Any, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from ablations.studio.web.replies import Busy, TooLarge, TooSlow, error_reply, json_reply
from lsmseg_prompts.errors import UsageError

MB = 2**20
LONGEST = 5_000  # letters of a text
AT_ONCE = {"files": 6, "POST": 24}
"""Files that are received, and requests that compute or write, at once; pages are served beside."""
PATIENCE = 120.0  # seconds in which a body has to come
_Value = TypeVar("_Value")
_MISSING: Any = object()


@dataclass(frozen=True)
class Input:
    """The fields by name, those of the body first; ``data`` is a body that is not JSON.

    Each method gives one of them. Raises UsageError where it is missing, without a default, and
    where it is something else than it should be.
    """

    fields: Mapping[str, Any]
    data: bytes = b""

    def text(self, name: str, default: str | None = _MISSING, most: int = LONGEST) -> Any:
        """A string of at most so many letters."""
        value = self._get(name, default)
        if value is default:
            return value
        if not _is_text(value, most):
            raise UsageError(f"The field {name} has to be a text of at most {most} letters.")
        return value

    def texts(self, name: str, default: Any = _MISSING, most: int = 5_000) -> Any:
        """A list of at most so many strings."""
        value = self._get(name, default)
        if value is default:
            return value
        if (
            not isinstance(value, list)
            or len(value) > most
            or not all(_is_text(one, LONGEST) for one in value)
        ):
            raise UsageError(f"The field {name} has to be a list of at most {most} texts.")
        return value

    def choice(self, name: str, among: Sequence[str], default: str | None = _MISSING) -> Any:
        """One of several words."""
        value = self.text(name, default)
        if value is not default and value not in among:
            raise UsageError(f"The field {name} has to be one of {', '.join(among)}.")
        return value

    def integer(self, name: str, low: int, high: int, default: int | None = _MISSING) -> Any:
        """A whole number from low to high.

        Args:
            name: Of the field.
            low: The smallest.
            high: The largest.
            default: What it is where the field is missing; None counts as missing too.
        """
        value = self.number(name, low, high, default)
        if value is not default and value != int(value):
            raise UsageError(f"The field {name} has to be a whole number.")
        return value if value is default else int(value)

    def number(self, name: str, low: float, high: float, default: float | None = _MISSING) -> Any:
        """A number from low to high.

        Args:
            name: Of the field.
            low: The smallest.
            high: The largest.
            default: What it is where the field is missing; None counts as missing too.
        """
        value = self._get(name, default)
        if value is default:
            return value
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = float("nan")
        if not isfinite(number) or isinstance(value, bool) or not low <= number <= high:
            raise UsageError(f"The field {name} has to be a number from {low} to {high}.")
        return number

    def flag(self, name: str) -> bool:
        """Whether it is set; where it is missing, it is not."""
        value = self._get(name, False)
        return value is True or value in ("1", "true")

    def _get(self, name: str, default: Any) -> Any:
        value = self.fields.get(name)
        if value is not None:
            return value
        if default is _MISSING:
            raise UsageError(f"The field {name} is missing.")
        return default


def _is_text(value: Any, most: int) -> bool:
    """Whether a value is a string that can be stored: no NUL, no half of a surrogate pair."""
    return (
        isinstance(value, str)
        and len(value) <= most
        and "\0" not in value
        and not any("\ud800" <= letter <= "\udfff" for letter in value)
    )


def route(
    method: str,
    path: str,
    function: Callable[[Input], Any],
    *,
    most: int = MB,
    raw: bool = False,
) -> Route:
    """A route whose function gives a reply, or what becomes JSON; it runs in a thread.

    Args:
        method: GET or POST.
        path: As Starlette writes it: /api/pictures/{name}.
        function: Gets the fields; the errors that it raises become replies.
        most: Bytes of the body at most.
        raw: Whether the body is a file, not JSON.
    """

    async def endpoint(request: Request) -> Response:
        try:
            data = b"" if raw or method == "GET" else await _body(request, most)
            with _turn("files" if raw else method):
                data = await _body(request, most) if raw else data
                given = await run_in_threadpool(_input, request, data, raw)
                result = await run_in_threadpool(function, given)
            return result if isinstance(result, Response) else json_reply(result)
        except ClientDisconnect:
            return Response(status_code=HTTPStatus.BAD_REQUEST)  # nobody is there to read it
        except Exception as error:
            return error_reply(error)

    return Route(path, endpoint, methods=[method])


_asked: Counter[str] = Counter()


@contextmanager
def _turn(kind: str) -> Iterator[None]:
    """One of AT_ONCE. Raises Busy for one more."""
    if _asked[kind] >= AT_ONCE.get(kind, sys.maxsize):
        raise Busy("The studio does too much at once just now: try again in a moment.")
    _asked[kind] += 1
    try:
        yield
    finally:
        _asked[kind] -= 1


async def _body(request: Request, most: int) -> bytes:
    parts, size = [], 0
    try:
        async with asyncio.timeout(PATIENCE):
            async for part in request.stream():
                size += len(part)
                if size > most:
                    raise TooLarge(f"That is more than {most // MB} MB: send less.")
                parts.append(part)
    except TimeoutError:
        raise TooSlow("The request did not come whole in time: send it again.") from None
    return b"".join(parts)


def _input(request: Request, data: bytes, raw: bool) -> Input:
    fields = {**request.query_params, **request.path_params}
    if raw or not data:
        return Input(fields, data)
    try:
        body = json.loads(data, parse_constant=_no_number)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise UsageError("The body of the request is not a JSON object.")
    return Input({**fields, **body})


def _no_number(name: str) -> None:
    """NaN and Infinity, which Python reads and JSON does not have."""
    raise ValueError(name)
