"""`pretrain`: a small CLIP from scratch, on pictures and their texts."""

from __future__ import annotations

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
    Prompts,
    Shown,
    StorePath,
    show,
)


def pretrain(
    out: Annotated[Path, Option("--out", help="The folder for weights and checkpoints.")],
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
    resume: Annotated[bool, Option("--resume", help="Go on from the checkpoint in --out.")] = False,
    iterations: Annotated[
        int | None, Option("--iterations", min=1, help="Steps (default: the config's).")
    ] = None,
    batch_size: Annotated[
        int | None, Option("--batch-size", min=1, help="Pictures a step (default: the config's).")
    ] = None,
    lr: Annotated[
        float | None, Option("--lr", min=0, help="Learning rate (default: the config's).")
    ] = None,
    short_side: Annotated[
        int | None,
        Option("--short-side", min=16, help="Pixels of a picture's short side; kept in weights."),
    ] = None,
    precision: Annotated[
        Literal["auto", "fp32", "bf16"],
        Option("--precision", help="auto takes bf16 where the processor has it."),
    ] = "auto",
    minutes: Annotated[
        float | None, Option("--minutes", min=0, help="Stop after so long; --resume goes on.")
    ] = None,
    seed: Annotated[int, Option("--seed", help="Seed of everything random.")] = 0,
    device: Device = "cpu",
    json: Json = False,
) -> None:
    """Train a CLIP on pictures and texts by its cost map; leaves weights and a checkpoint."""
    from lsmseg_prompts.descriptions.loading import load
    from lsmseg_prompts.export.native import load_native
    from lsmseg_prompts.prompts.training_texts import training_texts
    from lsmseg_prompts.vocabularies import benchmark_vocabulary

    if prompts is not None:
        loaded = load_native(prompts)
        name, texts = loaded.vocabulary, [list(group) for group in loaded.texts]
    else:
        vocabulary = benchmark_vocabulary(data, vocab)
        name = vocabulary.name
        texts = training_texts(load(vocabulary, llm, store=store, require=False), vocabulary, seed)

    from lsmseg_model.pretrain import pretrain as pretrain_clip
    from lsmseg_model.training.options import PretrainOptions, PretrainRequest

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
