"""`run`: all four stages on what ships inside."""

from typer import Context

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
    json: options.Json = False,
) -> None:
    """All four stages, export and report, on what ships inside: offline, in minutes."""
    request = options.request_from(ablations.AblationRequest, ctx)
    show_result(ablations.run(request, progress=not Shown.quiet), json)
