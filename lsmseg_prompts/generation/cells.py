"""Filling the cells of one LLM: ask, judge, ask again with the reason, and file the outcome."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from lsmseg_prompts.generation.engine import Asker
from lsmseg_prompts.generation.ledger import Cell, Ledger, free_dead_runs
from lsmseg_prompts.generation.questions import Asked, Call
from lsmseg_prompts.generation.verdicts import Verdict, judge
from lsmseg_prompts.generation.workers import run_workers
from lsmseg_prompts.llm.base import REFUSAL, Reply, Request
from lsmseg_prompts.store.descriptions import Description
from lsmseg_prompts.store.store import Store
from lsmseg_prompts.templates import query
from lsmseg_prompts.vocabularies import Vocabulary

TRIES = 3  # replies that are looked at for one cell before it counts as failed
POLL = 0.3  # seconds between looks at cells that another process is asking for


@dataclass(frozen=True)
class Failure:
    """A cell that could not be filled, and why. A `passing` one is still missing and is asked
    for by the same command; the others are on file as failed."""

    index: int
    name: str
    attribute: str
    reason: str
    passing: bool = False


@dataclass
class Tally:
    """How far the filling of one LLM's cells is."""

    llm: str
    cells: int
    to_ask: int
    done: int = 0
    failures: list[Failure] = field(default_factory=list)
    review: int = 0
    elsewhere: int = 0  # filled by other processes meanwhile
    started: float = field(default_factory=time.monotonic)

    @property
    def failed(self) -> int:
        return len(self.failures)

    @property
    def settled(self) -> int:
        return self.done + self.failed + self.elsewhere


class Desk:
    """Where verdicts become descriptions: the store, as far as one LLM's cells go."""

    def __init__(self, store: Store, ledger: Ledger, vocabulary: Vocabulary, llm: str) -> None:
        self.store, self.ledger = store, ledger
        self.vocabulary, self.llm = vocabulary, llm

    def twin(self, index: int) -> Callable[[str, str], str | None]:
        """The other class that has a text already, for `judging.judge`."""

        def other(attribute: str, text: str) -> str | None:
            row = self.store.execute(
                # Else SQLite takes the index of the classes, which lists half of the table.
                "SELECT class_index FROM descriptions INDEXED BY descriptions_of_text "
                "WHERE vocabulary = ? AND llm = ? AND attribute = ? AND text = ? "
                "AND class_index <> ? AND status = 'done' AND class_index < ?",
                [self.vocabulary.name, self.llm, attribute, text, index, len(self.vocabulary)],
            ).fetchone()
            return None if row is None else self.vocabulary[row[0]].readable

        return other

    def failed(self, index: int, attribute: str) -> str | None:
        """Why a cell has failed; None where it has not."""
        row = self.store.execute(
            "SELECT reason FROM descriptions WHERE vocabulary = ? AND class_index = ? "
            "AND attribute = ? AND llm = ? AND status = 'failed'",
            [self.vocabulary.name, index, attribute, self.llm],
        ).fetchone()
        return None if row is None else row[0] or "it failed"

    def settle(self, request: Request, attribute: str, verdict: Verdict, attempt: int) -> None:
        """File the outcome of a cell and give up the claim on it."""
        assert request.entry is not None
        # In a request about several attributes, typical is asked with a question of its own.
        asked_with = query("typical-paper").hash if attribute == "typical" else None
        keep = verdict.fault is None or verdict.soft
        with self.store.transaction():
            self.store.put_description(
                Description(
                    self.vocabulary.name,
                    request.entry.index,
                    attribute,
                    self.llm,
                    verdict.text or None,
                    verdict.tokens if verdict.text else None,
                    template_hash=asked_with or request.template_hash,
                    status="done" if keep else "failed",
                    reason=None if keep else verdict.fault,
                    attempt_id=attempt or None,
                    review=verdict.fault if keep else None,
                )
            )
            if not keep:  # an earlier text stays, and is not to be asked for anew for ever
                self.store.execute(
                    "UPDATE descriptions SET stale = 0 WHERE vocabulary = ? AND class_index = ? "
                    "AND attribute = ? AND llm = ?",
                    [self.vocabulary.name, request.entry.index, attribute, self.llm],
                )
            self.ledger.unclaim(self.vocabulary.name, self.llm, [(request.entry.index, attribute)])

    def note(self, attempt: int, verdicts: Mapping[str, Verdict]) -> None:
        """Write on an attempt what its reply was found to be."""
        faults = {a: v.fault for a, v in verdicts.items() if v.fault}
        several = len(verdicts) > 1
        text = "; ".join(f"{a}: {f}" if several else str(f) for a, f in faults.items())
        if attempt:
            self.store.update_attempt(attempt, verdict=text or "accepted")


