"""What a run will ask, and what that will take, without touching the network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from lsmseg_prompts.generation.engine import BATCH_PRICE, output_limit, price_for
from lsmseg_prompts.generation.ledger import Cell, in_batches
from lsmseg_prompts.generation.questions import Call, calls_for
from lsmseg_prompts.generation.request import GenerationRequest
from lsmseg_prompts.llm.base import LLM
from lsmseg_prompts.llm.tokens import input_tokens
from lsmseg_prompts.store.store import Store

USUAL_OUTPUT = 45  # tokens of one description, of the 30 to 60 in the usual reply


@dataclass(frozen=True)
class Plan:
    """The cells of one LLM: how many are wanted, those to be asked, and the calls for them.

    failed_before: cells that failed in an earlier run and are not asked again. in_batch: cells
    that a batch under way asks for. beyond_limit: missing cells that the limit leaves for later.
    """

    vocabulary: str
    llm: str
    cells: int
    missing: list[Cell]
    calls: list[Call]
    failed_too: bool
    failed_before: int = 0
    in_batch: int = 0
    beyond_limit: int = 0


def make_plan(store: Store | None, llm: LLM, request: GenerationRequest) -> Plan:
    """Which cells are missing in the store. A free LLM is asked again for what failed.

    With `redo` every cell that is not locked counts as missing. Raises UsageError where the
    vocabulary does not have a class that is named.
    """
    vocabulary = request.loaded_vocabulary()
    failed_too = request.retry_errors or request.redo or llm.free
    wanted = request.wanted_cells()
    attributes = dict.fromkeys(attribute for _, attribute in wanted)
    batched: set[Cell] = set()
    if store is None:
        missing, failed = wanted, 0
    else:
        left = set(store.missing(vocabulary, llm.name, attributes, failed_too))
        with_failed = set(store.missing(vocabulary, llm.name, attributes, True))
        failed = sum(cell in with_failed and cell not in left for cell in wanted)
        if request.redo:
            locked = store.rows(
                "SELECT class_index, attribute FROM descriptions "
                "WHERE vocabulary = ? AND llm = ? AND locked",
                [vocabulary.name, llm.name],
            )
            kept = {(row["class_index"], row["attribute"]) for row in locked}
            left = {cell for cell in wanted if cell not in kept}
        batched = in_batches(store, vocabulary.name, llm.name) & left & set(wanted)
        missing = [cell for cell in wanted if cell in left and cell not in batched]
    now = missing[: request.limit]
    return Plan(
        vocabulary.name,
        llm.name,
        len(wanted),
        now,
        calls_for(vocabulary, now, request.per_call == "class"),
        failed_too,
        failed,
        len(batched),
        len(missing) - len(now),
    )


@dataclass(frozen=True)
class Estimate:
    """What `generate --dry-run` says of one LLM.

    Tokens and dollars are for one reply to each call; replies that will not do are asked again.
    cost_low: replies of usual length. cost_high: every reply as long as it may get. room: output
    tokens for thoughts, of which the first has none and the second as many as this a reply.
    """

    llm: str
    vocabulary: str
    host: str | None
    cells: int
    missing: int
    failed_before: int
    calls: int
    input_tokens: int
    counted_exactly: bool
    output_tokens: int
    output_tokens_at_most: int
    cost_low_usd: float | None
    cost_high_usd: float | None
    price: str | None
    in_batch: int = 0
    beyond_limit: int = 0
    room: int = 0
    longest: list[dict[str, Any]] = field(default_factory=list)


def estimate(plan: Plan, llm: LLM, request: GenerationRequest) -> Estimate:
    """Count the tokens of every first request of a plan, and price them."""
    exact, into, most, room = True, 0, 0, 0
    sizes: dict[tuple[int, str], dict[str, Any]] = {}  # samples are asked for in the same words
    questions = request.questions()
    for call in plan.calls:
        question = questions.first(call)
        count, sure = input_tokens(question.messages, llm.model)
        fitted = llm.fitted(question)
        exact, into, most = exact and sure, into + count, most + output_limit(fitted)
        room = max(room, fitted.room or 0)
        shown = {"class": call.entry.readable, "tokens": count, "prompt": question.prompt}
        sizes[call.entry.index, question.prompt] = shown
    out = min(USUAL_OUTPUT, questions.budget.limit) * len(plan.missing)
    price = price_for(llm, request.limits)
    factor = BATCH_PRICE if request.batch else 1.0
    return Estimate(
        llm=llm.name,
        vocabulary=plan.vocabulary,
        host=llm.host,
        cells=plan.cells,
        missing=len(plan.missing),
        failed_before=plan.failed_before,
        calls=len(plan.calls),
        input_tokens=into,
        counted_exactly=exact,
        output_tokens=out,
        output_tokens_at_most=most,
        cost_low_usd=None if price is None else factor * price.cost(into, out),
        cost_high_usd=None if price is None else factor * price.cost(into, most),
        price=None if price is None else price.shown + (", halved in a batch" * request.batch),
        in_batch=plan.in_batch,
        beyond_limit=plan.beyond_limit,
        room=room,
        longest=sorted(sizes.values(), key=lambda size: -int(size["tokens"]))[:3],
    )
