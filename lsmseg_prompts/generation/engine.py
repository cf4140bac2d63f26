"""Asking an LLM, whichever it is: one engine with one retry policy.

Every request is on file before it is sent. What fails in passing is asked again after a wait
that all requests share when the provider asked for it; what would fail for every other question
too ends the run, with the true cause.
"""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NoReturn

from lsmseg_prompts.errors import (
    BudgetError,
    ConfigurationError,
    LsmsegPromptsError,
    ProviderError,
    StoreError,
)
from lsmseg_prompts.generation.breaker import Refusals
from lsmseg_prompts.generation.ledger import Ledger
from lsmseg_prompts.generation.limits import Budget, Gate, Limits, Stop, Stopped
from lsmseg_prompts.llm.base import LLM, Reply, Request
from lsmseg_prompts.llm.prices import Price, price_of
from lsmseg_prompts.llm.tokens import input_tokens_bound

LONGEST_WAIT = 600.0  # seconds: a provider that asks for more is asked again another day
FIRST_BACKOFF, LONGEST_BACKOFF = 0.5, 60.0
MOST_ADAPTATIONS = 20  # of one question: each takes something away for good, so they end
BATCH_PRICE = 0.5  # of the price of asking at once
NEVER_REACHED = ("DNS", "Refused", "Proxy")
RESUME = "what came back before is kept, and the same command goes on from there"


@dataclass
class Usage:
    """What asking has taken so far.

    `cost_usd` is None where the price is not known; the part `uncertain_usd` of it is an upper
    bound (a timeout may or may not be charged).
    """

    requests: int = 0
    failed_requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    thinking_replies: int = 0
    cost_usd: float | None = 0.0
    uncertain_usd: float = 0.0

    def count(self, reply: Reply, cost: float | None, is_bound: bool = False) -> None:
        """One reply more; it cost so many dollars, or at most so many."""
        self.failed_requests += reply.error_scope is not None
        self.input_tokens += reply.input_tokens or 0
        self.output_tokens += reply.output_tokens or 0
        self.reasoning_tokens += reply.reasoning_tokens or 0
        self.thinking_replies += reply.thinks
        if self.cost_usd is not None:
            self.cost_usd += cost or 0.0
            self.uncertain_usd += (cost or 0.0) if is_bound else 0.0


