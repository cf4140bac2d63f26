"""What a request asks for, checked: the fields of its address, its query and its JSON body."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ablations.studio.web.replies import TooLarge, error_reply, json_reply
from lsmseg_prompts.errors import UsageError

MB = 2**20
LONGEST = 5_000  # letters of a text
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
        if not isinstance(value, str) or len(value) > most:
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
            or not all(isinstance(one, str) and len(one) <= LONGEST for one in value)
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
        except (TypeError, ValueError):
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
            data = await _body(request, most)
            given = await run_in_threadpool(_input, request, data, raw)
            result = await run_in_threadpool(function, given)
        except Exception as error:
            return error_reply(error)
        return result if isinstance(result, Response) else json_reply(result)

    return Route(path, endpoint, methods=[method])


async def _body(request: Request, most: int) -> bytes:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > most:
            raise TooLarge(f"That is more than {most // MB} MB: send less.")
        parts.append(part)
    return b"".join(parts)


def _input(request: Request, data: bytes, raw: bool) -> Input:
    fields = {**request.query_params, **request.path_params}
    if raw or not data:
        return Input(fields, data)
    try:
        body = json.loads(data)
    except (ValueError, RecursionError):
        body = None
    if not isinstance(body, dict):
        raise UsageError("The body of the request is not a JSON object.")
    return Input({**fields, **body})
