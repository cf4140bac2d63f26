"""`predict`: pictures with any class names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Option

import ablations
import lsmseg_model
import lsmseg_prompts
from ablations.commands import completion, options
from ablations.commands.output import Shown, is_first, say, show
from lsmseg_prompts.errors import PartialError
from lsmseg_prompts.terminal import note, progress_bar

LISTED = 30  # classes of one picture whose shares are shown even if they are 0


def predict(
    ctx: typer.Context,
    pictures: Annotated[list[Path], typer.Argument(help="Pictures, and folders of pictures.")],
    classes: Annotated[
        str | None, Option(help='Any class names between commas: "sky, grass, zebra".')
    ] = None,
    classes_file: Annotated[
        str | None,
        Option(
            autocompletion=completion.vocabularies,
            help="A .txt or .json file of class names, or a vocabulary.",
        ),
    ] = None,
    output: Annotated[
        str | None,
        Option(
            "-o", "--output", help="The overlay's file; of several pictures (or DIR/) a folder."
        ),
    ] = None,
    background: Annotated[
        str | None, Option(help="Classes between commas whose pixels count as background.")
    ] = None,
    threshold: Annotated[
        float | None, Option(help="Pixels whose best score is below it are background.")
    ] = None,
    cost_maps: Annotated[
        bool, Option("--cost-maps", help="Also write a heat map for every class.")
    ] = False,
    npz: Annotated[
        bool, Option("--npz", help="Also write label map, scores and cost maps as numbers.")
    ] = False,
    force: options.Force = False,
    prompts: options.Prompts = None,
    attributes: options.Attributes = None,
    llm: options.Llm = "bundled",
    store: options.StorePath = None,
    model: options.Model = "lsmseg-tiny",
    runtime: options.Runtime = "torch",
    pretrained: options.Pretrained = None,
    offline: options.Offline = False,
    checkpoint: options.Checkpoint = None,
    format: options.Format = "lsmseg",
    captions: options.Captions = None,
    dense: options.Dense = None,
    sam: options.Sam = None,
    flip: options.Flip = False,
    scales: options.Scales = "1",
    device: options.Device = "cpu",
    precision: options.Bits = "fp32",
    compile: options.Compile = False,
    batch_size: options.BatchSize = None,
    workers: options.Threads = None,
    json: options.Json = False,
) -> None:
    """Segment pictures with any class names; known ones are described by attributes."""
    options.unused(ctx, prompts is not None, "beside --prompts", "attributes", "llm", "store")
    options.unused_model(ctx)
    as_published = format == "cat-seg" and prompts is None and attributes is None
    how = "without --attributes for a network of CAT-Seg, which is given names"
    options.unused(ctx, as_published, how, "llm", "store")
    named = (classes is not None) + (classes_file is not None)
    if named > 1 or (named == 0 and captions is None):
        raise typer.BadParameter("give --classes or --classes-file, one of the two")
    vocabulary = None if classes_file is None else lsmseg_prompts.load_vocabulary(classes_file)
    if output is not None:
        options.spare_inputs(ctx, "output", output, Path(output, "classes.json"))
    from ablations.scoring.budgets import budget_for
    from lsmseg_prompts.export.native import load_native

    tokens = budget_for(None, model if checkpoint is None else None, pretrained)
    request = options.request_from(
        lsmseg_model.PredictRequest,
        ctx,
        classes=options.class_names("--classes", classes),
        background=options.class_names("--background", background),
        out=output,
        scales=options.numbers("--scales", scales),
    )
    with progress_bar("segmenting", not Shown.quiet) as progress:
        result = ablations.predict(
            request,
            attributes=options.names(attributes),
            llm=llm,
            store=store,
            prompts=None if prompts is None else load_native(prompts, say, tokens),
            vocabulary=vocabulary,
            on_progress=progress,
            on_message=say,
        )
    if not is_first():
        return
    _show(result, json)
    if result.failed:
        for one in result.failed:
            note(str(one.error))
        raise PartialError(
            f"{len(result.failed)} of {len(result.pictures)} pictures could not be segmented, for "
            f"example {result.failed[0].picture}; the others are done."
        )


def _show(result: lsmseg_model.PredictResult, json: bool) -> None:
    """One picture: the share of every class. Several: a row each, with the largest classes."""
    if len(result.pictures) == 1:
        one = result.pictures[0]
        if json:
            files = {"overlay": one.overlay, "labels": one.labels}
            show({"shares": one.shares, **files, "note": result.note}, json)
            return
        shares = [{"class": name, "share": share} for name, share in one.shares.items()]
        show([row for row in shares if row["share"] or len(shares) <= LISTED], json)
        for path in (one.overlay, one.labels):
            if path is not None:
                print(path)
        return
    if json:
        show([{**vars(one), "note": result.note} for one in result.pictures], json)
        return
    rows = []
    for one in result.pictures:
        largest = list(one.shares.items())[:4]
        named = ", ".join(f"{name} {share:.0%}" for name, share in largest if share >= 0.005)
        rows.append({"picture": one.picture, "classes": named, "overlay": one.overlay})
    show(rows, json)
