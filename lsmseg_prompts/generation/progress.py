"""How a run is shown while it lasts (on stderr), and what is said when it is over."""

from __future__ import annotations

import re
import shlex
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lsmseg_prompts.errors import ConfigurationError, PartialError
from lsmseg_prompts.generation.cells import Filling
from lsmseg_prompts.generation.run import OnUpdate
from lsmseg_prompts.generation.summary import Failure, Summary, gravest
from lsmseg_prompts.generation.workers import Interrupted
from lsmseg_prompts.llm.base import LLM
from lsmseg_prompts.llm.bundled import LLM_NAME
from lsmseg_prompts.terminal import Clock, clock, note, print_json, print_line, print_table

MOST_REASONS = 10
STOPPING = "Stopping: replies on their way are paid for and waited for; Ctrl-C again ends at once."


@contextmanager
def watching(wanted: bool = True) -> Iterator[OnUpdate | None]:
    """A live table on a terminal, a line now and then in a log, None where nothing is wanted."""
    if not wanted:
        yield None
    elif sys.stderr.isatty():
        with _live() as update:
            yield update
    else:
        yield _log()


@contextmanager
def _live() -> Iterator[OnUpdate]:
    from rich.console import Console, Group
    from rich.live import Live
    from rich.measure import Measurement
    from rich.progress_bar import ProgressBar
    from rich.table import Table

    latest: list[Filling] = []

    def draw() -> Group:
        table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
        if not latest:
            return Group(table)
        for heading in ("", "", "done", "failed", "on the way", "waiting", "a minute", "tokens",
                        "cost", "time left"):  # fmt: skip
            table.add_column(heading, justify="left" if not heading else "right")
        for filling in latest:
            tally = filling.tally
            bar = ProgressBar(total=max(1, tally.to_ask), completed=tally.settled, width=24)
            table.add_row(filling.plan.llm, bar, *progress_row(filling))
        shown: list[Any] = [table]
        if Measurement.get(console, console.options.update(width=1000), table).maximum > (
            console.width
        ):
            shown = [progress_line(filling) for filling in latest]
        if any(isinstance(filling.asker.stop.error, Interrupted) for filling in latest):
            shown.append(STOPPING)
        return Group(*shown)

    console = Console(stderr=True, highlight=False)
    with Live(get_renderable=draw, console=console, transient=True, refresh_per_second=5):

        def update(fillings: Sequence[Filling]) -> None:
            latest[:] = fillings

        yield update


def _log() -> OnUpdate:
    times = Clock()

    def update(fillings: Sequence[Filling]) -> None:
        if times.due():
            for filling in fillings:
                note(progress_line(filling))

    return update


def progress_line(filling: Filling) -> str:
    """The row in words, for a log and for a narrow terminal."""
    done, failed, under_way, waiting, rate, tokens, cost, left = progress_row(filling)
    return (
        f"{filling.plan.llm}: {done} done, {failed} failed, {under_way} on the way, "
        f"{waiting} waiting, {rate} a minute, {tokens} tokens, {cost}, {left} left"
    )


def progress_row(filling: Filling) -> tuple[str, ...]:
    """done, failed, on their way, waiting, a minute, tokens, cost, time left."""
    tally, asker = filling.tally, filling.asker
    seconds = max(1e-9, time.monotonic() - tally.started)
    rate = tally.settled / seconds
    left = tally.to_ask - tally.settled
    usage = asker.usage
    pause = max(0.0, asker.gate.paused_until - time.monotonic())
    waiting = f"{asker.waiting}" + (f" ({pause:.0f} s)" if pause >= 1 else "")
    return (
        f"{tally.done + tally.elsewhere}/{tally.to_ask}",
        f"{tally.failed}",
        f"{asker.gate.on_their_way}",
        waiting,
        f"{60 * rate:.0f}",
        f"{usage.input_tokens + usage.output_tokens:,}",
        money(usage.cost_usd),
        clock(left / rate) if rate > 0 else "-",
    )


def money(dollars: float | None) -> str:
    if dollars is None:
        return "price unknown"
    return f"${dollars:.4f}" if dollars < 1 else f"${dollars:.2f}"


def summary_row(summary: Summary) -> dict[str, Any]:
    """A row of the table at the end; --json has the requests, and the tokens of each way."""
    row: dict[str, Any] = {
        "llm": summary.llm,
        "cells": summary.cells,
        "there": summary.skipped - summary.failed_before,
        "added": summary.done,
        "failed": summary.failed - summary.passing + summary.failed_before,
        "left": summary.left + summary.passing,
    }
    rare = {"by others": summary.elsewhere, "in batch": summary.in_batch, "review": summary.review}
    row |= {name: number for name, number in rare.items() if number}
    return row | {
        "tokens": summary.input_tokens + summary.output_tokens,
        "cost": money(summary.cost_usd),
        "time": clock(summary.seconds),
    }


def what_next(summaries: Sequence[Summary], resume: str) -> list[str]:
    """What to do about what is missing, in whole sentences; empty if nothing is."""
    return [f"{s.llm}: {step}" for s in summaries for step in _next_steps(s, resume)]


