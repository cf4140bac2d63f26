"""An LLM without a network, whose replies a test writes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from lsmseg_prompts.generation import run
from lsmseg_prompts.generation.request import GenerationRequest
from lsmseg_prompts.generation.summary import Summary
from lsmseg_prompts.llm import LLM, Reply, Request
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary

PETS = Vocabulary("pets", "pets", (ClassEntry(0, "cat", "cat"), ClassEntry(1, "dog", "dog")))


class Scripted(LLM):
    """Answers what `answer(request)` returns, a text or a Reply; keeps what it was asked.

    `delay` is how long an answer takes, in seconds.
    """

    name = "scripted"
    model = "scripted-1"
    host = "http://127.0.0.1/v1"
    provenance = "written by a test"
    free = False

    def __init__(
        self, answer: Callable[[Request], str | Reply], name: str = "scripted", delay: float = 0.0
    ) -> None:
        self.answer, self.name, self.delay = answer, name, delay
        self.requests: list[Request] = []
        self.on_their_way = self.most_at_once = 0

    @property
    def asked(self) -> list[tuple[str, str]]:
        """(class, attribute) of each request, in order."""
        return [
            (r.entry.name, "+".join(r.attributes)) for r in self.requests if r.entry is not None
        ]

    def check(self) -> None: ...

    async def close(self) -> None: ...

    async def complete(self, request: Request) -> Reply:
        self.requests.append(request)
        self.on_their_way += 1
        self.most_at_once = max(self.most_at_once, self.on_their_way)
        await asyncio.sleep(self.delay)
        self.on_their_way -= 1
        answer = self.answer(request)
        return answer if isinstance(answer, Reply) else reply(answer)


def reply(text: str | None, **fields: object) -> Reply:
    """A reply as a provider gives it, of 10 tokens in and 20 out."""
    usual = {"http_status": 200, "input_tokens": 10, "output_tokens": 20, "finish_reason": "stop"}
    return Reply(text, "scripted-1", **{**usual, **fields})  # type: ignore[arg-type]


def failed(scope: str, kind: str = "Failed", status: int | None = 500, **fields: object) -> Reply:
    """A failed attempt."""
    return Reply(
        None,
        "scripted-1",
        error_scope=scope,  # type: ignore[arg-type]
        error_class=kind,
        error_message=f"{kind} happened",
        http_status=status,
        **fields,  # type: ignore[arg-type]
    )


WORDS = {
    "color": "white and brown", "shape": "round", "size": "small", "texture": "soft",
    "material": "made of wood", "position": "at the bottom", "pattern": "striped",
    "action": "often sleeping", "context": "mostly seen near people", "typical": "round and brown",
}  # fmt: skip


def good(request: Request) -> str:
    """A description that will do, or a JSON object of them."""
    assert request.entry is not None
    name = request.entry.readable
    texts = {
        a: f"A {name} is {WORDS.get(a, f'striped {sum(map(ord, a))} times')}."  # of a pair cell
        for a in request.attributes
    }
    if request.schema is None:
        return texts[request.attributes[0]]
    return "{" + ", ".join(f'"{a}": "{t}"' for a, t in texts.items()) + "}"


def is_follow_up(request: Request) -> bool:
    return re.search(r"will not do", request.prompt) is not None


def generate(
    store: Path | Any,
    vocabulary: Vocabulary | str,
    llm: LLM | str = "bundled",
    attributes: Sequence[str] | None = None,
    on_progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Summary:
    """`generate` with one LLM: its summary."""
    request = GenerationRequest(vocabulary, [llm], attributes, store=store, **options)
    (summary,) = run.generate(request, on_progress=on_progress)
    return summary
