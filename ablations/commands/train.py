"""`train`: a whole network from pictures and prompts."""

from dataclasses import asdict
from typing import Annotated, Literal

from typer import Context, Option

import lsmseg_model
from ablations.commands import completion, options
from ablations.commands.output import Shown, is_first, show


def train(
    ctx: Context,
    out: options.RunFolder,
    config: Annotated[
        str,
        Option(
            autocompletion=completion.networks,
            help="The network: a name of `model list`, or a JSON file.",
        ),
    ] = "lsmseg-tiny",
    changes: Annotated[
        list[str] | None,
        Option("--set", help="A field of the network: k=64, fusion=mean ... May be repeated."),
    ] = None,
    data: Annotated[
        str,
        Option(
            autocompletion=completion.benchmarks,
            help="ministuff, coco-stuff, ade20k-150, pc-59, ... or a folder.",
        ),
    ] = "ministuff",
    data_root: options.DataRoot = None,
    vocab: options.MaybeVocab = None,
    prompts: options.Prompts = None,
    llm: options.Llm = "bundled",
    store: options.StorePath = None,
    pretrained: options.Pretrained = None,
    encoder: options.Encoder = None,
    captions: options.Captions = None,
    offline: options.Offline = False,
    resume: options.Resume = False,
    force: options.FolderForce = False,
    iterations: options.Iterations = None,
    batch_size: Annotated[
        int | None, Option(min=1, help="Pictures a step, over all GPUs and parts.")
    ] = None,
    accumulate: Annotated[
        int | None, Option(min=1, help="Parts that a step is computed in.")
    ] = None,
    lr: options.LearningRate = None,
    clip: Annotated[
        Literal["freeze", "qk", "kv", "qv", "full"] | None,
        Option(help="Which projections of CLIP's attention learn."),
    ] = None,
    ignored: Annotated[
        Literal["leave", "zero"] | None,
        Option(help="Unlabelled pixels leave the loss, or are of no class."),
    ] = None,
    precision: options.Precision = "auto",
    evaluate_every: Annotated[
        int | None, Option(min=0, help="Steps between validations; 0: last.")
    ] = None,
    test_limit: Annotated[
        int | None, Option(min=1, help="Validate on the first pictures only.")
    ] = None,
    checkpoint_every: Annotated[
        int | None, Option(min=0, help="Steps between checkpoints.")
    ] = None,
    minutes: options.Minutes = None,
    seed: options.Seed = 0,
    workers: options.Workers = 1,
    device: options.Device = "cpu",
    json: options.Json = False,
) -> None:
    """Train a network on pictures and prompts; leaves weights and checkpoints in --out."""
    from ablations.scoring.budgets import budget_of_network
    from lsmseg_model.networks.build import read_network
    from lsmseg_model.networks.config import parse_changes
    from lsmseg_prompts.vocabularies import benchmark_vocabulary

    options.unused(ctx, prompts is not None, "beside --prompts", "vocab", "llm", "store")
    different = parse_changes(changes or [])
    recipe = lsmseg_model.TrainOptions.of(config, **options.given(lsmseg_model.TrainOptions, ctx))
    reads = budget_of_network(read_network(config, **different))
    name, texts, of_prompts = options.sentences(prompts, data, vocab, llm, store, seed, reads)
    named = captions and [entry.name for entry in benchmark_vocabulary(data, vocab)]
    request = options.request_from(
        lsmseg_model.TrainRequest,
        ctx,
        changes=different,
        texts=texts,
        test_texts=texts if of_prompts else None,
        vocabulary_name=name,
        class_names=named,
        out=out,
        options=recipe,
        progress=not Shown.quiet,
    )
    result = lsmseg_model.train(request)
    if is_first():
        show(asdict(result), json)
