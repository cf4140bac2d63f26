"""Collecting a batch: its results in any order, each counted once, all of them or none.

A result that cannot be read is said and left out; it never keeps the others from being entered.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from lsmseg_prompts.english import excerpt
from lsmseg_prompts.errors import BudgetError, ConfigurationError, LsmsegPromptsError, ProviderError
from lsmseg_prompts.generation.batch_job import NO_RESULT, OVER_LIMIT, BatchJob
from lsmseg_prompts.generation.breaker import MOST_CUT, Refusals
from lsmseg_prompts.generation.cell_writer import TRIES
from lsmseg_prompts.generation.engine import BATCH_PRICE, RESUME
from lsmseg_prompts.llm.base import Reply, Request
from lsmseg_prompts.llm.batches import RemoteBatch, Result, Sought
from lsmseg_prompts.llm.errors import Gone
from lsmseg_prompts.store.runs import is_under_way
from lsmseg_prompts.store.sqlite import utc_now
from lsmseg_prompts.tokens import find_budget


@dataclass
class Found:
    """The results of a batch by the places of their requests, and what could not be used."""

    results: dict[int, Result] = field(default_factory=dict)
    unusable: Counter[str] = field(default_factory=Counter)
    missing: list[str] = field(default_factory=list)  # files

    def take(self, results: Iterable[Result | None], places: dict[str, int]) -> None:
        """Keep one result of each request: an answer before an error, else the first."""
        for result in results:
            place = None if result is None else places.get(result.custom_id)
            if result is None:
                self.unusable["not readable"] += 1
            elif place is None:
                self.unusable["of no request of ours"] += 1
            elif place not in self.results:
                self.results[place] = result
            else:
                self.unusable["there twice"] += 1
                if self.results[place].status != 200 and result.status == 200:
                    self.results[place] = result

    @property
    def answers(self) -> int:
        return sum(result.status == 200 for result in self.results.values())


async def collect(job: BatchJob, row: dict[str, Any]) -> None:
    """Enter the results of a batch, if it is over; free the cells it leaves open.

    Raises ConfigurationError, ProviderError and BudgetError for what goes for every request of it.
    """
    remote = await _remote(job, row)
    if remote is None:
        if is_under_way(job.writer.store, row["id"].partition(".")[0]):
            job.on_message("Another process is about to create a batch.")
        elif close(job, row["id"], "never created"):
            job.on_message("A batch was never created; its cells are asked for again.")
        return
    if not remote.is_over:
        job.writer.store.execute(
            "UPDATE batches SET status = ?, remote_id = ? WHERE id = ?",
            [remote.status, remote.id, row["id"]],
        )
        return
    if remote.refused is not None:
        _refused(job, row, remote)
        return
    requests = json.loads(row["calls"])
    places = {job.service.custom_id(row["id"], n): n for n in range(len(requests))}
    found = Found()
    for file in remote.files:
        try:
            data = await job.patiently(job.service.read, file)
        except Gone:
            found.missing.append(file)
        else:
            found.take(job.service.results(data), places)
    entry = Entry(job, row["id"], remote, found, requests)
    if entry.enter() and (error := entry.error()) is not None:
        raise error


async def _remote(job: BatchJob, row: dict[str, Any]) -> RemoteBatch | None:
    """What the provider says of a batch; None for one that it never got."""
    if row["remote_id"]:
        remote: RemoteBatch | None = await job.patiently(job.service.look, row["remote_id"])
        return remote
    known = job.writer.store.rows("SELECT remote_id FROM batches WHERE remote_id IS NOT NULL")
    sought = Sought(
        row["id"],
        row["created_at"],
        len(json.loads(row["calls"])),
        frozenset(one["remote_id"] for one in known),
    )
    remote = await job.patiently(job.service.find, sought)
    return remote


def close(job: BatchJob, batch: str, status: str) -> bool:
    """End a batch and free its cells; whether another process has not done so before."""
    store = job.writer.store
    with store.transaction():
        ended = store.execute(
            "UPDATE batches SET status = ?, ended_at = ? WHERE id = ? AND ended_at IS NULL",
            [status, utc_now(), batch],
        )
        store.execute("DELETE FROM claims WHERE owner = ?", [batch])
        return ended.rowcount > 0


def _refused(job: BatchJob, row: dict[str, Any], remote: RemoteBatch) -> None:
    """End a batch that was refused as a whole.

    One with too many tokens is submitted again in smaller parts, any other is an error.
    """
    requests = json.loads(row["calls"])
    tokens = sum(one.get("tokens") or 0 for one in requests)
    if remote.token_limit is None:
        if not close(job, row["id"], remote.status):
            return
        raise ConfigurationError(f"Batch {remote.id} was refused: {remote.refused}.")
    # What was refused is more than there is room for beside the other batches of the account.
    half = tokens // 2
    room = min(remote.token_limit * 9 // 10, half) if remote.token_limit else half
    if not close(job, row["id"], f"{OVER_LIMIT} {room}"):
        return
    if len(requests) < 2:
        raise ProviderError(
            f"Batch {remote.id} was refused: {remote.refused}. Wait until other batches of the "
            "account are done; the same command goes on then."
        )
    job.on_message(
        f"Batch {remote.id} was refused: {remote.refused}. Its {len(requests)} requests of about "
        f"{tokens:,} tokens are submitted in parts of at most {room:,} tokens, each when the one "
        "before is collected."
    )


def _of_any_class(fault: str) -> str:
    """Why a reply will not do, without what differs from class to class."""
    for said, alike in (
        (r"does not name [^;]*", "does not name the class"),
        (r"what was said of [^;]*", "what was said of another class"),
        (r"takes \d+ CLIP tokens and (\d+) are the most", r"takes more than \1 CLIP tokens"),
    ):
        fault = re.sub(said, alike, fault)
    return fault


class Entry:
    """The entering of one batch's results."""

    def __init__(
        self,
        job: BatchJob,
        batch: str,
        remote: RemoteBatch,
        found: Found,
        requests: list[dict[str, Any]],
    ) -> None:
        self.job, self.batch, self.remote = job, batch, remote
        self.found, self.requests = found, requests
        self.replies: list[Reply] = []
        self.asked_again = 0
        self.cut: set[int] = set()  # the last tries of a model that cuts every reply
        self.again: Counter[str] = Counter()  # why results are asked for again
        self.lost = 0
        self.lost_usd = 0.0

    def enter(self) -> bool:
        """All results go into the store at once, or none; False where another process was first."""
        with self.job.writer.store.transaction():
            if not close(self.job, self.batch, self.remote.status):
                return False
            asked = [(n, result) for n, result in sorted(self.found.results.items())
                     if result.status is not None]  # fmt: skip
            read = [(n, result, self._read(n, result)) for n, result in asked]
            self.replies = [reply for _, _, reply in read]
            refused = self._refused_alike() is not None
            last = {n for n, _, reply in read if reply.is_cut and self.requests[n]["try"] >= TRIES}
            whole = any(reply.error_scope is None and not reply.is_cut for reply in self.replies)
            self.cut = set() if whole or len(last) < MOST_CUT else last
            for place, result, reply in read:
                hold = place in self.cut or (refused and reply.error_scope == "cell")
                self._enter_result(self.requests[place], result, reply, hold)
            if self.found.missing or self.remote.status in ("completed", "ended"):
                for place, sent in enumerate(self.requests):
                    if place not in self.found.results:
                        self._enter_lost(sent)
        self._say()
        return True

    def _read(self, place: int, result: Result) -> Reply:
        sent = self.requests[place]
        body = sent.get("sent") or {"messages": [{"role": "user"}]}
        reply = self.job.llm.read_result(
            result.status or 500, result.body, self._request(sent), body
        )
        return replace(reply, request_id=result.request_id)

    def _request(self, sent: dict[str, Any]) -> Request:
        """The question as it was asked; its class may have been taken out since."""
        vocabulary = self.job.writer.vocabulary
        there = sent["index"] < len(vocabulary)
        return Request(
            sent["prompt"],
            system=sent.get("system"),
            history=tuple((question, answer) for question, answer in sent["history"]),
            vocabulary=vocabulary.name,
            entry=vocabulary[sent["index"]] if there else None,
            attributes=tuple(sent["attributes"]),
            template_hash=sent["hash"],
            parameters=sent["parameters"],
            max_output_tokens=sent["parameters"].get("max_output_tokens"),
            room=sent.get("room") or 0,
            budget=find_budget(sent.get("budget")),
        )

    def _enter_result(self, sent: dict[str, Any], result: Result, reply: Reply, hold: bool) -> None:
        """The attempt, and what becomes of its cells."""
        job, request = self.job, self._request(sent)
        if request.entry is None:
            return
        # A result whose use is not known costs what it may have cost at most.
        unknown = result.status == 200 and reply.output_tokens is None
        cost = sent.get("worst") if unknown else None
        if job.price is not None and not unknown:
            into, out = reply.input_tokens or 0, reply.output_tokens or 0
            cost = BATCH_PRICE * job.price.cost(into, out)
        adapted = reply.error_scope == "adapted"
        attempt = self._record(
            sent,
            **reply.attempt_fields(),
            cost_usd=cost,
            cost_is_bound=int(unknown),
            # What is asked again as it should have been: nobody is to judge this one.
            verdict=reply.error_message if adapted else None,
        )
        job.usage.count(reply, cost, unknown)
        if reply.error_scope in (None, "cell") and not hold:
            # What is to be asked again goes into the next batch, with the reason.
            again = job.writer.settle(request, reply, attempt, sent["try"], job.tally)
            self.again.update({_of_any_class(verdict.fault or "") for verdict in again.values()})
            self.asked_again += bool(again)
        elif reply.error_scope in ("adapted", "passing"):
            self.again.update([reply.failure])
            self.asked_again += 1

    def _enter_lost(self, sent: dict[str, Any]) -> None:
        """A request without a result: it may have been answered, and paid for."""
        answered = self.remote.answered
        may_cost = answered is None or answered > self.found.answers
        cost = sent.get("worst") if may_cost else None if sent.get("worst") is None else 0.0
        where = "its file is gone" if self.found.missing else "there is none in its file"
        message = f"Batch {self.remote.id} ended without a result for this request: {where}."
        reply = Reply(None, self.job.llm.model, error_scope="passing", error_class=NO_RESULT,
                      error_message=message)  # fmt: skip
        self._record(sent, **reply.attempt_fields(), state="lost", cost_usd=cost,
                     cost_is_bound=int(may_cost))  # fmt: skip
        self.job.usage.count(reply, cost, may_cost)
        self.lost, self.lost_usd = self.lost + 1, self.lost_usd + (cost or 0.0)

    def _record(self, sent: dict[str, Any], **fields: Any) -> int:
        request = self._request(sent)
        if request.entry is None:
            return 0
        self.job.usage.requests += 1
        return self.job.writer.ledger.record(
            self.job.llm, request, sent["try"], batch=self.batch, **fields
        )

    def _say(self) -> None:
        """What came of it, and what could not be used."""
        unusable = [f"{n} {what}" for what, n in self.found.unusable.items()]
        said = f"Batch {self.remote.id}: {self.remote.status}, {len(self.found.results)} results"
        self.job.on_message(said + (f" ({', '.join(unusable)})." if unusable else "."))
        if self.again and self.error() is None:
            ((why, _),) = self.again.most_common(1)
            self.job.on_message(
                f"Batch {self.remote.id}: {self.asked_again} of the {len(self.replies)} replies "
                f"will not do (most often: {excerpt(why.rstrip('. '), 200)}); the next batch asks "
                "again."
            )
        if self.lost:
            gone = ", whose file is gone at the provider's" if self.found.missing else ""
            paid = f"up to ${self.lost_usd:.4f}" if self.lost_usd else "nothing, as far as is known"
            self.job.on_message(
                f"Batch {self.remote.id}: {self.lost} requests have no result{gone}; what they may "
                f"have cost: {paid}. Their cells are free again."
            )

    # -- what goes for all of them -----------------------------------------------------------

    def _refused_alike(self) -> Reply | None:
        """A refusal, where the provider answered nothing and refused again and again alike."""
        refusals = Refusals()
        found = None
        for reply in self.replies:
            if 200 <= (reply.http_status or 0) < 300 or reply.error_class == "ContentFilter":
                return None
            if reply.error_scope == "cell" and refusals.count(reply):
                found = reply
        return found

    def error(self) -> LsmsegPromptsError | None:
        """What would fail for every other request too, where not one was answered."""
        name = self.job.llm.name
        if self.cut:
            return BudgetError(
                f"{name} does not get to the end of its replies: {len(self.cut)} of a batch were "
                "cut off for the third time. Let it think less with --reasoning off or low, or ask "
                f"another model; {RESUME}."
            )
        if any(reply.error_scope is None for reply in self.replies):
            return None
        for scope, kind in (("setup", ConfigurationError), ("account", ProviderError)):
            first = next((r for r in self.replies if r.error_scope == scope), None)
            if first is not None:
                return kind(f"{name}, batch {self.remote.id}: {first.failure.rstrip('. ')}.")
        refused = self._refused_alike()
        if refused is None:
            return None
        why = refused.failure.rstrip(". ")
        return ProviderError(f"{name} refuses every request of a batch: {why}; {RESUME}.")
