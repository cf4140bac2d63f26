"""How long a provider asks us to wait, read from the headers of its answer."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime

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
    if "retry-after" in given:
        seconds = _number(given["retry-after"])
        return _until(given["retry-after"], now) if seconds is None else seconds
    resets = [
        _duration(given.get(f"x-ratelimit-reset-{what}", ""))
        for what in ("requests", "tokens")
        if _number(given.get(f"x-ratelimit-remaining-{what}")) == 0
    ]
    return max((seconds for seconds in resets if seconds is not None), default=None)


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
