"""Stage 2 as a whole: one or several LLMs fill their cells of a vocabulary, side by side."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from lsmseg_prompts.descriptions.loading import check_attributes
from lsmseg_prompts.errors import LsmsegPromptsError, UsageError
from lsmseg_prompts.generation.cells import Desk, Failure, Tally, fill, recover
from lsmseg_prompts.generation.engine import Asker
from lsmseg_prompts.generation.ledger import Ledger
from lsmseg_prompts.generation.limits import Budget, Limits, Stop
from lsmseg_prompts.generation.plan import Estimate, Plan, estimate, make_plan
from lsmseg_prompts.generation.questions import Asked
from lsmseg_prompts.generation.verdicts import warm_up
from lsmseg_prompts.generation.workers import run_async, run_workers, signals_stop
from lsmseg_prompts.llm.base import LLM
from lsmseg_prompts.llm.registry import make_llm
from lsmseg_prompts.templates import Query, query, read_query
from lsmseg_prompts.vocabularies import Vocabulary, load_vocabulary

if TYPE_CHECKING:
    from lsmseg_prompts.store.store import Store

PER_CALL = ("cell", "class")


@dataclass(frozen=True)
class Summary:
    """What one run did for one LLM.

    Of `cells` wanted, `skipped` needed nothing, `done` were filled by this run (`review` of them
    are marked for a person's review), `failed` failed, `elsewhere` were filled by other
    processes, `left` were not got to (or lie beyond the limit), `in_batch` are in a batch that is
    not collected yet. `asked` = `done` + `failed`. `cost_usd` is None where the price is not
    known; up to `uncertain_usd` of it may not have been charged. `error` is what ended the run
    before its time, None if nothing did.
    """

    vocabulary: str
    llm: str
    cells: int
    asked: int
    done: int
    failed: int
    skipped: int
    failures: tuple[Failure, ...]
    failed_before: int = 0
    review: int = 0
    elsewhere: int = 0
    left: int = 0
    in_batch: int = 0
    requests: int = 0
    failed_requests: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float | None = None
    uncertain_usd: float = 0.0
    seconds: float = 0.0
    error: BaseException | None = None


@dataclass(frozen=True)
class Options:
    """How to ask, for `generate_all` and `dry_run`; see docs/generation.md.

    attributes: None is all that are described. classes: names of some classes, None all.
    limit: at most so many cells. template: a query's name, or a Jinja2 file's path.
    per_call: a "cell" or all attributes of a "class" in one request. parameters: of the
    provider, such as temperature.
    """

    attributes: Sequence[str] | None = None
    classes: Sequence[str] | None = None
    limit: int | None = None
    template: str | os.PathLike[str] = "describe-paper"
    per_call: Literal["cell", "class"] = "cell"
    redo: bool = False
    retry_errors: bool = False
    parameters: Mapping[str, Any] | None = None
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        if self.per_call not in PER_CALL:
            raise UsageError(f"per_call is cell or class, not {self.per_call!r}.")
        if self.limit is not None and self.limit < 1:
            raise UsageError("limit, the number of cells to ask for, must be at least 1.")
        _query(self.template)

    def plan(self, store: Store | None, vocabulary: Vocabulary, llm: LLM) -> Plan:
        return make_plan(
            store,
            vocabulary,
            llm,
            check_attributes(self.attributes),
            classes=self.classes,
            limit=self.limit,
            retry_errors=self.retry_errors,
            redo=self.redo,
            together=self.per_call == "class",
        )

    def asked(self, vocabulary: Vocabulary) -> Asked:
        return Asked(vocabulary.name, _query(self.template), dict(self.parameters or {}))


def _query(template: str | os.PathLike[str]) -> Query:
    name = os.fspath(template)
    if name in ("describe-paper", "describe-thesis"):
        return query(name)
    if name.endswith((".j2", ".jinja", ".jinja2", ".txt")) or os.path.exists(name):
        return read_query(name)
    raise UsageError(
        f"There is no description template {name!r}: describe-paper, describe-thesis, or a "
        "Jinja2 file of your own."
    )


def generate(
    store: Store | str | os.PathLike[str] | None,
    vocabulary: Vocabulary | str,
    llm: LLM | str = "bundled",
    attributes: Iterable[str] | None = None,
    template: str | os.PathLike[str] = "describe-paper",
    redo: bool = False,
    progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Summary:
    """Ask `llm` for every missing (class, attribute) cell and file what it answers.

    `store` is an open store, or the path of one (None: the usual working store). The same call
    again asks only for what is still missing; `redo` asks for everything anew that is not
    locked. `progress(settled, to be asked)` is called as cells settle. `options` are those of
    `Options`. Every request is on file before it is sent, and every reply before it is looked
    at; what is committed survives a kill.

    Cells that fail are counted and listed in the Summary, with reasons in the store. Raises
    UsageError, ConfigurationError, StoreError; ProviderError and BudgetError when the run ended
    before its time (the same call resumes it), and Interrupted.
    """
    chosen = Options(
        attributes=None if attributes is None else list(attributes),
        template=template,
        redo=redo,
        **options,
    )

    def watch(tallies: Sequence[Tally], _: object) -> None:
        if progress is not None:
            progress(tallies[0].settled, tallies[0].to_ask)

    summary = generate_all(store, vocabulary, [llm], chosen, watch)[0]
    if summary.error is not None:
        raise summary.error
    return summary


Watch = Callable[[Sequence[Tally], Sequence[Asker]], None]


def generate_all(
    store: Store | str | os.PathLike[str] | None,
    vocabulary: Vocabulary | str,
    llms: Sequence[LLM | str],
    options: Options | None = None,
    watch: Watch | None = None,
) -> list[Summary]:
    """`generate` for several LLMs at the same time; what ended one is in its Summary.

    The budget is theirs together. `watch(tallies, askers)` is called as cells settle.
    Raises UsageError, ConfigurationError and StoreError for what is wrong beforehand.
    """
    from lsmseg_prompts.store.store import open_store, working_store_path

    options = options or Options()
    vocabulary = load_vocabulary(vocabulary) if isinstance(vocabulary, str) else vocabulary
    providers = [make_llm(llm) if isinstance(llm, str) else llm for llm in llms]
    if doubles := {p.name for p in providers if [q.name for q in providers].count(p.name) > 1}:
        raise UsageError(f"--llm {min(doubles)} is given twice.")
    check_attributes(options.attributes)
    asked = options.asked(vocabulary)
    opened: AbstractContextManager[Store]
    if store is None or isinstance(store, str | os.PathLike):
        path = working_store_path(store)
        if not path.exists():
            for llm in providers:
                llm.check()  # before a file is made for nothing
        opened = open_store(path)
    else:
        opened = nullcontext(store)
    with opened as file:
        return run_async(_generate_all(file, vocabulary, providers, options, asked, watch))


async def _generate_all(
    store: Store,
    vocabulary: Vocabulary,
    llms: Sequence[LLM],
    options: Options,
    asked: Asked,
    watch: Watch | None,
) -> list[Summary]:
    began = time.monotonic()
    store.add_vocabulary(vocabulary)
    everything = Stop()
    budget = Budget(options.limits.max_cost, options.limits.max_calls)
    paid = 0 if all(llm.free for llm in llms) else options.limits.concurrency * len(llms)
    with Ledger(store, paid) as ledger:
        desks = [Desk(store, ledger, vocabulary, llm.name) for llm in llms]
        enter(store, llms, asked)
        for desk in desks:
            recover(desk)
        plans = [options.plan(store, vocabulary, llm) for llm in llms]
        for llm, plan in zip(llms, plans, strict=True):
            if plan.missing:
                llm.check()
        askers = [Asker(llm, options.limits, budget, Stop(everything), ledger) for llm in llms]
        marked = [
            # Only now that nothing more can be refused.
            store.mark_stale(vocabulary, llm.name, plan.missing) if options.redo else []
            for llm, plan in zip(llms, plans, strict=True)
        ]
        tallies = [
            Tally(llm.name, plan.cells, len(plan.missing))
            for llm, plan in zip(llms, plans, strict=True)
        ]

        def tell() -> None:
            if watch is not None:
                watch(tallies, askers)

        async def one(place: int) -> None:
            await fill(
                askers[place],
                asked,
                desks[place],
                plans[place].calls,
                plans[place].failed_too,
                tallies[place],
                tell,
            )

        with signals_stop(everything, tell):
            warm = asyncio.create_task(_warm_up(askers))
            await asyncio.gather(
                *(_guarded(one(place), askers[place].stop, ledger) for place in range(len(llms)))
            )
            warm.cancel()
            for llm in llms:
                await llm.close()
        for llm, asker, cells in zip(llms, askers, marked, strict=True):
            asker.finish()
            if not asker.gate.opened:  # a wrong key, say: as if it had not been tried
                store.mark_stale(vocabulary, llm.name, cells, stale=False)
    seconds = time.monotonic() - began
    return [
        _summary(vocabulary, plan, tally, asker, seconds)
        for plan, tally, asker in zip(plans, tallies, askers, strict=True)
    ]


async def _warm_up(askers: Sequence[Asker]) -> None:
    """Reading word lists takes as long as a reply: do it while the first is on its way."""
    while not any(asker.gate.on_their_way for asker in askers):
        await asyncio.sleep(0.002)
    await asyncio.to_thread(warm_up)


async def _guarded(work: Any, stop: Stop, ledger: Ledger) -> None:
    """Run one LLM's work; whatever ends it is in `stop`."""

    async def worker() -> None:
        await work

    await run_workers([worker], ledger, stop)


def enter(store: Store, llms: Sequence[LLM], asked: Asked) -> None:
    """Enter the LLMs and the queries of a run into the store."""
    with store.transaction():
        for llm in llms:
            store.add_llm(llm.name, llm.provenance)
        for one in (asked.describe, asked.query("typical")):
            store.add_template(one.name, one.text, one.hash)


def _summary(
    vocabulary: Vocabulary, plan: Plan, tally: Tally, asker: Asker, seconds: float
) -> Summary:
    usage = asker.usage
    return Summary(
        vocabulary=vocabulary.name,
        llm=tally.llm,
        cells=plan.cells,
        asked=tally.done + tally.failed,
        done=tally.done,
        failed=tally.failed,
        skipped=plan.cells - len(plan.missing) - plan.in_batch - plan.beyond_limit,
        failures=tuple(tally.failures),
        failed_before=plan.failed_before,
        review=tally.review,
        elsewhere=tally.elsewhere,
        left=len(plan.missing) - tally.settled + plan.beyond_limit,
        in_batch=plan.in_batch,
        requests=usage.requests,
        failed_requests=usage.failed_requests,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cost_usd=usage.cost_usd,
        uncertain_usd=usage.uncertain_usd,
        seconds=seconds,
        error=asker.stop.error,
    )


def dry_run(
    store: str | os.PathLike[str] | None,
    vocabulary: Vocabulary | str,
    llms: Sequence[LLM | str],
    options: Options | None = None,
    batch: bool = False,
) -> list[Estimate]:
    """What `generate_all` would ask and what that would take; touches neither network nor store.

    Raises UsageError, ConfigurationError (no price for a budget), StoreError.
    """
    from lsmseg_prompts.store.store import open_store_readonly, working_store_path

    options = options or Options()
    vocabulary = load_vocabulary(vocabulary) if isinstance(vocabulary, str) else vocabulary
    path = working_store_path(store)
    asked = options.asked(vocabulary)
    estimates = []
    with open_store_readonly(path) if path.exists() else nullcontext() as file:
        for name in llms:
            llm = make_llm(name) if isinstance(name, str) else name
            plan = options.plan(file, vocabulary, llm)
            estimates.append(estimate(plan, asked, vocabulary, llm, options.limits, batch))
    return estimates


def gravest(summaries: Sequence[Summary]) -> BaseException | None:
    """The error to end with: a signal before the store's before the rest."""
    errors = [s.error for s in summaries if s.error is not None]
    first = [e for e in errors if not isinstance(e, LsmsegPromptsError)]
    return next(iter([*first, *sorted(errors, key=lambda e: -getattr(e, "exit_code", 1))]), None)
