"""What is asked about a class: the paper's question, and what follows a reply that will not do.

A `Call` is one class and the attributes that one request asks for: a single one, with the
paper's question as it is, or several, each with the paper's question, to be answered as JSON.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lsmseg_prompts.attributes import ATTRIBUTES
from lsmseg_prompts.llm.base import Request
from lsmseg_prompts.templates import Query, query, with_article
from lsmseg_prompts.tokens import CONTEXT_LENGTH
from lsmseg_prompts.vocabularies import ClassEntry

WORDS = 45  # so many plain words always fit into CLIP's 77 tokens
FIRST_ROOM = 256  # output tokens for one sentence; the longest kept takes about 100
ROOM_EACH = 160  # in a JSON object with several


@dataclass(frozen=True)
class Call:
    """What one request asks: a class, and one attribute or several."""

    entry: ClassEntry
    attributes: tuple[str, ...]


@dataclass(frozen=True)
class Asked:
    """Which questions a run asks, and with which parameters of the provider."""

    vocabulary: str
    describe: Query
    parameters: Mapping[str, Any]

    def query(self, attribute: str) -> Query:
        return query("typical-paper") if attribute == "typical" else self.describe

    def question(self, entry: ClassEntry, attribute: str) -> str:
        """The paper's question, or the user's own, about one cell."""
        own = self.query(attribute)
        return own.render(
            class_name=entry.readable,
            attribute=spoken(attribute),
            meaning=ATTRIBUTES.get(attribute, ""),
            sense=entry.sense,
            synonyms=list(entry.synonyms),
            name=entry.name,
        )

    def first(self, call: Call, room: int = 1) -> Request:
        """The first request of a call; `room` multiplies the usual output tokens."""
        if len(call.attributes) == 1:
            return self._request(call, self.question(call.entry, call.attributes[0]), room)
        questions = "\n".join(
            f"{attribute}: {self.question(call.entry, attribute)}" for attribute in call.attributes
        )
        keys = ", ".join(f'"{attribute}"' for attribute in call.attributes)
        prompt = (
            f"{questions}\n\nAnswer each question in one sentence that names the class. Reply "
            f"with nothing but a JSON object with the keys {keys}."
        )
        return self._request(call, prompt, room)

    def reworded(self, call: Call, room: int = 1) -> Request:
        """Another try after a refusal, in other words."""
        name = with_article(call.entry.readable)
        sense = f" ({call.entry.sense})" if call.entry.sense else ""
        about = ", ".join("typical looks" if a == "typical" else spoken(a) for a in call.attributes)
        prompt = (
            "For labelling everyday photographs: in one neutral, factual sentence"
            f"{' each' if len(call.attributes) > 1 else ''}, what is usual for {name}{sense} as "
            f"to {about}?"
        )
        if len(call.attributes) > 1:
            keys = ", ".join(f'"{attribute}"' for attribute in call.attributes)
            prompt += f" Reply with nothing but a JSON object with the keys {keys}."
        return self._request(call, prompt, room)

    def again(
        self,
        call: Call,
        history: Sequence[tuple[str, str]],
        reasons: Mapping[str, str],
        room: int = 1,
    ) -> Request:
        """The follow-up: the reasons why the last reply will not do, attribute by attribute."""
        name = f'"{call.entry.readable}"' + (f" ({call.entry.sense})" if call.entry.sense else "")
        if len(call.attributes) == 1:
            attribute = call.attributes[0]
            about = (
                "its typical attributes" if attribute == "typical" else f"its {spoken(attribute)}"
            )
            prompt = (
                f"That will not do: {reasons[attribute]}. Describe {about} again in one sentence "
                f"of at most {WORDS} words that names {name}. Reply with the sentence only."
            )
        else:
            listed = "\n".join(f"{a}: {reasons[a]}" for a in call.attributes)
            keys = ", ".join(f'"{attribute}"' for attribute in call.attributes)
            prompt = (
                f"These will not do:\n{listed}\nWrite them again, each one sentence of at most "
                f"{WORDS} words that names {name}. Reply with nothing but a JSON object with the "
                f"keys {keys}."
            )
        return self._request(call, prompt, room, tuple(history))

    def _request(
        self, call: Call, prompt: str, room: int, history: tuple[tuple[str, str], ...] = ()
    ) -> Request:
        count = len(call.attributes)
        return Request(
            prompt=prompt,
            history=history,
            schema=None if count == 1 else schema(call.attributes),
            max_output_tokens=room * (FIRST_ROOM if count == 1 else FIRST_ROOM + ROOM_EACH * count),
            vocabulary=self.vocabulary,
            entry=call.entry,
            attributes=call.attributes,
            template_hash=self.query(min(call.attributes, key=lambda a: a == "typical")).hash,
            parameters=self.parameters,
        )


def spoken(attribute: str) -> str:
    """An attribute in a question: "color+shape+size" is "color, shape and size"."""
    *first, last = attribute.split("+")
    return f"{', '.join(first)} and {last}" if first else last


def schema(attributes: Sequence[str]) -> dict[str, Any]:
    """The JSON schema of an object with a sentence for every attribute."""
    return {
        "type": "object",
        "properties": {attribute: {"type": "string"} for attribute in attributes},
        "required": list(attributes),
        "additionalProperties": False,
    }


def too_long(tokens: int) -> str:
    return f"it takes {tokens} CLIP tokens and {CONTEXT_LENGTH} are the most"
