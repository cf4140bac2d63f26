"""A dry run that asks some cells for real, and says by their replies what the others will take."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from math import sqrt
from statistics import mean, stdev
from typing import Any

from lsmseg_prompts.generation.engine import BATCH_PRICE, price_for
from lsmseg_prompts.generation.ledger import Cell
from lsmseg_prompts.generation.limits import Limits
from lsmseg_prompts.generation.plan import Estimate, Plan, estimate, make_plan
from lsmseg_prompts.generation.questions import Call
from lsmseg_prompts.generation.request import GenerationRequest
from lsmseg_prompts.generation.run import OnUpdate, generate_all
from lsmseg_prompts.generation.summary import Summary
from lsmseg_prompts.llm.base import LLM
from lsmseg_prompts.store.sqlite import working_store_path
from lsmseg_prompts.store.store import Store, open_store_readonly

T_975 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045, 2.042, 2.040, 2.037, 2.035, 2.032, 2.030, 2.028, 2.026, 2.024, 2.023,
    2.021, 2.020, 2.018, 2.017, 2.015, 2.014, 2.013, 2.012, 2.011, 2.010,
)  # fmt: skip
"""The 97.5 % quantile of Student's t for 1, 2, 3 ... degrees of freedom."""
MOST = len(T_975) + 1


@dataclass(frozen=True)
class Interval:
    """A mean and its 95 % t-interval, never below 0; None where there is one value only."""

    mean: float
    low: float | None
    high: float | None

    def times(self, factor: float) -> Interval:
        low, high = (None if end is None else factor * end for end in (self.low, self.high))
        return Interval(factor * self.mean, low, high)


@dataclass(frozen=True)
class Probe:
    """What some calls took, and what the others will by that.

    calls: those that were answered. input_tokens, output_tokens: of a call, replies that were
    asked again included. thoughts: their part of the output, None where none were told. cost_usd:
    of the calls that are left, None without a price.
    """

    calls: int
    input_tokens: Interval
    output_tokens: Interval
    thoughts: float | None
    cost_usd: Interval | None


@dataclass(frozen=True)
class Probed:
    """What is left after a probe and what it will take, and what became of the probe.

    summary: None where nothing was missing. probe: None where no reply said its tokens.
    """

    estimate: Estimate
    summary: Summary | None
    probe: Probe | None


def probe(
    request: GenerationRequest, count: int, *, on_update: OnUpdate | None = None
) -> list[Probed]:
    """Ask `count` of the missing calls of each LLM, spread evenly, and extrapolate to the rest.

    They are filed as those of any run, within its limits: paid once, and kept. Of a batch they
    are asked at once, at the full price.

    Raises:
        LsmsegPromptsError: What is wrong beforehand; what ended a run stands in its summary.
    """
    llms = request.providers()
    request = replace(request, vocabulary=request.loaded_vocabulary(), llms=llms)
    limits, found = request.limits, []
    for llm in llms:
        with _reading(request) as store:
            plan = make_plan(store, llm, request)
            last = 0 if store is None else _last_attempt(store)
        chosen = spread(plan.calls, count)
        cells = [(call.entry.index, a) for call in chosen for a in call.attributes]
        summary = _ask(request, llm, cells, limits, on_update) if cells else None
        if summary is not None:
            limits = _less(limits, summary)
        rest = replace(
            plan,
            missing=[cell for cell in plan.missing if cell not in set(cells)],
            calls=[call for call in plan.calls if call not in chosen],
        )
        with _reading(request) as store:
            used = [] if store is None else _used(store, plan, chosen, last)
        found.append(Probed(estimate(rest, llm, request), summary,
                            _probe(used, rest, llm, request) if used else None))  # fmt: skip
    return found


def _reading(request: GenerationRequest) -> AbstractContextManager[Store | None]:
    if isinstance(request.store, Store):
        return nullcontext(request.store)
    path = working_store_path(request.store)
    return open_store_readonly(path) if path.exists() else nullcontext()


