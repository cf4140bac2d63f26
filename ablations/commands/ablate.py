"""`ablate`: stages 3 and 4."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from typer import Option

from ablations.commands.options import (
    Attributes,
    Checkpoint,
    Composition,
    Dense,
    Device,
    Executor,
    Json,
    Llms,
    MaybeVocab,
    Model,
    Pretrained,
    SamFile,
    Shown,
    StorePath,
    names,
    show,
    text,
)

if TYPE_CHECKING:
    from ablations.runs.result import RunResult


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
        bool, Option("--again", help="Compute anew what an earlier run has the results of.")
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
    from ablations.runs import ablate as runs
    from ablations.runs.request import AblationRequest

    request = AblationRequest(
        llm=llm[0] if llm else "bundled",
        data=data or ["ministuff"],
        data_root=data_root,
        vocab=vocab,
        model=model,
        pretrained=text(pretrained),
        dense=dense,
        sam=text(sam),
        attributes=names(attributes),
        composition=composition,
        limit=limit,
        samples=samples,
        rule=rule,
        strategy=strategy,
        beam_width=beam_width,
        orders=orders,
        seed=seed,
        picture=picture,
        store=text(store),
        out=out,
        device=device,
        cache=False if no_cache else cache,
        again=again,
        scorer=scorer,
        checkpoint=text(checkpoint),
        format=format,
        config=config,
        iterations=iterations,
        encoder=text(encoder),
        executor=executor,
    )
    if llm is None or len(llm) == 1:
        show_result(runs.ablate(request, progress=not Shown.quiet), json)
        return
    from ablations.runs import compare

    comparison = compare.compare(request, llm, progress=not Shown.quiet)
    if json:
        show(asdict(comparison), json)
    else:
        from ablations.report.tables import print_comparison

        print_comparison(comparison)


def show_result(result: RunResult, as_json: bool) -> None:
    """The two tables of an ablation, and where its files are."""
    from ablations.report.tables import print_result

    if not as_json:
        print_result(result)
        return
    parts = ("directory", "best", "single", "combinations")
    show({part: getattr(result, part) for part in parts}, as_json)
