"""Stage 2 as a whole: one or several LLMs fill their cells of a vocabulary, side by side."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial

from lsmseg_prompts.generation.batch import check_batches, run_batches
from lsmseg_prompts.generation.cell_writer import CellWriter, recover
from lsmseg_prompts.generation.cells import Filling, enter, fill
from lsmseg_prompts.generation.engine import Asker, price_for
from lsmseg_prompts.generation.ledger import Ledger
from lsmseg_prompts.generation.limits import Budget, Stop
from lsmseg_prompts.generation.plan import Estimate, estimate, make_plan
from lsmseg_prompts.generation.request import GenerationRequest
from lsmseg_prompts.generation.summary import Summary, Tally, alike, gravest, summarize
from lsmseg_prompts.generation.verdicts import warm_up
from lsmseg_prompts.generation.workers import run_async, run_workers, signals_stop
from lsmseg_prompts.store.sqlite import working_store_path
from lsmseg_prompts.store.store import Store, open_store, open_store_readonly

OnUpdate = Callable[[Sequence[Filling]], None]


def generate(
    request: GenerationRequest, *, on_progress: Callable[[int, int], None] | None = None
) -> list[Summary]:
    """Ask for every missing (class, attribute) cell; returns a Summary for each LLM.

    The same call again asks only for what is still missing. `on_progress(settled, to be asked)`
    is called as cells settle. Every request is on file before it is sent, and every reply before
    it is judged; what is committed survives a kill.

    Raises:
        LsmsegPromptsError: UsageError, ConfigurationError, StoreError; ProviderError and
            BudgetError when the run ended before its time (the same call resumes it).
        Interrupted: A signal stopped the run.
    """

    def update(fillings: Sequence[Filling]) -> None:
        if on_progress is not None:
            tallies = [filling.tally for filling in fillings]
            on_progress(sum(t.settled for t in tallies), sum(t.to_ask for t in tallies))

    summaries = generate_all(request, on_update=update)
    if (error := gravest(summaries)) is not None:
        raise error
    return summaries


def generate_all(
    request: GenerationRequest,
    *,
    on_update: OnUpdate | None = None,
    on_message: Callable[[str], None] | None = None,
) -> list[Summary]:
    """`generate`, where what ended one LLM's part is not raised, but stands in its Summary.

    The budget is theirs together. `on_update(fillings)` is called as cells settle, `on_message`
    with what becomes of batches, and for which other process a run waits.

    Raises:
        LsmsegPromptsError: What is wrong beforehand; of batches, whatever ends them.
    """
    llms = request.providers()
    request = replace(request, vocabulary=request.loaded_vocabulary(), llms=llms)
    request.wanted_cells()  # before a file is made for nothing
    if request.batch:
        check_batches(llms)
    context: AbstractContextManager[Store]
    if isinstance(request.store, Store):
        context = nullcontext(request.store)
    else:
        path = working_store_path(request.store)
        if not path.exists():
            for llm in llms:
                llm.check()
                price_for(llm, request.limits)
        context = open_store(path)
    with context as store:
        if request.batch:
            return run_batches(store, request, on_message or (lambda _: None))
        return run_async(_fill_all(store, request, on_update, on_message or (lambda _: None)))


async def _fill_all(
    store: Store,
    request: GenerationRequest,
    on_update: OnUpdate | None,
    on_message: Callable[[str], None],
) -> list[Summary]:
    began = time.monotonic()
    vocabulary, llms = request.loaded_vocabulary(), request.providers()
    store.add_vocabulary(vocabulary)
    everything = Stop()
    paid = 0 if all(llm.free for llm in llms) else request.limits.concurrency * len(llms)
    with Ledger(store, paid) as ledger:
        fillings = await _prepare(ledger, request, everything)

        def update() -> None:
            if on_update is not None:
                on_update(fillings)

        with signals_stop(everything, update):
            warm = asyncio.create_task(_warm_up(fillings))
            parts = [
                run_workers(
                    [partial(fill, filling, update, on_message)], ledger, filling.asker.stop
                )
                for filling in fillings
            ]
            await asyncio.gather(*parts)
            warm.cancel()
            for llm in llms:
                await llm.close()
        for filling in fillings:
            filling.asker.finish()
            if not filling.asker.gate.opened:  # a wrong key, say: as if it had not been tried
                store.mark_stale(vocabulary, filling.writer.llm, filling.marked, stale=False)
    seconds = time.monotonic() - began
    return [
        replace(
            summarize(f.plan, f.tally, f.asker.usage),
            seconds=seconds,
            error=f.asker.stop.error,
            alike=alike(store, f.writer.llm, request),
            left_out=tuple(f.asker.llm.left_out()),
        )
        for f in fillings
    ]


async def _prepare(ledger: Ledger, request: GenerationRequest, everything: Stop) -> list[Filling]:
    """Enter what is asked and by whom, plan, and make ready to ask."""
    store, limits, questions = ledger.store, request.limits, request.questions()
    vocabulary, llms = request.loaded_vocabulary(), request.providers()
    enter(store, llms, questions)
    writers = [CellWriter(ledger, vocabulary, llm.name) for llm in llms]
    for writer in writers:
        await recover(writer)
    plans = [make_plan(store, llm, request) for llm in llms]
    for llm, plan in zip(llms, plans, strict=True):
        if plan.missing:
            llm.check()
    budget = Budget(limits.max_cost, limits.max_calls)
    askers = [Asker(llm, limits, budget, Stop(everything), ledger) for llm in llms]
    return [
        Filling(
            asker,
            questions,
            writer,
            plan,
            Tally(len(plan.missing)),
            # Only now that nothing more can be refused.
            store.mark_stale(vocabulary, plan.llm, plan.missing) if request.redo else [],
        )
        for asker, writer, plan in zip(askers, writers, plans, strict=True)
    ]


async def _warm_up(fillings: Sequence[Filling]) -> None:
    """Reading word lists takes as long as a reply: do it while the first is on its way."""
    while not any(filling.asker.gate.on_their_way for filling in fillings):
        await asyncio.sleep(0.002)
    await asyncio.to_thread(warm_up)


def dry_run(request: GenerationRequest) -> list[Estimate]:
    """What `generate` would ask and what that would take; touches neither network nor store.

    Raises UsageError, ConfigurationError (no price for a budget), StoreError.
    """
    request = replace(request, vocabulary=request.loaded_vocabulary())
    if request.batch:
        check_batches(request.providers())
    context: AbstractContextManager[Store | None] = nullcontext()
    if isinstance(request.store, Store):
        context = nullcontext(request.store)
    elif (path := working_store_path(request.store)).exists():
        context = open_store_readonly(path)
    with context as store:
        return [
            estimate(make_plan(store, llm, request), llm, request) for llm in request.providers()
        ]
