"""Asking an LLM during refinement: who, within which bounds, and what came of it.

Every question is on file before it is sent, and its reply before it is read; replies are always
read from the file. So a refinement that was killed comes to the same texts when the same command
goes on, and no reply is paid for twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ablations.refinement.candidates import Candidate
from ablations.refinement.texts import TextStore
from lsmseg_prompts.attributes.contrast import contrast_with, other_of
from lsmseg_prompts.errors import BudgetError, UsageError
from lsmseg_prompts.generation.answers import Answer, Paid, answers, described
from lsmseg_prompts.generation.asking import ask_all
from lsmseg_prompts.generation.engine import price_for
from lsmseg_prompts.generation.limits import Limits
from lsmseg_prompts.generation.request import GenerationRequest
from lsmseg_prompts.generation.run import generate_all
from lsmseg_prompts.generation.verdicts import Verdict
from lsmseg_prompts.llm.base import LLM, Request
from lsmseg_prompts.llm.bundled import LLM_NAME
from lsmseg_prompts.llm.options import AskOptions
from lsmseg_prompts.llm.registry import make_llm
from lsmseg_prompts.store.store import open_store, open_store_readonly
from lsmseg_prompts.templates import Query, query
from lsmseg_prompts.tokens import CLIP, TokenBudget
from lsmseg_prompts.vocabularies import Vocabulary

Pair = tuple[int, int]
OnMessage = Callable[[str], None]
TEMPLATES = ("contrast", "rewrite", "picture")


@dataclass(frozen=True)
class Asking:
    """Who is asked for what is missing, and within which bounds.

    Attributes:
        llm: By its name, or made by `make_llm`.
        look: Whether it is shown parts of selection pictures.
        limits: Of all questions of one command together.
        base_url: Of a server that speaks OpenAI's protocol.
        key_file: A file that holds the key.
        timeout: Seconds for each request.
        options: Its reasoning, parameters of each request, a system message.

    Raises:
        UsageError: For an LLM that there is not, or that writes nothing new.
    """

    llm: LLM | str
    look: bool = False
    limits: Limits = field(default_factory=Limits)
    base_url: str | None = None
    key_file: Path | None = None
    timeout: float = 120.0
    options: AskOptions = field(default_factory=AskOptions)

    def __post_init__(self) -> None:
        if self.provider().name == LLM_NAME:
            raise UsageError("bundled writes nothing new: name another LLM, or leave --llm out.")

    def provider(self) -> LLM:
        """The LLM; neither key nor network is touched."""
        if isinstance(self.llm, str):
            return make_llm(self.llm, self.base_url, self.key_file, self.timeout, self.options)
        return self.llm


class Inquiry:
    """All that one command asks, and what that took.

    Args:
        asking: Who is asked, and within which bounds.
        path: The attribute store that takes questions and replies.
        on_message: Told what the user should know: a key that travels unencrypted, what is
            uploaded, when the budget is spent.

    Attributes:
        cost: Dollars of this command.
        requests: How many requests it made.
        spent: Set once the budget did not suffice for a question; nothing is asked from then on.

    Raises:
        LsmsegPromptsError: Where the LLM cannot be asked: no key, no price for a budget.
    """

    def __init__(self, asking: Asking, path: Path, on_message: OnMessage | None = None) -> None:
        self.asking, self.path = asking, path
        self.llm = asking.provider()
        self.llm.check()
        price_for(self.llm, asking.limits)
        self.on_message = on_message or (lambda _: None)
        for line in self.llm.notes():
            self.on_message(line)
        self.cost, self.requests = 0.0, 0
        self.spent: BudgetError | None = None
        self._read: dict[int, float] = {}

    @property
    def key(self) -> list[Any]:
        """What the rounds of a refinement depend on: who is asked, and how."""
        hashes = [query(name).hash for name in TEMPLATES]
        how = asdict(self.asking.options)
        more = [how] if how != asdict(AskOptions()) else []
        return [self.llm.name, self.llm.host, self.asking.look, *hashes, *more]

    def without(self, texts: TextStore) -> TextStore:
        """The texts as they were before anything was asked: no pair cells by this LLM.

        These are proposed where they are wanted; if they counted from the start, a refinement that
        goes on would be another one.
        """
        return replace(texts, pairs={}) if texts.llm == self.llm.name else texts

    def added(self, texts: TextStore) -> TextStore:
        """The texts and every pair cell that this LLM wrote."""
        vocabulary = texts.vocabulary
        with open_store_readonly(self.path) as store:
            cells = store.descriptions(vocabulary, self.llm.name)
        place = {entry.name: entry.index for entry in vocabulary}
        written = {
            (index, place[other]): text
            for (index, attribute), text in cells.items()
            if (other := other_of(attribute)) in place and texts.budget.fits(text)
        }
        return replace(texts, pairs={**written, **texts.pairs})

    def take(self) -> dict[int, float]:
        """The attempts whose replies were read since the last call, with their dollars."""
        read, self._read = self._read, {}
        return read

    def pairs(
        self, vocabulary: Vocabulary, wanted: Sequence[Pair], budget: TokenBudget = CLIP
    ) -> dict[Pair, tuple[str, Paid]]:
        """What tells classes from others: asked for where the store does not have it.

        Failed ones are left out. Raises LsmsegPromptsError for what ends asking, but for the
        limit of dollars and requests.

        budget: the tokens that a text may take; longer ones are left out.
        """
        cells = {(i, contrast_with(vocabulary[o].name)): (i, o) for i, o in wanted}
        if cells and self.spent is None:
            asked = GenerationRequest(
                vocabulary,
                [self.llm],
                cells=list(cells),
                budget=budget.named,
                limits=self._left(),
                store=self.path,
            )
            (summary,) = generate_all(asked)
            self._count(summary.requests, summary.cost_usd, summary.error)
        with open_store_readonly(self.path) as store:
            found = described(store, vocabulary, self.llm.name, cells)
        for _, paid in found.values():
            self._read |= paid
        return {
            cells[cell]: (text, paid)
            for cell, (text, paid) in found.items()
            if text and budget.fits(text)
        }

    def answers(
        self,
        vocabulary: Vocabulary,
        purpose: str,
        template: Query,
        requests: Sequence[Request],
        pictures_of: str = "",
    ) -> list[Answer | None]:
        """The answers to questions, in their order; what is on file is not asked again.

        None where there is none: the request failed, or the budget was spent.

        Args:
            vocabulary: The classes.
            purpose: What the attempts are filed under.
            template: The query that the questions were made with.
            requests: The questions.
            pictures_of: The benchmark whose pictures go along.

        Raises:
            LsmsegPromptsError: For what ends asking, but for the budget.
        """
        # As they will be on file: with the system message.
        requests = [replace(r, system=self.llm.fitted(r).system) for r in requests]
        with open_store(self.path) as store:
            store.add_vocabulary(vocabulary)
            store.add_template(template)
            found = answers(store, self.llm.name, purpose, requests)
            left = [request for request in requests if request.hash not in found]
            if left and self.spent is None:
                self._tell_of_pictures(left, pictures_of)
                limits = self._left()
                asked = ask_all(self.llm, left, purpose=purpose, store=store, limits=limits)
                self._count(asked.usage.requests, asked.usage.cost_usd, asked.error)
                found = answers(store, self.llm.name, purpose, requests)
        for answer in found.values():
            self._read |= answer.paid
        return [found.get(request.hash) for request in requests]

    def enter_verdicts(self, judged: Iterable[tuple[Answer, Sequence[Verdict]]]) -> None:
        """Put on file what became of the sentences of answers."""
        with open_store(self.path) as store, store.transaction():
            for answer, verdicts in judged:
                faults = [f"{n}: {one.fault}" for n, one in enumerate(verdicts, 1) if one.fault]
                for attempt in answer.paid:
                    store.update_attempt(attempt, verdict="; ".join(faults) or "accepted")

    def _left(self) -> Limits:
        limits = self.asking.limits
        cost = None if limits.max_cost is None else max(0.0, limits.max_cost - self.cost)
        calls = None if limits.max_calls is None else max(0, limits.max_calls - self.requests)
        return replace(limits, max_cost=cost, max_calls=calls)

    def _count(self, requests: int, cost: float | None, error: BaseException | None) -> None:
        self.requests += requests
        self.cost += cost or 0.0
        if error is None:
            return
        if not isinstance(error, BudgetError):
            raise error
        self.spent = BudgetError(
            f"The budget is spent: {self.requests} requests, ${self.cost:.4f}. The refinement was "
            "finished with what had come back; the same command goes on asking, with a budget of "
            "its own."
        )
        self.on_message("The budget is spent: from here on nothing is asked.")

    def _tell_of_pictures(self, requests: Sequence[Request], benchmark: str) -> None:
        images = [image for request in requests for image in request.images]
        if images:
            size = sum(len(image.data) for image in images) / 1000
            where = f" at {self.llm.host}" if self.llm.host else ""
            self.on_message(
                f"Uploading {len(images)} parts of selection pictures of {benchmark} "
                f"({size:.0f} kB, JPEG without EXIF) to {self.llm.name}{where}."
            )


def credited(candidate: Candidate, written: Mapping[str, Paid]) -> Candidate:
    """The candidate with what was paid for those of its texts that were asked for."""
    paid: Paid = {}
    for text in candidate.texts:
        paid |= written.get(text, {})
    return replace(candidate, attempts=tuple(paid), cost=sum(paid.values()))
