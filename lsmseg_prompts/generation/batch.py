"""Stage 2 through a provider's batch API: submit, leave, and collect within a day, at half price.

A batch is on file before it is created, and carries the id it has in the store, so that one whose
creation was cut off is found again instead of being paid for twice.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from lsmseg_prompts.errors import (
    BudgetError,
    ConfigurationError,
    LsmsegPromptsError,
    ProviderError,
    UsageError,
)
from lsmseg_prompts.generation.batch_job import BatchJob
from lsmseg_prompts.generation.batch_results import close, collect
from lsmseg_prompts.generation.batch_submit import submit
from lsmseg_prompts.generation.cell_writer import CellWriter, recover
from lsmseg_prompts.generation.cells import enter
from lsmseg_prompts.generation.engine import Usage, price_for
from lsmseg_prompts.generation.ledger import Ledger
from lsmseg_prompts.generation.limits import Stop
from lsmseg_prompts.generation.plan import Plan, make_plan
from lsmseg_prompts.generation.request import GenerationRequest
from lsmseg_prompts.generation.summary import Summary, alike, summarize
from lsmseg_prompts.generation.workers import run_async, run_workers
from lsmseg_prompts.llm.anthropic_batches import AnthropicBatches
from lsmseg_prompts.llm.base import LLM
from lsmseg_prompts.llm.batches import BatchService
from lsmseg_prompts.llm.errors import Gone
from lsmseg_prompts.llm.openai import OpenAIChat
from lsmseg_prompts.llm.openai_batches import OpenAIBatches
from lsmseg_prompts.llm.providers import all_providers
from lsmseg_prompts.store.store import Store

_SHOWN = "llm, remote_id, status, json_array_length(calls) AS requests, created_at"


def check_batches(llms: Sequence[LLM]) -> None:
    """Raise UsageError for an LLM without a batch API."""
    for llm in llms:
        provider = getattr(llm, "provider", None)
        if provider is None or provider.batch is None or provider.protocol != "openai":
            known = ", ".join(dict.fromkeys(p.name for p in all_providers() if p.batch))
            raise UsageError(
                f"{llm.name} is not known to have a Batch API, which --batch needs: leave it out, "
                f"or ask a model of another provider ({known})."
            )


def service_of(llm: OpenAIChat) -> BatchService:
    """The batch API of `llm`."""
    return AnthropicBatches(llm) if llm.provider.batch == "anthropic" else OpenAIBatches(llm)


def run_batches(
    store: Store, request: GenerationRequest, on_message: Callable[[str], None]
) -> list[Summary]:
    """Collect and submit the batches of a request's LLMs; those under way are in the summaries.

    Raises UsageError for an LLM without batches, ConfigurationError for a wrong key, StoreError.
    What ends the submitting (ProviderError, BudgetError) is in the summary.
    """
    vocabulary, llms = request.loaded_vocabulary(), request.providers()
    check_batches(llms)
    summaries: list[Summary] = []
    with Ledger(store) as ledger:
        store.add_vocabulary(vocabulary)
        enter(store, llms, request.questions())
        jobs = [
            _job(
                CellWriter(ledger, vocabulary, llm.name), cast(OpenAIChat, llm), request, on_message
            )
            for llm in llms
        ]

        async def one_by_one() -> None:
            for job in jobs:
                summaries.append(await _run(job))

        async def work() -> None:
            stop = Stop()
            await run_workers([one_by_one], ledger, stop)  # it says that it lives meanwhile
            if stop.error is not None:
                raise stop.error

        run_async(work())
    return summaries


def _job(
    writer: CellWriter,
    llm: OpenAIChat,
    request: GenerationRequest,
    on_message: Callable[[str], None],
) -> BatchJob:
    price = price_for(llm, request.limits)
    usage = Usage(cost_usd=None if price is None else 0.0)
    return BatchJob(writer, llm, service_of(llm), request, on_message, price, usage)


async def _run(job: BatchJob) -> Summary:
    """Collect what is done, submit what is missing."""
    began = time.monotonic()
    job.llm.check()
    await recover(job.writer)
    error: BaseException | None = None
    try:
        await _collect_and_submit(job)
    except (ConfigurationError, ProviderError, BudgetError) as reason:
        error = reason
    finally:
        await job.llm.close()
    plan, tally = _plan(job), job.tally
    tally.to_ask = tally.settled + len(plan.missing)
    plan = replace(plan, failed_before=max(0, plan.failed_before - tally.failed))
    return replace(
        summarize(plan, tally, job.usage),
        seconds=time.monotonic() - began,
        error=error,
        batches=tuple(job.under_way(_SHOWN)),
        alike=alike(job.writer.store, job.llm.name, job.request),
        left_out=tuple(job.llm.left_out()),
    )


async def _collect_and_submit(job: BatchJob) -> None:
    """Collect every batch, also beside one that is wrong; then submit, if none was.

    With a limit nothing is submitted beside what is collected: each look at a batch would add more.
    """
    under_way = job.under_way()
    wrong: LsmsegPromptsError | None = None
    for row in under_way:
        try:
            await collect(job, row)
        except Gone as error:
            wrong = wrong or _gone(job, row, error)
        except (ConfigurationError, ProviderError, BudgetError) as error:
            wrong = wrong or error
            if isinstance(error, ProviderError) and row in job.under_way():
                break  # the provider is down: the next would be waited for as long
    if wrong is not None:
        raise wrong
    if under_way and job.request.limit is not None:
        job.on_message(
            "With --limit a command that finds a batch under way only collects; one that finds "
            "none submits the next."
        )
        return
    redo = job.request.redo and not under_way
    if job.request.redo and not redo:
        job.on_message("--redo waits for a command that finds no batch under way.")
    plan = _plan(job, redo)
    if redo:
        job.writer.store.mark_stale(job.writer.vocabulary, job.llm.name, plan.missing)
    await submit(job, plan)


def _gone(job: BatchJob, row: dict[str, Any], error: Gone) -> ConfigurationError | None:
    """What to say of a batch that the provider does not know; one of long ago is given up."""
    days = job.service.kept_days
    if row["created_at"] < (datetime.now(UTC) - timedelta(days=days)).isoformat():
        if close(job, row["id"], "gone"):
            job.on_message("A batch of long ago is gone; its cells are asked for again.")
        return None
    if not row["remote_id"]:  # it cannot even be looked for
        return error
    return ConfigurationError(
        f"Batch {row['remote_id']} was made at {row['host']} and is not at {job.llm.host}: give "
        f"the address and the key it was made with. Its cells are free again {days} days after it "
        "was made."
    )


def _plan(job: BatchJob, redo: bool = False) -> Plan:
    return make_plan(job.writer.store, job.llm, replace(job.request, redo=redo))
