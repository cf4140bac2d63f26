"""Stage 2 through OpenAI's Batch API: submit, leave, and collect within a day, at half the price.

A batch is on file before it is created, and carries the id it has in the store, so that one whose
creation was cut off is found again instead of being paid for twice.
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from lsmseg_prompts.errors import BudgetError, ConfigurationError, ProviderError, UsageError
from lsmseg_prompts.generation.cell_writer import TRIES, CellWriter, recorded, recover
from lsmseg_prompts.generation.cells import enter
from lsmseg_prompts.generation.engine import (
    BATCH_PRICE,
    LONGEST_WAIT,
    RESUME,
    Usage,
    price_for,
    worst_case,
)
from lsmseg_prompts.generation.ledger import Ledger
from lsmseg_prompts.generation.limits import Stop
from lsmseg_prompts.generation.plan import Plan, make_plan
from lsmseg_prompts.generation.questions import Call
from lsmseg_prompts.generation.request import GenerationRequest
from lsmseg_prompts.generation.summary import Summary, Tally, summarize
from lsmseg_prompts.generation.workers import run_async, run_workers
from lsmseg_prompts.llm.base import LLM, Request
from lsmseg_prompts.llm.errors import Passing
from lsmseg_prompts.llm.http import parsed
from lsmseg_prompts.llm.openai import OpenAIChat
from lsmseg_prompts.store.runs import is_under_way
from lsmseg_prompts.store.sqlite import utc_now
from lsmseg_prompts.store.store import Store

MOST_REQUESTS = 50_000  # in one batch
MOST_BYTES = 190_000_000  # of its file
KEPT_DAYS = 30  # that the provider keeps a batch's files
_SHOWN = "llm, remote_id, status, json_array_length(calls) AS requests, created_at"
OVER = ("completed", "expired", "cancelled", "failed")


Rows = Sequence[dict[str, Any]]
BatchFile = list[tuple[str, dict[str, Any]]]
"""The lines of a batch's file, and what the store keeps of each until its reply is there."""


def check_batches(llms: Sequence[LLM]) -> None:
    """Raise UsageError for an LLM without batches."""
    for llm in llms:
        if not isinstance(llm, OpenAIChat):
            raise UsageError(f"--batch is for OpenAI's Batch API, which {llm.name} does not have.")


def run_batches(
    store: Store, request: GenerationRequest, on_message: Callable[[str], None]
) -> list[Summary]:
    """Collect and submit the batches of a request's LLMs; those under way are in the summaries.

    Raises ConfigurationError for a wrong key, StoreError. What ends the submitting
    (ProviderError, BudgetError) is in the summary.
    """
    vocabulary, llms = request.loaded_vocabulary(), request.providers()
    summaries: list[Summary] = []
    with Ledger(store) as ledger:
        store.add_vocabulary(vocabulary)
        enter(store, llms, request.questions())
        jobs = [
            BatchJob(CellWriter(ledger, vocabulary, llm.name), llm, request, on_message)
            for llm in llms
            if isinstance(llm, OpenAIChat)
        ]

        async def one_by_one() -> None:
            for job in jobs:
                summaries.append(await job.run())

        async def work() -> None:
            stop = Stop()
            await run_workers([one_by_one], ledger, stop)  # it says that it lives meanwhile
            if stop.error is not None:
                raise stop.error

        run_async(work())
    return summaries


