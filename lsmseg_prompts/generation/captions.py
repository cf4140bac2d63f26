"""Captions of pictures by a vision model: objects, attributes and relations, asked for as JSON."""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import Any

from lsmseg_prompts.errors import StoreError, UsageError
from lsmseg_prompts.generation.answers import recorded_reply
from lsmseg_prompts.generation.asking import Asked, ask_all
from lsmseg_prompts.generation.engine import Usage, output_limit, price_for, worst_case
from lsmseg_prompts.generation.limits import Limits
from lsmseg_prompts.generation.plan import Estimate
from lsmseg_prompts.generation.replies import read_object
from lsmseg_prompts.generation.summary import Failure, Summary
from lsmseg_prompts.generation.verdicts import as_a_whole
from lsmseg_prompts.llm.base import LLM, Image, Reply, Request
from lsmseg_prompts.llm.bundled import LLM_NAME
from lsmseg_prompts.llm.tokens import input_tokens
from lsmseg_prompts.store.sqlite import utc_now, working_store_path
from lsmseg_prompts.store.store import Store, open_store, open_store_readonly
from lsmseg_prompts.templates import Query, query

PURPOSE = "captions"  # what the attempts are filed under
TRIES = 2  # of a picture whose replies will not do
MOST_OUTPUT = 3000  # tokens of a reply
USUAL_INPUT, USUAL_OUTPUT = 765, 300  # tokens of a picture (4 tiles of gpt-4o's), of a reply

SCHEMA: dict[str, Any] = json.loads((files(__package__) / "captions.json").read_text("utf-8"))
PARTS, ENDS = ("objects", "relations"), ("subject", "relation", "object")


@dataclass(frozen=True)
class Picture:
    """A picture: its name, the SHA-256 of its pixels, and what reads it as it is sent."""

    key: str
    sha256: str
    read: Callable[[], Image]


@dataclass(frozen=True)
class CaptionRequest:
    """What `caption` is asked to do.

    data: what the pictures are of. check: cleans the objects and relations of a reply, or raises
    ValueError with the reason. detailed: ask for all that is to be seen. limit: at most so many
    pictures. redo, retry_errors: ask again also for what is there, or what failed. parameters: of
    the provider. store: the store's path; None is the usual one.
    """

    llm: LLM
    data: str
    pictures: Sequence[Picture]
    check: Callable[[Any], dict[str, Any]]
    detailed: bool = False
    limit: int | None = None
    redo: bool = False
    retry_errors: bool = False
    parameters: Mapping[str, Any] = field(default_factory=dict)
    limits: Limits = field(default_factory=Limits)
    store: str | os.PathLike[str] | None = None

    def __post_init__(self) -> None:
        if self.llm.name == LLM_NAME:
            raise UsageError(
                "bundled cannot look at pictures: name a vision model, such as --llm gpt-4o."
            )

    @property
    def template(self) -> Query:
        return query(f"captions-{'detailed' if self.detailed else 'simple'}")


_Open = dict[Picture, dict[str, str]]
"""Of each picture that is to be told of, what was wrong with the reply to each question so far."""


class _Questions(Sequence[Request]):
    """Questions that are made when they are asked: of pictures, those on their way are held."""

    def __init__(self, request: CaptionRequest, left: _Open) -> None:
        self.request, self.left = request, [*left.items()]

    def __len__(self) -> int:
        return len(self.left)

    def __getitem__(self, place: Any) -> Any:
        (picture, faults), template = self.left[place], self.request.template
        wrong = [f"This answer of yours could not be used: {one}." for one in faults.values()]
        made = Request(
            "\n\n".join([template.render(), *wrong]),
            images=(picture.read(),),
            schema=SCHEMA,
            max_output_tokens=MOST_OUTPUT * (1 + len(faults)),
            template_hash=template.hash,
            parameters=self.request.parameters,
        )
        return replace(made, system=self.request.llm.fitted(made).system)  # as it will be on file


def _planned(request: CaptionRequest, store: Store | None) -> tuple[_Open, int, int]:
    """The pictures to ask about now, how many lie beyond the limit, and how many failed before."""
    sql = "SELECT picture, sha256, objects IS NULL AS failed FROM captions "
    sql += "WHERE data = ? AND llm = ? AND template_hash = ?"
    values = [request.data, request.llm.name, request.template.hash]
    rows = [] if store is None else store.rows(sql, values)
    there = {(row["picture"], row["sha256"]): row["failed"] for row in rows}
    again = {None, *((0, 1) if request.redo else (1,) if request.retry_errors else ())}
    known = {one: there.get((one.key, one.sha256)) for one in request.pictures}
    left = [one for one, failed in known.items() if failed in again]
    now = {one: dict[str, str]() for one in left[: request.limit]}
    return now, len(left) - len(now), 0 if 1 in again else [*known.values()].count(1)


