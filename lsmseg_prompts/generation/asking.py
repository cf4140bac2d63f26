"""Asking an LLM some questions, from beginning to end, apart from filling cells."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

from lsmseg_prompts.generation.engine import Asker, Usage
from lsmseg_prompts.generation.ledger import Ledger
from lsmseg_prompts.generation.limits import Budget, Limits, Stop
from lsmseg_prompts.generation.workers import run_async, run_workers, signals_stop
from lsmseg_prompts.llm.base import LLM, Reply, Request
from lsmseg_prompts.store.sqlite import working_store_path
from lsmseg_prompts.store.store import Store, open_store


@contextmanager
def open_store_for(llm: LLM, path: str | os.PathLike[str] | None) -> Iterator[Store | None]:
    """The working store, where every reply that was paid for is kept.

    None for a free LLM, unless one is named.
    """
    if llm.free and path is None:
        yield None
        return
    llm.check()  # before a file is made for nothing
    with open_store(working_store_path(path)) as store:
        yield store


@dataclass(frozen=True)
class Asked:
    """Replies by the places of their questions, what they took, and what ended it early."""

    replies: dict[int, Reply]
    usage: Usage
    error: BaseException | None


def ask(
    llm: LLM,
    requests: Sequence[Request],
    *,
    purpose: str,
    store: Store | None = None,
    limits: Limits | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[Reply]:
    """Ask some questions and return the replies, in their order.

    A question that failed has a reply with `error_scope` and no text.

    Args:
        llm: who is asked.
        requests: the questions.
        purpose: what the attempts are filed under.
        store: takes the attempts, if one is given.
        limits: rate, concurrency, money.
        on_progress: called with the replies that are there and how many there will be.

    Raises:
        LsmsegPromptsError: ConfigurationError, ProviderError, BudgetError or StoreError, for
            what ends a run.
        Interrupted: A signal stopped it.
    """
    asked = ask_all(
        llm, requests, purpose=purpose, store=store, limits=limits, on_progress=on_progress
    )
    if asked.error is not None:
        raise asked.error
    return [asked.replies[place] for place in range(len(requests))]


def ask_all(
    llm: LLM,
    requests: Sequence[Request],
    *,
    purpose: str,
    store: Store | None = None,
    limits: Limits | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Asked:
    """`ask`, where what ended it is not raised, but stands beside what came back.

    Args:
        llm: who is asked.
        requests: the questions.
        purpose: what the attempts are filed under.
        store: takes the attempts, if one is given.
        limits: rate, concurrency, money.
        on_progress: called with the replies that are there and how many there will be.

    Raises:
        LsmsegPromptsError: ConfigurationError or StoreError, for what is wrong beforehand.
    """
    limits = limits or Limits()
    llm.check()

    async def work() -> Asked:
        stop = Stop()
        budget = Budget(limits.max_cost, limits.max_calls)
        paid = 0 if llm.free else limits.concurrency
        with Ledger(store, paid) if store is not None else nullcontext() as ledger:
            if store is not None:
                store.add_llm(llm.name, llm.provenance)
            asker = Asker(llm, limits, budget, stop, ledger)
            replies: dict[int, Reply] = {}
            queue = iter(enumerate(requests))

            async def worker() -> None:
                for place, request in queue:
                    replies[place], _ = await asker.ask(request, purpose)
                    if on_progress is not None:
                        on_progress(len(replies), len(requests))

            with signals_stop(stop):
                await run_workers([worker] * limits.concurrency, ledger, stop)
                asker.finish()
                await llm.close()
            return Asked(replies, asker.usage, stop.error)

    return run_async(work())