class BatchJob:
    """The batches of one LLM and one vocabulary."""

    def __init__(
        self,
        writer: CellWriter,
        llm: OpenAIChat,
        request: GenerationRequest,
        on_message: Callable[[str], None],
    ) -> None:
        self.writer, self.llm, self.request = writer, llm, request
        self.store, self.vocabulary = writer.store, writer.vocabulary
        self.on_message, self.questions = on_message, request.questions()
        self.price = price_for(llm, request.limits)
        self.tally = Tally()
        self.usage = Usage(cost_usd=None if self.price is None else 0.0)

    async def run(self) -> Summary:
        """Collect what is done, submit what is missing."""
        began = time.monotonic()
        self.llm.check()
        await recover(self.writer)
        error: BaseException | None = None
        try:
            under_way = self._open_batches()
            for row in under_way:
                try:
                    await self._collect(row)
                except ConfigurationError:
                    long_ago = datetime.now(UTC) - timedelta(days=KEPT_DAYS)
                    if row["created_at"] > long_ago.isoformat():
                        raise
                    self._close(row["id"], "gone")
                    self.on_message("A batch of long ago is gone; its cells are asked for again.")
            redo = self.request.redo and not under_way
            if self.request.redo and not redo:
                self.on_message("--redo waits for a command that finds no batch under way.")
            await self._submit(redo)
        except (ConfigurationError, ProviderError, BudgetError) as reason:
            error = reason
        finally:
            await self.llm.close()
        plan, tally = self._plan(), self.tally
        tally.to_ask = tally.settled + len(plan.missing)
        plan = replace(plan, failed_before=max(0, plan.failed_before - tally.failed))
        return replace(
            summarize(plan, tally, self.usage),
            seconds=time.monotonic() - began,
            error=error,
            batches=tuple(self._open_batches(_SHOWN)),
        )

    def _open_batches(self, columns: str = "*") -> list[dict[str, Any]]:
        """The batches that are not collected yet."""
        return self.store.rows(
            f"SELECT {columns} FROM batches WHERE llm = ? AND vocabulary = ? AND ended_at IS NULL "
            "ORDER BY created_at",
            [self.llm.name, self.vocabulary.name],
        )

    def _plan(self, redo: bool = False) -> Plan:
        return make_plan(self.store, self.llm, replace(self.request, redo=redo))

    # -- collecting --------------------------------------------------------------------------

    async def _collect(self, row: dict[str, Any]) -> None:
        """Enter the results of a batch, if it is over; free the cells it leaves open."""
        remote = await self._remote(row)
        if remote is None:
            if is_under_way(self.store, row["id"].partition(".")[0]):
                self.on_message("Another process is about to create a batch.")
                return
            self._close(row["id"], "never created")
            self.on_message("A batch was never created; its cells are asked for again.")
            return
        status = str(remote.get("status"))
        if status not in OVER:
            self.store.execute(
                "UPDATE batches SET status = ?, remote_id = ? WHERE id = ?",
                [status, remote["id"], row["id"]],
            )
            return
        lines: list[dict[str, Any]] = []
        for name in ("output_file_id", "error_file_id"):
            if isinstance(file_id := remote.get(name), str) and file_id:
                lines += _lines(await self._patiently(self.llm.file_content, file_id))
        self._close(row["id"], status, lines, json.loads(row["calls"]))
        if status == "failed":
            raise ConfigurationError(f"Batch {remote['id']} was refused: {_errors(remote)}.")
        self.on_message(f"Batch {remote['id']}: {status}, {len(lines)} results.")

    async def _remote(self, row: dict[str, Any]) -> dict[str, Any] | None:
        """What the provider says of a batch; None for one that it never got."""
        if row["remote_id"]:
            return dict(await self._patiently(self.llm.retrieve_batch, row["remote_id"]))
        for remote in await self._patiently(self.llm.list_batches):
            if (remote.get("metadata") or {}).get("lsmseg_prompts") == row["id"]:
                return dict(remote)
        return None

    def _close(self, batch: str, status: str, lines: Rows = (), calls: Rows = ()) -> None:
        """All results of a batch go into the store at once, or none."""
        with self.store.transaction():
            for line in lines:
                place = str(line.get("custom_id", ""))
                if place.isdigit() and int(place) < len(calls):
                    self._enter_result(batch, line, calls[int(place)])
            self.store.execute("DELETE FROM claims WHERE owner = ?", [batch])
            self.store.execute(
                "UPDATE batches SET status = ?, ended_at = ? WHERE id = ?",
                [status, utc_now(), batch],
            )

    def _enter_result(self, batch: str, line: dict[str, Any], sent: dict[str, Any]) -> None:
        """One line of an output or errors file: the attempt, and what becomes of its cells."""
        answer = line.get("response")
        if not isinstance(answer, dict):  # expired before it was asked: not charged, still missing
            return
        if sent["index"] >= len(self.vocabulary):  # taken out of the vocabulary meanwhile
            return
        reply = self.llm.parse_body(int(answer.get("status_code") or 500), answer.get("body"))
        request = Request(
            sent["prompt"],
            history=tuple((question, answer) for question, answer in sent["history"]),
            vocabulary=self.vocabulary.name,
            entry=self.vocabulary[sent["index"]],
            attributes=tuple(sent["attributes"]),
            template_hash=sent["hash"],
            parameters=sent["parameters"],
            max_output_tokens=sent["parameters"].get("max_output_tokens"),
        )
        # A result whose use is not known costs what it may have cost at most.
        unknown = answer.get("status_code") == 200 and reply.output_tokens is None
        cost = sent.get("worst") if unknown else None
        if self.price is not None and not unknown:
            into, out = reply.input_tokens or 0, reply.output_tokens or 0
            cost = BATCH_PRICE * self.price.cost(into, out)
        attempt = self.writer.ledger.record(
            self.llm,
            request,
            sent["try"],
            batch=batch,
            cost_usd=cost,
            cost_is_bound=int(unknown),
            **{**reply.attempt_fields(), "request_id": answer.get("request_id")},
        )
        self.usage.requests += 1
        self.usage.count(reply, cost)
        if reply.error_scope in (None, "cell"):
            # What is to be asked again goes into the next batch, with the reason.
            self.writer.settle(request, reply, attempt, sent["try"], self.tally)

    # -- submitting --------------------------------------------------------------------------

    async def _submit(self, redo: bool) -> None:
        """Put what is missing into batches; stops with BudgetError where the budget ends."""
        plan = self._plan(redo)
        if redo:
            self.store.mark_stale(self.vocabulary, self.llm.name, plan.missing)
        for file in self._files(plan.calls):
            if file:
                await self._create(file, plan.failed_too)

    def _next_request(self, call: Call) -> tuple[Request, int]:
        """The request for a call, and which try it is: a follow-up where a reply would not do."""
        rows = self.writer.store.rows(
            "SELECT * FROM attempts WHERE vocabulary = ? AND class_index = ? AND llm = ? "
            "AND batch IS NOT NULL AND verdict IS NOT NULL "
            "AND (attribute = ? OR attributes IS NOT NULL) ORDER BY id DESC LIMIT 20",
            [self.writer.vocabulary.name, call.entry.index, self.writer.llm, call.attributes[0]],
        )
        for row in rows:
            asked, reply = recorded(row, self.writer.vocabulary)
            if not set(call.attributes) <= set(asked.attributes):
                continue
            if row["verdict"] == "accepted" or row["attempt_number"] >= TRIES:
                break  # that is over: this is a new beginning
            judged = self.writer.judge(asked, reply)
            verdicts = {attribute: judged[attribute] for attribute in call.attributes}
            first = verdicts[call.attributes[0]]
            if first.final or not all(verdict.fault for verdict in verdicts.values()):
                break
            number = int(row["attempt_number"]) + 1
            length = number if first.kind == "cut" else 1
            return self.questions.follow_up(asked, row["reply"] or "", verdicts, length), number
        return self.questions.first(call), 1

    def _files(self, calls: Sequence[Call]) -> Iterator[BatchFile]:
        """Requests in files that are not too large; raises BudgetError where the budget ends."""
        limits, spent = self.request.limits, self.usage.cost_usd or 0.0
        file: BatchFile = []
        size = count = 0
        for asked, number in map(self._next_request, calls):
            request = self.llm.fitted(asked)
            _, at_once = worst_case(self.llm, request, self.price)
            worst = BATCH_PRICE * (at_once or 0.0)
            if limits.max_cost is not None and spent + worst > limits.max_cost:
                yield file
                raise BudgetError(
                    f"The budget of ${limits.max_cost:g} is reached with what is submitted; the "
                    "same command goes on when that is collected."
                )
            if limits.max_calls is not None and count >= limits.max_calls:
                yield file
                raise BudgetError(f"The limit of {limits.max_calls} requests is reached.")
            line = self._line(len(file), request)
            if file and (len(file) == MOST_REQUESTS or size + len(line) > MOST_BYTES):
                yield file
                file, size = [], 0
                line = self._line(0, request)
            file.append((line, {**_kept(request, number), "worst": worst if self.price else None}))
            size, spent, count = size + len(line), spent + worst, count + 1
        yield file

    def _line(self, place: int, request: Request) -> str:
        task = {"custom_id": str(place), "method": "POST", "url": "/v1/chat/completions"}
        return json.dumps({**task, "body": self.llm.body(request)}, ensure_ascii=False) + "\n"

    async def _create(self, file: BatchFile, failed_too: bool) -> None:
        """Claim the cells for a batch, then upload and create it.

        Raises ProviderError where another process is asking for some of them.
        """
        batch = f"{self.writer.ledger.run}.{uuid.uuid4().hex[:8]}"  # begins with whose it is
        requests = [request for _, request in file]
        cells = [(one["index"], a) for one in requests for a in one["attributes"]]
        row = {
            "id": batch,
            "vocabulary": self.vocabulary.name,
            "llm": self.llm.name,
            "host": self.llm.host,
            "status": "creating",
            "calls": json.dumps(requests, ensure_ascii=False),
            "created_at": utc_now(),
        }
        with self.store.transaction():
            self.store.write("batches", row)
            mine, _ = self.writer.claim(cells, failed_too, batch)
            if len(mine) < len(cells):
                raise ProviderError(
                    "Another process asks for some of these cells right now: try again when it is "
                    "done."
                )
        data = "".join(line for line, _ in file).encode("utf-8")
        try:
            file_id = await self._patiently(self.llm.upload_file, f"{batch}.jsonl", data)
        except BaseException:
            self._close(batch, "never created")
            raise
        # From here on the batch may exist, unless it is refused: the next run looks for its name.
        try:
            name = {"lsmseg_prompts": batch}
            remote = await self._patiently(self.llm.create_batch, file_id, name)
        except ConfigurationError:
            self._close(batch, "refused")
            raise
        self.store.execute(
            "UPDATE batches SET remote_id = ?, status = ? WHERE id = ?",
            [remote["id"], str(remote.get("status") or "validating"), batch],
        )
        self.on_message(f"Batch {remote['id']}: submitted with {len(file)} requests.")

    async def _patiently(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Call, and call again after a wait where the failure may pass."""
        again = call != self.llm.create_batch  # which would be paid for twice
        for number in range(self.request.limits.max_retries + 1):
            try:
                return await call(*arguments)
            except Passing as failure:
                wait = failure.reply.retry_after_seconds or min(60.0, 0.5 * 2**number)
                last = number == self.request.limits.max_retries
                if last or not again or wait > LONGEST_WAIT:
                    why = (failure.reply.error_message or "it failed").rstrip(". ")
                    raise ProviderError(f"{self.llm.name}: {why}; {RESUME}.") from None
                await asyncio.sleep(wait)
        raise AssertionError


def _kept(request: Request, number: int) -> dict[str, Any]:
    """What the store keeps of a request in a batch until its reply is there."""
    assert request.entry is not None
    return {
        "index": request.entry.index,
        "attributes": list(request.attributes),
        "prompt": request.prompt,
        "history": [list(pair) for pair in request.history],
        "hash": request.template_hash,
        "parameters": {**request.parameters, "max_output_tokens": request.max_output_tokens},
        "try": number,
    }


def _lines(data: bytes) -> list[dict[str, Any]]:
    """The objects of a JSON Lines file; other lines are left out."""
    lines = data.decode("utf-8", "replace").split("\n")  # a text may hold other line ends
    values = [parsed(line.encode()) for line in lines]
    return [value for value in values if isinstance(value, dict)]


def _errors(remote: dict[str, Any]) -> str:
    errors = remote.get("errors")
    data = errors.get("data") if isinstance(errors, dict) else None
    said = [str(e.get("message")) for e in data or [] if isinstance(e, dict) and e.get("message")]
    return "; ".join(said[:3]).rstrip(". ") or "no reason was given"
