"""Keys: where they come from, what is wrong with them, and keeping them out of every text.

A key comes from the environment or from a file, never from the value of an option; it is never
stored and never shown, not even in the message that says what is wrong with it.
"""

from __future__ import annotations

import os
import re
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from lsmseg_prompts.errors import ConfigurationError
from lsmseg_prompts.files import read_named

OWN_KEY = "LSMSEG_PROMPTS_KEY"
"""The environment variable of a key for a server that is not one of the known providers'."""

PLACEHOLDER = "no-key-needed"
"""Sent to a server of one's own where no key is given; such servers ignore it."""

_LOOKS_LIKE_A_KEY = re.compile(r"\bsk-[A-Za-z0-9_\-*.]{4,}")
_LOGIN = re.compile(r"(?<=://)[^/\s@]+@")
_SENT = re.compile(  # as keys go over the wire: in a header, or in the query of an address
    r"""(?ix)
    (?P<name> \b (?: (?: basic | bearer ) (?: \s+ | %20 | \+ )
        | (?: api | access | subscription ) [ ] (?: key | token ) (?: [ ] provided )? : \s* )
        (?= [^\s"',;&]* (?-i: [0-9=] | [a-z][A-Z] ) )  # not a word of a sentence
    | (?: (?: api | access | auth | secret | subscription ) [-_]? (?: key | token )
        | [?&] (?: key | token | sig | signature ) | \b authorization )
        ["']? \s* [:=] \s* ["']? (?! basic | bearer )
    ) (?! sk-\*{3} ) [A-Za-z0-9+/_\-.~%=*]{6,} (?<! \. )"""
)
_LONGEST = 4096


def find_key(variable: str, key_file: str | Path | None = None, needed: bool = True) -> str:
    """The key in `key_file`, else in the environment variable; PLACEHOLDER if not `needed`.

    Raises ConfigurationError where it is missing or plainly not a key.
    """
    if key_file is not None:
        return check_key(_read(Path(key_file)), f"the key file {key_file}")
    value = os.environ.get(variable)
    if not needed and not (value or "").strip():
        return PLACEHOLDER
    if value is None:
        raise ConfigurationError(
            f"There is no key: set the environment variable {variable}, or name a file that "
            "holds it with --key-file."
        )
    return check_key(value, f"the environment variable {variable}")


def _read(path: Path) -> str:
    try:
        if path.is_file() and path.stat().st_size > _LONGEST:
            raise ConfigurationError(f"The key file {path} is too large to hold just a key.")
        return read_named(path, "key file").decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ConfigurationError(
            f"The key file {path} is not plain text: save the key in it as UTF-8."
        ) from None


def check_key(text: str, source: str) -> str:
    """`text` without the white space around it.

    Raises ConfigurationError, naming `source` but never the key, where it cannot be a key.
    """
    key = text.strip()
    wrong = None
    if not key:
        wrong = "is empty: put the key there"
    elif key[0] in "\"'`“”‘’" or key[-1] in "\"'`“”‘’":
        wrong = "has quotes around the key: take them away"
    elif re.match(r"(export\s+)?[A-Z][A-Z0-9_]*=", key):
        wrong = "holds NAME=key: leave just the key"
    elif re.match(r"bearer\s", key, re.IGNORECASE):
        wrong = 'has "Bearer " in front of the key: leave just the key'
    elif len(key.splitlines()) > 1:
        wrong = "has a line break inside the key: it must be one line"
    elif any(character.isspace() for character in key):
        wrong = "has a space inside the key: copy the key again"
    elif not (key.isascii() and key.isprintable()):
        wrong = "has a character in the key that no key has (not plain ASCII): copy the key again"
    if wrong:
        raise ConfigurationError(f"{source[0].upper()}{source[1:]} {wrong}.")
    return key


def mask(text: str, key: str | None) -> str:
    """`text` with `key`, whatever looks like a key and logins in URLs and headers replaced."""
    shown = _LOGIN.sub("***@", _LOOKS_LIKE_A_KEY.sub("sk-***", mask_key(text, key)))
    return _SENT.sub(r"\g<name>***", shown)


def mask_key(text: str, key: str | None) -> str:
    """`text` with just `key` replaced: for a reply, of which no other word may change."""
    if not key or key == PLACEHOLDER or key not in text:
        return text
    if len(key) < 8:  # such as "test": only where it stands alone
        return re.sub(rf"(?<!\w){re.escape(key)}(?!\w)", "sk-***", text)
    return text.replace(key, "sk-***")


def shown_url(url: str) -> str:
    """`url` for people's eyes: user, password and query masked."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return _LOGIN.sub("***@", url)
    host = parts.netloc.rpartition("@")[2]
    login = "***@" if "@" in parts.netloc else ""
    return urlunsplit((parts.scheme, login + host, parts.path, "***" if parts.query else "", ""))


def travels_unencrypted(url: str, key: str) -> bool:
    """Whether `key` would cross a network in the clear: worth a note before the first call."""
    if key == PLACEHOLDER or not url.lower().startswith("http://"):
        return False
    host = (urlsplit(url).hostname or "").rstrip(".")
    if host == "localhost" or host.endswith(".localhost"):
        return False
    try:
        return not ip_address(host).is_loopback
    except ValueError:
        return True
