"""Reading what LLMs write: the JSON in a reply, and one line of text without decoration."""

from __future__ import annotations

import json
import re
from typing import Any

BRACES = 20  # of a reply that are tried as the beginning of the object


def read_json(reply: str) -> Any:
    """The JSON of a reply, bare or in a code fence, out of an object that only wraps it.

    None where there is none.
    """
    fenced = re.search(r"```\w*\s*\n(.*?)```", reply, re.DOTALL)
    body = fenced.group(1) if fenced else re.sub(r"^\s*```\w*|```\s*$", "", reply).strip()
    try:
        return _unwrapped(json.loads(body), list | dict)
    except (ValueError, RecursionError):
        return None


def read_object(reply: str) -> dict[str, Any] | None:
    """The JSON object in a reply, bare, in a code fence or among words; keys in lower case."""
    for start in [match.start() for match in re.finditer(r"\{", reply)][:BRACES]:
        try:
            value, _ = json.JSONDecoder().raw_decode(reply, start)
        except ValueError:
            continue
        except RecursionError:
            return None
        value = _unwrapped(value, dict)
        return {str(key).strip().lower(): item for key, item in value.items()}
    return None


def _unwrapped(value: Any, kind: Any) -> Any:
    if isinstance(value, dict) and len(value) == 1:
        only = next(iter(value.values()))
        return only if isinstance(only, kind) else value
    return value


def plain_line(text: str) -> str:
    """Without markdown and control characters; what an LLM writes may reach a terminal."""
    text = " ".join(re.sub(r"[*`]|(?<!\w)_|_(?!\w)", "", text).split())
    return "".join(c for c in text if c.isprintable()).strip(" \"'")
