"""What a dry run says: what would be asked, what that would take, and what a probe has shown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from lsmseg_prompts.generation.plan import Estimate
from lsmseg_prompts.generation.probe import Interval, Probe, Probed
from lsmseg_prompts.generation.progress import check_failures, failures_by_class, money
from lsmseg_prompts.generation.summary import Summary, gravest
from lsmseg_prompts.terminal import note, print_json, print_wrapped


def show_estimates(estimates: Sequence[Estimate], per_call: str, json: bool) -> None:
    """--dry-run: what would be asked, and what that would take."""
    if json:
        _print_json([asdict(e) for e in estimates])
        return
    for e in estimates:
        lines = _lines(e, per_call)
        if e.missing and e.room:
            lines["thoughts"] = (
                f"at most {e.room:,} tokens of thoughts a reply are assumed, at least none; "
                "--probe 5 asks five cells and tells"
            )
        _print_lines(lines)
        _print_longest(e)
        if e.missing:
            print("Replies that will not do are asked for again, which adds to this.")
    print("Nothing was sent.")


def show_probed(probed: Sequence[Probed], per_call: str, json: bool) -> None:
    """--dry-run --probe: what was asked for real, and what the rest will take by that.

    Raises:
        LsmsegPromptsError: What ended the probe; PartialError where descriptions failed.
    """
    summaries = [one.summary for one in probed if one.summary is not None]
    error = gravest(summaries)
    if error is not None and not any(summary.asked for summary in summaries):
        raise error
    if json:
        _print_json([_as_json(one) for one in probed])
    else:
        for one in probed:
            _show(one, per_call)
    for summary in summaries:
        for line in failures_by_class(summary.failures):
            note(f"failed: {line}")
    if error is not None:
        raise error
    check_failures(summaries)


def _show(one: Probed, per_call: str) -> None:
    e, found = one.estimate, one.probe
    lines = _lines(e, per_call)
    if found is not None and e.missing:
        lines |= _by_probe(e, found)
    if one.summary is not None:
        lines["probe"] = _spent(one.summary)
    _print_lines(lines)
    if found is None:
        if one.summary is not None:
            print_wrapped("No reply told its tokens: this is what a dry run says without a probe.")
    elif found.calls == 1:
        print_wrapped("By one call, replies that were asked again included: it gives no interval.")
    else:
        print_wrapped(
            f"[from, to]: 95 % t-interval of {found.calls} calls; replies that were asked again "
            "are included."
        )


def _by_probe(e: Estimate, found: Probe) -> dict[str, str]:
    """The lines that a probe knows better."""
    thoughts = "" if found.thoughts is None else f"; {100 * found.thoughts:.0f} % of it thoughts"
    lines = {
        "input": f"{_shown(found.input_tokens, _count)} tokens a call",
        "output": f"{_shown(found.output_tokens, _count)} tokens a call{thoughts}",
    }
    if found.cost_usd is not None:
        lines["cost"] = f"{_shown(found.cost_usd, money)} for what is left ({e.price})"
    return lines


def _shown(found: Interval, words: Callable[[float], str]) -> str:
    if found.low is None or found.high is None:
        return words(found.mean)
    return f"{words(found.mean)} [{words(found.low)}, {words(found.high)}]"


def _count(tokens: float) -> str:
    return f"{tokens:,.0f}"


def _spent(summary: Summary) -> str:
    failed = f", {summary.failed} of them failed," if summary.failed else ""
    return (
        f"{_several(summary.asked, 'cell')}{failed} asked in "
        f"{_several(summary.requests, 'request')}: {money(summary.cost_usd)}; what came back is "
        "kept"
    )


def _several(count: int, thing: str) -> str:
    return f"{count} {thing}{'s' * (count != 1)}"


def _lines(e: Estimate, per_call: str) -> dict[str, str]:
    how = "counted by tiktoken" if e.counted_exactly else "estimated: 4 characters a token"
    cost = "price unknown: give --price-in and --price-out"
    if e.cost_low_usd is not None and e.cost_high_usd is not None:
        cost = f"{money(e.cost_low_usd)} to {money(e.cost_high_usd)} ({e.price})"
    lines = {
        "LLM": e.llm,
        "host": e.host or "none: offline",
        "cells": f"{e.missing + e.beyond_limit} missing of {e.cells} in {e.vocabulary}"
        + (f", {e.missing} of them now" if e.beyond_limit else ""),
        "calls": f"{e.calls}, one for a {per_call}",
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
    return lines


def _print_lines(lines: dict[str, str]) -> None:
    wide = max(map(len, lines)) + 1
    for key, value in lines.items():
        print_wrapped(f"{key + ':':{wide}} {value}", wide + 1)


def _print_longest(e: Estimate) -> None:
    if e.longest:
        print("longest prompts:")
    for one in e.longest:
        first = one["prompt"].splitlines()[0]
        print_wrapped(f"  {one['tokens']:5} tokens  {one['class']}: {first}", 16)


def _print_json(rows: Sequence[dict[str, Any]]) -> None:
    print_json(rows if len(rows) > 1 else rows[0])


def _as_json(one: Probed) -> dict[str, Any]:
    row = {**asdict(one.estimate), "probe": None if one.probe is None else asdict(one.probe)}
    if (summary := one.summary) is not None:
        row |= {
            "asked": summary.asked, "failed": summary.failed, "requests": summary.requests,
            "spent_usd": summary.cost_usd, "error": summary.error and str(summary.error),
        }  # fmt: skip
    return row
