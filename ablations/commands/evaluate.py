"""`evaluate`: one prompt set on pictures with labels."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from typer import Context, Option

import lsmseg_model
from ablations.commands import completion, options
from ablations.commands.output import Shown, is_first, say, show
from lsmseg_prompts.terminal import progress_bar


def evaluate(
    ctx: Context,
    data: Annotated[
        str,
        Option(
            autocompletion=completion.benchmarks,
            help="ministuff, a benchmark by its name, or a folder.",
        ),
    ] = "ministuff",
    data_root: options.DataRoot = None,
    split: Annotated[
        str | None, Option(help="The part of the data (default: its validation part).")
    ] = None,
    vocab: options.MaybeVocab = None,
    prompts: options.Prompts = None,
    attributes: options.Attributes = None,
    composition: options.Composition = "concat",
    llm: options.Llm = "bundled",
    missing: options.Missing = "fail",
    all_samples: options.AllSamples = False,
    budget: options.Budget = None,
    store: options.StorePath = None,
    model: options.Model = "lsmseg-tiny",
    pretrained: options.Pretrained = None,
    offline: options.Offline = False,
    checkpoint: options.Checkpoint = None,
    format: options.Format = "lsmseg",
    captions: options.Captions = None,
    dense: options.Dense = None,
    sam: options.Sam = None,
    cache: Annotated[
        Path | None, Option(help="A folder that keeps what a network's second encoder sees.")
    ] = None,
    flip: options.Flip = False,
    scales: options.Scales = "1",
    without_classes: Annotated[
        bool,
        Option(
            "--without-classes",
            help="The objects that --captions name are the classes, scored by Open IoU.",
        ),
    ] = False,
    boundary: Annotated[
        bool, Option("--boundary", help="Also IoU of the masks' boundaries alone.")
    ] = False,
    limit: Annotated[int | None, Option(min=1, help="Use only the first pictures.")] = None,
    save_predictions: Annotated[
        Path | None, Option(help="A folder for the label maps found.")
    ] = None,
    csv: Annotated[Path | None, Option(help="A file for the table of the classes.")] = None,
    force: options.Force = False,
    device: options.Device = "cpu",
    precision: options.Bits = "fp32",
    compile: options.Compile = False,
    batch_size: options.BatchSize = None,
    workers: options.Threads = None,
    json: options.Json = False,
) -> None:
    """Score one prompt set on pictures with labels: IoU of every class, and the mean."""
    from ablations.scoring.budgets import budget_for
    from lsmseg_prompts.export.native import load_native
    from lsmseg_prompts.prompts.compose import written_for
    from lsmseg_prompts.prompts.from_store import (
        DEFAULT_ATTRIBUTES,
        default_attributes,
        prompt_set,
    )
    from lsmseg_prompts.vocabularies import benchmark_vocabulary, named_vocabulary
    from lsmseg_prompts.vocabularies.similarity import word_similarity

    options.spare_inputs(ctx, "csv", csv)
    if save_predictions is not None:
        options.spare_inputs(ctx, "save_predictions", save_predictions / "classes.json")
    made = ("composition", "llm", "store", "missing", "all_samples")
    by_prompts = ("attributes", "vocab", *made)
    options.unused(ctx, prompts is not None, "beside --prompts", *by_prompts)
    options.unused_model(ctx)
    as_published = format == "cat-seg" and prompts is None and attributes is None
    how = "without --attributes for a network of CAT-Seg, which is given names"
    options.unused(ctx, as_published, how, *made)
    tokens = budget_for(budget, model if checkpoint is None else None, pretrained)
    if prompts is not None:
        chosen = load_native(prompts, say, tokens)
        vocabulary = named_vocabulary(chosen.vocabulary, chosen.class_names)
    else:
        vocabulary = benchmark_vocabulary(data, vocab)
        wanted = ["name"] if as_published else options.names(attributes)
        if not wanted and missing != "fail":
            wanted = list(DEFAULT_ATTRIBUTES)
        elif not wanted:
            wanted = list(default_attributes(vocabulary, llm, store))
            if wanted == ["name"]:
                say(f"{llm} does not describe all classes of {vocabulary.name}: names alone.")
        named = "fail" if missing == "fail" else "name"  # all classes compete for pixels
        how_written = named, all_samples, written_for(tokens)
        chosen = prompt_set(vocabulary, wanted, composition, llm, store, *how_written)
    if as_published:
        from lsmseg_model.inference.class_prompts import published_texts

        texts = published_texts([entry.name for entry in vocabulary])
        chosen = replace(chosen, name="cat-seg's template", texts=tuple(map(tuple, texts)))
    if without_classes:
        from ablations.commands.open_words import show_words

        of_words = options.request_from(
            lsmseg_model.EvaluateRequest,
            ctx,
            prompts=chosen,
            scales=options.numbers("--scales", scales),
        )
        show_words(of_words, vocabulary, json)
        return
    words = word_similarity(vocabulary)
    left_out = chosen.undescribed if missing == "skip" else ()
    request = options.request_from(
        lsmseg_model.EvaluateRequest,
        ctx,
        prompts=chosen,
        similarity=words,
        left_out=left_out,
        scales=options.numbers("--scales", scales),
    )
    with progress_bar("looking at pictures", not Shown.quiet) as progress:
        result = lsmseg_model.evaluate(request, on_progress=progress)
    if not is_first():
        return
    summary = {"prompt_set": chosen.name, "llm": chosen.llm, **result.summary}
    if missing != "fail":
        described = len(vocabulary) - len(chosen.undescribed)
        summary["described"] = f"{described} of {len(vocabulary)} classes"
    if result.keys is not None:
        say(f"{checkpoint}: {result.keys}")
    if result.note is not None:
        say(result.note)
    if json:
        show({"summary": summary, "classes": result.rows, "note": result.note}, json)
    else:
        summary.pop("checkpoint_keys", None)
        show(result.rows, json)
        show(summary, json)
