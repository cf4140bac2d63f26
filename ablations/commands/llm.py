"""The commands `lsmseg-prompts llm ...`: who can be asked, and what one that is asked can do."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from typer import Argument, Option

import lsmseg_prompts
from ablations.commands import completion, options
from ablations.commands.app import example, group
from ablations.commands.output import Shown, say, show
from lsmseg_prompts.terminal import (
    cell_text,
    print_cells,
    print_table,
    print_wrapped,
    terminal_width,
    visible,
)

if TYPE_CHECKING:
    from lsmseg_prompts.generation.llm_check import LLMCheck

app = group("The LLMs: who can be asked, and what one can do.")

BRIEF = ("provider", "asked_as", "key", "set", "prices")
WIDE = ("provider", "asked_as", "address", "key", "set", "prices")
ROOMY = 120  # columns from which on the addresses are shown too


@app.command("list", **example("llm list"))
def list_all(
    provider: Annotated[
        str | None,
        Argument(autocompletion=completion.providers, help="Only this one: its models and prices."),
    ] = None,
    json: options.Json = False,
) -> None:
    """Who can be asked, by which names, whose keys are set, and what they cost; nothing is sent."""
    rows = lsmseg_prompts.llm_list(provider)
    if provider is None:
        show(rows, json, printed=_providers)
    else:
        show(rows, json, printed=lambda rows: _models(provider, rows))


def _providers(rows: list[dict[str, Any]]) -> None:
    brief = WIDE if terminal_width() >= ROOMY else BRIEF
    print_table([_shown(row) for row in rows], brief=None if Shown.verbose else brief)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    """A provider's row for people."""
    elsewhere = ", ".join(filter(None, (row["address_variable"], "--base-url")))
    known = row["priced"] or (row["prices_of"] and "none here")
    return {
        "provider": row["provider"],
        "asked_as": row["asked_as"],
        "address": row["address"] or elsewhere,
        "key": row["key"],
        "set": row["key_set"] if row["key_needed"] or row["key_set"] else None,
        "reasoning": row["reasoning"],
        "batch": row["batch"],
        "prices": f"{known} of {row['prices_of']}" if row["priced"] else known or None,
    }


def _models(provider: str, rows: list[dict[str, Any]]) -> None:
    """A provider, and a table of its prices."""
    own = next(row for row in lsmseg_prompts.llm_list() if row["provider"] == provider.lower())
    for key, value in _shown(own).items():
        print_wrapped(visible(f"{key.replace('_', ' ')}: {cell_text(value)}"), indent=2)
    print()
    if not rows:
        print("No price is known: --price-in and --price-out name one.")
        return
    cells = [
        [row["model"], *(f"{row[key]:g}" for key in ("usd_per_million_in", "usd_per_million_out"))]
        for row in rows
    ]
    first = rows[0]
    where = f" They hold at {', '.join(first['only_at'])} only." if first["only_at"] else ""
    told = f"List prices in US dollars for a million tokens, as of {first['as_of']}.{where}"
    print_cells(("model", "$ in", "$ out"), cells, (False, True, True), note=told)


@app.command("check", **example("llm check ollama/llama3.2"))
def check(
    name: Annotated[
        str, Argument(autocompletion=completion.llms, help="An LLM, as after --llm of generate.")
    ],
    base_url: options.BaseUrl = None,
    key_file: options.KeyFile = None,
    reasoning: options.Reasoning = None,
    option: options.RequestOption = None,
    timeout: Annotated[float, Option(min=0.1, help="Seconds for one request.")] = 120.0,
    store: Annotated[
        Path | None, Option(help="Keep requests and replies in this store (default: nowhere).")
    ] = None,
    json: options.Json = False,
) -> None:
    """Ask an LLM one or two cheap questions: does it answer, what does it take, what does it cost.

    It costs what up to three requests cost.
    """
    from lsmseg_prompts.generation.llm_check import MOST_REQUESTS
    from lsmseg_prompts.generation.progress import show_notes
    from lsmseg_prompts.llm.options import ask_options

    llm = lsmseg_prompts.make_llm(
        name, base_url, key_file, timeout, ask_options(reasoning, option, None)
    )
    if not Shown.quiet:
        show_notes([llm])
        say(f"Asking {name}: at most {MOST_REQUESTS} requests, which cost what the provider takes.")
    found = lsmseg_prompts.llm_check(llm, store=store)
    show(asdict(found) if json else found, json, printed=_seen)


def _seen(found: LLMCheck) -> None:
    from lsmseg_prompts.generation.progress import money

    into, out = found.input_tokens, found.output_tokens
    tokens, everything = "its tokens are not told", ""
    if into is not None and out is not None:
        tokens = f"{into:,} tokens in, {out:,} out"
        everything = f"{found.cells * into:,} tokens in, {found.cells * out:,} out"
    if found.all_usd is not None:
        everything = f"{money(found.all_usd)} ({found.price})"
    cost = "price unknown" if found.price is None else money(found.cell_usd)
    lines = {
        "LLM": f"{found.llm} at {found.host}",
        "answer": found.sentence,
        "as a cell": "it would be kept"
        if found.verdict == "kept"
        else f"it would be asked for again: {found.verdict}",
        "model": found.served_model or "not told",
        "time": f"{found.seconds or 0:.2f} s",
        "thinks": _thinks(found),
        "output limit": found.output_limit or "none is taken",
        "temperature": found.temperature,
        "JSON": _json_words(found),
        "rate limits": ", ".join(f"{k} {v}" for k, v in found.rate_limits.items()) or "none named",
        "a cell": f"{tokens}: {cost}",
    }
    if everything:
        lines[found.vocabulary] = f"{found.cells:,} cells like this one: {everything}"
    if found.left_out:
        lines["left out"] = f"{', '.join(found.left_out)}: it does not take that"
    if found.note:
        lines["unknown"] = found.note
    spent = "" if found.spent_usd is None else f": {money(found.spent_usd)}"
    refused = (
        f", {found.failed_requests} of them without an answer" if found.failed_requests else ""
    )
    lines["requests"] = f"{found.requests}{refused}{spent}"
    for key, value in lines.items():
        print_wrapped(visible(f"{key + ':':13} {value}"), 14)


def _thinks(found: LLMCheck) -> str:
    if not found.thinks:
        return "no thoughts were seen"
    count = "yes; how many tokens is not told"
    if found.thought_tokens is not None:
        count = f"yes, {found.thought_tokens:,} of its {found.output_tokens or 0:,} output tokens"
    return f"{count}; the limit has room for {found.room:,} more" if found.room else count


def _json_words(found: LLMCheck) -> str:
    how = {
        "json_schema": "takes a schema", "json_object": "takes no schema, but JSON mode",
        "words": "is asked for in words alone", "unknown": "unknown",
    }  # fmt: skip
    came = {True: "; JSON came back", False: "; what came back is not JSON", None: ""}
    return how[found.json] + came[found.is_json]
