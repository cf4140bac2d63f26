"""`pretrain`: a small CLIP from scratch, on pictures and their texts."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

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
    Prompts,
    Resume,
    RunFolder,
    Seed,
    Shown,
    StorePath,
    sentences,
    show,
)


def pretrain(
    out: RunFolder,
    config: Annotated[
        str, Option("--config", help="The network: a name, or a JSON file.")
    ] = "lsmseg-tiny",
    data: Annotated[
        str, Option("--data", help="ministuff, coco-stuff, camvid or a folder.")
    ] = "ministuff",
    data_root: DataRoot = None,
    vocab: MaybeVocab = None,
    prompts: Prompts = None,
    llm: Llm = "bundled",
    store: StorePath = None,
    init: Annotated[
        str | None, Option("--init", help="Weights to start from: a file or a model name.")
    ] = None,
    resume: Resume = False,
    iterations: Iterations = None,
    batch_size: Annotated[
        int | None, Option("--batch-size", min=1, help="Pictures a step (default: the config's).")
    ] = None,
    lr: LearningRate = None,
    short_side: Annotated[
        int | None,
        Option("--short-side", min=16, help="Pixels of a picture's short side; kept in weights."),
    ] = None,
    precision: Precision = "auto",
    minutes: Minutes = None,
    seed: Seed = 0,
    device: Device = "cpu",
    json: Json = False,
) -> None:
    """Train a CLIP on pictures and texts by its cost map; leaves weights and a checkpoint."""
    from lsmseg_model.pretrain import pretrain as pretrain_clip
    from lsmseg_model.training.options import PretrainOptions, PretrainRequest

    name, texts, _ = sentences(prompts, data, vocab, llm, store, seed)
    request = PretrainRequest(
        config=config,
        data=data,
        data_root=data_root,
        texts=texts,
        vocabulary_name=name,
        out=out,
        init=init,
        resume=resume,
        options=PretrainOptions.of(config, iterations=iterations, batch_size=batch_size, lr=lr),
        short_side=short_side,
        precision=precision,
        seed=seed,
        device=device,
        minutes=minutes,
        progress=not Shown.quiet,
    )
    result = pretrain_clip(request)
    show(asdict(result), json)
