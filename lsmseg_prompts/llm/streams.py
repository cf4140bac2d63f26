"""Answers that come in pieces, as server-sent events: put together as if they had come whole.

DashScope answers so where a model does nothing else; some servers of OpenAI's protocol do although
nobody asked for it.
"""

from __future__ import annotations

from typing import Any

from lsmseg_prompts.llm.http import joined, parsed


def is_stream(content: bytes) -> bool:
    """Whether an answer consists of server-sent events."""
    first = content.lstrip()[:16]
    return first.startswith((b"data:", b"event:", b"id:", b":"))


def whole_answer(content: bytes) -> Any:
    """The answer of OpenAI's protocol that the pieces make, an error among them as it is.

    The text of an answer that cannot be read so.
    """
    events = _events(content)
    if not events:
        return parsed(content)
    texts: dict[str, list[str]] = {"content": [], "reasoning_content": [], "refusal": []}
    finish: Any = None
    whole: dict[str, Any] = {}
    for event in events:
        if event.get("error"):
            return event
        whole |= {key: value for key, value in event.items() if value}
        choices = event.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else {}
        choice = choice if isinstance(choice, dict) else {}
        delta = choice.get("delta") or choice.get("message")
        delta = delta if isinstance(delta, dict) else {}
        finish = choice.get("finish_reason") or finish
        for name, key in (
            ("content", "content"), ("reasoning_content", "reasoning_content"),
            ("reasoning", "reasoning_content"), ("refusal", "refusal"),
        ):  # fmt: skip
            texts[key].append(joined(delta.get(name)))
    message = {key: text for key, pieces in texts.items() if (text := "".join(pieces))}
    choice = {"message": {"content": "", **message}, "finish_reason": finish}
    return {**whole, "choices": [choice]}


def whole_dashscope_answer(content: bytes) -> Any:
    """The answer of DashScope's protocol that the pieces make, likewise."""
    events = _events(content)
    if not events:
        return parsed(content)
    last = events[-1]
    texts: dict[str, list[str]] = {"content": [], "reasoning_content": []}
    for event in events:
        try:
            message = event["output"]["choices"][0]["message"]
            for key, pieces in texts.items():
                pieces.append(joined(message.get(key)))
        except (KeyError, IndexError, TypeError, AttributeError):
            return event  # an error, or no answer
    message = {**last["output"]["choices"][0]["message"]}
    message |= {key: text for key, pieces in texts.items() if (text := "".join(pieces))}
    choice = {**last["output"]["choices"][0], "message": {"content": "", **message}}
    return {**last, "output": {**last["output"], "choices": [choice]}}


def _events(content: bytes) -> list[dict[str, Any]]:
    """The data of the events; none where one of them is not an object."""
    lines = [line[5:].strip() for line in content.splitlines() if line.startswith(b"data:")]
    events = [parsed(line) for line in lines if line != b"[DONE]"]
    return events if all(isinstance(event, dict) for event in events) else []
