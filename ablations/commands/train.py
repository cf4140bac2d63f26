"""`train`: a whole network from pictures and prompts."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

from typer import Option

from ablations.commands.options import (
    DataRoot,
    Device,
    Json,
    Llm,
    MaybeVocab,
    Pretrained,
    Prompts,
    Shown,
    StorePath,
    show,
)


def train(
    out: Annotated[Path, Option("--out", help="The folder for weights and checkpoints.")],
    config: Annotated[
        str, Option("--config", help="The network: a name of `model list`, or a JSON file.")
    ] = "lsmseg-tiny",
    changes: Annotated[
        list[str] | None,
        Option("--set", help="A field of the network: k=64, fusion=mean ... May be repeated."),
    ] = None,
    data: Annotated[
        str, Option("--data", help="ministuff, coco-stuff, ade20k-150, pc-59, ... or a folder.")
    ] = "ministuff",
    data_root: DataRoot = None,
    vocab: MaybeVocab = None,
    prompts: Prompts = None,
    llm: Llm = "bundled",
    store: StorePath = None,
    pretrained: Pretrained = None,
    encoder: Annotated[
        Path | None,
        Option("--encoder", help="The second encoder's weights: Meta's file of SAM or DINOv2."),
    ] = None,
    resume: Annotated[bool, Option("--resume", help="Go on from the checkpoint in --out.")] = False,
    iterations: Annotated[
        int | None, Option("--iterations", min=1, help="Steps (default: the config's).")
    ] = None,
    batch_size: Annotated[
        int | None,
        Option("--batch-size", min=1, help="Pictures a step, over all GPUs and parts."),
    ] = None,
    accumulate: Annotated[
        int | None, Option("--accumulate", min=1, help="Parts that a step is computed in.")
    ] = None,
    lr: Annotated[
        float | None, Option("--lr", min=0, help="Learning rate (default: the config's).")
    ] = None,
    clip: Annotated[
        Literal["freeze", "qk", "kv", "qv", "full"] | None,
        Option("--clip", help="Which projections of CLIP's attention learn."),
    ] = None,
    ignored: Annotated[
        Literal["leave", "zero"] | None,
        Option("--ignored", help="Unlabelled pixels leave the loss, or are of no class."),
    ] = None,
    precision: Annotated[
        Literal["auto", "fp32", "bf16"],
        Option("--precision", help="auto takes bf16 where the processor has it."),
    ] = "auto",
    evaluate_every: Annotated[
        int | None, Option("--evaluate-every", min=0, help="Steps between validations; 0: last.")
    ] = None,
    test_limit: Annotated[
        int | None, Option("--test-limit", min=1, help="Validate on the first pictures only.")
    ] = None,
    checkpoint_every: Annotated[
        int | None, Option("--checkpoint-every", min=0, help="Steps between checkpoints.")
    ] = None,
    minutes: Annotated[
        float | None, Option("--minutes", min=0, help="Stop after so long; --resume goes on.")
    ] = None,
    seed: Annotated[int, Option("--seed", help="Seed of everything random.")] = 0,
    workers: Annotated[int, Option("--workers", min=0, help="Processes that read pictures.")] = 1,
    device: Device = "cpu",
    json: Json = False,
) -> None:
    """Train a network on pictures and prompts; leaves weights and checkpoints in --out."""
    from lsmseg_prompts.descriptions.loading import load
    from lsmseg_prompts.export.native import load_native
    from lsmseg_prompts.prompts.training_texts import training_texts
    from lsmseg_prompts.vocabularies import benchmark_vocabulary

    if prompts is not None:
        loaded = load_native(prompts)
        name, texts = loaded.vocabulary, [list(group) for group in loaded.texts]
        test_texts = texts
    else:
        vocabulary = benchmark_vocabulary(data, vocab)
        name = vocabulary.name
        texts = training_texts(load(vocabulary, llm, store=store, require=False), vocabulary, seed)
        test_texts = [group[:1] for group in texts]

    from lsmseg_model.networks.config import parse_changes
    from lsmseg_model.train import train as train_network
    from lsmseg_model.training.options import TrainOptions, TrainRequest

    request = TrainRequest(
        config=config,
        changes=parse_changes(changes or []),
        data=data,
        data_root=data_root,
        texts=texts,
        test_texts=test_texts,
        vocabulary_name=name,
        out=out,
        pretrained=pretrained,
        encoder=encoder,
        resume=resume,
        options=TrainOptions.of(
            config,
            iterations=iterations,
            batch_size=batch_size,
            accumulate=accumulate,
            lr=lr,
            clip=clip,
            ignored=ignored,
            evaluate_every=evaluate_every,
            checkpoint_every=checkpoint_every,
        ),
        test_limit=test_limit,
        precision=precision,
        seed=seed,
        workers=workers,
        device=device,
        minutes=minutes,
        progress=not Shown.quiet,
    )
    result = train_network(request)
    if os.environ.get("RANK", "0") == "0":  # of torchrun's processes one speaks
        show(asdict(result), json)
