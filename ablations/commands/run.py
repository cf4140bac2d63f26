"""`run`: all four stages on what ships inside."""

from typing import Annotated

from typer import Context, Option

import ablations
from ablations.commands import options
from ablations.commands.ablate import show_result
from ablations.commands.output import Shown


def run(
    ctx: Context,
    out: options.ResultFolder = None,
    force: options.FolderForce = False,
    llm: options.Llm = "bundled",
    vocab: options.MaybeVocab = None,
    store: options.StorePath = None,
    refine: Annotated[
        bool, Option("--refine/--no-refine", help="Refine the best set class by class.")
    ] = True,
    json: options.Json = False,
) -> None:
    """All four stages and refinement on what ships inside: offline, in minutes."""
    request = options.request_from(ablations.AblationRequest, ctx)
    show_result(ablations.run(request, refine=refine, progress=not Shown.quiet), json)
