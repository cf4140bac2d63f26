"""Answers: JSON, pictures, and errors as the one sentence that the command line would print."""

from __future__ import annotations

import json
import sys
import traceback
from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from lsmseg_prompts.errors import ConflictError
from lsmseg_prompts.files import plain
from lsmseg_prompts.terminal import printable

if TYPE_CHECKING:
    import numpy as np

STATUS = {2: HTTPStatus.BAD_REQUEST, 6: HTTPStatus.UNPROCESSABLE_ENTITY}
"""The status of an error by its exit code; of others CONFLICT: the set-up has to change."""


class TooLarge(Exception):
    """More was sent than is taken."""

    exit_code = 2
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class Busy(Exception):
    """More is asked at once than is worked on."""

    exit_code = 4
    status = HTTPStatus.SERVICE_UNAVAILABLE


class TooSlow(Exception):
    """What was announced did not come."""

    exit_code = 4
    status = HTTPStatus.REQUEST_TIMEOUT


def json_reply(value: Any, status: int = HTTPStatus.OK) -> Response:
    """Anything that `plain` makes JSON of; it is never kept by the browser."""
    text = json.dumps(plain(value), ensure_ascii=False, allow_nan=False)
    data = text.encode("utf-8", "replace")  # a lone surrogate is not text
    return Response(data, status, media_type="application/json")


def png_reply(data: bytes) -> Response:
    """A picture; its address changes with its content, so that the browser may keep it."""
    return Response(data, headers={"cache-control": "private, max-age=600"}, media_type="image/png")


def error_reply(error: Exception) -> Response:
    """The sentence of an error; of one that nobody foresaw the traceback goes to stderr."""
    code = getattr(error, "exit_code", None)
    status = getattr(error, "status", None) or STATUS.get(code or 1, HTTPStatus.CONFLICT)
    more = getattr(error, "more", {})
    if isinstance(error, ConflictError):
        status, more = HTTPStatus.CONFLICT, {"text": error.text}
    if code is None:
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        report(error)
    return json_reply({"error": sentence_of(error), "exit_code": code or 1, **more}, status)


def report(error: BaseException) -> None:
    """The traceback of an error that nobody foresaw, on stderr; nothing in it drives a terminal."""
    sys.stderr.write(printable("".join(traceback.format_exception(error))))


def sentence_of(error: BaseException) -> str:
    """What a person is told; of an error that nobody foresaw not its own words: they hold paths."""
    if getattr(error, "exit_code", None) is not None:
        return str(error)
    return f"Unexpected error: {type(error).__name__}; the terminal of the studio shows more."


def png(image: np.ndarray, side: int | None = None) -> bytes:
    """A picture, uint8 [H, W, 3], as a PNG file; its longer side at most ``side`` pixels."""
    from PIL import Image

    made = Image.fromarray(image)
    if side is not None:
        made.thumbnail((side, side))
    buffer = BytesIO()
    made.save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()