def caption_estimate(request: CaptionRequest) -> Estimate:
    """What `caption` would ask and what that would take; nothing is sent."""
    path, llm = working_store_path(request.store), request.llm
    with open_store_readonly(path) if path.exists() else nullcontext() as store:
        now, beyond, failed = _planned(request, store)
    (question,) = _Questions(request, {Picture("", "", lambda: Image("", b"")): {}})
    first, price = llm.fitted(question), price_for(llm, request.limits)
    count, most = len(now), worst_case(llm, first, price)[1]
    into = count * (input_tokens(first.messages, llm.model)[0] + USUAL_INPUT)
    return Estimate(
        *(llm.name, request.data, llm.host, len(request.pictures), count, failed, count, into),
        counted_exactly=False,
        output_tokens=count * USUAL_OUTPUT,
        output_tokens_at_most=count * output_limit(first),
        cost_low_usd=None if price is None else price.cost(into, count * USUAL_OUTPUT),
        cost_high_usd=None if most is None else count * most,
        price=None if price is None else price.shown,
        beyond_limit=beyond,
        room=first.room or 0,
    )


def caption(
    request: CaptionRequest, *, on_progress: Callable[[int, int], None] | None = None
) -> Summary:
    """Ask about every picture without a caption; a reply that will not do is asked for once more.

    Every reply is on file before it is read: a run that was killed goes on from there. What ended
    the run early stands in the Summary. `on_progress(replies, questions)` is called as they come.

    Raises ConfigurationError or StoreError for what is wrong beforehand.
    """
    llm, usage, began = request.llm, Usage(), time.monotonic()
    llm.check()
    done, failures = 0, list[Failure]()
    with open_store(working_store_path(request.store)) as store:
        store.add_template(request.template)
        now, beyond, before = _planned(request, store)
        left = now
        for number in range(1, TRIES + 1):
            questions = _Questions(request, left)
            replies, asked = _asked(questions, store, usage, on_progress)
            usage, left = _added(usage, asked.usage), {}
            for (picture, faults), (question, reply) in zip(questions.left, replies, strict=True):
                if reply is None:
                    continue
                if reply.error_scope in ("passing", "throttled"):
                    failures.append(Failure(0, picture.key, PURPOSE, reply.failure, passing=True))
                    continue
                told, fault, final = _read(reply, request.check)
                faults[question] = fault
                if fault and not final and number < TRIES:
                    left[picture] = faults
                    continue
                _file(store, request, (picture, faults), reply, told)
                done += not fault
                failures += [Failure(0, picture.key, PURPOSE, fault)] if fault else []
            if asked.error is not None or not left:
                break
    settled, wanted = done + len(failures), len(request.pictures)
    return Summary(
        *(request.data, llm.name, wanted, settled, done, len(failures)),
        skipped=wanted - len(now) - beyond,
        failures=tuple(failures),
        failed_before=before,
        left=len(now) - settled + beyond,
        **vars(usage),
        seconds=time.monotonic() - began,
        error=asked.error,
        left_out=tuple(llm.left_out()),
    )


def _asked(
    questions: _Questions, store: Store, spent: Usage, on_progress: Any
) -> tuple[list[tuple[str, Reply | None]], Asked]:
    """The hash of each question and its reply: one on file that nobody has read yet, or asked for.

    None where the run ended before.
    """
    request, limits = questions.request, questions.request.limits
    hashes = [question.hash for question in questions]
    sql = "SELECT * FROM attempts WHERE state = 'ended' AND reply IS NOT NULL AND verdict IS NULL "
    rows = store.rows(sql + "AND purpose = ? AND llm = ?", [PURPOSE, request.llm.name])
    replies = {row["question"]: recorded_reply(row) for row in rows}
    missing = {h: one for h, one in zip(hashes, questions.left, strict=True) if h not in replies}
    if limits.max_cost is not None:
        limits = replace(limits, max_cost=max(0.0, limits.max_cost - (spent.cost_usd or 0.0)))
    if limits.max_calls is not None:
        limits = replace(limits, max_calls=max(0, limits.max_calls - spent.requests))
    left = _Questions(request, dict(missing.values()))
    how = {"purpose": PURPOSE, "store": store, "limits": limits, "on_progress": on_progress}
    asked = ask_all(request.llm, left, **how)
    replies |= {h: asked.replies[n] for n, h in enumerate(missing) if n in asked.replies}
    return [(h, replies.get(h)) for h in hashes], asked


