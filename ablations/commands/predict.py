"""`predict`: pictures with any class names."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from typer import Option

from lsmseg_prompts.commands.options import (
    Attributes,
    Device,
    Json,
    Llm,
    Model,
    Pretrained,
    Prompts,
    Shown,
    StorePath,
    names,
    not_both,
    show,
)


def predict(
    picture: Annotated[Path, typer.Argument(help="The picture to segment.")],
    classes: Annotated[
        str, Option("--classes", help='Any class names between commas: "sky, grass, zebra".')
    ],
    output: Annotated[
        Path | None, Option("-o", "--output", help="Where to write the coloured overlay.")
    ] = None,
    prompts: Prompts = None,
    attributes: Attributes = None,
    llm: Llm = "bundled",
    store: StorePath = None,
    model: Model = "lsmseg-tiny",
    pretrained: Pretrained = None,
    device: Device = "cpu",
    json: Json = False,
) -> None:
    """Segment a picture with any class names; known ones are described by attributes."""
    from lsmseg_prompts.export.native import load_native
    from lsmseg_prompts.prompting import texts_for_classes
    from lsmseg_prompts.terminal import note

    not_both(prompts, attributes)
    chosen = texts_for_classes(
        classes.split(","),
        names(attributes),
        llm,
        store,
        None if prompts is None else load_native(prompts),
    )
    if not Shown.quiet:
        for name, text, described in zip(*chosen, strict=True):
            note(f"{name}: {'described' if described else 'by name only'}: {' '.join(text)}")

    from lsmseg_model.predict import predict as segment

    result = segment(
        picture=picture,
        classes=chosen.classes,
        texts=chosen.texts,
        model=model,
        pretrained=pretrained,
        out=output,
        device=device,
    )
    if json:
        show({"shares": result.shares, "overlay": result.out}, json)
    else:
        show([{"class": name, "share": share} for name, share in result.shares.items()], json)
        if result.out is not None:
            print(result.out)
