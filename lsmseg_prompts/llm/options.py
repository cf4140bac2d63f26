"""How an LLM is to be asked: its reasoning, any parameter of a request, a system message."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.files import read_named
from lsmseg_prompts.llm.capabilities import TOKEN_NAMES, is_limit
from lsmseg_prompts.llm.providers import Level

OURS = (
    "model", "messages", "stream", "n", "response_format",
    # Arguments of DashScope's SDK that are none of the model's.
    "api_key", "base_address", "function", "request_timeout", "result_format", "session", "task",
    "task_group",
)  # fmt: skip
"""Parameters that are set for each question and cannot be given."""


@dataclass(frozen=True)
class AskOptions:
    """What holds for every question to one LLM.

    reasoning: how much it is to think, None for the model's own. parameters: of each request,
    such as top_p. system: the system message.
    """

    reasoning: Level | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    system: str | None = None

    def __post_init__(self) -> None:
        if ours := sorted(self.parameters.keys() & set(OURS)):
            raise UsageError(f"-o cannot set {ours[0]}: each question has its own.")
        for name in TOKEN_NAMES:
            if name in self.parameters and not is_limit(self.parameters[name]):
                raise UsageError(f"-o {name} is a number of tokens: write it like -o {name}=500.")


def ask_options(
    reasoning: Level | None, pairs: Iterable[str] | None, system: Path | None
) -> AskOptions:
    """The options as the command line gives them: KEY=VALUE pairs, and a file.

    A value is read as JSON where it is some, else as text. Raises UsageError.
    """
    parameters: dict[str, Any] = {}
    for pair in pairs or ():
        key, equals, value = pair.partition("=")
        if not key.strip() or not equals:
            raise UsageError(f"-o {pair!r} is not KEY=VALUE: write it like -o top_p=0.9.")
        if key.strip() in parameters:
            raise UsageError(f"-o {key.strip()} is given twice.")
        parameters[key.strip()] = _value(value)
    return AskOptions(reasoning, parameters, None if system is None else _text(system))


def _text(system: Path) -> str:
    try:
        text = read_named(system, "file of the system message").decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        raise UsageError(f"The system message {system} is not text in UTF-8.") from None
    if not text:
        raise UsageError(f"The system message {system} is empty.")
    return text


def _value(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=str)  # no server takes a NaN
    except (ValueError, RecursionError):
        return text