def _next_steps(summary: Summary, resume: str) -> Iterator[str]:
    failed = summary.failed - summary.passing + summary.failed_before
    if summary.left_out:
        yield f"it does not take {', '.join(summary.left_out)}: that had no effect."
    if summary.thinking_replies:
        of = f"{summary.thinking_replies} of its {summary.requests} replies came with thoughts"
        if summary.reasoning_tokens:
            of += f", {summary.reasoning_tokens:,} of {summary.output_tokens:,} output tokens"
        told = "--reasoning off" in summary.left_out
        yield of + ("." if told else "; --reasoning off or low makes it think less, where it can.")
    if summary.uncertain_usd > 0:
        most = money(summary.uncertain_usd)
        yield f"up to {most} of the cost is an upper bound, of requests whose use was not told."
    if left := summary.left + summary.passing:
        yield f"{left} cells are still to be asked for; the same command does that: {resume}"
    if summary.in_batch and "--batch" not in resume.split():
        yield f"{summary.in_batch} cells are in a batch; to collect it: {resume} --batch"
    if failed and summary.llm == LLM_NAME:
        yield (
            f"{failed} cells have no bundled text; to choose near classes, or fill them in: "
            f"lsmseg-prompts vocab new FILE -o NEW.json; or ask an LLM: generate --llm gpt-4"
        )
    elif failed:
        yield f"{failed} cells have failed; to ask for them again: {resume} --retry-errors"
    if summary.alike:
        yield (
            f"the samples of {summary.alike} descriptions are word for word alike: a higher "
            "--temperature makes them differ, where the model takes it."
        )
    if summary.review:
        yield (
            f"{summary.review} descriptions are marked for review: lsmseg-prompts store check -v; "
            "to correct one: lsmseg-prompts store edit"
        )


def show_notes(llms: Sequence[LLM]) -> None:
    """Say what the user should know about an LLM beforehand (a key that travels unencrypted)."""
    for llm in llms:
        with suppress(ConfigurationError):  # said where it matters: nothing may be missing
            llm.check()
        for line in llm.notes():
            note(line)


def show_summaries(summaries: Sequence[Summary], store: Path, json: bool, shown: bool) -> None:
    """The table at the end, the reasons of failures, what to run next; then the exit code.

    Where a run ended before anything came of it, the error alone is said.

    Args:
        summaries: one of each LLM.
        store: the file that the descriptions are in.
        json: print JSON in place of the tables.
        shown: say also what to run next.

    Raises:
        LsmsegPromptsError: What ended the run; PartialError where descriptions failed.
    """
    batches = [batch for summary in summaries for batch in summary.batches or ()]
    if batches and shown:
        note(f"{len(batches)} batches are under way; to collect them later: {resume_command()}")
    error = gravest(summaries)
    if error is not None and not any(s.asked or s.elsewhere for s in summaries):
        raise error
    if json:
        print_json(_as_json(summaries, store, batches))
    else:
        print_table([summary_row(summary) for summary in summaries])
        print_line(f"Store: {store}")
        for batch in batches:
            name = batch["remote_id"] or "(id unknown)"
            print_line(f"Batch {name}: {batch['status']}, {batch['requests']} requests")
    for summary in summaries:
        several = f"{summary.llm}: " if len(summaries) > 1 else ""
        reasons = failures_by_class([f for f in summary.failures if not _is_told(f, error)])
        for line in reasons[:MOST_REASONS]:
            note(f"failed: {several}{line}")
        if len(reasons) > MOST_REASONS:
            more = f"and {len(reasons) - MOST_REASONS} more classes"
            note(f"... {more}: lsmseg-prompts store check -v")
    if shown:
        for line in what_next(summaries, resume_command()):
            note(line)
    if error is not None:
        raise error
    check_failures(summaries, sum(s.failed_before for s in summaries))


def check_failures(summaries: Sequence[Summary], failed_before: int = 0) -> None:
    """Raise PartialError where descriptions failed, for good or this time only."""
    passing = sum(s.passing for s in summaries)
    if failed := sum(s.failed for s in summaries) - passing + failed_before:
        cells = sum(s.cells for s in summaries)
        raise PartialError(f"{failed} of {cells} descriptions could not be had.")
    if passing:
        asked = sum(s.asked for s in summaries)
        raise PartialError(
            f"{passing} of the {asked} descriptions that were asked for could not be had this "
            "time: the same command asks again."
        )


def _is_told(failure: Failure, error: BaseException | None) -> bool:
    """Whether the error at the end gives the same reason."""
    return failure.passing and error is not None and failure.reason.rstrip(". ") in str(error)


def failures_by_class(failures: Sequence[Failure]) -> list[str]:
    """A line for each class and reason: the attributes, or how many where they are many."""
    groups: dict[tuple[str, str], list[str]] = {}
    for one in failures:
        groups.setdefault((one.name, one.reason), []).append(one.attribute)
    return [
        f"{name}, {', '.join(attributes) if len(attributes) < 4 else f'{len(attributes)} texts'}: "
        f"{reason}"
        for (name, reason), attributes in groups.items()
    ]


def _as_json(
    summaries: Sequence[Summary], store: Path, batches: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    rows = [{**asdict(s), "error": None if s.error is None else str(s.error)} for s in summaries]
    for row in rows:
        del row["batches"]
    result = rows[0] if len(rows) == 1 else {"llms": rows}
    uses_batches = any(summary.batches is not None for summary in summaries)
    return {**result, "store": store, **({"batches": batches} if uses_batches else {})}


def resume_command() -> str:
    """The command as it was typed, without what would ask anew for what is there by now."""
    if Path(sys.argv[0]).stem not in ("lsmseg-prompts", "cli"):
        return "the same call"
    words = [word for word in sys.argv[1:] if word not in ("--redo", "--retry-errors")]
    words = [re.sub(r"(?<=://)[^/@]*@", "", word) for word in words]  # a name and a password
    return shlex.join(["lsmseg-prompts", *words])
