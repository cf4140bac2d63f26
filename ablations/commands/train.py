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
    Iterations,
    Json,
    LearningRate,
    Llm,
    MaybeVocab,
    Minutes,
    Precision,
    Pretrained,
    Prompts,
    Resume,
    RunFolder,
    Seed,
    Shown,
    StorePath,
    sentences,
    show,
)


def train(
    out: RunFolder,
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
    resume: Resume = False,
    iterations: Iterations = None,
    batch_size: Annotated[
        int | None,
        Option("--batch-size", min=1, help="Pictures a step, over all GPUs and parts."),
    ] = None,
    accumulate: Annotated[
        int | None, Option("--accumulate", min=1, help="Parts that a step is computed in.")
    ] = None,
    lr: LearningRate = None,
    clip: Annotated[
        Literal["freeze", "qk", "kv", "qv", "full"] | None,
        Option("--clip", help="Which projections of CLIP's attention learn."),
    ] = None,
    ignored: Annotated[
        Literal["leave", "zero"] | None,
        Option("--ignored", help="Unlabelled pixels leave the loss, or are of no class."),
    ] = None,
    precision: Precision = "auto",
    evaluate_every: Annotated[
        int | None, Option("--evaluate-every", min=0, help="Steps between validations; 0: last.")
    ] = None,
    test_limit: Annotated[
        int | None, Option("--test-limit", min=1, help="Validate on the first pictures only.")
    ] = None,
    checkpoint_every: Annotated[
        int | None, Option("--checkpoint-every", min=0, help="Steps between checkpoints.")
    ] = None,
    minutes: Minutes = None,
    seed: Seed = 0,
    workers: Annotated[int, Option("--workers", min=0, help="Processes that read pictures.")] = 1,
    device: Device = "cpu",
    json: Json = False,
) -> None:
    """Train a network on pictures and prompts; leaves weights and checkpoints in --out."""
    from lsmseg_model.networks.config import parse_changes
    from lsmseg_model.train import train as train_network
    from lsmseg_model.training.options import TrainOptions, TrainRequest

    name, texts, from_prompts = sentences(prompts, data, vocab, llm, store, seed)
    request = TrainRequest(
        config=config,
        changes=parse_changes(changes or []),
        data=data,
        data_root=data_root,
        texts=texts,
        test_texts=texts if from_prompts else None,
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
