"""The lsmseg-prompts command: one thin function a command; the work is done in the library.

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
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from ablations.commands.attributes import attributes
from ablations.commands.data import app as data_app
from ablations.commands.evaluate import evaluate
from ablations.commands.export import export
from ablations.commands.generate import generate
from ablations.commands.leaderboard import leaderboard
from ablations.commands.model import app as model_app
from ablations.commands.options import (
    Attributes,
    Checkpoint,
    Composition,
    Dense,
    Device,
    Executor,
    Json,
    Llm,
    Llms,
    MaybeVocab,
    Model,
    Pretrained,
    SamFile,
    StorePath,
)
from ablations.commands.options import Shown as _Shown
from ablations.commands.options import names as _names
from ablations.commands.options import show as _show
from ablations.commands.predict import predict
from ablations.commands.pretrain import pretrain
from ablations.commands.recipes import app as recipes_app
from ablations.commands.store import app as store_app
from ablations.commands.train import train
from ablations.commands.vocab import app as vocab_app

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


Option = typer.Option


def _version(wanted: bool) -> None:
    if wanted:
        from lsmseg_prompts import __version__

        print(f"lsmseg-prompts {__version__}")
        raise typer.Exit()


@app.callback()
def _global(
    debug: Annotated[bool, Option("--debug", help="Show the traceback of an error.")] = False,
    quiet: Annotated[bool, Option("-q", "--quiet", help="No progress and no notes.")] = False,
    verbose: Annotated[bool, Option("-v", "--verbose", help="Log what is being done.")] = False,
    version: Annotated[
        bool,
        Option("--version", help="Print the version and stop.", callback=_version, is_eager=True),
    ] = False,
) -> None:
    if verbose:
        import logging

        logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    _Shown.debug, _Shown.quiet = debug, quiet


@app.command()
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
    from ablations.runs import ablate as runner

    result = runner.run(
        out=out, llm=llm, vocab=vocab, store=_text(store), progress=not _Shown.quiet
    )
    _show_ablation(result, json)


app.command()(attributes)
app.command()(generate)


@app.command()
def ablate(
    llm: Llms = None,
    data: Annotated[
        list[str] | None,
        Option("--data", help="ministuff, coco-stuff, camvid or a folder; may be repeated."),
    ] = None,
    data_root: Annotated[
        list[str] | None,
        Option("--data-root", help="The folder of each --data, in the same order."),
    ] = None,
    vocab: MaybeVocab = None,
    model: Model = "lsmseg-tiny",
    pretrained: Pretrained = None,
    dense: Dense = None,
    sam: SamFile = None,
    attributes: Attributes = None,
    composition: Composition = "concat",
    limit: Annotated[
        int | None, Option("--limit", min=1, help="Use only the first pictures of a split.")
    ] = None,
    samples: Annotated[int, Option("--samples", min=1, help="Bootstrap resamples.")] = 2000,
    rule: Annotated[
        Literal["interval", "paper"],
        Option("--rule", help="Accept a step whose interval is above 0, or any gain (paper)."),
    ] = "interval",
    strategy: Annotated[
        Literal["greedy", "beam", "chain", "exhaustive"],
        Option("--strategy", help="How the combinations are gone through."),
    ] = "greedy",
    beam_width: Annotated[
        int, Option("--beam-width", min=1, help="Sets that --strategy beam keeps.")
    ] = 3,
    orders: Annotated[
        bool, Option("--orders", help="Try the best set's clauses in other orders too.")
    ] = False,
    seed: Annotated[int, Option("--seed", help="Seed of everything random.")] = 0,
    picture: Annotated[
        list[str] | None,
        Option("--picture", help="Show this picture's maps in the report; may be repeated."),
    ] = None,
    store: StorePath = None,
    out: Annotated[
        Path | None, Option("--out", help="The folder for the results (default: runs/<time>).")
    ] = None,
    device: Device = "cpu",
    cache: Annotated[
        Path | None,
        Option(
            "--cache",
            help="Keeps pictures' features (default: $LSMSEG_PROMPTS_CACHE, else runs/cache).",
        ),
    ] = None,
    no_cache: Annotated[bool, Option("--no-cache", help="Keep no features on disk.")] = False,
    again: Annotated[
        bool, Option("--again", help="Compute anew what an earlier run has answered.")
    ] = False,
    scorer: Annotated[
        Literal["frozen", "trained", "retrain"],
        Option("--scorer", help="A CLIP, a whole network, or one trained for each prompt set."),
    ] = "frozen",
    checkpoint: Checkpoint = None,
    format: Annotated[
        Literal["lsmseg", "cat-seg"] | None,
        Option("--format", help="Whose layout the checkpoint has (default: lsmseg)."),
    ] = None,
    config: Annotated[
        str | None, Option("--config", help="The network that --scorer retrain trains.")
    ] = None,
    iterations: Annotated[
        int | None, Option("--iterations", min=1, help="Steps of each training of retrain.")
    ] = None,
    encoder: Annotated[
        Path | None,
        Option("--encoder", help="The second encoder's weights, for --scorer retrain."),
    ] = None,
    executor: Executor = "local",
    json: Json = False,
) -> None:
    """Stages 3 and 4: score every attribute alone, then search for the best combination.

    With several --llm this is done for each of them, and they are compared.
    """
    from ablations.runs import ablate as runner

    options: dict[str, Any] = {
        "data": data or ["ministuff"],
        "data_root": data_root,
        "vocab": vocab,
        "model": model,
        "pretrained": _text(pretrained),
        "dense": dense,
        "sam": _text(sam),
        "attributes": _names(attributes),
        "composition": composition,
        "limit": limit,
        "samples": samples,
        "rule": rule,
        "strategy": strategy,
        "beam_width": beam_width,
        "orders": orders,
        "seed": seed,
        "picture": picture,
        "store": _text(store),
        "out": out,
        "device": device,
        "cache": False if no_cache else cache,
        "again": again,
        "scorer": scorer,
        "checkpoint": _text(checkpoint),
        "format": format,
        "config": config,
        "iterations": iterations,
        "encoder": _text(encoder),
        "executor": executor,
        "progress": not _Shown.quiet,
    }
    if llm is None or len(llm) == 1:
        _show_ablation(runner.ablate(llm=llm[0] if llm else "bundled", **options), json)
        return
    comparison = runner.compare(llms=llm, **options)
    if json:
        _show(asdict(comparison), json)
    else:
        from ablations.report.tables import print_comparison

        print_comparison(comparison)


@app.command()
def report(
    directory: Annotated[Path, typer.Argument(help="The results of a run, such as runs/<time>.")],
) -> None:
    """Write report.html anew from the results in a folder."""
    from ablations.runs import ablate as runner

    print(runner.report(directory))


for command in (export, leaderboard, pretrain, train, evaluate, predict):
    app.command()(command)


def _text(path: Path | None) -> str | None:
    return None if path is None else str(path)


def _show_ablation(result: Any, as_json: bool) -> None:
    """The two tables of an ablation, and where its files are."""
    from ablations.report.tables import print_result

    if not as_json:
        print_result(result)
        return
    parts = ("directory", "best", "single", "combinations")
    _show({part: getattr(result, part) for part in parts}, as_json)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command and exit: errors made on purpose are one sentence on stderr."""
    _Shown.debug = _Shown.quiet = False
    try:
        try:
            app(None if arguments is None else list(arguments), prog_name="lsmseg-prompts")
        finally:
            if arguments is None and "triton" not in sys.modules:  # it would call that a leak
                gc.freeze()  # the process ends: a last search for garbage would take 0.3 s
            if sys.stdout:  # closed by the caller, it is None
                sys.stdout.flush()  # here its errors can be told; at exit Python only complains
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
        if _Shown.debug:
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
