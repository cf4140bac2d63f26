"""Reading what LLMs write: the JSON in a reply, and one line of text without decoration."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

from lsmseg_prompts.generation.repair import Broken, Cut, repaired

BRACES = 20  # of a reply that are tried as the beginning of an object
AMBIGUOUS = object()
"""Stands for the values of a key that a reply has twice, with different ones."""


def read_json(reply: str) -> Any:
    """The JSON of a reply, bare or in a code fence, out of an object that only wraps it.

    Repaired where it is plain what is meant, see `repair`. None where there is none, and where a
    key is there twice with different values.
    """
    fenced = re.search(r"```\w*\s*\n(.*?)```", reply, re.DOTALL)
    body = fenced.group(1) if fenced else re.sub(r"^\s*```\w*|```\s*$", "", reply)
    body = body.strip().strip("\ufeff").strip()
    try:
        try:
            value = json.loads(body, object_pairs_hook=_only)
        except json.JSONDecodeError:
            if not body.startswith(("{", "[")):
                return None
            value, end = repaired(body, 0, _only)
            if end < len(body):
                return None
    except (ValueError, RecursionError):
        return None
    return _unwrapped(value, list | dict)


def read_object(reply: str, keys: Iterable[str] = ()) -> dict[str, Any] | None:
    """The JSON object in a reply, bare, in a code fence or among words; keys in lower case.

    Repaired where it is plain what is meant, see `repair`. Where there are several objects they
    are taken together; a key with different values is AMBIGUOUS. None where there is none, and
    where one is cut off.

    Args:
        reply: what was said, without thoughts.
        keys: an object with none of these is not meant; without them every object is.
    """
    wanted = set(keys)
    found: list[dict[str, Any]] = []
    at, tries = reply.find("{"), 0
    while at >= 0 and tries < BRACES:
        tries += 1
        try:
            value, end = _object_at(reply, at)
        except (Cut, RecursionError):
            return None
        except Broken as error:  # what stands within it is not read
            end = max(at + 1, error.at)
        except ValueError:  # a number of thousands of digits
            return None
        else:
            value = _unwrapped(value, dict)
            named = _merged((str(key).strip().lower(), item) for key, item in value.items())
            if not wanted or wanted & named.keys():
                found.append(named)
        at = reply.find("{", end)
    return _merged(pair for one in found for pair in one.items()) if found else None


def _object_at(text: str, at: int) -> tuple[Any, int]:
    try:
        return json.JSONDecoder(object_pairs_hook=_merged).raw_decode(text, at)
    except json.JSONDecodeError:
        return repaired(text, at, _merged)


def _merged(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """An object of pairs; a key that is there with different values is AMBIGUOUS."""
    merged: dict[str, Any] = {}
    for key, value in pairs:
        merged[key] = value if key not in merged or merged[key] == value else AMBIGUOUS
    return merged


def _only(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """An object of pairs; raises ValueError for a key that is there with different values."""
    merged = _merged(pairs)
    if any(value is AMBIGUOUS for value in merged.values()):
        raise ValueError("A key is there twice.")
    return merged


def _unwrapped(value: Any, kind: Any) -> Any:
    if isinstance(value, dict) and len(value) == 1:
        only = next(iter(value.values()))
        return only if isinstance(only, kind) else value
    return value


def plain_line(text: str) -> str:
    """Without markdown and control characters; what an LLM writes may reach a terminal."""
    text = " ".join(re.sub(r"[*`]|(?<!\w)_|_(?!\w)", "", text).split())
    return "".join(c for c in text if c.isprintable()).strip(" \"'")
