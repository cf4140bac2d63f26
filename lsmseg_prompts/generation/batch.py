"""Stage 2 through OpenAI's Batch API: submit, leave, and collect within a day, at half the price.

The same command does both: it collects the batches that are done, judges their replies as if
they had come at once, and submits what is still missing; a reply that would not do goes into the
next batch with the reason. A batch is on file before it is created, and carries the id it has in
the store, so that one whose creation was cut off is found again instead of being paid for twice.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from lsmseg_prompts.errors import BudgetError, ConfigurationError, ProviderError, UsageError
from lsmseg_prompts.generation.batch_requests import BatchFile, next_request, split_into_files
from lsmseg_prompts.generation.cells import CellWriter, enter, recover
from lsmseg_prompts.generation.engine import BATCH_PRICE, LONGEST_WAIT, RESUME, Usage, price_for
from lsmseg_prompts.generation.ledger import Ledger
from lsmseg_prompts.generation.limits import Stop
from lsmseg_prompts.generation.plan import Plan, make_plan
from lsmseg_prompts.generation.request import GenerationRequest
from lsmseg_prompts.generation.summary import Summary, Tally, summarize
from lsmseg_prompts.generation.workers import run_async, run_workers
from lsmseg_prompts.llm.base import LLM, Request
from lsmseg_prompts.llm.errors import Passing
from lsmseg_prompts.llm.openai import OpenAIChat
from lsmseg_prompts.store.runs import is_under_way
from lsmseg_prompts.store.sqlite import utc_now
from lsmseg_prompts.store.store import Store
from lsmseg_prompts.vocabularies import Vocabulary

KEPT_DAYS = 30  # that a batch's files are kept
_SHOWN = "llm, remote_id, status, json_array_length(calls) AS requests, created_at"
OVER = ("completed", "expired", "cancelled", "failed")


def check_batches(llms: Sequence[LLM]) -> None:
    """Raise UsageError for an LLM without batches."""
    for llm in llms:
        if not isinstance(llm, OpenAIChat):
            raise UsageError(f"--batch is for OpenAI's Batch API, which {llm.name} does not have.")


def run_batches(
    store: Store,
    vocabulary: Vocabulary,
    llms: Sequence[LLM],
    request: GenerationRequest,
    on_message: Callable[[str], None],
) -> list[Summary]:
    """Collect and submit the batches of some LLMs; those under way are in the summaries.

    Args:
        store: where everything is kept.
        vocabulary: the request's.
        llms: the request's.
        request: what is wanted.
        on_message: told what becomes of the batches.

    Raises:
        LsmsegPromptsError: ConfigurationError for a wrong key, StoreError. What ends the
            submitting (ProviderError, BudgetError) is in the summary.
    """
    questions = request.questions(vocabulary.name)
    summaries: list[Summary] = []
    with Ledger(store) as ledger:
        store.add_vocabulary(vocabulary)
        enter(store, llms, questions)
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
        self.on_message = on_message
        self.price = price_for(llm, request.limits)
        self.tally = Tally()
        self.usage = Usage(cost_usd=None if self.price is None else 0.0)

    async def run(self) -> Summary:
        """Collect what is done, submit what is missing."""
        began = time.monotonic()
        self.llm.check()
        recover(self.writer)
        error: BaseException | None = None
        try:
            under_way = self._open_batches()
            for row in under_way:
                try:
                    await self._collect(row)
                except ConfigurationError:
                    if row["created_at"] > _long_ago():
                        raise
                    self._close(row["id"], "gone", [])
                    self.on_message("A batch of long ago is gone; its cells are asked for again.")
            redo = self.request.redo and not under_way
            if self.request.redo and not redo:
                self.on_message("--redo waits for a command that finds no batch under way.")
            await self._submit(redo)
        except (ConfigurationError, ProviderError, BudgetError) as reason:
            error = reason
        finally:
            await self.llm.close()
        plan = self._plan()
        return summarize(
            plan,
            self.tally,
            self.usage,
            left=len(plan.missing) + plan.beyond_limit,
            failed_before=max(0, plan.failed_before - self.tally.failed),
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
        request = replace(self.request, redo=redo)
        return make_plan(self.store, self.vocabulary, self.llm, request)

    # -- collecting --------------------------------------------------------------------------

    async def _collect(self, row: dict[str, Any]) -> None:
        """Enter the results of a batch, if it is over; free the cells it leaves open."""
        remote = await self._remote(row)
        if remote is None:
            if is_under_way(self.store, row["id"].partition(".")[0]):
                self.on_message("Another process is about to create a batch.")
                return
            self._close(row["id"], "never created", [])
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

    def _close(
        self,
        batch: str,
        status: str,
        lines: Sequence[dict[str, Any]],
        calls: Sequence[dict[str, Any]] = (),
    ) -> None:
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
            entry=self.vocabulary[sent["index"]],
            attributes=tuple(sent["attributes"]),
            template_hash=sent["hash"],
        )
        # A result whose use is not known costs what it may have cost at most.
        unknown = answer.get("status_code") == 200 and reply.output_tokens is None
        cost = sent.get("worst") if unknown else None
        if self.price is not None and not unknown:
            into, out = reply.input_tokens or 0, reply.output_tokens or 0
            cost = BATCH_PRICE * self.price.cost(into, out)
        several = request.attribute is None
        attempt = self.store.record_attempt(
            self.vocabulary,
            sent["index"],
            request.attribute,
            self.llm.name,
            prompt=sent["prompt"],
            parameters=sent["parameters"],
            attributes=json.dumps(request.attributes) if several else None,
            attempt_number=sent["try"],
            batch=batch,
            host=self.llm.host,
            template_hash=sent["hash"],
            history=json.dumps(sent["history"], ensure_ascii=False) if sent["history"] else None,
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
        questions = self.request.questions(self.vocabulary.name)
        requests = (next_request(self.writer, questions, call) for call in plan.calls)
        spent = self.usage.cost_usd or 0.0
        for file in split_into_files(self.llm, requests, self.request.limits, self.price, spent):
            if file.requests:
                await self._create(file, plan.failed_too)
            if file.error is not None:
                raise file.error

    async def _create(self, file: BatchFile, failed_too: bool) -> None:
        """Claim the cells for a batch, then upload and create it."""
        batch = file.claim(self.writer, self.llm.host, failed_too)
        data = "".join(file.lines).encode("utf-8")
        try:
            file_id = await self._patiently(self.llm.upload_file, f"{batch}.jsonl", data)
        except BaseException:
            self._close(batch, "never created", [])
            raise
        # From here on the batch may exist, unless it is refused: the next run looks for its name.
        try:
            remote = await self._patiently(
                self.llm.create_batch, file_id, {"lsmseg_prompts": batch}
            )
        except ConfigurationError:
            self._close(batch, "refused", [])
            raise
        self.store.execute(
            "UPDATE batches SET remote_id = ?, status = ? WHERE id = ?",
            [remote["id"], str(remote.get("status") or "validating"), batch],
        )
        self.on_message(f"Batch {remote['id']}: submitted with {len(file.lines)} requests.")

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


def _long_ago() -> str:
    """Results of batches from before this moment are no longer kept by the provider."""
    return (datetime.now(UTC) - timedelta(days=KEPT_DAYS)).isoformat()


def _lines(data: bytes) -> list[dict[str, Any]]:
    """The objects of a JSON Lines file; other lines are left out."""
    values = []
    for line in data.split(b"\n"):  # a text may hold other line ends as they are
        try:
            value = json.loads(line.decode("utf-8", "replace"))
        except ValueError:
            continue
        if isinstance(value, dict):
            values.append(value)
    return values


def _errors(remote: dict[str, Any]) -> str:
    errors = remote.get("errors")
    data = errors.get("data") if isinstance(errors, dict) else None
    said = [str(e.get("message")) for e in data or [] if isinstance(e, dict) and e.get("message")]
    return "; ".join(said[:3]).rstrip(". ") or "no reason was given"
