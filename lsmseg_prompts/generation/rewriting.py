"""Better sentences for one class: the question for several, and which of a reply will do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from lsmseg_prompts.generation.picture_check import split_sentences
from lsmseg_prompts.generation.questions import FIRST_LENGTH, LENGTH_EACH
from lsmseg_prompts.generation.verdicts import FindDuplicate, Verdict, judge
from lsmseg_prompts.llm.base import Image, Reply, Request
from lsmseg_prompts.templates import Query
from lsmseg_prompts.tokens import CLIP, TokenBudget
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary

SENTENCES = 3
_OF = "rewritten"  # what `judge` files the sentences under
_SCHEMA = {
    "type": "object",
    "properties": {"sentences": {"type": "array", "items": {"type": "string"}}},
    "required": ["sentences"],
    "additionalProperties": False,
}


def question(
    template: Query,
    vocabulary: Vocabulary,
    entry: ClassEntry,
    images: Sequence[Image] = (),
    budget: TokenBudget = CLIP,
    **values: Any,
) -> Request:
    """The question for better sentences of a class.

    Args:
        template: `rewrite` or `picture`.
        vocabulary: The vocabulary.
        entry: The class.
        images: Parts of pictures that go along.
        budget: The tokens that a sentence may take.
        **values: What the template shows beside the class.
    """
    said = {"class_name": entry.readable, "sense": entry.sense, "count": SENTENCES}
    prompt = template.render(**said, words=budget.words, **values)
    return Request(
        prompt,
        images=tuple(images),
        schema=_SCHEMA,
        max_output_tokens=FIRST_LENGTH + LENGTH_EACH * SENTENCES,
        vocabulary=vocabulary.name,
        entry=entry,
        template_hash=template.hash,
        budget=budget,
    )


def sentences(
    reply: Reply,
    entry: ClassEntry,
    find_duplicate: FindDuplicate,
    budget: TokenBudget = CLIP,
) -> list[Verdict]:
    """A verdict on each sentence of a reply, of at most as many as were asked for.

    Of a reply without a sentence, one on the whole. Sentences with any fault are not to be used.

    Args:
        reply: What came back.
        entry: The class.
        find_duplicate: See `verdicts`.
        budget: The tokens that a sentence may take.
    """
    request = Request("", entry=entry, attributes=(_OF,), budget=budget)
    texts: list[str | None] = [*split_sentences(reply.said)[:SENTENCES]]
    said = [replace(reply, text=text) for text in texts] or [reply]
    return [judge(one, request, find_duplicate)[_OF] for one in said]
