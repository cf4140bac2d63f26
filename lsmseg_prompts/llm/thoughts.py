"""What a reasoning model thinks aloud: told from its answer, in whichever marks it comes.

Open models behind a server without a parser for their thoughts send them in the text, between
tags; the opening tag is often part of the prompt and is not sent, and a reply that is cut has no
closing one. Harmony is the format of gpt-oss.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

_TAGS = "think|thinking|thoughts?|reasoning|reflection|seed:think"
_OPEN = rf"(?:<(?:{_TAGS})>|\[THINK\]|◁think▷|<\|channel\|>(?:analysis|commentary))"
_CLOSE = rf"(?:</(?:{_TAGS})>|\[/THINK\]|◁/think▷|<\|channel\|>final<\|message\|>)"
_FLAGS = re.DOTALL | re.IGNORECASE
_WHOLE = re.compile(rf"{_OPEN}.*?{_CLOSE}", _FLAGS)
_UNOPENED = re.compile(rf"^.*{_CLOSE}", _FLAGS)
_UNCLOSED = re.compile(rf"{_OPEN}.*$", _FLAGS)
_BARE_HARMONY = re.compile(r"^analysis.*assistantfinal", re.DOTALL)  # its marks left out
_SPECIAL = re.compile(r"<\|\w+\|>")
_MARKS = re.compile(rf"{_OPEN}|{_CLOSE}|<\|\w+\|>", _FLAGS)


def without_thoughts(text: str) -> str:
    """`text` without the thoughts in it, the model's own special tokens too."""
    for pattern in (_WHOLE, _UNOPENED, _UNCLOSED, _BARE_HARMONY, _SPECIAL):
        text = pattern.sub("", text)
    return text


def has_thoughts(text: str) -> bool:
    """Whether thoughts stand in `text`, and not just marks with nothing between them."""
    return without_thoughts(text).split() != _MARKS.sub("", text).split()


def thoughts_of(message: Mapping[str, Any]) -> str | None:
    """The thoughts that a message holds beside its text, under whichever name they go."""
    for name in ("reasoning_content", "reasoning", "thinking", "thoughts"):
        if isinstance(said := message.get(name), str) and said.strip():
            return said
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    found = [_of_part(part.get("thinking", part.get("reasoning"))) for part in parts
             if isinstance(part, dict)]  # fmt: skip
    return "".join(found) or None


def _of_part(said: Any) -> str:
    if isinstance(said, list):
        texts = [part.get("text") if isinstance(part, dict) else part for part in said]
        return "".join(text for text in texts if isinstance(text, str))
    return said if isinstance(said, str) else ""


def reasoning_tokens(usage: Mapping[str, Any]) -> Any:
    """How many tokens were thoughts, as the usage of an answer says it."""
    for name in ("completion_tokens_details", "output_tokens_details"):
        if isinstance(details := usage.get(name), dict) and "reasoning_tokens" in details:
            return details["reasoning_tokens"]
    return usage.get("reasoning_tokens")
