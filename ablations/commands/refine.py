"""`refine`: prompts that learn, class by class, from what the model confuses."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Context, Option

import ablations
from ablations.commands import completion, options
from ablations.commands.ablate import show_result
from ablations.commands.output import Shown
from ablations.refinement.options import RefineOptions
from ablations.search.enough import MAX_SAMPLES, MIN_SAMPLES
from lsmseg_prompts.llm.bundled import LLM_NAME

OF_THE_RUN = (
    *("data", "data_root", "split", "vocab", "model", "pretrained", "dense", "sam", "limit"),
    *("samples", "seed", "scorer", "checkpoint", "format", "budget"),
)
"""Options that a run has settled."""


def refine(
    ctx: Context,
    run: Annotated[
        Path | None, Argument(help="The folder of a run; without, stages 3 and 4 come first.")
    ] = None,
    llm: Annotated[
        str | None,
        Option(
            autocompletion=completion.llms,
            help="Who is asked for what is missing (default: nobody).",
        ),
    ] = None,
    rounds: Annotated[int, Option(min=1, help="At most so many rounds.")] = RefineOptions.rounds,
    rule: Annotated[
        Literal["set", "single", "stepdown", "fdr", "paper"],
        Option(help="The rule by which the other half decides; paper takes any gain."),
    ] = "set",
    proposers: Annotated[
        str | None,
        Option(autocompletion=completion.proposers, help="Between commas (default: all)."),
    ] = None,
    prompts: Annotated[
        Path | None, Option(help="A prompt set to start from (default: the best of stage 4).")
    ] = None,
    look: Annotated[
        bool, Option("--look", help="Show the LLM parts of selection pictures: they are uploaded.")
    ] = False,
    data: options.OneData = "ministuff",
    data_root: options.DataRoot = None,
    split: options.OneSplit = None,
    vocab: options.MaybeVocab = None,
    budget: options.Budget = None,
    model: options.Model = "lsmseg-tiny",
    pretrained: options.Pretrained = None,
    offline: options.Offline = False,
    dense: options.Dense = None,
    sam: options.Sam = None,
    limit: options.Limit = None,
    samples: Annotated[
        int, Option(min=MIN_SAMPLES, max=MAX_SAMPLES, help="Bootstrap resamples.")
    ] = 2000,
    seed: options.Seed = 0,
    scorer: Annotated[
        Literal["frozen", "trained"], Option(help="A CLIP, or a whole network.")
    ] = "frozen",
    checkpoint: options.Checkpoint = None,
    format: options.MaybeFormat = None,
    base_url: options.BaseUrl = None,
    key_file: options.KeyFile = None,
    reasoning: options.Reasoning = None,
    option: options.RequestOption = None,
    max_cost: Annotated[float | None, Option(min=0, help="US dollars, at most.")] = None,
    max_calls: Annotated[int | None, Option(min=0, help="Requests, at most.")] = None,
    store: options.StorePath = None,
    out: options.ResultFolder = None,
    force: options.FolderForce = False,
    again: Annotated[
        bool, Option("--again", help="Compute anew what an earlier run has the results of.")
    ] = False,
    device: options.Device = "cpu",
    executor: options.Executor = "local",
    json: options.Json = False,
) -> None:
    """Refine the best set class by class, and keep only what holds on unused pictures.

    Of a run, or of data; offline with what the store has, or asking --llm for what is missing.
    """
    options.unused(ctx, run is not None, "beside a run, which has settled it", *OF_THE_RUN)
    asks = llm is not None and llm != LLM_NAME
    of_asking = ("look", "base_url", "key_file", "reasoning", "option", "max_cost", "max_calls")
    options.unused(ctx, not asks, "without --llm, as nobody is asked", *of_asking)
    ask = None
    if asks:
        from ablations.refinement.asking import Asking
        from lsmseg_prompts.generation.limits import Limits
        from lsmseg_prompts.llm.options import ask_options

        limits = Limits(max_cost=max_cost, max_calls=max_calls)
        how_asked = ask_options(reasoning, option, None)
        ask = Asking(str(llm), look, limits, base_url, key_file, options=how_asked)
    start = None if prompts is None else str(prompts)
    how = RefineOptions(rounds, rule, options.names(proposers), start=start, ask=ask)
    request = options.request_from(
        ablations.AblationRequest,
        ctx,
        llm=llm or LLM_NAME,
        rule=ablations.AblationRequest.rule,  # --rule is that of refinement
        data=[data],
        data_root=None if data_root is None else [data_root],
        split=None if split is None else [split],
    )
    result = ablations.refine(request, how, run=run, progress=not Shown.quiet)
    show_result(result, json)
