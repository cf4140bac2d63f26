"""What both providers check before a call and read from an answer in the same way."""

from __future__ import annotations

import base64
import json
import os
import re
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
    """Raise ConfigurationError where SSL_CERT_FILE names no file of certificates."""
    name = os.environ.get("SSL_CERT_FILE")
    if not name:
        return
    import ssl

    try:
        ssl.create_default_context(cafile=name)
    except OSError as error:  # ssl.SSLError is one too
        raise ConfigurationError(
            f"SSL_CERT_FILE={name} holds no certificates that can be read: "
            f"{error.strerror or error}."
        ) from None


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
