"""Stage 1: which visual attributes to describe classes by.

The paper asks GPT-4 once and gets nine; they are kept here, in its order. `ask_attributes` puts
the same question to any LLM and reads the attributes out of whatever list it answers with.
"""

import asyncio
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lsmseg_prompts.errors import ProviderError, UsageError
from lsmseg_prompts.templates import render, template_hash

if TYPE_CHECKING:
    from lsmseg_prompts.llm.base import LLM

ATTRIBUTES: dict[str, str] = {
    "color": "the hues it shows, and how light or dark they are",
    "shape": "its outline, its form, and how its parts are put together",
    "size": "how large it is, on its own or beside things of known size",
    "texture": "how its surface looks or would feel to the touch",
    "material": "what it is made of",
    "position": "where in the scene or the picture it usually is",
    "pattern": "markings, repetition, and the arrangement of light and dark on it",
    "action": "what it does, or the state that it is in",
    "context": "what it is usually seen together with, and where",
}
"""The paper's nine attributes, in its order, with what each means."""

PSEUDO_ATTRIBUTES: dict[str, str] = {
    "name": 'no description: "a photo of a {class name}", the baseline',
    "typical": "one sentence about the class's typical attributes together",
    "random": "a control: random words, as many tokens as the descriptions they stand for",
    "shuffled": "a control: the descriptions of another class under the class's own name",
}
"""What can stand where an attribute does without being one."""

# How language models call the nine, beside their plain names.
ALIASES = {
    "colour": "color",
    "form": "shape",
    "scale": "size",
    "location": "position",
    "spatial position": "position",
    "state": "action",
    "contextual relationship": "context",
    "contextual relation": "context",
}


@dataclass(frozen=True)
class Attribute:
    """An attribute to describe classes by, and what it means (may be empty)."""

    name: str
    meaning: str


def ask_attributes(llm: "LLM", wording: str = "paper") -> list[Attribute]:
    """Stage 1: ask `llm` for the attributes, in the "paper" or "thesis" wording.

    Raises UsageError for another wording and ProviderError if the LLM fails or lists none.
    """
    from lsmseg_prompts.llm.base import Request

    if wording not in ("paper", "thesis"):
        raise UsageError(f"There is no wording {wording!r}: choose paper or thesis.")
    template = f"attributes-{wording}"
    request = Request(prompt=render(template), template_hash=template_hash(template))
    reply = asyncio.run(llm.complete(request))
    if reply.text is None:
        reason = reply.error_message or reply.error_class or "no text came back"
        raise ProviderError(f"{llm.name} did not answer the question for attributes: {reason}")
    attributes = parse_attributes(reply.text)
    if not attributes:
        raise ProviderError(
            f"{llm.name} answered without naming an attribute: ask again, or name them yourself."
        )
    return attributes


def as_reply(attributes: Iterable[Attribute] | None = None) -> str:
    """The attributes as an LLM lists them; by default the nine, as `bundled` answers."""
    if attributes is None:
        attributes = [Attribute(name, meaning) for name, meaning in ATTRIBUTES.items()]
    return "\n".join(
        f"{i}. {a.name.capitalize()}: {a.meaning}" for i, a in enumerate(attributes, 1)
    )


def parse_attributes(reply: str) -> list[Attribute]:
    """The attributes an LLM's reply lists, in its order, each once.

    Reads numbered and bulleted lists with or without markdown ("1. **Color**: the hues ..."),
    JSON (a list of names or objects, or an object of meanings), and, failing those, one line of
    names between commas. The paper's compound names are made single: "position or location" is
    position, "action/state" is action, "contextual relationships" is context.
    """
    pairs = _from_json(reply) or _from_lines(reply) or _from_commas(reply)
    found: dict[str, Attribute] = {}
    for raw, meaning in pairs:
        name = canonical(raw)
        if name and len(name.split()) <= 4 and name not in found:
            meaning = " ".join(meaning.replace("*", "").split())
            found[name] = Attribute(name, meaning or ATTRIBUTES.get(name, ""))
    return list(found.values())


def canonical(name: str) -> str:
    """An attribute's plain name: lower case, one of alternatives, the nine by their own names."""
    text = re.sub(r"\(.*?\)|[*_`\"'#]", " ", name).lower()
    first, *others = (" ".join(part.split()) for part in re.split(r"/|,|\bor\b|\band\b|&", text))
    for candidate in (first, *others):
        singular = candidate[:-1] if candidate.endswith("s") else candidate
        for form in (candidate, singular):
            form = ALIASES.get(form, form)
            if form in ATTRIBUTES:
                return form
    return first


def _from_json(reply: str) -> list[tuple[str, str]]:
    body = re.sub(r"^\s*```\w*|```\s*$", "", reply).strip()
    try:
        value: Any = json.loads(body)
    except (ValueError, RecursionError):
        return []
    if isinstance(value, dict) and len(value) == 1:
        only = next(iter(value.values()))
        value = only if isinstance(only, list | dict) else value
    if isinstance(value, dict):
        return [(str(k), v if isinstance(v, str) else "") for k, v in value.items()]
    pairs: list[tuple[str, str]] = []
    for item in value if isinstance(value, list) else []:
        if isinstance(item, str):
            pairs.append((item, ""))
        elif isinstance(item, dict):
            name = item.get("name") or item.get("attribute")
            meaning = item.get("meaning") or item.get("description") or ""
            if isinstance(name, str) and isinstance(meaning, str):
                pairs.append((name, meaning))
    return pairs


_ITEM = re.compile(r"^\s*(?:\d+\s*[.)]|[-*•+])\s+(.*)$")
_SPLIT = re.compile(r"\s*(?::|\s[-–—]\s|—|–)\s*")


def _from_lines(reply: str) -> list[tuple[str, str]]:
    pairs = []
    for line in reply.splitlines():
        item = _ITEM.match(line)
        if item and item.group(1).strip():
            name, *meaning = _SPLIT.split(item.group(1).replace("**", ""), maxsplit=1)
            pairs.append((name.strip(" ."), meaning[0].strip() if meaning else ""))
    return pairs


def _from_commas(reply: str) -> list[tuple[str, str]]:
    """Names between commas, after a colon if there is one, in the first line that has commas."""
    for line in reply.splitlines():
        body = line.rpartition(":")[2]
        if body.count(",") >= 2:
            names = [re.sub(r"^\s*and\s+", "", part) for part in body.split(",")]
            return [(name.strip(" ."), "") for name in names if name.strip(" .")]
    return []
