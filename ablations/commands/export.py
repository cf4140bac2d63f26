"""The command `export`: a prompt set as a file for training or evaluation, here or elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from typer import BadParameter, Context, Option

import lsmseg_prompts
from ablations.commands import completion, options
from ablations.commands.output import say
from lsmseg_prompts.export import load_native
from lsmseg_prompts.export.formats import check_whole
from lsmseg_prompts.files import STREAMS, check_free


def export(
    ctx: Context,
    attributes: Annotated[
        str | None,
        Option(
            autocompletion=completion.attributes,
            help="Attributes between commas, such as size,shape; or name.",
        ),
    ] = None,
    prompts: options.Prompts = None,
    output: Annotated[Path | None, Option("-o", "--output", help="The file to write.")] = None,
    format: Annotated[
        Literal[
            "native",
            "cat-seg",
            "sed",
            "fc-clip",
            "maft",
            "san",
            "mmseg",
            "open_clip",
            "cupl",
            "dclip",
            "embeddings",
        ],
        Option(help="Whose file: native is this project's own JSON."),
    ] = "native",
    rewrite: Annotated[
        bool, Option("--rewrite", help="Leave out the commas that the format's reader splits on.")
    ] = False,
    card: Annotated[
        Path | None,
        Option(help="A vocabulary card (.md or .json): words, texts, hashes and scores."),
    ] = None,
    vocab: options.VocabOfPrompts = None,
    llm: options.Llm = "bundled",
    composition: options.Composition = "concat",
    missing: options.Missing = "fail",
    all_samples: options.AllSamples = False,
    model: options.Model = "lsmseg-tiny",
    pretrained: options.Pretrained = None,
    device: options.Device = "cpu",
    store: options.StorePath = None,
    force: options.Force = False,
) -> None:
    """Write a prompt set, of some attributes or in a file, for training or evaluation."""
    if (attributes is None) == (prompts is None):
        raise BadParameter("give --attributes or --prompts, one of the two")
    files = [file for file in (output, card) if file is not None]
    if not files or output == card:
        raise BadParameter("give -o FILE, or --card with another file, or both")
    options.unused(ctx, output is None, "without -o", "format", "rewrite")
    made = ("llm", "composition", "missing", "all_samples")
    options.unused(ctx, prompts is not None, "beside --prompts", *made)
    options.unused(ctx, prompts is not None and card is None, "beside --prompts", "store")
    splits = format not in ("native", "embeddings")
    options.unused(ctx, not splits, f"with --format {format}, which splits nothing", "rewrite")
    of_clip = ("model", "pretrained", "device")
    options.unused(ctx, format != "embeddings", "without --format embeddings", *of_clip)
    if prompts is not None:
        vocabulary = lsmseg_prompts.load_vocabulary(vocab or load_native(prompts, say).vocabulary)
        chosen = lsmseg_prompts.load_export(prompts, "native", vocabulary)
    else:
        vocabulary = lsmseg_prompts.load_vocabulary(vocab or "coco-stuff")
        names = options.names(attributes) or []
        how = (composition, llm, store, missing, all_samples)
        chosen = lsmseg_prompts.prompt_set(vocabulary, names, *how)
        if output is not None:
            check_whole(chosen, format)
    for file in files:
        check_free(file, force, options.inputs(ctx, "output", "card"))
    if card is not None:
        from lsmseg_model.data.layouts import background_prompts
        from lsmseg_prompts.export.card import export_card, vocabulary_card

        background = background_prompts(vocabulary.name)
        export_card(vocabulary_card(chosen, vocabulary, background=background, store=store), card)
    if output is not None and format == "embeddings":
        from ablations.scoring.embeddings import export_embeddings
        from lsmseg_model.networks.backbones.clip import load_clip
        from lsmseg_model.segmenter import drawings_only

        export_embeddings(chosen, load_clip(model, pretrained, device), output, force)
        if warning := drawings_only(model, pretrained):
            say(warning)
    elif output is not None:
        changed = lsmseg_prompts.export(chosen, vocabulary, output, format, rewrite, force)
        if changed:
            say(f"{changed} texts were rewritten without the separators of {format}.")
    if chosen.undescribed:
        they = {"name": "stand with their plain name", "skip": "are left out"}[missing]
        say(
            f"{len(chosen.undescribed)} of {len(vocabulary)} classes have none of the "
            f"descriptions and {they}."
        )
    if chosen.shortened:
        say(_shortened(chosen, vocabulary))
    for file in files:
        if str(file) not in STREAMS:
            print(file)


def _shortened(prompts: lsmseg_prompts.PromptSet, vocabulary: lsmseg_prompts.Vocabulary) -> str:
    lost = [vocabulary[index].readable for index in prompts.dropped]
    which = f": {', '.join(lost[:8])}{', ...' if len(lost) > 8 else ''}" if lost else ""
    return (
        f"{len(prompts.shortened)} of {len(vocabulary)} texts were over 77 tokens and were "
        f"shortened by whole clauses; {len(lost)} of them lost a whole attribute{which}."
    )
