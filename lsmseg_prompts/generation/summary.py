"""How far a run is with one LLM's cells, and what it did in the end."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from lsmseg_prompts.attributes.samples import asked_of
from lsmseg_prompts.errors import LsmsegPromptsError
from lsmseg_prompts.generation.engine import Usage
from lsmseg_prompts.generation.ledger import Cell
from lsmseg_prompts.generation.plan import Plan
from lsmseg_prompts.generation.request import GenerationRequest
from lsmseg_prompts.generation.verdicts import Verdict
from lsmseg_prompts.store.store import Store
from lsmseg_prompts.vocabularies import ClassEntry


@dataclass(frozen=True)
class Failure:
    """A cell that could not be filled, and why.

    A `passing` one is still missing and is asked for by the same command; the others are on file as
    failed.
    """

    index: int
    name: str
    attribute: str
    reason: str
    passing: bool = False


@dataclass
class Tally:
    """How far the filling of one LLM's cells is."""

    to_ask: int = 0
    done: int = 0
    failures: list[Failure] = field(default_factory=list)
    review: int = 0
    elsewhere: int = 0  # filled by other processes meanwhile
    started: float = field(default_factory=time.monotonic)

    @property
    def failed(self) -> int:
        return len(self.failures)

    @property
    def settled(self) -> int:
        return self.done + self.failed + self.elsewhere

    def count(self, entry: ClassEntry, attribute: str, verdict: Verdict) -> None:
        """One cell more is decided."""
        if verdict.keeps:
            self.done += 1
            self.review += verdict.soft
        else:
            reason = verdict.fault or ""
            self.failures.append(Failure(entry.index, entry.name, attribute, reason))


@dataclass(frozen=True)
class Summary:
    """What one run did for one LLM.

    Of `cells` wanted, `skipped` needed nothing, `done` were filled by this run (`review` of them
    are marked for a person's review), `failed` failed, `elsewhere` were filled by other
    processes, `left` were not got to (or lie beyond the limit), `in_batch` are in a batch that is
    not collected yet. `asked` = `done` + `failed`. `cost_usd` is None where the price is not
    known; up to `uncertain_usd` of it may not have been charged. `error` is what ended the run
    before its time, None if nothing did. `batches` are those under way, None where none are used.
    `thinking_replies` are those of `requests` that came with thoughts. `left_out` are parameters
    that were asked for and that the model does not take. `alike` is how many descriptions have
    samples that are all word for word alike.
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
    reasoning_tokens: int = 0
    thinking_replies: int = 0
    cost_usd: float | None = None
    uncertain_usd: float = 0.0
    seconds: float = 0.0
    error: BaseException | None = None
    batches: tuple[dict[str, Any], ...] | None = None
    left_out: tuple[str, ...] = ()
    alike: int = 0

    @property
    def passing(self) -> int:
        """How many of `failed` are still missing, and asked for by the same command."""
        return sum(failure.passing for failure in self.failures)


def summarize(plan: Plan, tally: Tally, usage: Usage) -> Summary:
    """The summary of a run: what was wanted, what became of it, and what it took."""
    left = tally.to_ask - tally.settled + plan.beyond_limit
    return Summary(
        vocabulary=plan.vocabulary,
        llm=plan.llm,
        cells=plan.cells,
        asked=tally.done + tally.failed,
        done=tally.done,
        failed=tally.failed,
        skipped=plan.cells - left - plan.in_batch - tally.settled,
        failures=tuple(tally.failures),
        review=tally.review,
        elsewhere=tally.elsewhere,
        left=left,
        in_batch=plan.in_batch,
        **vars(usage),
        failed_before=plan.failed_before,
    )


def alike(store: Store, llm: str, request: GenerationRequest) -> int:
    """How many of the descriptions asked for have several samples, all word for word alike."""
    if request.samples < 2:
        return 0
    there = store.descriptions(request.loaded_vocabulary(), llm)
    texts: dict[Cell, list[str]] = {}
    for index, attribute in request.wanted_cells():
        if (index, attribute) in there:
            texts.setdefault((index, asked_of(attribute)), []).append(there[index, attribute])
    return sum(len(several) > 1 == len(set(several)) for several in texts.values())


def gravest(summaries: Sequence[Summary]) -> BaseException | None:
    """The error to end with: a signal before the store's before the rest."""
    errors = [s.error for s in summaries if s.error is not None]
    first = [e for e in errors if not isinstance(e, LsmsegPromptsError)]
    ours = [e for e in errors if isinstance(e, LsmsegPromptsError)]
    return next(iter([*first, *sorted(ours, key=lambda e: -e.exit_code)]), None)
