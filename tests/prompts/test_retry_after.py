"""How long to wait, in every form a provider says it."""

from __future__ import annotations

import math
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsmseg_prompts.llm.http import retry_after

NAMES = st.sampled_from(
    ["retry-after", "Retry-After", "retry-after-ms", "x-ratelimit-reset-requests",
     "x-ratelimit-remaining-requests", "x-ratelimit-reset-tokens", "x-ratelimit-remaining-tokens"]
)  # fmt: skip
VALUES = st.text() | st.floats().map(str) | st.from_regex(r"\A(\d{1,3}(ms|s|m|h)){1,3}\Z")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7),
        ({"RETRY-AFTER": " 2.5 "}, 2.5),
        ({"Retry-After-Ms": "1500", "Retry-After": "9"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9),
        ({"retry-after": "0"}, 0),
        ({"retry-after": "86400"}, 86400),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({"x-ratelimit-reset-requests": "1s", "x-ratelimit-remaining-requests": "0"}, 1),
        ({"x-ratelimit-reset-tokens": "6m0s", "x-ratelimit-remaining-tokens": "0"}, 360),
        ({"x-ratelimit-reset-tokens": "20ms", "x-ratelimit-remaining-tokens": "0"}, 0.02),
        ({"x-ratelimit-reset-tokens": "1h2m3.5s", "x-ratelimit-remaining-tokens": "0"}, 3723.5),
        ({"x-ratelimit-reset-requests": "8s", "x-ratelimit-remaining-requests": "3"}, None),
        ({"x-ratelimit-reset-requests": "8s"}, None),
        ({"x-ratelimit-reset-requests": "8", "x-ratelimit-remaining-requests": "0"}, None),
    ],
)
def test_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == (None if seconds is None else pytest.approx(seconds))


def test_the_later_of_two_limits_counts_and_retry_after_goes_first() -> None:
    headers = {
        "x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "2s",
        "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "5s",
    }  # fmt: skip
    assert retry_after(headers) == 5
    assert retry_after({**headers, "retry-after": "1"}) == 1


@given(st.integers(0, 2_000_000_000), st.integers(-(10**6), 10**6))
def test_a_date_is_held_against_now(now: int, ahead: int) -> None:
    headers = {"Retry-After": formatdate(max(0, now + ahead), usegmt=True)}
    assert retry_after(headers, now=now) == max(0, max(0, now + ahead) - now)


@given(st.floats(0, 1e6, allow_nan=False))
def test_seconds_and_milliseconds_come_back(seconds: float) -> None:
    text = f"{seconds:.3f}"
    assert retry_after({"retry-after": text}) == pytest.approx(float(text))
    assert retry_after({"retry-after-ms": text}) == pytest.approx(float(text) / 1000)


@given(st.dictionaries(NAMES, VALUES))
def test_whatever_is_said_is_a_wait_or_nothing(headers: dict[str, str]) -> None:
    seconds = retry_after(headers)
    assert seconds is None or (seconds >= 0 and math.isfinite(seconds))
