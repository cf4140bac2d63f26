"""Filling the cells of one LLM: ask, ask again with the reason, and see how the run is going."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

from lsmseg_prompts.errors import BudgetError
from lsmseg_prompts.generation.breaker import Cuts
from lsmseg_prompts.generation.cell_writer import TRIES, CellWriter, Outcome, recover
from lsmseg_prompts.generation.engine import RESUME, Asker
from lsmseg_prompts.generation.ledger import Cell, free_dead_runs
from lsmseg_prompts.generation.limits import Stopped
from lsmseg_prompts.generation.plan import Plan
from lsmseg_prompts.generation.questions import Call, QuestionBuilder
from lsmseg_prompts.generation.summary import Failure, Tally
from lsmseg_prompts.generation.verdicts import Verdict
from lsmseg_prompts.generation.workers import run_workers
from lsmseg_prompts.llm.base import LLM, Reply, Request
from lsmseg_prompts.store.runs import SILENCE, who_else
from lsmseg_prompts.store.store import Store
from lsmseg_prompts.templates import query

POLL = 0.3  # seconds between looks at cells that another process is asking for


@dataclass(frozen=True)
class Unsettled:
    """A reply that is to be judged and filed.

    The fields are arguments of `CellWriter.settle`, and when it came.
    """

    request: Request
    reply: Reply
    attempt: int
    number: int
    fallback: dict[str, Outcome]
    since: float = field(default_factory=time.monotonic)


@dataclass
class Filling:
    """The filling of one LLM's cells: who asks what, where it goes, and how far it is.

    `marked` are cells that this run marked to be asked anew; `held` are replies that are not filed
    as their cells' failure while it may be the model's.
    """

    asker: Asker
    questions: QuestionBuilder
    writer: CellWriter
    plan: Plan
    tally: Tally
    marked: list[Cell] = field(default_factory=list)
    held: list[Unsettled] = field(default_factory=list)
    cuts: Cuts = field(default_factory=Cuts)

    def doubts(self, reply: Reply, number: int) -> bool:
        """Whether a failure may be the account's or the model's: a refusal, or one more cut."""
        cut = reply.error_scope is None and reply.is_cut and number >= TRIES
        return self.asker.is_refusal(reply) or (cut and self.cuts.is_early)

    async def settle(self, one: Unsettled) -> dict[str, Verdict]:
        """`CellWriter.settle`, as soon as the store is free."""
        work = partial(
            self.writer.settle,
            one.request, one.reply, one.attempt, one.number, self.tally, one.fallback,
        )  # fmt: skip
        return await self.writer.ledger.patiently(work)

    async def release(self, asked: float = -1.0, at_the_end: bool = False) -> None:
        """File what was held before `asked`, when a question was asked that has been answered.

        At the end of the run everything is filed, but what was refused alike stays missing.
        """
        held, self.held = self.held, []
        for one in held:
            refused = self.asker.is_refusal(one.reply)
            if not at_the_end and (one.since > asked if refused else self.cuts.is_early):
                self.held.append(one)
            elif refused and at_the_end and self.asker.refusals.several_alike:
                await self.leave(one.request, one.reply)
            else:
                await self.settle(one)

    async def leave(self, request: Request, reply: Reply) -> None:
        """Leave the cells of a request for another run, and say why."""
        entry = request.entry
        assert entry is not None
        cells = [(entry.index, attribute) for attribute in request.attributes]
        await self.writer.ledger.patiently(partial(self.writer.unclaim, cells))
        reason = reply.error_message or reply.error_class or "it failed in passing"
        self.tally.failures += [
            Failure(entry.index, entry.name, attribute, reason, passing=True)
            for attribute in request.attributes
        ]

    def count_cut(self, reply: Reply, request: Request, number: int) -> None:
        """Count a reply that was cut or holds no answer; ends the run where many are so."""
        fitted = self.asker.llm.fitted(request)
        limit = fitted.max_output_tokens
        if fitted.room and not reply.said.strip() and reply.thinks and not reply.had_room(limit):
            self.cuts.thought += 1
        elif number == 2 and reply.is_cut:
            self.cuts.cut += 1
        count = self.cuts.cut + self.cuts.thought
        if self.cuts.too_many:
            error = BudgetError(
                f"{self.asker.llm.name} does not get to the end of its replies: {count} of the "
                f"first {self.cuts.over + count} were cut off or nothing but thoughts, the last "
                f"with room for {limit} output tokens ({reply.finish_reason}). "
                f"Let it think less with --reasoning off or low, or ask another model; {RESUME}."
            )
            self.asker.stop.set(error)
            raise Stopped


def enter(store: Store, llms: Sequence[LLM], questions: QuestionBuilder) -> None:
    """Enter the LLMs and the queries of a run into the store."""
    with store.transaction():
        for llm in llms:
            store.add_llm(llm.name, llm.provenance)
        for one in (questions.describe, query("typical-paper"), query("contrast")):
            store.add_template(one)


async def converse(filling: Filling, call: Call) -> None:
    """Ask a call until every attribute of it has a text or has been tried often enough."""
    questions = filling.questions
    fallback: dict[str, Outcome] = {}
    request, length, number = questions.first(call), 1, 0
    while True:
        number += 1
        asked = time.monotonic()
        reply, attempt = await filling.asker.ask(request, "describe", number)
        one = Unsettled(request, reply, attempt, number, fallback)
        if reply.error_scope in ("passing", "throttled"):
            await filling.leave(request, reply)
            return
        if reply.error_scope is None and not reply.is_cut:
            await filling.release(asked)
        if filling.doubts(reply, number):
            filling.held.append(one)
            return
        again = await filling.settle(one)
        if not again:
            filling.cuts.over += 1
            return
        kind = next(iter(again.values())).kind
        if kind in ("cut", "empty"):
            filling.count_cut(reply, request, number)
        if kind == "cut":
            length *= 2
        request = questions.follow_up(request, reply.text or "", again, length)


async def fill(
    filling: Filling, on_update: Callable[[], None], on_message: Callable[[str], None]
) -> None:
    """Make all calls, beside other processes: each cell is claimed before it is asked for.

    Cells that another process has claimed are looked at again at the end, until that process
    has filled them or is gone; `on_message` hears once which process that is.
    """
    queue = deque(filling.plan.calls)
    claimed: deque[Call] = deque()
    elsewhere: list[Call] = []
    told: set[str] = set()
    writer, stop = filling.writer, filling.asker.stop
    patiently, turn = writer.ledger.patiently, asyncio.Lock()
    concurrency = filling.asker.limits.concurrency
    # Some more than may be on their way, so that the next request is ready when a reply comes.
    workers = concurrency + min(8, concurrency // 2)

    async def next_call() -> Call | None:
        async with turn:
            while not claimed and queue and not stop:
                batch = [queue.popleft() for _ in range(min(concurrency, len(queue)))]
                mine, others = await _claim(filling, batch)
                claimed.extend(mine)
                elsewhere.extend(others)
            return claimed.popleft() if claimed and not stop else None

    async def worker() -> None:
        while (call := await next_call()) is not None:
            await converse(filling, call)
            on_update()
            await asyncio.sleep(0)  # lets Ctrl-C in, also where the answer needs no waiting

    try:
        while queue and not stop:
            await run_workers([worker] * workers, writer.ledger, stop)
            if elsewhere and not stop:
                on_update()
                await _say_for_whom(writer, told, on_message)
                await stop.sleep(POLL)
                await patiently(partial(free_dead_runs, writer.store))
                await recover(writer)
            queue.extend(elsewhere)
            elsewhere.clear()
        if not stop:
            await filling.release(at_the_end=True)
    except Stopped:
        pass
    finally:
        on_update()
    if stop:  # other LLMs of this run may go on for hours
        await patiently(writer.unclaim_all)


async def _say_for_whom(
    writer: CellWriter, told: set[str], on_message: Callable[[str], None]
) -> None:
    """Say which runs hold the cells that are left, each once."""
    ledger = writer.ledger
    others = partial(who_else, writer.store, writer.vocabulary.name, writer.llm, ledger.run)
    for row in await ledger.patiently(others):
        if row["id"] not in told:
            told.add(row["id"])
            cells = f"{row['cells']} {'cell' if row['cells'] == 1 else 'cells'}"
            on_message(
                f"Waiting for {cells} of {writer.llm} that process {row['pid']} on {row['host']} "
                f"asks for; they are asked for here once it has been silent for {SILENCE:g} s."
            )


async def _claim(filling: Filling, calls: Sequence[Call]) -> tuple[list[Call], list[Call]]:
    """Claim calls for this process: (those to be made, those of other processes)."""
    writer, tally = filling.writer, filling.tally
    cells = [(call.entry.index, a) for call in calls for a in call.attributes]
    patiently = partial(writer.ledger.patiently, stop=filling.asker.stop)
    mine, others = await patiently(partial(writer.claim, cells, filling.plan.failed_too))
    for index, attribute in set(cells).difference(mine, others):
        if reason := await patiently(partial(writer.failure, index, attribute)):
            name = writer.vocabulary[index].name
            tally.failures.append(Failure(index, name, attribute, reason))
        else:
            tally.elsewhere += 1
    return _only(calls, set(mine)), _only(calls, set(others))


def _only(calls: Sequence[Call], cells: set[Cell]) -> list[Call]:
    """The calls, each with those of its attributes that are in `cells`."""
    narrowed = (
        replace(c, attributes=tuple(a for a in c.attributes if (c.entry.index, a) in cells))
        for c in calls
    )
    return [call for call in narrowed if call.attributes]