class Asker:
    """Asks one LLM within the limits, and keeps the ledger, if there is one."""

    def __init__(
        self, llm: LLM, limits: Limits, budget: Budget, stop: Stop, ledger: Ledger | None
    ) -> None:
        self.llm, self.limits, self.budget = llm, limits, budget
        self.stop, self.ledger = stop, ledger
        self.gate = Gate(limits, stop)
        self.price = price_for(llm, limits)
        self.usage = Usage(cost_usd=None if self.price is None else 0.0)
        self.waiting = 0  # questions that wait to be asked again
        self._first = asyncio.Lock()
        self._last_success = -1.0
        self._given_up: list[float] = []  # when, since the last success
        self._down: ProviderError | None = None
        self.refusals = Refusals()

    async def ask(self, request: Request, purpose: str, number: int = 1) -> tuple[Reply, int]:
        """Ask until there is an answer: (reply, id of the attempt, 0 without a ledger).

        The reply has text, or it failed for this question only ("cell"), or it kept failing
        in passing although others succeeded ("passing", "throttled"). Raises Stopped when the
        run is over; `stop.error` says why.

        Until one question has been answered, only one is asked, with its retries: a wrong key,
        or a provider that is down, is not tried by everyone.
        """
        if not self.gate.opened:
            async with self._first:
                if not self.gate.opened:
                    return await self._until_answered(request, purpose, number)
        return await self._until_answered(request, purpose, number)

    async def _until_answered(
        self, request: Request, purpose: str, number: int
    ) -> tuple[Reply, int]:
        began = previous = time.monotonic()
        retries = adaptations = 0
        while True:
            reply, attempt = await self._once(request, purpose, number)
            if reply.error_scope == "adapted":
                adaptations += 1
                if adaptations <= MOST_ADAPTATIONS:
                    continue
                reply = replace(reply, error_scope="cell")
            scope = reply.error_scope
            self._end_if_for_all(reply)
            if scope in (None, "cell"):
                status = reply.http_status or 0
                early = self._last_success < 0 and 400 <= status < 500
                if scope == "cell" and early and reply.error_class != "ContentFilter":
                    # It may be for a wrong model or address: the cell stays missing instead of
                    # counting as failed.
                    return replace(reply, error_scope="passing"), attempt
                return reply, attempt
            # A throttled provider that answers others meanwhile is not failing.
            if not (scope == "throttled" and self._last_success > previous):
                retries += 1
            previous = time.monotonic()
            if retries > self.limits.max_retries:
                # One question may fail for reasons of its own; two, and nothing else succeeded
                # meanwhile, are the provider's failure.
                self._given_up = [t for t in self._given_up if t > self._last_success]
                self._given_up.append(time.monotonic())
                self._down = ProviderError(
                    f"{self.llm.name} keeps failing ({retries} times in a row): {_why(reply)}; "
                    f"{RESUME}."
                )
                if self._last_success < began and len(self._given_up) > 1:
                    self._end(self._down)
                return reply, attempt
            await self._wait(reply, retries)

    async def _wait(self, reply: Reply, retries: int) -> None:
        """Wait as the provider says, everyone; or else longer each time, with jitter."""
        asked = reply.retry_after_seconds
        backoff = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2 ** max(0, retries - 1))
        wait = backoff * random.uniform(0.75, 1.25) if asked is None else asked
        if wait > LONGEST_WAIT:
            when = datetime.now(UTC) + timedelta(seconds=wait)
            message = (
                f"{self.llm.name} asks to wait {_duration(wait)} (until {when:%Y-%m-%d %H:%M} "
                f"UTC): {_why(reply)}; {RESUME}, then."
            )
            self._end(ProviderError(message))
        if reply.error_scope == "throttled":
            self.gate.throttled(wait)
        elif asked is not None:
            self.gate.pause(wait)
        self.waiting += 1
        try:
            await self.stop.sleep(wait)
        finally:
            self.waiting -= 1

    async def _once(self, request: Request, purpose: str, number: int) -> tuple[Reply, int]:
        """One request: money, leave, ledger, wire, ledger."""
        request = self.llm.fitted(request)
        tokens, worst = worst_case(self.llm, request, self.price)
        try:
            await self.budget.reserve(worst or 0.0, self.stop)
        except BudgetError as error:
            self._end(error)
        try:
            await self.gate.enter(tokens)
            try:
                attempt = await self._on_file(request, number, purpose=purpose, cost_usd=worst)
            except BaseException:
                self.gate.leave(tokens, 0)
                raise
        except BaseException:
            self.budget.unsent(worst or 0.0)
            raise
        used: int | None = None
        cost: float | None = worst
        try:
            self.usage.requests += 1
            reply = await self.llm.complete(request)
            cost, is_bound = self._cost(reply, worst)
            if reply.input_tokens is not None and reply.output_tokens is not None:
                used = reply.input_tokens + reply.output_tokens
            self.usage.count(reply, cost, is_bound)
            scope = reply.error_scope
            if scope is None or (scope == "cell" and _is_answer(reply)):
                self._last_success = time.monotonic()
                self.gate.succeeded()
                self.refusals.succeeded()
            if self.ledger is not None:
                fields: dict[str, Any] = {"cost_usd": cost, "cost_is_bound": int(is_bound)}
                if scope == "adapted":  # it is asked again: nobody is to judge this one
                    fields["verdict"] = reply.error_message
                try:
                    await self.ledger.ended(attempt, reply, **fields)
                except StoreError as error:
                    self._end(error)
            return reply, attempt
        except ConfigurationError as error:
            cost = 0.0  # nothing was sent
            self._end(error)
        finally:
            self.budget.settle(worst or 0.0, cost or 0.0)
            self.gate.leave(tokens, used)

    async def _on_file(self, request: Request, number: int, **fields: Any) -> int:
        """Put a request on file before it is sent: the id of the attempt, 0 without a ledger."""
        if self.ledger is None:
            return 0
        try:
            sent = partial(self.ledger.sent, self.llm, request, number, **fields)
            return await self.ledger.patiently(sent, self.stop)
        except StoreError as error:
            self._end(error)

    def _cost(self, reply: Reply, worst: float | None) -> tuple[float | None, bool]:
        """Dollars, and whether that is only an upper bound."""
        if self.price is None or worst is None:
            return None, False
        if reply.input_tokens is not None and reply.output_tokens is not None:
            return self.price.cost(reply.input_tokens, reply.output_tokens), False
        if self.llm.free:
            return 0.0, False
        answered = reply.error_scope is None or _is_answer(reply)
        return (worst, True) if answered or reply.billed else (0.0, False)

    def _end_if_for_all(self, reply: Reply) -> None:
        """End the run for what would fail for every other question too."""
        scope, never = reply.error_scope, self._last_success < 0
        if scope == "account":
            self._end(ProviderError(f"{self.llm.name} ended the run: {_why(reply)}; {RESUME}."))
        if scope == "setup" or (never and reply.error_class in NEVER_REACHED):
            self._end(ConfigurationError(f"{self.llm.name}: {_why(reply)}."))
        if self.is_refusal(reply) and self.refusals.count(reply):
            count = len(self.refusals.row)
            message = f"{self.llm.name} refuses every request ({count} in a row): {_why(reply)}"
            self._end(ProviderError(f"{message}; {RESUME}."))

    def is_refusal(self, reply: Reply) -> bool:
        """Whether the provider refused, for whatever reason, to answer a question."""
        return reply.error_scope == "cell" and not self.llm.free and not _is_answer(reply)

    def finish(self) -> None:
        """All questions were asked. If not one succeeded, it was not the questions."""
        if self._down is not None and self._last_success < 0 and not self.stop:
            self.stop.set(self._down)

    def _end(self, error: LsmsegPromptsError) -> NoReturn:
        self.stop.set(error)
        raise Stopped


