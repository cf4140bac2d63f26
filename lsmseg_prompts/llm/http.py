"""What is checked before a call, and read from any answer in the same way."""

from __future__ import annotations

import base64
import json
import math
import os
import re
import ssl
import time
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

from lsmseg_prompts.errors import ConfigurationError
from lsmseg_prompts.llm.keys import shown_url

CONNECT_SECONDS = 10.0
"""The longest that a connection may take to be made."""


def check_url(url: str) -> None:
    """Raise ConfigurationError where `url` cannot be a base URL."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or re.search(r"\s", url):
        raise ConfigurationError(
            f"The base URL {shown_url(url)!r} is not one: write it like http://localhost:8000/v1."
        )


def check_certificates() -> None:
    """Raise ConfigurationError where SSL_CERT_FILE does not name a file of certificates."""
    name = os.environ.get("SSL_CERT_FILE")
    if not name:
        return
    try:
        _read_certificates(_certificates())
    except OSError as error:  # ssl.SSLError is one too
        raise ConfigurationError(
            f"SSL_CERT_FILE={name} does not hold certificates that can be read: "
            f"{error.strerror or error}."
        ) from None


def tls(make: Callable[[], ssl.SSLContext]) -> ssl.SSLContext:
    """What `make` makes of the certificates that the environment names, once for all clients."""
    return _tls(make, _certificates())


def _certificates() -> tuple[Any, ...]:
    """Where the environment says that certificates are, and when that file was changed."""
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    about = os.stat(file) if file and os.path.exists(file) else None
    return file, folder, about and (about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=8)
def _read_certificates(certificates: tuple[Any, ...]) -> None:
    ssl.create_default_context(cafile=certificates[0])


@lru_cache(maxsize=8)
def _tls(make: Callable[[], ssl.SSLContext], certificates: tuple[Any, ...]) -> ssl.SSLContext:
    return make()


def data_url(mime: str, data: bytes) -> str:
    return f"data:{mime};base64,{base64.b64encode(data).decode('ascii')}"


def joined(content: Any) -> str:
    """The text of a message's content: a string, a list of parts, or nothing."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    parts = [part.get("text") if isinstance(part, dict) else part for part in content]
    return "".join(part for part in parts if isinstance(part, str))


def storable(text: str) -> str:
    """`text` with halves of surrogate pairs, which no database takes, replaced."""
    if text.isascii():
        return text
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def count(value: Any) -> int | None:
    """A count of tokens, if it is one."""
    good = isinstance(value, int) and not isinstance(value, bool) and value >= 0
    return value if good else None


def parsed(content: bytes) -> Any:
    """The JSON of an answer, else its text."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return content.decode("utf-8", "replace")


_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = r"(\d+(?:\.\d+)?)(ms|s|m|h|d)"


def retry_after(headers: Mapping[str, str], now: float | None = None) -> float | None:
    """Seconds to wait, never negative; None where the headers say nothing that makes sense.

    Read are `retry-after-ms`, `retry-after` (seconds, or an HTTP date held against `now`, Unix
    seconds) and, where neither is there, OpenAI's `x-ratelimit-reset-*` of a limit that is used
    up. The case of header names does not matter.
    """
    given = {name.lower(): str(value).strip() for name, value in headers.items()}
    milliseconds = _number(given.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    after = given.get("retry-after", given.get("llm_provider-retry-after"))  # LiteLLM's name
    if after is not None:
        seconds = _number(after)
        return _until(after, now) if seconds is None else seconds
    resets = [
        _duration(given.get(f"x-ratelimit-reset-{what}", ""))
        for what in ("requests", "tokens")
        if _number(given.get(f"x-ratelimit-remaining-{what}")) == 0
    ]
    return max((seconds for seconds in resets if seconds is not None), default=None)


def rate_limits(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that name a rate limit, such as x-ratelimit-limit-requests, in small letters."""
    named = {name.lower(): str(value).strip() for name, value in headers.items()}
    return {name: value for name, value in sorted(named.items()) if "ratelimit" in name}


def _number(text: str | None) -> float | None:
    """A finite number of 0 or more."""
    if text is None or not re.fullmatch(r"\d+(\.\d*)?|\.\d+", text, re.ASCII):
        return None
    number = float(text)
    return number if math.isfinite(number) else None


def _until(date: str, now: float | None) -> float | None:
    try:
        then = parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError, OverflowError, IndexError, OSError):
        return None
    return max(0.0, then - (time.time() if now is None else now))


def _duration(text: str) -> float | None:
    """Seconds in "1s", "6m0s", "20ms", "1h2m3.5s"."""
    if not re.fullmatch(f"(?:{_PART})+", text, re.ASCII):
        return None
    seconds = sum(float(number) * _UNITS[unit] for number, unit in re.findall(_PART, text))
    return seconds if math.isfinite(seconds) else None
