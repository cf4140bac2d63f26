"""The lsmseg-prompts command: mounts the commands, and ends with the exit code of their errors.

Data goes to stdout, progress and notes to stderr. Exit codes: 0 done; 1 unexpected; 2 usage;
3 finished, some cells failed; 4 configuration or data; 5 provider; 6 lint or export refused;
7 budget; 8 store; 130 interrupted. Heavy imports stand inside the functions: --help is instant.
"""

from __future__ import annotations

import gc
import os
import re
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Annotated, Any

import typer

from ablations.commands.ablate import ablate
from ablations.commands.app import example, group
from ablations.commands.attributes import attributes
from ablations.commands.data import app as data_app
from ablations.commands.evaluate import evaluate
from ablations.commands.export import export
from ablations.commands.generate import generate
from ablations.commands.leaderboard import leaderboard
from ablations.commands.llm import app as llm_app
from ablations.commands.model import app as model_app
from ablations.commands.output import Shown, reset, turn_on
from ablations.commands.predict import predict
from ablations.commands.pretrain import pretrain
from ablations.commands.recipes import app as recipes_app
from ablations.commands.refine import refine
from ablations.commands.report import report
from ablations.commands.run import run
from ablations.commands.store import app as store_app
from ablations.commands.studio import studio
from ablations.commands.train import train
from ablations.commands.vocab import app as vocab_app
from lsmseg_prompts import __version__
from lsmseg_prompts.terminal import note

NARROWEST = 20  # columns; fewer are a slip, and Rich would show nothing at all

PROMPTS, MEASURE, TRAIN, LOOK = "Prompts", "Measure", "Train and use", "Look"

app = group("Attribute-enriched text prompts for open-vocabulary segmentation (LSMSeg).")
app.info.name, app.pretty_exceptions_enable = "lsmseg-prompts", False
app.add_typer(store_app, name="store", rich_help_panel=PROMPTS)
app.add_typer(vocab_app, name="vocab", rich_help_panel=PROMPTS)
app.add_typer(llm_app, name="llm", rich_help_panel=PROMPTS)
app.add_typer(recipes_app, name="recipes", rich_help_panel=MEASURE)
app.add_typer(model_app, name="model", rich_help_panel=TRAIN)
app.add_typer(data_app, name="data", rich_help_panel=TRAIN)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"lsmseg-prompts {__version__}")
        raise typer.Exit()


def _everywhere(*names: str, help: str) -> Any:
    return typer.Option(*names, help=help, callback=turn_on, expose_value=False)


@app.callback()
def _global(
    quiet: Annotated[bool, _everywhere("-q", "--quiet", help="No progress and no notes.")] = False,
    verbose: Annotated[
        bool, _everywhere("-v", "--verbose", help="All columns, lists of files, and a log.")
    ] = False,
    debug: Annotated[bool, _everywhere("--debug", help="Show the traceback of an error.")] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version and stop.", callback=_version, is_eager=True
        ),
    ] = False,
) -> None:
    """What holds for every command; quiet, verbose and debug may also stand after it."""


for command, panel, words in (
    (attributes, PROMPTS, "attributes --wording thesis"),
    (generate, PROMPTS, "generate --vocab camvid --attributes color,shape --dry-run"),
    (export, PROMPTS, "export --attributes color,shape --vocab camvid -o camvid.json"),
    (run, MEASURE, "run --out runs/first"),
    (ablate, MEASURE, "ablate --attributes color,shape --limit 40 --out runs/two"),
    (refine, MEASURE, "refine runs/two --rounds 2"),
    (evaluate, MEASURE, "evaluate --attributes color,shape --limit 40"),
    (pretrain, TRAIN, "pretrain --data ministuff --out runs/tiny --minutes 10"),
    (train, TRAIN, "train --data ministuff --out runs/network --minutes 10"),
    (predict, TRAIN, 'predict picture.png --classes "sky, sand, zebra" -o overlay.png'),
    (report, LOOK, "report runs/first"),
    (leaderboard, LOOK, "leaderboard --benchmark ministuff --top 10"),
    (studio, LOOK, "studio --no-browser --port 0"),
):
    app.command(**example(words, panel))(command)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit: errors made on purpose are one sentence on stderr."""
    reset()
    _settle_the_terminal()
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
        if stop.code == 2:  # Typer has said which option is wrong
            _help(str(stop.__context__), 2)
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
            note(f"Unexpected error: {type(error).__name__}: {error} (--debug shows more)")
        else:
            note(f"Error: {error}")
        if not Shown.debug:
            _help(str(error), code or 1)
        if isinstance(error, OSError):
            _drop_stdout()
        sys.exit(code or 1)


def _settle_the_terminal() -> None:
    """A $COLUMNS that is no width counts as none, and stdout takes every text and file name."""
    columns = os.environ.get("COLUMNS", "")
    if columns and not (re.fullmatch("[0-9]{2,5}", columns) and int(columns) >= NARROWEST):
        del os.environ["COLUMNS"]
    if reconfigure := getattr(sys.stdout, "reconfigure", None):
        utf8 = sys.stdout.encoding.lower() in ("utf-8", "utf8")
        reconfigure(errors="surrogateescape" if utf8 else "backslashreplace")


def _help(message: str, exit_code: int) -> None:
    """Where the page of all errors has more about this one."""
    if not Shown.quiet:
        from ablations.commands.error_page import address

        print(f"Help: {address(message, exit_code)}", file=sys.stderr)


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
