"""Counting tokens as the LLM does: for the price and for the limits of a minute.

tiktoken knows OpenAI's encodings but downloads their tables when first used. That must not happen
in a dry run, so it is asked only where the table lies in its cache already, whole; anything else
is an estimate and says so.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tiktoken

CHARACTERS_A_TOKEN = 4  # of English, roughly
# What the chat form adds: to each message, and once for the answer that begins.
_A_MESSAGE, _ANSWER = 3, 3
# The same for any model, generously: templates of open models write roles and marks in words.
_A_MESSAGE_AT_MOST, _ANSWER_AT_MOST = 32, 64

# A picture costs most at gpt-4o-mini: 2,833 tokens and 5,667 for each of at most 8 tiles.
_A_PICTURE_AT_MOST = 2833 + 8 * 5667

_TABLES = "https://openaipublic.blob.core.windows.net/encodings/"
# Encoding -> the name of its table and the SHA-256 that tiktoken wants it to have.
_ENCODINGS = {
    "cl100k_base": (
        "cl100k_base.tiktoken",
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    ),
    "o200k_base": (
        "o200k_base.tiktoken",
        "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d",
    ),
}


def input_tokens(messages: Sequence[Mapping[str, Any]], model: str) -> tuple[int, bool]:
    """How many tokens `messages` take, and whether that is exact or an estimate (False).

    It touches no network. Pictures are not counted.
    """
    encoding = _encoding(model)
    if encoding is None:
        characters = sum(len(text) for message in messages for text in _texts(message))
        chat = _A_MESSAGE * len(messages) + _ANSWER
        return -(-characters // CHARACTERS_A_TOKEN) + chat, False
    words = (len(encoding.encode(t, disallowed_special=())) for m in messages for t in _texts(m))
    return sum(words) + _A_MESSAGE * len(messages) + _ANSWER, True


def input_tokens_bound(
    messages: Sequence[Mapping[str, Any]],
    pictures: int = 0,
    schema: Mapping[str, Any] | None = None,
) -> int:
    """More tokens than `messages`, pictures and a schema can take, for any model.

    No tokenizer makes more tokens of a text than it has bytes in UTF-8.
    """
    texts = [text for message in messages for text in _texts(message)]
    if schema is not None:
        texts.append(json.dumps(schema))
    size = sum(len(text.encode("utf-8", "surrogatepass")) for text in texts)
    chat = _A_MESSAGE_AT_MOST * len(messages) + _ANSWER_AT_MOST
    return size + chat + pictures * _A_PICTURE_AT_MOST


def _texts(message: Mapping[str, Any]) -> list[str]:
    """The texts of a message, its role among them."""
    content = message.get("content")
    parts = content if isinstance(content, list) else [{"text": content}]
    return [str(message.get("role", "")), *(str(part.get("text") or "") for part in parts)]


def _encoding(model: str) -> tiktoken.Encoding | None:
    """Tiktoken's encoding for `model`, if it can be had without the network."""
    from tiktoken.model import encoding_name_for_model

    try:
        name = encoding_name_for_model(model)
    except KeyError:
        return None
    return _load(name, str(path)) if (path := _table(name)) else None


@lru_cache
def _load(name: str, path: str) -> tiktoken.Encoding | None:
    """The encoding, if the table at `path` is whole: one that is not would be fetched again."""
    import tiktoken

    try:
        whole = hashlib.sha256(Path(path).read_bytes()).hexdigest() == _ENCODINGS[name][1]
    except OSError:
        return None
    return tiktoken.get_encoding(name) if whole else None


def _table(name: str) -> Path | None:
    """Where tiktoken keeps the table of an encoding, if it keeps it."""
    if name not in _ENCODINGS:
        return None
    environment = os.environ
    folder = environment.get("TIKTOKEN_CACHE_DIR", environment.get("DATA_GYM_CACHE_DIR"))
    if folder is None:
        folder = os.path.join(tempfile.gettempdir(), "data-gym-cache")
    if not folder:  # tiktoken then keeps nothing
        return None
    path = Path(folder) / hashlib.sha1((_TABLES + _ENCODINGS[name][0]).encode()).hexdigest()
    return path if path.is_file() else None
