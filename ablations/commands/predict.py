"""`predict`: pictures with any class names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from typer import Option

from ablations.commands.options import (
    Attributes,
    Checkpoint,
    Dense,
    Device,
    Format,
    Json,
    Llm,
    Model,
    Pretrained,
    Prompts,
    SamFile,
    Shown,
    StorePath,
    names,
    not_both,
    show,
)

TOLD = 30  # classes whose texts are shown one by one


def predict(
    pictures: Annotated[list[Path], typer.Argument(help="Pictures, and folders of pictures.")],
    classes: Annotated[
        str | None, Option("--classes", help='Any class names between commas: "sky, grass, zebra".')
    ] = None,
    classes_file: Annotated[
        str | None,
        Option("--classes-file", help="A .txt or .json file of class names, or a vocabulary."),
    ] = None,
    output: Annotated[
        str | None,
        Option(
            "-o", "--output", help="The overlay's file; of several pictures (or DIR/) a folder."
        ),
    ] = None,
    background: Annotated[
        str | None,
        Option("--background", help="Classes between commas whose pixels count as background."),
    ] = None,
    threshold: Annotated[
        float | None,
        Option("--threshold", help="Pixels whose best score is below it are background."),
    ] = None,
    cost_maps: Annotated[
        bool, Option("--cost-maps", help="Also write a heat map for every class.")
    ] = False,
    npz: Annotated[
        bool, Option("--npz", help="Also write label map, scores and cost maps as numbers.")
    ] = False,
    prompts: Prompts = None,
    attributes: Attributes = None,
    llm: Llm = "bundled",
    store: StorePath = None,
    model: Model = "lsmseg-tiny",
    pretrained: Pretrained = None,
    checkpoint: Checkpoint = None,
    format: Format = "lsmseg",
    dense: Dense = None,
    sam: SamFile = None,
    device: Device = "cpu",
    json: Json = False,
) -> None:
    """Segment pictures with any class names; known ones are described by attributes."""
    from lsmseg_prompts.errors import PartialError
    from lsmseg_prompts.prompts.class_texts import texts_for_classes
    from lsmseg_prompts.terminal import note, progress_bar

    not_both(prompts, attributes)
    wanted = _classes(classes, classes_file)
    as_published = format == "cat-seg" and prompts is None and attributes is None
    chosen = texts_for_classes(
        wanted, ("name",) if as_published else names(attributes), llm, store, _prompt_set(prompts)
    )
    if not Shown.quiet and not as_published:
        _tell(chosen)

    from lsmseg_model.predict import predict as segment

    with progress_bar("segmenting", not Shown.quiet) as progress:
        result = segment(
            pictures=pictures,
            classes=chosen.classes,
            texts=None if as_published else chosen.texts,
            model=model,
            pretrained=pretrained,
            checkpoint=checkpoint,
            format=format,
            dense=dense,
            sam=sam,
            out=output,
            background=names(background),
            threshold=threshold,
            cost_maps=cost_maps,
            npz=npz,
            device=device,
            on_progress=progress,
        )
    if result.keys is not None and not Shown.quiet:
        note(f"{checkpoint}: {result.keys}")
    _show(result, json)
    if result.failed:
        for one in result.failed:
            note(str(one.error))
        raise PartialError(
            f"{len(result.failed)} of {len(result.pictures)} pictures could not be segmented, for "
            f"example {result.failed[0].picture}; the others are done."
        )


def _classes(classes: str | None, file: str | None) -> list[str]:
    if (classes is None) == (file is None):
        raise typer.BadParameter("give --classes or --classes-file, one of the two")
    if classes is not None:
        return classes.split(",")
    from lsmseg_prompts.vocabularies import load_vocabulary

    return [entry.readable for entry in load_vocabulary(str(file))]


def _prompt_set(path: Path | None) -> Any:
    if path is None:
        return None
    from lsmseg_prompts.export.native import load_native

    return load_native(path)


def _tell(chosen: Any) -> None:
    """The text of every class; of many classes only how many are described."""
    from lsmseg_prompts.terminal import note

    if len(chosen.classes) > TOLD:
        described = sum(chosen.described)
        note(f"{described} of {len(chosen.classes)} classes described, the others by name only")
        return
    for name, text, described in zip(*chosen, strict=True):
        note(f"{name}: {'described' if described else 'by name only'}: {' '.join(text)}")


def _show(result: Any, json: bool) -> None:
    """One picture: the share of every class. Several: a row each, with the largest classes."""
    if len(result.pictures) == 1:
        one = result.pictures[0]
        if json:
            show({"shares": one.shares, "overlay": one.overlay, "labels": one.labels}, json)
            return
        rows = [{"class": name, "share": share} for name, share in one.shares.items()]
        show([row for row in rows if row["share"] or len(rows) <= TOLD], json)
        for path in (one.overlay, one.labels):
            if path is not None:
                print(path)
    elif json:
        show([vars(one) for one in result.pictures], json)
    else:
        show(
            [
                {
                    "picture": one.picture,
                    "classes": ", ".join(
                        f"{name} {share:.0%}"
                        for name, share in list(one.shares.items())[:4]
                        if share >= 0.005
                    ),
                    "overlay": one.overlay,
                }
                for one in result.pictures
            ],
            json,
        )
