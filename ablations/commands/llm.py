"""The commands `lsmseg-prompts llm ...`: who can be asked, and what one that is asked can do."""

from typing import Annotated, Any

from typer import Argument

import lsmseg_prompts
from ablations.commands import completion, options
from ablations.commands.app import example, group
from ablations.commands.output import Shown, show
from lsmseg_prompts.terminal import (
    cell_text,
    print_cells,
    print_table,
    print_wrapped,
    terminal_width,
    visible,
)

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
