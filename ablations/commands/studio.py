"""`studio`: the local page."""

import os
import sys
from pathlib import Path
from typing import Annotated

from typer import Context, Option

from ablations.commands import options
from ablations.commands.output import Shown, say
from ablations.studio.options import LOOPBACK, PORT, StudioOptions
from lsmseg_prompts.terminal import note, progress_bar

PASSWORD = "LSMSEG_STUDIO_PASSWORD"


def studio(
    ctx: Context,
    host: Annotated[
        str, Option(help="The address to listen at; other than this machine: with a password.")
    ] = LOOPBACK[0],
    port: Annotated[int, Option(min=0, max=65535, help="The port; 0 takes a free one.")] = PORT,
    browser: Annotated[
        bool, Option("--browser/--no-browser", help="Open it in the browser.")
    ] = True,
    static: Annotated[
        Path | None, Option(help="Write runs and pictures as plain files into this folder instead.")
    ] = None,
    picture: Annotated[
        list[str] | None, Option(help="With --static: a picture to show; repeated for several.")
    ] = None,
    force: options.FolderForce = False,
    data: options.OneData = "ministuff",
    data_root: options.DataRoot = None,
    split: options.OneSplit = None,
    vocab: options.MaybeVocab = None,
    llm: options.Llm = "bundled",
    runs: Annotated[str, Option(help="The folder of run folders.")] = "runs",
    store: options.StorePath = None,
    model: options.Model = "lsmseg-tiny",
    runtime: options.Runtime = "torch",
    pretrained: options.Pretrained = None,
    offline: options.Offline = False,
    checkpoint: options.Checkpoint = None,
    format: options.Format = "lsmseg",
    dense: options.Dense = None,
    sam: options.Sam = None,
    device: options.Device = "cpu",
    precision: options.Bits = "fp32",
) -> None:
    """A page in the browser: try prompts on pictures, compare, write texts, watch runs."""
    import ablations

    options.unused_model(ctx)
    options.unused(ctx, static is None, "without --static", "picture", "force")
    options.unused(ctx, static is not None, "beside --static", "host", "port", "browser")
    request = options.request_from(StudioOptions, ctx, password=os.environ.get(PASSWORD) or None)
    if static is not None:
        with progress_bar("writing", not Shown.quiet) as progress:
            page = ablations.studio_static(
                request, static, pictures=picture, force=force, on_progress=progress
            )
        print(page)
        return

    def ready(address: str) -> None:
        print(address, flush=True)
        say("The studio is at this address; Ctrl-C ends it.")
        if browser and sys.stdout.isatty():
            import webbrowser

            webbrowser.open(address)

    try:
        ablations.studio(request, on_ready=ready)
    except KeyboardInterrupt as stop:
        # Python would wait for what the model still computes, or for the model to be loaded.
        note("Interrupted; what was finished is kept.")
        sys.stdout.flush()
        os._exit(getattr(stop, "exit_code", 130))
