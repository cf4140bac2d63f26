"""`pretrain`: a small CLIP from scratch, on pictures and their texts."""

from dataclasses import asdict
from functools import partial
from typing import Annotated

from typer import Context, Option

import lsmseg_model
from ablations.commands import completion, options
from ablations.commands.output import Shown, show


def pretrain(
    ctx: Context,
    out: options.RunFolder,
    config: Annotated[
        str, Option(autocompletion=completion.clips, help="The network: a name, or a JSON file.")
    ] = "lsmseg-tiny",
    data: Annotated[
        str,
        Option(
            autocompletion=completion.benchmarks, help="ministuff, coco-stuff, camvid or a folder."
        ),
    ] = "ministuff",
    data_root: options.DataRoot = None,
    vocab: options.MaybeVocab = None,
    prompts: options.Prompts = None,
    llm: options.Llm = "bundled",
    store: options.StorePath = None,
    init: Annotated[
        str | None,
        Option(
            autocompletion=completion.models,
            help="Weights to start from: a file, hf-hub:org/model (fetched) or a model name.",
        ),
    ] = None,
    offline: options.Offline = False,
    resume: options.Resume = False,
    force: options.FolderForce = False,
    iterations: options.Iterations = None,
    batch_size: Annotated[
        int | None, Option(min=1, help="Pictures a step (default: the config's).")
    ] = None,
    lr: options.LearningRate = None,
    token_table: Annotated[
        str | None,
        Option(
            help="Words' vectors: learned, or minilm, a sentence model's (default: the config's)."
        ),
    ] = None,
    short_side: Annotated[
        int | None, Option(min=16, help="Pixels of a picture's short side; kept in weights.")
    ] = None,
    precision: options.Precision = "auto",
    minutes: options.Minutes = None,
    seed: options.Seed = 0,
    device: options.Device = "cpu",
    json: options.Json = False,
) -> None:
    """Train a CLIP on pictures and texts by its cost map; leaves weights and a checkpoint."""
    options.unused(ctx, prompts is not None, "beside --prompts", "vocab", "llm", "store")
    options.unused(ctx, init is not None, "beside --init", "token_table")
    given = options.given(lsmseg_model.PretrainOptions, ctx)
    recipe = lsmseg_model.PretrainOptions.of(config, **given)
    name, texts, _ = options.sentences(prompts, data, vocab, llm, store, seed)
    told = None
    if data == "ministuff":
        from ablations.runs.pretraining import about_things, without_unseen

        texts, told = without_unseen(texts), partial(about_things, seed)
    request = options.request_from(
        lsmseg_model.PretrainRequest,
        ctx,
        texts=texts,
        told=told,
        vocabulary_name=name,
        out=out,
        options=recipe,
        progress=not Shown.quiet,
    )
    show(asdict(lsmseg_model.pretrain(request)), json)