def _added(one: Usage, other: Usage) -> Usage:
    before, then = vars(one), vars(other)
    sums: dict[str, Any] = {name: (before[name] or 0) + (then[name] or 0) for name in before}
    return Usage(**sums | ({"cost_usd": None} if then["cost_usd"] is None else {}))


def _read(reply: Reply, check: Callable[[Any], Any]) -> tuple[dict[str, Any], str, bool]:
    """What a reply tells, or what is wrong with it, and whether asking again is of no use."""
    if whole := as_a_whole(reply):
        return {}, whole.fault or "", whole.final
    value = read_object(reply.said, PARTS)
    if value is None:
        return {}, "the reply is not a JSON object with objects and relations", False
    relations = value.get("relations", [])
    if isinstance(relations, list):
        relations = [[*map(r.get, ENDS)] if isinstance(r, dict) else r for r in relations]
    try:
        return check({"objects": value.get("objects"), "relations": relations}), "", False
    except ValueError as error:
        return {}, str(error).rstrip("."), False


def _file(
    store: Store, request: CaptionRequest, one: Any, reply: Reply, told: Mapping[str, Any]
) -> None:
    """Enter a caption, or why there is none; a failure never replaces a caption."""
    (picture, faults), who = one, [PURPOSE, request.llm.name]
    parts = {part: json.dumps(told[part], ensure_ascii=False) if told else None for part in PARTS}
    where = "WHERE purpose = ? AND llm = ? AND "
    with store.transaction():
        for question, fault in faults.items():
            sql = f"UPDATE attempts SET verdict = ? {where} question = ? AND verdict IS NULL"
            store.execute(sql, [fault or "accepted", *who, question])
        asked = "question IN (SELECT value FROM json_each(?))"
        cost = f"SELECT sum(cost_usd) FROM attempts {where} {asked}"
        row = {
            "data": request.data,
            "picture": picture.key,
            "sha256": picture.sha256,
            "llm": request.llm.name,
            "template_hash": request.template.hash,
            **parts,
            "reason": [*faults.values()][-1] or None,
            "reply": reply.text or reply.refusal,
            "cost_usd": store.execute(cost, [*who, json.dumps([*faults])]).fetchone()[0],
            "updated_at": utc_now(),
        }
        fresh = ", ".join(f"{name} = excluded.{name}" for name in row)
        better = "excluded.reason IS NULL OR captions.reason IS NOT NULL"
        store.write("captions", row, f"UPDATE SET {fresh} WHERE {better}")


def store_captions(
    llm: str | None = None,
    data: str | None = None,
    detailed: bool = False,
    store: str | os.PathLike[str] | None = None,
) -> list[dict[str, Any]]:
    """The captions on file, as the lines of the file that `--captions FILE` reads.

    Args:
        llm: Whose; None is anybody's.
        data: Of which data; None is any.
        detailed: Those of the detailed question.
        store: The store's path; None is the usual one.

    Raises UsageError where a picture has several, StoreError where there is none at all.
    """
    path = working_store_path(store)
    sql = "SELECT c.* FROM captions AS c JOIN templates ON hash = template_hash WHERE name = ? "
    sql += "AND reason IS NULL AND coalesce(llm = ?, 1) AND coalesce(data = ?, 1) "
    name = f"captions-{'detailed' if detailed else 'simple'}"
    with open_store_readonly(path) as opened:
        rows = opened.rows(sql + "ORDER BY picture, updated_at", [name, llm, data])
    newest = {(row["picture"], row["data"], row["llm"]): row for row in rows}
    for picture, count in Counter(key[0] for key in newest).most_common(1):
        if count > 1:
            raise UsageError(f"{picture} has {count} captions: name one with --llm or --data.")
    if not newest:
        raise StoreError(
            f"The store {path} has no such captions: ask for them with generate --captions."
        )
    return [
        {"picture": row["picture"], **{part: json.loads(row[part]) for part in PARTS}}
        for row in newest.values()
    ]