async def converse(asker: Asker, asked: Asked, desk: Desk, call: Call, tally: Tally) -> None:
    """Ask a call until every attribute of it has a text or has been tried often enough."""
    kept: dict[str, tuple[Request, Verdict, int]] = {}  # soft ones, to fall back on
    history: list[tuple[str, str]] = []
    request, room, tries = asked.first(call), 1, 0
    while call.attributes:
        tries += 1
        reply, attempt = await asker.ask(request, "describe", tries)
        if reply.error_scope in ("passing", "throttled"):
            reason = reply.error_message or reply.error_class or "it failed in passing"
            for attribute in call.attributes:
                tally.failures.append(_failure(call, attribute, reason, passing=True))
            desk.ledger.unclaim(
                desk.vocabulary.name, desk.llm, [(call.entry.index, a) for a in call.attributes]
            )
            return
        verdicts = judge(reply, call.entry, call.attributes, desk.twin(call.entry.index))
        with desk.store.transaction():
            desk.note(attempt, verdicts)
            left = _settle(desk, request, call, verdicts, attempt, tries, kept, tally)
        if not left:
            return
        first = verdicts[left[0]]
        call = Call(call.entry, left)
        if first.kind == "refused":
            history, request = [], asked.reworded(call, room)
        elif first.kind in ("cut", "empty"):
            room = room * 2 if first.kind == "cut" else room
            history, request = [], asked.first(call, room)
        else:
            history.append((request.prompt, reply.text or ""))
            reasons = {a: verdicts[a].fault or "" for a in left}
            request = asked.again(call, history, reasons, room)


def _settle(
    desk: Desk,
    request: Request,
    call: Call,
    verdicts: Mapping[str, Verdict],
    attempt: int,
    tries: int,
    kept: dict[str, tuple[Request, Verdict, int]],
    tally: Tally,
) -> tuple[str, ...]:
    """File what is decided; returns the attributes to ask for again."""
    left = []
    for attribute, verdict in verdicts.items():
        if verdict.soft:
            kept[attribute] = (request, verdict, attempt)
        last = tries >= (2 if verdict.kind == "refused" else TRIES)
        if verdict.fault is not None and not verdict.final and not last:
            left.append(attribute)
            continue
        asked_with, outcome, source = request, verdict, attempt
        if verdict.fault is not None and attribute in kept:
            asked_with, outcome, source = kept[attribute]
        desk.settle(asked_with, attribute, outcome, source)
        if outcome.fault is None or outcome.soft:
            tally.done += 1
            tally.review += outcome.soft
        else:
            tally.failures.append(_failure(call, attribute, outcome.fault))
    return tuple(left)


def _failure(call: Call, attribute: str, reason: str, passing: bool = False) -> Failure:
    return Failure(call.entry.index, call.entry.name, attribute, reason, passing)


