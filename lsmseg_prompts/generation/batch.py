"""Stage 2 through OpenAI's Batch API: submit, leave, and collect within a day, at half the price.

The same command does both: it collects the batches that are done, judges their replies as if
they had come at once, and submits what is still missing; a reply that would not do goes into the
next batch with the reason. A batch is on file before it is created, and carries the id it has in
the store, so that one whose creation was cut off is found again instead of being paid for twice.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from lsmseg_prompts.errors import BudgetError, ConfigurationError, ProviderError, UsageError
from lsmseg_prompts.generation.cells import TRIES, Desk, Failure, calls_for, recorded, recover
from lsmseg_prompts.generation.engine import LONGEST_WAIT, RESUME, output_limit, price_for
from lsmseg_prompts.generation.ledger import Ledger
from lsmseg_prompts.generation.limits import Stop
from lsmseg_prompts.generation.questions import Asked, Call
from lsmseg_prompts.generation.run import Options, Summary, enter
from lsmseg_prompts.generation.verdicts import judge
from lsmseg_prompts.generation.workers import run_async, run_workers
from lsmseg_prompts.llm.base import LLM, Reply, Request
from lsmseg_prompts.llm.openai import OpenAIChat
from lsmseg_prompts.store.runs import is_under_way
from lsmseg_prompts.store.store import open_store, utc_now, working_store_path
from lsmseg_prompts.vocabularies import Vocabulary, load_vocabulary

if TYPE_CHECKING:
    from lsmseg_prompts.llm.prices import Price
    from lsmseg_prompts.store.store import Store

MOST_REQUESTS = 50_000  # in one batch
MOST_BYTES = 190_000_000  # of its file
HALF = 0.5  # of the price
KEPT_DAYS = 30  # that a batch's files are kept
OVER = ("completed", "expired", "cancelled", "failed")


def batch_all(
    store: str | os.PathLike[str] | None,
    vocabulary: Vocabulary | str,
    llms: Sequence[LLM],
    options: Options,
    tell: Callable[[str], None] | None = None,
) -> tuple[list[Summary], list[dict[str, Any]]]:
    """Collect and submit the batches of some LLMs: (what was collected, batches under way).

    Rows of the second: llm, remote_id, status, requests, created_at. Raises UsageError for an
    LLM without batches, ConfigurationError, ProviderError, BudgetError (after what the budget
    allows was submitted), StoreError.
    """
    vocabulary = load_vocabulary(vocabulary) if isinstance(vocabulary, str) else vocabulary
    for llm in llms:
        if not isinstance(llm, OpenAIChat):
            raise UsageError(f"--batch is for OpenAI's Batch API, which {llm.name} does not have.")
    asked = options.asked(vocabulary)
    with open_store(working_store_path(store)) as file, Ledger(file) as ledger:
        file.add_vocabulary(vocabulary)
        enter(file, llms, asked)
        clerks = [
            Clerk(file, ledger, vocabulary, llm, options, asked, tell or (lambda _: None))
            for llm in llms
            if isinstance(llm, OpenAIChat)
        ]

        summaries: list[Summary] = []

        async def one_by_one() -> None:
            for clerk in clerks:
                summaries.append(await clerk.work())

        async def work() -> None:
            stop = Stop()
            await run_workers([one_by_one], ledger, stop)  # it says that it lives meanwhile
            if stop.error is not None:
                raise stop.error

        run_async(work())
        under_way = [row for clerk in clerks for row in clerk.under_way()]
    return summaries, under_way


class Clerk:
    """The batches of one LLM and one vocabulary."""

    def __init__(
        self,
        store: Store,
        ledger: Ledger,
        vocabulary: Vocabulary,
        llm: OpenAIChat,
        options: Options,
        asked: Asked,
        tell: Callable[[str], None],
    ) -> None:
        self.store, self.ledger, self.vocabulary, self.llm = store, ledger, vocabulary, llm
        self.options, self.asked, self.tell = options, asked, tell
        self.desk = Desk(store, ledger, vocabulary, llm.name)
        self.price: Price | None = price_for(llm, options.limits)
        self.done = self.review = self.requests = self.failed_requests = 0
        self.tokens = [0, 0]
        self.cost = 0.0
        self.failures: list[Failure] = []

    async def work(self) -> Summary:
        """Collect what is done, submit what is missing."""
        began = time.monotonic()
        self.llm.check()
        recover(self.desk)
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
                    self.tell("A batch of long ago is gone; its cells are asked for again.")
            redo = self.options.redo and not under_way
            if self.options.redo and not redo:
                self.tell("--redo waits for a command that finds no batch under way.")
            await self._submit(redo)
        except (ConfigurationError, ProviderError, BudgetError) as reason:
            error = reason
        finally:
            await self.llm.close()
        plan = self._plan()
        left = len(plan.missing) + plan.beyond_limit
        return Summary(
            vocabulary=self.vocabulary.name,
            llm=self.llm.name,
            cells=plan.cells,
            asked=self.done + len(self.failures),
            done=self.done,
            failed=len(self.failures),
            skipped=plan.cells - left - plan.in_batch - self.done - len(self.failures),
            failures=tuple(self.failures),
            failed_before=max(0, plan.failed_before - len(self.failures)),
            review=self.review,
            left=left,
            in_batch=plan.in_batch,
            requests=self.requests,
            failed_requests=self.failed_requests,
            input_tokens=self.tokens[0],
            output_tokens=self.tokens[1],
            cost_usd=None if self.price is None else self.cost,
            seconds=time.monotonic() - began,
            error=error,
        )

    def under_way(self) -> list[dict[str, Any]]:
        """The batches that are not collected yet."""
        return [
            {
                "llm": row["llm"],
                "remote_id": row["remote_id"],
                "status": row["status"],
                "requests": len(json.loads(row["calls"])),
                "created_at": row["created_at"],
            }
            for row in self._open_batches()
        ]

    def _open_batches(self) -> list[dict[str, Any]]:
        return self.store.rows(
            "SELECT * FROM batches WHERE llm = ? AND vocabulary = ? AND ended_at IS NULL "
            "ORDER BY created_at",
            [self.llm.name, self.vocabulary.name],
        )

    def _plan(self, redo: bool = False) -> Any:
        options = self.options if redo else replace(self.options, redo=False)
        return options.plan(self.store, self.vocabulary, self.llm)

    # -- collecting --------------------------------------------------------------------------

    async def _collect(self, row: dict[str, Any]) -> None:
        """Enter the results of a batch, if it is over; free the cells it leaves open."""
        remote = await self._remote(row)
        if remote is None:
            if is_under_way(self.store, row["id"].partition(".")[0]):
                self.tell("Another process is about to create a batch.")
                return
            self._close(row["id"], "never created", [])
            self.tell("A batch was never created; its cells are asked for again.")
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
        self.tell(f"Batch {remote['id']}: {status}, {len(lines)} results.")

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
        call = Call(self.vocabulary[sent["index"]], tuple(sent["attributes"]))
        into, out = reply.input_tokens or 0, reply.output_tokens or 0
        # A result whose use is not told costs what it may have cost at most.
        unknown = answer.get("status_code") == 200 and reply.output_tokens is None
        cost = sent.get("worst") if unknown else None
        if self.price is not None and not unknown:
            cost = HALF * self.price.cost(into, out)
        several = len(call.attributes) > 1
        attempt = self.store.record_attempt(
            self.vocabulary,
            call.entry.index,
            None if several else call.attributes[0],
            self.llm.name,
            prompt=sent["prompt"],
            parameters=sent["parameters"],
            attributes=json.dumps(call.attributes) if several else None,
            attempt_number=sent["try"],
            batch=batch,
            host=self.llm.host,
            template_hash=sent["hash"],
            history=json.dumps(sent["history"], ensure_ascii=False) if sent["history"] else None,
            cost_usd=cost,
            cost_is_bound=int(unknown),
            **{**reply.attempt_fields(), "request_id": answer.get("request_id")},
        )
        self.requests += 1
        self.failed_requests += reply.error_scope is not None
        self.tokens[0] += into
        self.tokens[1] += out
        self.cost += cost or 0.0
        if reply.error_scope in (None, "cell"):
            self._judge(reply, call, sent, attempt)

    def _judge(self, reply: Reply, call: Call, sent: dict[str, Any], attempt: int) -> None:
        verdicts = judge(reply, call.entry, call.attributes, self.desk.twin(call.entry.index))
        self.desk.note(attempt, verdicts)
        request = Request(sent["prompt"], entry=call.entry, template_hash=sent["hash"])
        for attribute, verdict in verdicts.items():
            tries = 2 if verdict.kind == "refused" else TRIES
            if verdict.fault and not verdict.final and sent["try"] < tries:
                continue  # it goes into the next batch, with the reason
            self.desk.settle(request, attribute, verdict, attempt)
            if verdict.fault is None or verdict.soft:
                self.done += 1
                self.review += verdict.soft
            else:
                index, name = call.entry.index, call.entry.name
                self.failures.append(Failure(index, name, attribute, verdict.fault))

    # -- submitting --------------------------------------------------------------------------

    async def _submit(self, redo: bool) -> None:
        """Put what is missing into batches; stops with BudgetError where the budget ends."""
        plan = self._plan(redo)
        if redo:
            self.store.mark_stale(self.vocabulary, self.llm.name, plan.missing)
        together = self.options.per_call == "class"
        calls = calls_for(self.vocabulary, plan.missing, together)
        limits, spent, count = self.options.limits, self.cost, 0
        error: BudgetError | None = None
        lines: list[str] = []
        sent: list[dict[str, Any]] = []
        size = 0
        for call in calls:
            request, number = self._request(call)
            worst = self._worst(request)
            if limits.max_cost is not None and spent + worst > limits.max_cost:
                error = BudgetError(
                    f"The budget of ${limits.max_cost:g} is reached with what is submitted; the "
                    "same command goes on when that is collected."
                )
                break
            if limits.max_calls is not None and count >= limits.max_calls:
                error = BudgetError(f"The limit of {limits.max_calls} requests is reached.")
                break
            line = self._line(len(lines), request)
            if lines and (len(lines) == MOST_REQUESTS or size + len(line) > MOST_BYTES):
                await self._create(lines, sent, plan.failed_too)
                lines, sent, size = [], [], 0
                line = self._line(0, request)
            lines.append(line)
            sent.append({**_sent(call, request, number), "worst": worst if self.price else None})
            size, spent, count = size + len(line), spent + worst, count + 1
        if lines:
            await self._create(lines, sent, plan.failed_too)
        if error is not None:
            raise error

    def _line(self, place: int, request: Request) -> str:
        task = {"custom_id": str(place), "method": "POST", "url": "/v1/chat/completions"}
        return json.dumps({**task, "body": self.llm.body(request)}, ensure_ascii=False) + "\n"

    def _worst(self, request: Request) -> float:
        from lsmseg_prompts.llm.tokens import input_tokens_bound

        if self.price is None:
            return 0.0
        out = output_limit(self.llm, request)
        return HALF * self.price.cost(
            input_tokens_bound(request.messages, schema=request.schema), out
        )

    def _request(self, call: Call) -> tuple[Request, int]:
        """The request for a call, and which try it is: a follow-up where the last batch's reply
        would not do."""
        rows = self.store.rows(
            "SELECT * FROM attempts WHERE vocabulary = ? AND class_index = ? AND llm = ? "
            "AND batch IS NOT NULL AND verdict IS NOT NULL "
            "ORDER BY id DESC LIMIT 20",
            [self.vocabulary.name, call.entry.index, self.llm.name],
        )
        for row in rows:
            about = json.loads(row["attributes"]) if row["attributes"] else [row["attribute"]]
            if not set(call.attributes) <= set(about):
                continue
            if row["verdict"] == "accepted" or row["attempt_number"] >= TRIES:
                break  # that is over: this is a new beginning
            verdicts = judge(recorded(row), call.entry, about, self.desk.twin(call.entry.index))
            faults = {a: verdicts[a].fault or "" for a in call.attributes}
            if not all(faults.values()) or verdicts[call.attributes[0]].final:
                break
            kind, number = verdicts[call.attributes[0]].kind, int(row["attempt_number"]) + 1
            if kind == "refused":
                return self.asked.reworded(call), number
            if kind in ("cut", "empty"):
                return self.asked.first(call, number if kind == "cut" else 1), number
            said = [(row["prompt"], row["reply"] or "")]
            before = [(q, a) for q, a in json.loads(row["history"] or "[]")]
            return self.asked.again(call, before + said, faults), number
        return self.asked.first(call), 1

    async def _create(
        self, lines: Sequence[str], sent: Sequence[dict[str, Any]], failed_too: bool
    ) -> None:
        """Claim the cells for a batch, then upload and create it."""
        batch = f"{self.ledger.run}.{uuid.uuid4().hex[:8]}"  # `_collect` asks whose it is
        cells = [(one["index"], a) for one in sent for a in one["attributes"]]
        with self.store.transaction():
            self.store.write(
                "batches",
                {
                    "id": batch,
                    "vocabulary": self.vocabulary.name,
                    "llm": self.llm.name,
                    "host": self.llm.host,
                    "status": "creating",
                    "calls": json.dumps(sent, ensure_ascii=False),
                    "created_at": utc_now(),
                },
            )
            mine, _ = self.ledger.claim(
                self.vocabulary.name, self.llm.name, cells, failed_too, batch
            )
            if len(mine) < len(cells):
                raise ProviderError(
                    "Another process asks for some of these cells right now: try again when it is "
                    "done."
                )
        data = "".join(lines).encode("utf-8")
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
        self.tell(f"Batch {remote['id']}: submitted with {len(lines)} requests.")

    async def _patiently(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Call, and call again after a wait where the failure may pass."""
        from lsmseg_prompts.llm.errors import Passing

        again = call != self.llm.create_batch  # which would be paid for twice
        for number in range(self.options.limits.max_retries + 1):
            try:
                return await call(*arguments)
            except Passing as failure:
                wait = failure.reply.retry_after_seconds or min(60.0, 0.5 * 2**number)
                last = number == self.options.limits.max_retries
                if last or not again or wait > LONGEST_WAIT:
                    why = (failure.reply.error_message or "it failed").rstrip(". ")
                    raise ProviderError(f"{self.llm.name}: {why}; {RESUME}.") from None
                await asyncio.sleep(wait)
        raise AssertionError


