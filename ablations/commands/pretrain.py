"""`pretrain`: a small CLIP from scratch, on pictures and their texts."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

from typer import Context, Option

import lsmseg_model
from ablations.commands import completion, options
from ablations.commands.output import Shown, show

if TYPE_CHECKING:
    from lsmseg_model.data.ministuff.captions import Told

NAME_WORDS = ["ball", "brick", "concrete", "grassy", "hydrant", "sandy", "snowy", "wood", "wooden"]
"""Parts and forms of the names of MiniStuff's classes, beside the names themselves."""
UNSEEN_WORDS = {"brick", "sandy", "snowy"}


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
            autocompletion=completion.models, help="Weights to start from: a file or a model name."
        ),
    ] = None,
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
    given = options.given(lsmseg_model.PretrainOptions, ctx)
    recipe = lsmseg_model.PretrainOptions.of(config, **given)
    name, texts, _ = options.sentences(prompts, data, vocab, llm, store, seed)
    request = options.request_from(
        lsmseg_model.PretrainRequest,
        ctx,
        texts=texts,
        told=told(seed) if data == "ministuff" else {},
        vocabulary_name=name,
        out=out,
        options=recipe,
        progress=not Shown.quiet,
    )
    show(asdict(lsmseg_model.pretrain(request)), json)


def told(seed: int) -> "dict[str, Sequence[Told]]":
    """What is said of invented things: bundled sentences that fit their looks (looks.json).

    None of them names a class of MiniStuff. "orange" stays: it is a colour too. To be read only,
    those of seen classes; none of these names an unseen one.
    """
    from lsmseg_model.data.ministuff.looks import LOOKS, class_looks
    from lsmseg_model.data.ministuff.scenes import CLASS_INDICES, UNSEEN
    from lsmseg_prompts.descriptions.loading import load
    from lsmseg_prompts.prompts.training_texts import texts_of_things
    from lsmseg_prompts.vocabularies import load_vocabulary

    classes = load_vocabulary("coco-stuff")

    def names(indices: Iterable[int]) -> set[str]:
        return {name for index in indices for name in classes[index].names} - {"orange"}

    every, unseen = names(CLASS_INDICES) | set(NAME_WORDS), names(UNSEEN) | UNSEEN_WORDS
    found: dict[str, Sequence[Told]] = {}
    for looks, avoid in ((LOOKS, every), (class_looks(), unseen)):
        for name in dict.fromkeys(look.vocabulary for look in looks):
            vocabulary = load_vocabulary(name)
            cells = load(vocabulary) | load(vocabulary, attributes=["typical"])
            some = [look for look in looks if look.vocabulary == name]
            shown = {(look.index, a): cells[look.index, a] for look in some for a in look.says}
            told = texts_of_things(shown, [vocabulary[look.index] for look in some], avoid, seed)
            found |= {look.key: told[look.index] for look in some}
    return found
