"""Counting the LLM's tokens, offline."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lsmseg_prompts.llm import tokens
from lsmseg_prompts.llm.tokens import input_tokens, input_tokens_bound

HELLO = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello world"}]
URL = "https://openaipublic.blob.core.windows.net/encodings/cl100k_base.tiktoken"
MESSAGES = st.lists(
    st.fixed_dictionaries({"role": st.sampled_from(["user", "system"]), "content": st.text()})
)


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """An empty cache, and a test that fails where the network is touched."""

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("the network was touched")

    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("DATA_GYM_CACHE_DIR", raising=False)
    tokens._load.cache_clear()
    yield
    tokens._load.cache_clear()


def table(folder: Path, content: bytes) -> Path:
    path = folder / hashlib.sha1(URL.encode()).hexdigest()
    path.write_bytes(content)
    return path


def test_without_the_table_it_is_an_estimate() -> None:
    assert input_tokens(HELLO, "gpt-4") == (8 + 2 * 3 + 3, False)  # 29 characters
    assert input_tokens(HELLO, "llama3")[1] is False


def test_a_broken_table_is_neither_used_nor_fetched_again(tmp_path: Path) -> None:
    path = table(tmp_path, b"aGk= 0\n")
    assert input_tokens(HELLO, "gpt-4")[1] is False
    assert path.exists()  # tiktoken removes what it fetches again


def test_caching_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "")
    assert input_tokens(HELLO, "gpt-4")[1] is False


@pytest.mark.parametrize("variable", ["TIKTOKEN_CACHE_DIR", "DATA_GYM_CACHE_DIR", None])
def test_with_the_table_it_is_exact(
    variable: str | None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import base64
    import tempfile

    import tiktoken
    from tiktoken import load, registry

    # A table of single bytes: as many tokens as bytes, which is easily counted.
    content = b"".join(base64.b64encode(bytes([i])) + b" %d\n" % i for i in range(256))
    digest = hashlib.sha256(content).hexdigest()
    monkeypatch.setitem(tokens._ENCODINGS, "cl100k_base", ("cl100k_base.tiktoken", digest))
    monkeypatch.setattr(load, "check_hash", lambda data, expected: True)
    monkeypatch.setattr(registry, "ENCODINGS", {})
    monkeypatch.delenv("TIKTOKEN_CACHE_DIR")
    if variable:
        monkeypatch.setenv(variable, str(tmp_path))
        table(tmp_path, content)
    else:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        folder = tmp_path / "data-gym-cache"
        folder.mkdir()
        table(folder, content)
    assert input_tokens(HELLO, "gpt-4") == (29 + 2 * 3 + 3, True)
    assert input_tokens([{"role": "user", "content": "<|endoftext|>"}], "gpt-4")[1] is True
    assert tiktoken.get_encoding("cl100k_base").n_vocab > 256


@given(MESSAGES)
def test_the_bound_is_above_every_count(messages: list[dict[str, str]]) -> None:
    size = sum(len((m["role"] + m["content"]).encode()) for m in messages)
    assert input_tokens_bound(messages) > size + 3 * len(messages) + 3
    assert input_tokens_bound(messages) > input_tokens(messages, "gpt-4")[0]


def test_pictures_and_schemas_raise_the_bound() -> None:
    plain = input_tokens_bound(HELLO)
    assert input_tokens_bound(HELLO, schema={"type": "object"}) == plain + 18
    assert input_tokens_bound(HELLO, pictures=2) > plain + 2 * 48_000


def test_lists_of_parts_are_counted() -> None:
    parts = [{"role": "user", "content": [{"type": "text", "text": "abcd"}, {"type": "image_url"}]}]
    plain = [{"role": "user", "content": "abcd"}]
    assert input_tokens_bound(parts) == input_tokens_bound(plain)
