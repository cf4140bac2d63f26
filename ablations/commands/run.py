"""`run`: all four stages on what ships inside."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option

from ablations.commands.options import Json, Llm, MaybeVocab, Shown, StorePath, text


def run(
    out: Annotated[
        Path | None, Option("--out", help="The folder for the results (default: runs/<time>).")
    ] = None,
    llm: Llm = "bundled",
    vocab: MaybeVocab = None,
    store: StorePath = None,
    json: Json = False,
) -> None:
    """All four stages, export and report, on what ships inside: offline, in minutes."""
    from ablations.commands.ablate import show_result
    from ablations.runs import ablate as runs
    from ablations.runs.request import AblationRequest

    request = AblationRequest(llm=llm, vocab=vocab, store=text(store), out=out)
    show_result(runs.run(request, progress=not Shown.quiet), json)