def _sent(call: Call, request: Request, number: int) -> dict[str, Any]:
    """What the store keeps of a request in a batch until its reply is there."""
    return {
        "index": call.entry.index,
        "attributes": list(call.attributes),
        "prompt": request.prompt,
        "history": [list(pair) for pair in request.history],
        "hash": request.template_hash,
        "parameters": {**request.parameters, "max_output_tokens": request.max_output_tokens},
        "try": number,
    }


def _long_ago() -> str:
    """Results of batches from before this moment are no longer kept by the provider."""
    return (datetime.now(UTC) - timedelta(days=KEPT_DAYS)).isoformat()


def _lines(data: bytes) -> list[dict[str, Any]]:
    """The objects of a JSON Lines file; lines that are none are left out."""
    found = []
    for line in data.split(b"\n"):  # a text may hold other line ends as they are
        try:
            value = json.loads(line.decode("utf-8", "replace"))
        except ValueError:
            continue
        if isinstance(value, dict):
            found.append(value)
    return found


def _errors(remote: dict[str, Any]) -> str:
    errors = remote.get("errors")
    data = errors.get("data") if isinstance(errors, dict) else None
    said = [str(e.get("message")) for e in data or [] if isinstance(e, dict) and e.get("message")]
    return "; ".join(said[:3]).rstrip(". ") or "no reason was given"
