"""What is asked about a class: the paper's question, and what follows a reply that will not do.

One attribute is asked for with the paper's question as it is; several with the paper's question
each, to be answered as JSON. Pair cells have a question of ours, and are asked for one by one.
The question of a further sample is that of the first, word for word.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lsmseg_prompts.attributes import ATTRIBUTES
from lsmseg_prompts.attributes.contrast import other_class
from lsmseg_prompts.attributes.samples import asked_of, sampled
from lsmseg_prompts.generation.verdicts import Verdict
from lsmseg_prompts.llm.base import Request
from lsmseg_prompts.templates import Query, own_query, with_article
from lsmseg_prompts.tokens import CLIP, TokenBudget
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary

IN_QUESTIONS = "77 tokens"  # in ours: what the paper's say of CLIP's budget
FIRST_LENGTH = 256  # output tokens for one sentence; the longest kept takes about 100
LENGTH_EACH = 160  # in a JSON object with several


@dataclass(frozen=True)
class Call:
    """What one request asks: a class, and one attribute or several."""

    entry: ClassEntry
    attributes: tuple[str, ...]


def calls_for(
    vocabulary: Vocabulary, cells: Sequence[tuple[int, str]], together: bool
) -> list[Call]:
    """The calls that ask for `cells`.

    One each, or `together` one for all cells of a class, of which there is one for every sample.
    """
    calls: dict[tuple[int, str | int], list[str]] = {}
    for index, attribute in cells:
        key = sampled(attribute)[1] if together else attribute
        calls.setdefault((index, key), []).append(attribute)
    return [Call(vocabulary[index], tuple(names)) for (index, _), names in calls.items()]


@dataclass(frozen=True)
class QuestionBuilder:
    """Which questions a run asks, and with which parameters of the provider.

    budget: the tokens that a description may take. Another than CLIP's is asked for in words.
    """

    vocabulary: Vocabulary
    describe: Query
    parameters: Mapping[str, Any]
    budget: TokenBudget = CLIP

    def query(self, attribute: str) -> Query:
        return own_query(attribute) or self.describe

    def question(self, entry: ClassEntry, attribute: str) -> str:
        """The paper's question, the user's own, or ours, about one cell."""
        other = other_class(attribute, entry, self.vocabulary)
        asked = self.query(attribute)
        rendered = asked.render(
            class_name=entry.readable,
            attribute=spoken(attribute),
            meaning=ATTRIBUTES.get(asked_of(attribute), ""),
            sense=entry.sense,
            synonyms=list(entry.synonyms),
            name=entry.name,
            other=other and other.readable,
            other_sense=other and other.sense,
        )
        own = f"{self.budget.limit} tokens"
        return rendered.replace(IN_QUESTIONS, own) if asked.is_ours else rendered

    def about(self, entry: ClassEntry, attribute: str) -> str:
        """What a cell is about, in a talk that goes on: "its color"."""
        if (other := other_class(attribute, entry, self.vocabulary)) is not None:
            return f"the looks that tell it from {with_article(other.readable)}"
        attribute = spoken(attribute)
        return "its typical looks" if attribute == "typical" else f"its {attribute}"

    def first(self, call: Call, length: int = 1) -> Request:
        """The first request of a call; `length` multiplies the usual output tokens."""
        if len(call.attributes) == 1:
            question = self.question(call.entry, call.attributes[0])
            words = f" Use at most {self.budget.words} words." * self._is_bounded
            return self._request(call, question + words, length)
        questions = "\n".join(
            f"{asked_of(attribute)}: {self.question(call.entry, attribute)}"
            for attribute in call.attributes
        )
        prompt = (
            f"{questions}\n\nAnswer each question in one sentence{self._in_words} that names the "
            "class. "
            f"{_as_json(call.attributes)}"
        )
        return self._request(call, prompt, length)

    def reworded(self, call: Call, length: int = 1) -> Request:
        """Another try after a refusal, in other words."""
        name = with_article(call.entry.readable)
        sense = f" ({call.entry.sense})" if call.entry.sense else ""
        about = ", ".join(self.about(call.entry, a).removeprefix("its ") for a in call.attributes)
        prompt = (
            "For labelling everyday photographs: in one neutral, factual sentence"
            f"{' each' if len(call.attributes) > 1 else ''}{self._in_words}, what is usual for "
            f"{name}{sense} as "
            f"to {about}?"
        )
        if len(call.attributes) > 1:
            prompt += f" {_as_json(call.attributes)}"
        return self._request(call, prompt, length)

    def follow_up(
        self, request: Request, said: str, verdicts: Mapping[str, Verdict], length: int
    ) -> Request:
        """What to ask when a reply will not do.

        In other words, the same once more, or with the reasons, in the same conversation.

        Args:
            request: what was asked.
            said: the reply.
            verdicts: on each attribute to be asked for again.
            length: multiplies the usual output tokens.
        """
        assert request.entry is not None
        call = Call(request.entry, tuple(verdicts))
        kind = verdicts[call.attributes[0]].kind
        if kind == "refused":
            return self.reworded(call, length)
        if kind in ("cut", "empty"):
            return self.first(call, length)
        name = f'"{call.entry.readable}"' + (f" ({call.entry.sense})" if call.entry.sense else "")
        if len(call.attributes) == 1:
            attribute = call.attributes[0]
            about = self.about(call.entry, attribute)
            prompt = (
                f"That will not do: {verdicts[attribute].fault or ''}. Describe {about} again in "
                f"one sentence of at most {self.budget.words} words that names {name}. Reply with "
                "the sentence only."
            )
        else:
            listed = "\n".join(f"{asked_of(a)}: {v.fault or ''}" for a, v in verdicts.items())
            prompt = (
                f"These will not do:\n{listed}\nWrite them again, each one sentence of at most "
                f"{self.budget.words} words that names {name}. {_as_json(call.attributes)}"
            )
        return self._request(call, prompt, length, (*request.history, (request.prompt, said)))

    def _request(
        self, call: Call, prompt: str, length: int, history: tuple[tuple[str, str], ...] = ()
    ) -> Request:
        count, least = len(call.attributes), 2 * self.budget.limit
        first, each = max(FIRST_LENGTH, least), max(LENGTH_EACH, least)
        return Request(
            prompt=prompt,
            history=history,
            schema=None if count == 1 else schema(call.attributes),
            max_output_tokens=length * (first if count == 1 else first + each * count),
            vocabulary=self.vocabulary.name,
            entry=call.entry,
            attributes=call.attributes,
            template_hash=self.query(
                min(call.attributes, key=lambda a: asked_of(a) == "typical")
            ).hash,
            parameters=self.parameters,
            budget=self.budget,
        )

    @property
    def _is_bounded(self) -> bool:
        return self.budget != CLIP

    @property
    def _in_words(self) -> str:
        return f" of at most {self.budget.words} words" * self._is_bounded


def spoken(attribute: str) -> str:
    """An attribute in a question: "color+shape+size" is "color, shape and size"."""
    *first, last = asked_of(attribute).split("+")
    return f"{', '.join(first)} and {last}" if first else last


def _as_json(attributes: Sequence[str]) -> str:
    keys = ", ".join(f'"{asked_of(attribute)}"' for attribute in attributes)
    return f"Reply with nothing but a JSON object with the keys {keys}."


def schema(attributes: Sequence[str]) -> dict[str, Any]:
    """The JSON schema of an object with a sentence for every attribute."""
    keys = [asked_of(attribute) for attribute in attributes]
    return {
        "type": "object",
        "properties": {key: {"type": "string"} for key in keys},
        "required": keys,
        "additionalProperties": False,
    }
