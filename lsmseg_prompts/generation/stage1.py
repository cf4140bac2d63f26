"""Stage 1: asking an LLM which visual attributes to describe classes by."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from lsmseg_prompts.attributes import ATTRIBUTES, plain_names
from lsmseg_prompts.errors import ProviderError, UsageError
from lsmseg_prompts.generation.asking import ask
from lsmseg_prompts.generation.replies import plain_line, read_json
from lsmseg_prompts.llm.base import LLM, Request
from lsmseg_prompts.store.store import Store
from lsmseg_prompts.templates import query

LONGEST_MEANING = 300  # characters
MOST_ATTRIBUTES = 50


@dataclass(frozen=True)
class Attribute:
    """An attribute to describe classes by, and what it means (may be empty).

    `written` is how an LLM's reply names it; "" where it comes from no reply.
    """

    name: str
    meaning: str
    written: str = field(default="", compare=False)

    @property
    def of_the_nine(self) -> bool:
        return self.name in ATTRIBUTES


@dataclass(frozen=True)
class AttributeAnswer:
    """An LLM's answer to stage 1: its attributes, in its order, and the raw reply."""

    attributes: tuple[Attribute, ...]
    reply: str

    def __iter__(self) -> Iterator[Attribute]:
        return iter(self.attributes)

    def __len__(self) -> int:
        return len(self.attributes)

    @property
    def missing(self) -> list[str]:
        """Those of the nine that it lacks."""
        names = {attribute.name for attribute in self.attributes}
        return [name for name in ATTRIBUTES if name not in names]

    @property
    def additional(self) -> list[str]:
        """Those that are not of the nine."""
        return [attribute.name for attribute in self.attributes if not attribute.of_the_nine]

    @property
    def renamed(self) -> dict[str, str]:
        """Those of the nine that it calls something else: plain name -> as written."""
        return {
            attribute.name: attribute.written
            for attribute in self.attributes
            if attribute.of_the_nine and attribute.written.lower() not in ("", attribute.name)
        }


def ask_attributes(llm: LLM, wording: str = "paper", store: Store | None = None) -> AttributeAnswer:
    """Stage 1: ask `llm` for the attributes, in the "paper" or "thesis" wording.

    Every attempt goes into `store`, if one is given, with the raw reply. Raises UsageError for
    another wording, ProviderError if the LLM fails or lists none, and what
    `generation.asking.ask` raises.
    """
    if wording not in ("paper", "thesis"):
        raise UsageError(f"There is no wording {wording!r}: choose paper or thesis.")
    question = query(f"attributes-{wording}")
    if store is not None:
        store.add_template(question)
    request = Request(prompt=question.render(), template_hash=question.hash)
    (reply,) = ask(llm, [request], purpose="attributes", store=store)
    if reply.text is None:
        raise ProviderError(
            f"{llm.name} did not answer the question for attributes: {reply.failure.rstrip('. ')}; "
            "ask again, or use the nine."
        )
    attributes = parse_attributes(reply.said)
    if not attributes:
        raise ProviderError(
            f"{llm.name} answered without naming an attribute: ask again, or name them yourself. "
            f"It said: {' '.join(reply.said.split())[:200]!r}."
        )
    return AttributeAnswer(tuple(attributes), reply.text)


def parse_attributes(reply: str) -> list[Attribute]:
    """The attributes an LLM's reply lists, in its order, each once.

    Reads numbered and bulleted lists with or without markdown ("1. **Color**: the hues ..."),
    JSON (a list of names or objects, or an object of meanings), and, failing those, one line of
    names between commas. The paper's compound names are made single: "position or location" is
    position, "action/state" is action, "contextual relationships" is context.
    """
    pairs = _from_json(reply) or _from_lines(reply) or _from_commas(reply)
    attributes: dict[str, Attribute] = {}
    for raw, meaning in pairs:
        written = plain_line(raw)
        for name in plain_names(written):
            if len(name.split()) <= 4 and len(name) <= 40 and name not in attributes:
                text = plain_line(meaning)[:LONGEST_MEANING]
                attributes[name] = Attribute(name, text or ATTRIBUTES.get(name, ""), written[:60])
    return list(attributes.values())[:MOST_ATTRIBUTES]


def _from_json(reply: str) -> list[tuple[str, str]]:
    value = read_json(reply)
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


_ITEM = re.compile(r"^(\s*)(#{1,6}\s+)?(?:\*\*)?(?:(\d+)\s*[.)]|([-*•+])(?=\s))?\s*(.*)$")
_ROW = re.compile(r"^\s*\|([^|]*)\|([^|]*)")
_SPLIT = re.compile(r"\s*(?::|\s[-–—]\s|—|–)\s*")


def _from_lines(reply: str) -> list[tuple[str, str]]:
    """The outermost list.

    Numbered headings, else numbered items, bullets, bold lines, headings, or the first two columns
    of a table.
    """
    levels: dict[tuple[int, int], list[str]] = {}
    for line in reply.splitlines():
        match = _ITEM.match(line)
        if match is None or not match[5].strip(" *"):
            continue
        indent, heading, number, bullet, text = match.groups()
        kind = 0 if heading and number else 1 if number else 2 if bullet else None
        if kind is None:
            kind = 4 if heading else 3 if line.lstrip().startswith("**") else None
        if row := _ROW.match(line):
            kind, text = 5, f"{row[1].strip()}: {row[2].strip()}"
        if kind is not None:
            levels.setdefault((kind, len(indent.expandtabs(4))), []).append(text)
    if not levels:
        return []
    # One heading alone is a title, one numbered item alone an accident.
    best = min((key for key in levels if len(levels[key]) > 1), default=min(levels))
    rows = levels[best][2:] if best[0] == 5 else levels[best]  # a table's head, and its rule
    pairs = []
    for text in rows:
        name, *meaning = _SPLIT.split(text.replace("**", ""), maxsplit=1)
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
