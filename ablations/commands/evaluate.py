"""`evaluate`: one prompt set on pictures with labels."""

from __future__ import annotations

from typing import Annotated

from typer import Option

from lsmseg_prompts.commands.options import (
    Attributes,
    Composition,
    DataRoot,
    Device,
    Json,
    Llm,
    MaybeVocab,
    Model,
    Pretrained,
    Prompts,
    Shown,
    StorePath,
    names,
    not_both,
    show,
)


def evaluate(
    data: Annotated[
        str, Option("--data", help="ministuff, coco-stuff, camvid or a folder.")
    ] = "ministuff",
    data_root: DataRoot = None,
    split: Annotated[
        str | None, Option("--split", help="The part of the data (default: its validation part).")
    ] = None,
    vocab: MaybeVocab = None,
    prompts: Prompts = None,
    attributes: Attributes = None,
    composition: Composition = "concat",
    llm: Llm = "bundled",
    store: StorePath = None,
    model: Model = "lsmseg-tiny",
    pretrained: Pretrained = None,
    limit: Annotated[
        int | None, Option("--limit", min=1, help="Use only the first pictures.")
    ] = None,
    device: Device = "cpu",
    json: Json = False,
) -> None:
    """Score one prompt set on pictures with labels: IoU of every class, and the mean."""
    from lsmseg_prompts.export.native import load_native
    from lsmseg_prompts.prompting import DEFAULT_ATTRIBUTES, prompt_set_for, vocabulary_for
    from lsmseg_prompts.terminal import progress_bar

    not_both(prompts, attributes)
    chosen = (
        load_native(prompts)
        if prompts is not None
        else prompt_set_for(
            vocabulary_for(data, vocab),
            names(attributes) or DEFAULT_ATTRIBUTES,
            composition,
            llm,
            store,
        )
    )
    from lsmseg_model.evaluate import evaluate as evaluate_texts

    with progress_bar("looking at pictures", not Shown.quiet) as progress:
        result = evaluate_texts(
            data=data,
            data_root=data_root,
            split=split,
            model=model,
            pretrained=pretrained,
            texts=[list(group) for group in chosen.texts],
            vocabulary_name=chosen.vocabulary,
            class_names=list(chosen.class_names),
            limit=limit,
            device=device,
            progress=progress,
        )
    summary = {"prompt_set": chosen.name, "llm": chosen.llm, **result.summary}
    if json:
        show({"summary": summary, "classes": result.rows}, json)
    else:
        show(result.rows, json)
        show(summary, json)
