"""Submitting batches: what is missing goes into files, and a batch is on file before it is made."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from lsmseg_prompts.errors import BudgetError, ConfigurationError, ProviderError
from lsmseg_prompts.generation.batch_job import NO_RESULT, OVER_LIMIT, BatchJob
from lsmseg_prompts.generation.batch_results import close
from lsmseg_prompts.generation.cell_writer import TRIES, recorded
from lsmseg_prompts.generation.engine import BATCH_PRICE, worst_case
from lsmseg_prompts.generation.plan import Plan
from lsmseg_prompts.generation.questions import Call, QuestionBuilder
from lsmseg_prompts.llm.base import Request
from lsmseg_prompts.llm.batches import RemoteBatch
from lsmseg_prompts.llm.capabilities import next_room
from lsmseg_prompts.llm.chat import ONLY_THOUGHTS
from lsmseg_prompts.llm.errors import Gone
from lsmseg_prompts.llm.tokens import input_tokens
from lsmseg_prompts.store.sqlite import utc_now

MOST_REQUESTS = 50_000  # of a batch, whatever the provider takes
TIMES = 2  # that a batch may end without a result for a cell, before it is asked no more


@dataclass
class BatchFile:
    """The requests of one batch, and what the store keeps of each until its result is there."""

    batch: str
    lines: list[str] = field(default_factory=list)
    kept: list[dict[str, Any]] = field(default_factory=list)
    bytes: int = 0


async def submit(job: BatchJob, plan: Plan) -> None:
    """Put what is missing into batches.

    Raises BudgetError where the budget ends, and ProviderError for cells that batches keep
    ending without.
    """
    failed_too = job.request.retry_errors or job.request.redo
    silent = set() if failed_too else _silent(job)
    known = job.llm.capabilities
    known.room = max(known.room, _room_for_thoughts(job))
    calls = [call for call in plan.calls if not silent & set(_cells(call))]
    for file in _files(job, calls):
        if file.lines:
            await _create(job, file, plan.failed_too)
    if len(calls) < len(plan.calls):
        raise ProviderError(
            f"{job.llm.name}: {TIMES} batches ended without a result for "
            f"{len(plan.calls) - len(calls)} requests, which are not submitted again: ask for them "
            "without --batch, or once more with --retry-errors."
        )


def _room_for_thoughts(job: BatchJob) -> int:
    """How much room was learnt by earlier commands, which a batch of cut replies is paid for."""
    rows = job.writer.store.rows(
        "SELECT json_extract(calls, '$[0].room') AS room, id IN (SELECT batch FROM attempts "
        "WHERE batch IS NOT NULL AND error_class = ?) AS is_short FROM batches WHERE llm = ?",
        [ONLY_THOUGHTS, job.llm.name],
    )
    had = [(row["room"] or 0, row["is_short"]) for row in rows]
    return max((next_room(room) if is_short else room for room, is_short in had), default=0)


def _cells(call: Call) -> list[tuple[int, str]]:
    return [(call.entry.index, attribute) for attribute in call.attributes]


def _silent(job: BatchJob) -> set[tuple[int, str]]:
    """The cells for which the last batches ended without a result."""
    rows = job.writer.store.rows(
        "SELECT class_index, coalesce(attributes, json_array(attribute)) AS several FROM attempts "
        "AS a WHERE vocabulary = ? AND llm = ? AND batch IS NOT NULL AND error_class = ? AND id > "
        "coalesce((SELECT max(id) FROM attempts AS b WHERE b.vocabulary = a.vocabulary "
        "AND b.llm = a.llm AND b.class_index = a.class_index AND b.attribute IS a.attribute "
        "AND b.attributes IS a.attributes AND b.state = 'ended'), 0) "
        "GROUP BY class_index, several HAVING count(*) >= ?",
        [job.writer.vocabulary.name, job.llm.name, NO_RESULT, TIMES],
    )
    return {(row["class_index"], a) for row in rows for a in json.loads(row["several"])}


def _next_request(job: BatchJob, questions: QuestionBuilder, call: Call) -> tuple[Request, int]:
    """The request for a call, and which try it is: a follow-up where a reply would not do."""
    writer = job.writer
    rows = writer.store.rows(
        "SELECT * FROM attempts WHERE vocabulary = ? AND class_index = ? AND llm = ? "
        "AND batch IS NOT NULL AND verdict IS NOT NULL AND error_class IS NOT ? "
        "AND (attribute = ? OR attributes IS NOT NULL) ORDER BY id DESC LIMIT 20",
        [writer.vocabulary.name, call.entry.index, writer.llm, ONLY_THOUGHTS, call.attributes[0]],
    )
    for row in rows:
        asked, reply = recorded(row, writer.vocabulary)
        if not set(call.attributes) <= set(asked.attributes):
            continue
        if row["verdict"] == "accepted" or row["attempt_number"] >= TRIES:
            break  # that is over: this is a new beginning
        judged = writer.judge(asked, reply)
        verdicts = {attribute: judged[attribute] for attribute in call.attributes}
        first = verdicts[call.attributes[0]]
        if first.final or not all(verdict.fault for verdict in verdicts.values()):
            break
        number = int(row["attempt_number"]) + 1
        length = number if first.kind == "cut" else 1
        return questions.follow_up(asked, row["reply"] or "", verdicts, length), number
    return questions.first(call), 1


def _files(job: BatchJob, calls: Sequence[Call]) -> Iterator[BatchFile]:
    """Requests in files that are not too large; raises BudgetError where the budget ends."""
    limits, spent, count = job.request.limits, job.usage.cost_usd or 0.0, 0
    service, room = job.service, _token_room(job)
    most = min(MOST_REQUESTS, service.most_requests)
    file = _new_file(job)
    questions = job.request.questions()
    for asked, number in (_next_request(job, questions, call) for call in calls):
        request = job.llm.fitted(asked)
        _, at_once = worst_case(job.llm, request, job.price)
        worst = BATCH_PRICE * (at_once or 0.0)
        tokens, _ = input_tokens(request.messages, job.llm.model)
        if limits.max_cost is not None and spent + worst > limits.max_cost:
            yield file
            raise BudgetError(
                f"The budget of ${limits.max_cost:g} is reached with what is submitted; the "
                "same command goes on when that is collected."
            )
        if limits.max_calls is not None and count >= limits.max_calls:
            yield file
            raise BudgetError(f"The limit of {limits.max_calls} requests is reached.")
        if room is not None and tokens > room and (count or job.under_way()):
            job.on_message(
                f"{len(calls) - count} requests wait until the batches under way are collected: "
                "the provider takes no more tokens at once."
            )
            break
        body = job.llm.body(request)
        line = service.line(service.custom_id(file.batch, len(file.lines)), body)
        size = len(line.encode("utf-8", "surrogatepass"))
        if file.lines and (len(file.lines) == most or file.bytes + size > service.most_bytes):
            yield file
            file = _new_file(job)
            line = service.line(service.custom_id(file.batch, 0), body)
        file.lines.append(line)
        file.bytes += size
        price = {"worst": worst if job.price else None, "tokens": tokens}
        file.kept.append({**_kept(request, number, body), **price})
        room = None if room is None else room - tokens
        spent, count = spent + worst, count + 1
    yield file


def _new_file(job: BatchJob) -> BatchFile:
    return BatchFile(f"{job.writer.ledger.run}.{uuid.uuid4().hex[:8]}")  # begins with whose it is


def _token_room(job: BatchJob) -> int | None:
    """How many tokens more may be in batches, where the provider has refused some for that."""
    since = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    rows = job.writer.store.rows(
        "SELECT status FROM batches WHERE llm = ? AND status GLOB ? AND ended_at > ? "
        "ORDER BY ended_at DESC LIMIT 1",
        [job.llm.name, f"{OVER_LIMIT} *", since],
    )
    if not rows:
        return None
    (most,) = map(int, re.findall(r"\d+", rows[0]["status"]))
    waiting = [one for row in job.under_way() for one in json.loads(row["calls"])]
    return most - sum(one.get("tokens") or 0 for one in waiting)


async def _create(job: BatchJob, file: BatchFile, failed_too: bool) -> None:
    """Claim the cells for a batch, then upload and create it.

    Raises ProviderError where another process is asking for some of them.
    """
    writer, batch = job.writer, file.batch
    cells = [(one["index"], a) for one in file.kept for a in one["attributes"]]
    row = {
        "id": batch,
        "vocabulary": writer.vocabulary.name,
        "llm": job.llm.name,
        "host": job.llm.host,
        "status": "creating",
        "calls": json.dumps(file.kept, ensure_ascii=False),
        "created_at": utc_now(),
    }
    with writer.store.transaction():
        writer.store.write("batches", row)
        mine, _ = writer.claim(cells, failed_too, batch)
        if len(mine) < len(cells):
            raise ProviderError(
                "Another process asks for some of these cells right now: try again when it is done."
            )
    try:
        uploaded = await job.patiently(job.service.upload, batch, file.lines)
    except BaseException as error:
        close(job, batch, "never created")
        if isinstance(error, Gone):
            raise ConfigurationError(_no_batches(job)) from None
        raise
    # From here on the batch may exist, unless it is refused: the next run looks for its name.
    try:
        remote: RemoteBatch = await job.patiently(job.service.create, batch, uploaded, again=False)
    except ConfigurationError as error:
        close(job, batch, "refused")
        if isinstance(error, Gone):
            raise ConfigurationError(_no_batches(job)) from None
        raise
    writer.store.execute(
        "UPDATE batches SET remote_id = ?, status = ? WHERE id = ?",
        [remote.id, remote.status, batch],
    )
    job.on_message(f"Batch {remote.id}: submitted with {len(file.lines)} requests.")


def _no_batches(job: BatchJob) -> str:
    return f"There is no Batch API at {job.llm.host}: leave --batch out."


def _kept(request: Request, number: int, body: dict[str, Any]) -> dict[str, Any]:
    """What the store keeps of a request in a batch until its reply is there."""
    assert request.entry is not None
    parameters = {k: v for k, v in body.items() if k not in ("model", "messages")}
    first = [{"role": body["messages"][0]["role"]}]
    return {
        "index": request.entry.index,
        "attributes": list(request.attributes),
        "prompt": request.prompt,
        "system": request.system,
        "history": [list(pair) for pair in request.history],
        "hash": request.template_hash,
        "parameters": {**request.parameters, "max_output_tokens": request.max_output_tokens},
        "room": request.room,
        "sent": {**parameters, "messages": first},
        "try": number,
        "budget": request.budget.named,
    }
