"""`evaluate`: one prompt set on pictures with labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from typer import Option

from ablations.commands.options import (
    Attributes,
    Checkpoint,
    Composition,
    DataRoot,
    Dense,
    Device,
    Format,
    Json,
    Llm,
    MaybeVocab,
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


def evaluate(
    data: Annotated[
        str, Option("--data", help="ministuff, a benchmark by its name, or a folder.")
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
    checkpoint: Checkpoint = None,
    format: Format = "lsmseg",
    dense: Dense = None,
    sam: SamFile = None,
    cache: Annotated[
        Path | None,
        Option("--cache", help="A folder that keeps what a network's second encoder sees."),
    ] = None,
    limit: Annotated[
        int | None, Option("--limit", min=1, help="Use only the first pictures.")
    ] = None,
    save_predictions: Annotated[
        Path | None, Option("--save-predictions", help="A folder for the label maps found.")
    ] = None,
    csv: Annotated[
        Path | None, Option("--csv", help="A file for the table of the classes.")
    ] = None,
    device: Device = "cpu",
    json: Json = False,
) -> None:
    """Score one prompt set on pictures with labels: IoU of every class, and the mean."""
    from lsmseg_prompts.export.native import load_native
    from lsmseg_prompts.prompts.from_store import default_attributes, prompt_set
    from lsmseg_prompts.terminal import note, progress_bar
    from lsmseg_prompts.vocabularies import benchmark_vocabulary

    not_both(prompts, attributes)
    as_published = format == "cat-seg" and prompts is None and attributes is None
    if prompts is not None:
        chosen = load_native(prompts)
    else:
        vocabulary = benchmark_vocabulary(data, vocab)
        wanted: Sequence[str] | None = ("name",) if as_published else names(attributes)
        if not wanted:
            wanted = default_attributes(vocabulary, llm, store)
            if wanted == ("name",) and not Shown.quiet:
                note(f"{llm} does not describe all classes of {vocabulary.name}: names alone.")
        chosen = prompt_set(vocabulary, wanted, composition, llm, store)
    from lsmseg_model.evaluate import EvaluateRequest
    from lsmseg_model.evaluate import evaluate as evaluate_prompts
    from lsmseg_model.networks.catseg import published_texts

    if as_published:
        texts = published_texts([entry.name for entry in vocabulary])
        chosen = replace(chosen, name="cat-seg's template", texts=tuple(map(tuple, texts)))
    request = EvaluateRequest(
        data=data,
        prompts=chosen,
        data_root=data_root,
        split=split,
        limit=limit,
        save_predictions=save_predictions,
        csv=csv,
        model=model,
        pretrained=pretrained,
        checkpoint=checkpoint,
        format=format,
        dense=dense,
        sam=sam,
        cache=cache,
        device=device,
    )
    with progress_bar("looking at pictures", not Shown.quiet) as progress:
        result = evaluate_prompts(request, on_progress=progress)
    summary = {"prompt_set": chosen.name, "llm": chosen.llm, **result.summary}
    if result.keys is not None and not Shown.quiet:
        note(f"{checkpoint}: {result.keys}")
    if json:
        show({"summary": summary, "classes": result.rows}, json)
    else:
        summary.pop("checkpoint_keys", None)
        show(result.rows, json)
        show(summary, json)