def worst_case(llm: LLM, request: Request, price: Price | None) -> tuple[int, float | None]:
    """The most tokens that a fitted request can use, and the most it can cost, in US dollars."""
    if llm.free:
        return 0, 0.0
    into = input_tokens_bound(request.messages, len(request.images), request.schema)
    out = output_limit(request)
    return into + out, None if price is None else price.cost(into, out)


def output_limit(request: Request) -> int:
    """The output tokens that a fitted request asks for at most."""
    return request.max_output_tokens or 1024


def _is_answer(reply: Reply) -> bool:
    """Whether the provider answered, whatever it said: what it does so may be charged."""
    return 200 <= (reply.http_status or 0) < 300


def price_for(llm: LLM, limits: Limits) -> Price | None:
    """The price that was given, else the list price.

    Raises ConfigurationError where a budget is set and there is neither.
    """
    if llm.free:
        return Price(0.0, 0.0, "free", "")
    price = limits.price or price_of(llm.model, llm.host)
    if price is None and limits.max_cost is not None:
        raise ConfigurationError(
            f"The price of {llm.name}{f' at {llm.host}' if llm.host else ''} is not known, so "
            "--max-cost cannot be kept: give --price-in and --price-out, in dollars per million "
            "tokens (0 for a server of your own)."
        )
    return price


def _why(reply: Reply) -> str:
    return reply.failure.rstrip(". ")


def _duration(seconds: float) -> str:
    minutes = round(seconds / 60)
    return f"{minutes} minutes" if minutes < 120 else f"{minutes / 60:.1f} hours"
