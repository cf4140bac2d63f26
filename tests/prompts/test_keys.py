"""Keys: found, checked, and in no text."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsmseg_prompts.errors import ConfigurationError
from lsmseg_prompts.llm.keys import (
    PLACEHOLDER,
    find_key,
    mask,
    mask_key,
    shown_url,
    travels_unencrypted,
)

KEY = "sk-proj-Abc123_def-456"
VARIABLE = "OPENAI_API_KEY"


def test_the_environment_is_read_and_stripped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, f" {KEY}\n")
    assert find_key(VARIABLE) == KEY


def test_a_file_goes_before_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv(VARIABLE, "sk-other")
    file = tmp_path / "key"
    file.write_bytes(b"\xef\xbb\xbf" + KEY.encode() + b"\r\n")
    assert find_key(VARIABLE, file) == KEY


def test_none_is_needed_on_a_server_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_key(VARIABLE, needed=False) == PLACEHOLDER
    monkeypatch.setenv(VARIABLE, "")
    assert find_key(VARIABLE, needed=False) == PLACEHOLDER
    with pytest.raises(ConfigurationError, match="empty"):
        find_key(VARIABLE)
    monkeypatch.delenv(VARIABLE)
    with pytest.raises(ConfigurationError, match=r"OPENAI_API_KEY.*--key-file"):
        find_key(VARIABLE)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "empty"),
        (" \n", "empty"),
        ("sk-abc def123", "space inside"),
        ("sk-abc\ndef123", "line break inside"),
        ("sk-abc\r\nsk-def", "line break inside"),
        ('"sk-abcdef"', "quotes around"),
        ("‘sk-abcdef’", "quotes around"),
        ("Bearer sk-abcdef", "Bearer"),
        ("OPENAI_API_KEY=sk-abcdef", "NAME=key"),
        ("export OPENAI_API_KEY=sk-abcdef", "NAME=key"),
        ("sk-abc…def", "not plain ASCII"),
        ("sk-abc\x07def", "not plain ASCII"),
        ("sk-abc\u200bdef", "not plain ASCII"),
    ],
)
def test_what_cannot_be_a_key_is_named_and_not_shown(
    text: str, words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "key"
    file.write_bytes(text.encode())
    monkeypatch.setenv(VARIABLE, text)
    for source, found in (("key file", file), (VARIABLE, None)):
        with pytest.raises(ConfigurationError, match=words) as caught:
            find_key(VARIABLE, found)
        assert source in str(caught.value) and "sk-abc" not in str(caught.value)


@pytest.mark.parametrize("kind", ["missing", "folder", "large", "binary"])
def test_a_file_that_cannot_be_read(kind: str, tmp_path: Path) -> None:
    file = tmp_path / "key"
    if kind == "folder":
        file.mkdir()
    elif kind == "large":
        file.write_text("x" * 5000)
    elif kind == "binary":
        file.write_bytes(b"\xff\xfe\x00k")
    with pytest.raises(ConfigurationError, match="key file"):
        find_key(VARIABLE, file)


def test_masking() -> None:
    shown = mask(f"bad key {KEY}; sk-other-12345678 at http://me:pw@host/v1, desk-lamp", KEY)
    assert shown == "bad key sk-***; sk-*** at http://***@host/v1, desk-lamp"
    assert mask("Incorrect API key provided: sk-proj-********wxyz.", None).endswith("sk-***")
    assert mask_key("A test of testing", "test") == "A sk-*** of testing"
    assert mask_key("the no-key-needed case", PLACEHOLDER) == "the no-key-needed case"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("We got Authorization: Basic dXNlcjpwYXNzd29yZA==.", "We got Authorization: Basic ***."),
        ("basic%20dXNlcjpwYXNz was sent", "basic%20*** was sent"),
        ("Bearer eyJhbGciOi.J9.abc-_~ is expired", "Bearer *** is expired"),
        ("authorization: abcdefghijk", "authorization: ***"),
        ("x-api-key: abcdefghijk", "x-api-key: ***"),
        ("{'x-goog-api-key': 'AIzaSy123456'}", "{'x-goog-api-key': '***'}"),
        ('{"api_key": "abcdefghijk", "a": 1}', '{"api_key": "***", "a": 1}'),
        ("POST https://h/v1?api-key=abcdefghijk&x=1", "POST https://h/v1?api-key=***&x=1"),
        ("https://h/v1?x=1&key=AIzaSyabcdef", "https://h/v1?x=1&key=***"),
        ("API key provided: abcdef123456.", "API key provided: ***."),
    ],
)  # fmt: skip
def test_what_goes_over_the_wire_is_masked(said: str, shown: str) -> None:
    assert mask(said, None) == shown


@pytest.mark.parametrize(
    "said",
    ["Basic authentication is needed.", "a basic understanding", "Bearer token is missing.",
     "The api key: is missing", "Invalid API key: missing.", "max_token: 12345678", "key = zebra",
     "Set OPENAI_API_KEY or --key-file."],
)  # fmt: skip
def test_words_about_keys_stay(said: str) -> None:
    assert mask(said, None) == said


@given(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8),
    st.text(max_size=20),
    st.text(max_size=20),
)
def test_no_key_survives_masking(key: str, before: str, after: str) -> None:
    if key not in "sk-***":
        assert key not in mask_key(f"{before}{key}", key)
        assert key not in mask(f"{before} {key} {after}", key).replace("sk-***", "")


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://host:1/v1", "http://host:1/v1"),
        ("https://me:secret@host:1/v1", "https://***@host:1/v1"),
        ("https://me@host/v1?api-key=secret", "https://***@host/v1?***"),
        ("http://[::1/v1", "http://[::1/v1"),
    ],
)
def test_shown_url(url: str, shown: str) -> None:
    assert shown_url(url) == shown


@pytest.mark.parametrize(
    ("url", "key", "open_"),
    [
        ("http://gpu-server:8000/v1", KEY, True),
        ("http://192.168.0.7/v1", KEY, True),
        ("https://gpu-server:8000/v1", KEY, False),
        ("http://gpu-server:8000/v1", PLACEHOLDER, False),
        ("http://localhost:8000/v1", KEY, False),
        ("http://127.0.0.1:8000/v1", KEY, False),
        ("http://[::1]:8000/v1", KEY, False),
    ],
)
def test_a_key_in_the_clear_is_noticed(url: str, key: str, open_: bool) -> None:
    assert travels_unencrypted(url, key) is open_
