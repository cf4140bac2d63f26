"""`ablate`: stages 3 and 4."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

from typer import Context, Option

import ablations
from ablations.commands import completion, options
from ablations.commands.output import Shown, show
from ablations.search.enough import MAX_SAMPLES, MIN_SAMPLES


def ablate(
    ctx: Context,
    llm: options.Llms = None,
    data: Annotated[
        list[str] | None,
        Option(
            autocompletion=completion.benchmarks,
            help="ministuff, coco-stuff, camvid or a folder; may be repeated.",
        ),
    ] = None,
    data_root: options.DataRoots = None,
    split: Annotated[
        list[str] | None,
        Option(
            help="The part of the data, or SELECTION,REPORT; one for all, or one for each --data."
        ),
    ] = None,
    vocab: options.MaybeVocab = None,
    model: options.Model = "lsmseg-tiny",
    pretrained: options.Pretrained = None,
    offline: options.Offline = False,
    dense: options.Dense = None,
    sam: options.Sam = None,
    attributes: options.Attributes = None,
    composition: Annotated[
        str,
        Option(
            metavar="HOW",
            autocompletion=completion.compositions,
            help="What is searched: concat (joined), ensemble (averaged), both, or several "
            "between commas.",
        ),
    ] = "both",
    missing: Annotated[
        Literal["fail", "name", "skip"],
        Option(
            metavar="HOW",
            help="Classes without descriptions: fail, the plain name, or skip: only what all --llm "
            "have counts.",
        ),
    ] = "fail",
    all_samples: options.AllSamples = False,
    budget: options.Budget = None,
    vary: Annotated[
        Literal["attributes", "vocabulary"],
        Option(
            metavar="WHAT",
            help="attributes; or vocabulary: the words that the classes are called by.",
        ),
    ] = "attributes",
    words: Annotated[
        list[Path] | None,
        Option(help="A word list to compare too, .json or .txt; may be repeated."),
    ] = None,
    calibrate: Annotated[
        bool, Option("--calibrate", help="Look for a threshold below which a pixel is background.")
    ] = False,
    limit: options.Limit = None,
    samples: Annotated[
        int, Option(min=MIN_SAMPLES, max=MAX_SAMPLES, help="Bootstrap resamples.")
    ] = 2000,
    rule: Annotated[
        Literal["interval", "paper"],
        Option(help="Accept a step whose interval is above 0, or any gain (paper)."),
    ] = "interval",
    strategy: Annotated[
        Literal["beam", "greedy", "chain", "exhaustive"],
        Option(help="How the combinations are gone through."),
    ] = "beam",
    beam_width: Annotated[int, Option(min=1, help="Sets that --strategy beam keeps.")] = 3,
    orders: Annotated[
        bool, Option("--orders", help="Try the best set's descriptions in other orders too.")
    ] = False,
    seed: options.Seed = 0,
    picture: Annotated[
        list[str] | None, Option(help="Show this picture's maps in the report; may be repeated.")
    ] = None,
    store: options.StorePath = None,
    out: options.ResultFolder = None,
    force: options.FolderForce = False,
    device: options.Device = "cpu",
    precision: options.Bits = "fp32",
    compile: options.Compile = False,
    batch_size: options.BatchSize = None,
    workers: options.Threads = None,
    cache: Annotated[
        Path | None,
        Option(help="Keeps pictures' features (default: $LSMSEG_PROMPTS_CACHE, else runs/cache)."),
    ] = None,
    no_cache: options.NoCache = False,
    again: Annotated[
        bool, Option("--again", help="Compute anew what an earlier run has the results of.")
    ] = False,
    scorer: Annotated[
        Literal["frozen", "trained", "retrain"],
        Option(help="A CLIP, a whole network, or one trained for each prompt set."),
    ] = "frozen",
    checkpoint: options.Checkpoint = None,
    format: options.MaybeFormat = None,
    config: Annotated[
        str | None,
        Option(
            autocompletion=completion.networks, help="The network that --scorer retrain trains."
        ),
    ] = None,
    iterations: Annotated[
        int | None, Option(min=1, help="Steps of each training of retrain.")
    ] = None,
    encoder: options.Encoder = None,
    executor: options.Executor = "local",
    json: options.Json = False,
) -> None:
    """Stages 3 and 4: score every attribute alone, then search for the best combination.

    With several --llm this is done for each of them, and they are compared. With --vary vocabulary
    the names of the classes take the place of attributes.
    """
    from ablations.scoring.executors import first_of_torchrun

    options.unused(ctx, strategy != "beam", "without --strategy beam", "beam_width")
    described = (
        *("llm", "attributes", "composition", "missing", "all_samples"),
        *("strategy", "beam_width", "orders"),
    )
    options.unused(ctx, vary == "vocabulary", "with --vary vocabulary", *described)
    options.unused(ctx, no_cache, "beside --no-cache", "cache")
    request = options.request_from(
        ablations.AblationRequest,
        ctx,
        llm=llm[0] if llm else "bundled",
        data=data or ["ministuff"],
        attributes=options.names(attributes),
        words=None if words is None else [str(file) for file in words],
        cache=False if no_cache else cache,
    )
    with first_of_torchrun(device) as first:
        if first:
            _run(request, llm, json)


def _run(request: ablations.AblationRequest, llm: list[str] | None, json: bool) -> None:
    if llm is None or len(llm) == 1:
        show_result(ablations.ablate(request, progress=not Shown.quiet), json)
        return
    comparison = ablations.compare(request, llm, progress=not Shown.quiet)
    if json:
        show(asdict(comparison), json)
        return
    from ablations.report.tables import print_comparison

    print_comparison(comparison, Shown.verbose)


def show_result(result: ablations.RunResult, as_json: bool) -> None:
    """The two tables of an ablation, and where its files are."""
    from ablations.report.tables import print_result

    if as_json:
        parts: tuple[str, ...] = ("directory", "best", "single", "combinations")
        if result.refinement is not None:
            parts += ("refinement",)
        show({part: getattr(result, part) for part in parts}, as_json)
    else:
        print_result(result, Shown.verbose)