def _last_attempt(store: Store) -> int:
    return int(store.rows("SELECT max(id) AS last FROM attempts")[0]["last"] or 0)


def spread(calls: Sequence[Call], count: int) -> list[Call]:
    """So many of the calls, evenly over them and over their attributes; always the same ones."""
    count = min(count, len(calls))
    chosen: list[Call] = []
    times: Counter[tuple[str, ...]] = Counter()
    for part in range(count):
        begin, end = part * len(calls) // count, (part + 1) * len(calls) // count
        middle = (begin + end - 1) / 2
        place = min(
            range(begin, end), key=lambda n: (times[calls[n].attributes], abs(n - middle), n)
        )
        chosen.append(calls[place])
        times[calls[place].attributes] += 1
    return chosen


def _ask(
    request: GenerationRequest,
    llm: LLM,
    cells: Sequence[Cell],
    limits: Limits,
    on_update: OnUpdate | None,
) -> Summary:
    one = replace(
        request, llms=[llm], cells=cells, attributes=None, classes=None, samples=1, limit=None,
        batch=False, limits=limits,
    )  # fmt: skip
    (summary,) = generate_all(one, on_update=on_update)
    return summary


def _less(limits: Limits, summary: Summary) -> Limits:
    """What the other LLMs may still spend."""
    cost, calls = limits.max_cost, limits.max_calls
    return replace(
        limits,
        max_cost=None if cost is None else max(0.0, cost - (summary.cost_usd or 0.0)),
        max_calls=None if calls is None else max(0, calls - summary.requests),
    )


def _used(
    store: Store, plan: Plan, calls: Sequence[Call], after: int
) -> list[tuple[int, int, int | None]]:
    """Tokens in and out and of thoughts, of each call whose replies since then tell them all.

    What was only learnt on the way, how much room thoughts need, is not asked again for the
    others and does not count.
    """
    place = {(c.entry.index, a): n for n, c in enumerate(calls) for a in c.attributes}
    rows = store.rows(
        "SELECT * FROM attempts WHERE id > ? AND vocabulary = ? AND llm = ? "
        "AND purpose = 'describe' AND coalesce(error_class, '') != 'OnlyThoughts'",
        [after, plan.vocabulary, plan.llm],
    )
    attempts: dict[int, list[Mapping[str, Any]]] = {}
    for row in rows:
        attribute = row["attribute"] or json.loads(row["attributes"] or '[""]')[0]
        at = place.get((row["class_index"], attribute))
        if at is not None and (row["reply"] is not None or row["input_tokens"] is not None):
            attempts.setdefault(at, []).append(row)
    return [
        (
            sum(row["input_tokens"] for row in some),
            sum(row["output_tokens"] for row in some),
            sum(row["reasoning_tokens"] or 0 for row in some)
            if any(row["reasoning_tokens"] is not None for row in some)
            else None,
        )
        for some in attempts.values()
        if all(None not in (row["input_tokens"], row["output_tokens"]) for row in some)
    ]


def _probe(
    used: Sequence[tuple[int, int, int | None]], rest: Plan, llm: LLM, request: GenerationRequest
) -> Probe:
    price = price_for(llm, request.limits)
    thoughts = [thought for _, _, thought in used if thought is not None]
    cost = None
    if price is not None:
        factor = len(rest.calls) * (BATCH_PRICE if request.batch else 1.0)
        cost = interval([price.cost(into, out) for into, out, _ in used]).times(factor)
    return Probe(
        calls=len(used),
        input_tokens=interval([into for into, _, _ in used]),
        output_tokens=interval([out for _, out, _ in used]),
        thoughts=sum(thoughts) / max(1, sum(out for _, out, _ in used)) if thoughts else None,
        cost_usd=cost,
    )


def interval(values: Sequence[float]) -> Interval:
    """The mean of up to MOST values and its 95 % t-interval."""
    middle, count = mean(values), len(values)
    if count < 2:
        return Interval(middle, None, None)
    half = T_975[count - 2] * stdev(values) / sqrt(count)
    return Interval(middle, max(0.0, middle - half), middle + half)
