"""The lsmseg-prompts command: mounts the commands, and ends with the exit code of their errors.

Data goes to stdout, progress and notes to stderr. Exit codes: 0 done; 1 unexpected; 2 usage;
3 finished, some cells failed; 4 configuration or data; 5 provider; 6 lint or export refused;
7 budget; 8 store; 130 interrupted. Heavy imports stand inside the functions: --help is instant.
"""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated

import typer

from ablations.commands.ablate import ablate
from ablations.commands.attributes import attributes
from ablations.commands.data import app as data_app
from ablations.commands.evaluate import evaluate
from ablations.commands.export import export
from ablations.commands.generate import generate
from ablations.commands.leaderboard import leaderboard
from ablations.commands.model import app as model_app
from ablations.commands.output import Shown
from ablations.commands.predict import predict
from ablations.commands.pretrain import pretrain
from ablations.commands.recipes import app as recipes_app
from ablations.commands.report import report
from ablations.commands.run import run
from ablations.commands.store import app as store_app
from ablations.commands.train import train
from ablations.commands.vocab import app as vocab_app
from lsmseg_prompts import __version__

app = typer.Typer(
    name="lsmseg-prompts",
    help="Attribute-enriched text prompts for open-vocabulary segmentation (LSMSeg).",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(store_app, name="store", no_args_is_help=True)
app.add_typer(vocab_app, name="vocab", no_args_is_help=True)
app.add_typer(model_app, name="model", no_args_is_help=True)
app.add_typer(data_app, name="data", no_args_is_help=True)
app.add_typer(recipes_app, name="recipes", no_args_is_help=True)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"lsmseg-prompts {__version__}")
        raise typer.Exit()


@app.callback()
def _global(
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress and no notes.")] = False,
    verbose: Annotated[
        bool, typer.Option("-v", "--verbose", help="Log what is being done.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and stop.", callback=_version, is_eager=True
        ),
    ] = False,
) -> None:
    if verbose:
        import logging

        logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    Shown.debug, Shown.quiet = debug, quiet


for command in (
    *(run, attributes, generate, ablate, report, export, leaderboard),
    *(pretrain, train, evaluate, predict),
):
    app.command()(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit: errors made on purpose are one sentence on stderr."""
    Shown.debug = Shown.quiet = False
    try:
        try:
            app(None if arguments is None else list(arguments), prog_name="lsmseg-prompts")
        finally:
            if arguments is None and "triton" not in sys.modules:  # it would call that a leak
                gc.freeze()  # the process ends: a last search for garbage would take 0.3 s
            if sys.stdout:  # closed by the caller, it is None
                sys.stdout.flush()  # here its errors can be shown; at exit Python only complains
    except BrokenPipeError:
        _drop_stdout()
        sys.exit(1)
    except SystemExit as stop:
        if stop.code != 130:
            raise
        _interrupted(stop)
    except KeyboardInterrupt as stop:
        _interrupted(stop)
    except Exception as error:
        code = getattr(error, "exit_code", None)
        if Shown.debug:
            import traceback

            traceback.print_exc()
        elif code is None:
            print(
                f"Unexpected error: {type(error).__name__}: {error} (--debug shows more)",
                file=sys.stderr,
            )
        else:
            print(f"Error: {error}", file=sys.stderr)
        if isinstance(error, OSError):
            _drop_stdout()
        sys.exit(code or 1)


def _interrupted(error: BaseException | None) -> None:
    """Exit as the signal wants it: Typer makes 130 of every KeyboardInterrupt, SIGTERM's too."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    print("Interrupted; what was finished is kept.", file=sys.stderr)
    sys.exit(getattr(error, "exit_code", 130))


def _drop_stdout() -> None:
    """Send what is left for stdout nowhere: Python would try, and fail, once more at exit."""
    with suppress(OSError, ValueError, AttributeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    main()