async def fill(
    asker: Asker,
    asked: Asked,
    desk: Desk,
    calls: Iterable[Call],
    failed_too: bool,
    tally: Tally,
    tell: Callable[[], None],
) -> None:
    """Make all calls, beside other processes: each cell is claimed before it is asked for.

    Cells that another process has claimed are looked at again at the end, until that process
    has filled them or is gone.
    """
    queue = deque(calls)
    claimed: deque[Call] = deque()
    elsewhere: list[Call] = []
    stop, ledger = asker.stop, desk.ledger
    # Some more than may be on their way, so that the next request is ready when a reply comes.
    workers = asker.limits.concurrency + min(8, asker.limits.concurrency // 2)

    def next_call() -> Call | None:
        while not claimed and queue:
            _claim(desk, queue, asker.limits.concurrency, claimed, elsewhere, failed_too, tally)
        return claimed.popleft() if claimed else None

    async def worker() -> None:
        while not stop and (call := next_call()) is not None:
            await converse(asker, asked, desk, call, tally)
            tell()
            await asyncio.sleep(0)  # lets Ctrl-C in, also where the answer needs no waiting

    try:
        while queue and not stop:
            await run_workers([worker] * workers, ledger, stop)
            if elsewhere and not stop:
                tell()
                await stop.sleep(POLL)
                free_dead_runs(desk.store)
                recover(desk)
            queue.extend(elsewhere)
            elsewhere.clear()
    finally:
        if stop:  # other LLMs of this run may go on for hours
            ledger.unclaim_all(desk.vocabulary.name, desk.llm)
        tell()


def _claim(
    desk: Desk,
    queue: deque[Call],
    count: int,
    claimed: deque[Call],
    elsewhere: list[Call],
    failed_too: bool,
    tally: Tally,
) -> None:
    """Claim the next calls for this process; those of others go to `elsewhere`."""
    batch = [queue.popleft() for _ in range(min(count, len(queue)))]
    cells = [(call.entry.index, a) for call in batch for a in call.attributes]
    mine, others = desk.ledger.claim(desk.vocabulary.name, desk.llm, cells, failed_too)
    for cell in set(cells).difference(mine, others):
        if reason := desk.failed(*cell):
            name = desk.vocabulary[cell[0]].name
            tally.failures.append(Failure(cell[0], name, cell[1], reason))
        else:
            tally.elsewhere += 1
    for found, into in ((set(mine), claimed), (set(others), elsewhere)):
        for call in batch:
            attributes = tuple(a for a in call.attributes if (call.entry.index, a) in found)
            if attributes:
                into.append(replace(call, attributes=attributes))


def recover(desk: Desk) -> int:
    """Judge replies that are on file but were never judged: a kill came between, or they are
    the results of a batch. Returns how many there were. Those of runs that live are theirs."""
    rows = desk.store.rows(
        "SELECT * FROM attempts WHERE purpose = 'describe' AND state = 'ended' "
        "AND verdict IS NULL AND vocabulary = ? AND llm = ? AND class_index < ? "
        "AND (error_class IS NULL OR reply IS NOT NULL) "
        "AND (run IS NULL OR run IN (SELECT id FROM runs WHERE ended_at IS NOT NULL)) ORDER BY id",
        [desk.vocabulary.name, desk.llm, len(desk.vocabulary)],  # classes may have been taken out
    )
    for row in rows:
        several = row["attributes"]
        attributes = tuple(json.loads(several)) if several else (row["attribute"],)
        call = Call(desk.vocabulary[row["class_index"]], attributes)
        reply = recorded(row)
        request = Request(row["prompt"], entry=call.entry, template_hash=row["template_hash"])
        verdicts = judge(reply, call.entry, attributes, desk.twin(call.entry.index))
        with desk.store.transaction():
            desk.note(row["id"], verdicts)
            for attribute, verdict in verdicts.items():
                if verdict.fault is None or verdict.soft:
                    desk.settle(request, attribute, verdict, row["id"])
    return len(rows)


def recorded(row: Mapping[str, Any]) -> Reply:
    """The reply that a row of the attempts holds, as far as judging it goes."""
    refused = row["error_class"] == REFUSAL
    return Reply(
        None if refused else row["reply"],
        row["asked_model"],
        finish_reason=row["finish_reason"],
        refusal=row["reply"] if refused else None,
    )


def calls_for(vocabulary: Vocabulary, cells: Sequence[Cell], together: bool) -> list[Call]:
    """The calls that ask for `cells`: one each, or one for all cells of a class `together`."""
    calls: dict[tuple[int, str], list[str]] = {}
    for index, attribute in cells:
        calls.setdefault((index, "" if together else attribute), []).append(attribute)
    return [Call(vocabulary[index], tuple(names)) for (index, _), names in calls.items()]
