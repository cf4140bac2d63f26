"""What the command `generate` does: options in, progress and tables out, the right exit code."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lsmseg_prompts.errors import ConfigurationError, PartialError, UsageError
from lsmseg_prompts.generation.limits import Limits
from lsmseg_prompts.generation.progress import money, summary_row, watching, what_next
from lsmseg_prompts.generation.run import Options, Summary, dry_run, generate_all, gravest
from lsmseg_prompts.llm.base import LLM
from lsmseg_prompts.store.store import working_store_path
from lsmseg_prompts.terminal import note, print_json, print_table

MOST_REASONS = 10


def options(
    *,
    temperature: float | None = None,
    price_in: float | None = None,
    price_out: float | None = None,
    concurrency: int = 8,
    rpm: float | None = None,
    tpm: float | None = None,
    max_retries: int = 6,
    max_cost: float | None = None,
    max_calls: int | None = None,
    **others: Any,
) -> Options:
    """The command's options as the library takes them."""
    from lsmseg_prompts.llm.prices import Price

    if (price_in is None) != (price_out is None):
        raise UsageError("Give --price-in and --price-out together, in dollars per million tokens.")
    price = None
    if price_in is not None and price_out is not None:
        price = Price(price_in, price_out, "given on the command line", "")
    limits = Limits(concurrency, rpm, tpm, max_retries, max_cost, max_calls, price)
    parameters = {} if temperature is None else {"temperature": temperature}
    return Options(parameters=parameters, limits=limits, **others)


def run(
    store: str | os.PathLike[str] | None,
    vocab: str,
    llms: Sequence[LLM],
    chosen: Options,
    json: bool,
    shown: bool,
) -> None:
    """Run, show, and end with the error that counts most."""
    path = working_store_path(store)
    if shown:
        _warn(llms)
    with watching(shown) as watch:
        summaries = generate_all(path, vocab, llms, chosen, watch)
    show_summaries(summaries, path, json, shown)


def run_batch(
    store: str | os.PathLike[str] | None,
    vocab: str,
    llms: Sequence[LLM],
    chosen: Options,
    json: bool,
    shown: bool,
) -> None:
    """Collect the batches that are done, submit what is missing, say what is under way."""
    from lsmseg_prompts.generation.batch import batch_all

    path = working_store_path(store)
    if shown:
        _warn(llms)
    summaries, batches = batch_all(path, vocab, llms, chosen, note if shown else None)
    if batches and shown:
        note(f"{len(batches)} batches are under way; to collect them later: {_command()}")
    show_summaries(summaries, path, json, shown, {"batches": batches})


def _warn(llms: Sequence[LLM]) -> None:
    """Say what an LLM wants known beforehand (a key that travels unencrypted)."""
    for llm in llms:
        if notes := getattr(llm, "notes", None):
            with suppress(ConfigurationError):  # said where it matters: nothing may be missing
                llm.check()
            for line in notes():
                note(line)


def show_summaries(
    summaries: Sequence[Summary],
    path: Path,
    json: bool,
    shown: bool,
    extra: dict[str, Any] | None = None,
) -> None:
    """The table at the end, the reasons of failures, what to run next; then the exit code.

    Where a run ended before anything came of it, the error alone is said.
    """
    error = gravest(summaries)
    if error is not None and not any(s.asked or s.elsewhere for s in summaries):
        raise error
    if json:
        rows = [
            {**asdict(s), "error": None if s.error is None else str(s.error)} for s in summaries
        ]
        print_json(
            {**(rows[0] if len(rows) == 1 else {"llms": rows}), "store": path, **(extra or {})}
        )
    else:
        print_table([summary_row(summary) for summary in summaries])
        print(f"Store: {path}")
        for batch in (extra or {}).get("batches", []):
            print(f"Batch {batch['remote_id']}: {batch['status']}, {batch['requests']} requests")
    for summary in summaries:
        several = f"{summary.llm}: " if len(summaries) > 1 else ""
        reasons = list(
            dict.fromkeys(f"{f.name}, {f.attribute}: {f.reason}" for f in summary.failures)
        )
        for line in reasons[:MOST_REASONS]:
            note(f"failed: {several}{line}")
        if len(reasons) > MOST_REASONS:
            note(f"... and {len(reasons) - MOST_REASONS} more: lsmseg-prompts store check")
    if shown:
        for line in what_next(summaries, _command()):
            note(line)
    if error is not None:
        raise error
    failed = sum(s.failed + s.failed_before for s in summaries)
    if failed:
        cells = sum(s.cells for s in summaries)
        raise PartialError(f"{failed} of {cells} descriptions could not be had.")


def show_estimates(
    store: str | os.PathLike[str] | None,
    vocab: str,
    llms: Sequence[LLM],
    chosen: Options,
    batch: bool,
    json: bool,
) -> None:
    """--dry-run: what would be asked, and what that would take."""
    estimates = dry_run(store, vocab, llms, chosen, batch)
    if json:
        print_json([asdict(e) for e in estimates] if len(estimates) > 1 else asdict(estimates[0]))
        return
    for e in estimates:
        how = "counted by tiktoken" if e.counted_exactly else "estimated: 4 characters a token"
        cost = "price unknown: give --price-in and --price-out"
        if e.cost_low_usd is not None and e.cost_high_usd is not None:
            cost = f"{money(e.cost_low_usd)} to {money(e.cost_high_usd)} ({e.price})"
        lines = {
            "LLM": e.llm,
            "host": e.host or "none: offline",
            "cells": f"{e.missing + e.beyond_limit} missing of {e.cells} in {e.vocabulary}"
            + (f", {e.missing} of them now" if e.beyond_limit else ""),
            "calls": f"{e.calls}, one for a {'class' if chosen.per_call == 'class' else 'cell'}",
            "input": f"{e.input_tokens:,} tokens ({how})",
            "output": f"about {e.output_tokens:,} tokens, at most {e.output_tokens_at_most:,}",
            "cost": cost,
        }
        if not e.missing:
            lines = {key: lines[key] for key in ("LLM", "host", "cells")}
        if e.in_batch:
            lines["batch"] = f"{e.in_batch} cells are in a batch; --batch collects it"
        if e.failed_before:
            lines["failed"] = f"{e.failed_before} failed before; --retry-errors asks again"
        for key, value in lines.items():
            print(f"{key + ':':8} {value}")
        if e.longest:
            print("longest prompts:")
            for one in e.longest:
                first = one["prompt"].splitlines()[0]
                print(f"  {one['tokens']:5} tokens  {one['class']}: {first}")
        if e.missing:
            print("Replies that will not do are asked for again, which adds to this.")
    print("Nothing was sent.")


def _command() -> str:
    """The command as it was typed, without what would ask anew for what is there by now."""
    if Path(sys.argv[0]).stem not in ("lsmseg-prompts", "cli"):
        return "the same call"
    words = [word for word in sys.argv[1:] if word not in ("--redo", "--retry-errors")]
    words = [re.sub(r"(?<=://)[^/@]*@", "", word) for word in words]  # a name and a password
    return shlex.join(["lsmseg-prompts", *words])
