"""The command `export`: a prompt set as a file for training or evaluation, here or elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from typer import BadParameter, Context, Option

import lsmseg_prompts
from ablations.commands import completion, options
from ablations.commands.output import say
from ablations.scoring.budgets import budget_for
from lsmseg_prompts.export import load_native
from lsmseg_prompts.export.consumers import CONSUMERS, fitted, writing_for
from lsmseg_prompts.export.formats import check_whole, seen_file
from lsmseg_prompts.files import STREAMS, check_free
from lsmseg_prompts.tokens import CLIP


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
            "detectron2",
            "class-names",
            "open_clip",
            "clip-benchmark",
            "cupl",
            "dclip",
            "json",
            "embeddings",
        ],
        Option(metavar="FORMAT", help="Whose file: native is this project's own JSON."),
    ] = "native",
    form: Annotated[
        Literal["sentence", "phrase"] | None,
        Option(help="Sentences, or noun phrases for templates (default: as the reader reads)."),
    ] = None,
    read: Annotated[
        Path | None, Option("--read", help="Read this file of --format back; -o is a native one.")
    ] = None,
    card: Annotated[
        Path | None,
        Option(help="A vocabulary card (.md or .json): words, texts, hashes and scores."),
    ] = None,
    check: Annotated[
        Path | None,
        Option(metavar="REPO", help="Run the reader's own code on the file, from this checkout."),
    ] = None,
    vocab: options.VocabOfPrompts = None,
    llm: options.Llm = "bundled",
    composition: options.Composition = "concat",
    missing: options.Missing = "fail",
    all_samples: options.AllSamples = False,
    budget: options.Budget = None,
    model: options.Model = "lsmseg-tiny",
    pretrained: options.Pretrained = None,
    offline: options.Offline = False,
    device: options.Device = "cpu",
    store: options.StorePath = None,
    force: options.Force = False,
) -> None:
    """Write a prompt set, of some attributes or in a file, for training or evaluation."""
    if sum(given is not None for given in (attributes, prompts, read)) != 1:
        raise BadParameter("give --attributes, --prompts or --read, one of the three")
    files = [file for file in (output, card) if file is not None]
    if not files or output == card:
        raise BadParameter("give -o FILE, or --card with another file, or both")
    if read is not None and format in ("native", "embeddings"):
        raise BadParameter("--read takes the file of another project: name its --format")
    options.unused(ctx, output is None and read is None, "without -o", "format", "form")
    options.unused(ctx, read is not None, "with --read, which writes a native file", "check")
    unwritten = output is None or str(output) in STREAMS
    options.unused(ctx, unwritten, "without a file that is written with -o", "check")
    made = ("llm", "composition", "missing", "all_samples")
    options.unused(ctx, attributes is None, "without --attributes", *made)
    options.unused(ctx, attributes is None and card is None, "without --attributes", "store")
    options.unused(
        ctx, format == "dclip", "with --format dclip, which has a form of its own", "form"
    )
    of_clip = ("model", "pretrained", "device")
    options.unused(ctx, format != "embeddings", "without --format embeddings", *of_clip)
    encodes = format == "embeddings"
    tokens = budget_for(budget, model if encodes else None, pretrained if encodes else None)
    vocabulary, background = _vocabulary(vocab, prompts)
    one = read is None and format in CONSUMERS and not CONSUMERS[format].several
    how = "concat" if one and composition == "ensemble" else composition
    if read is not None:
        chosen = lsmseg_prompts.load_export(read, format, vocabulary, background, tokens)
        format = "native"
    elif prompts is not None:
        chosen = lsmseg_prompts.load_export(prompts, "native", vocabulary, budget=None)
        if tokens != CLIP:
            chosen = fitted(chosen, vocabulary, "native", budget=tokens)
    else:
        names = options.names(attributes) or []
        from_store = (llm, store, missing, all_samples, writing_for(format, form, tokens))
        chosen = lsmseg_prompts.prompt_set(vocabulary, names, how, *from_store)
        if output is not None:
            check_whole(chosen, format)
    several = chosen.composition == "ensemble" and any(len(group) > 1 for group in chosen.texts)
    if how != composition or (one and several):
        say(f"{format} reads one text a class: the descriptions are joined, as by concat.")
    if check is not None:
        from lsmseg_prompts.export.checking.running import reader_of

        reader_of(format, check)
    for file in files:
        check_free(file, force, options.inputs(ctx, "output", "card"))
    if output is not None and format == "embeddings":
        from ablations.scoring.embeddings import export_embeddings
        from lsmseg_model.networks.backbones.load import load_backbone
        from lsmseg_model.segmenter import drawings_only

        chosen = fitted(chosen, vocabulary, format, form, tokens)
        export_embeddings(chosen, load_backbone(model, pretrained, device), output, force)
        if warning := drawings_only(model, pretrained):
            say(warning)
    elif output is not None:
        how_written = format, form, background, force, tokens
        chosen = lsmseg_prompts.export(chosen, vocabulary, output, *how_written)
        if (seen := seen_file(output, format, vocabulary)) is not None:
            files.append(seen)
    if card is not None:
        from lsmseg_prompts.export.card import export_card, vocabulary_card

        made_card = vocabulary_card(
            chosen, vocabulary, background=background, store=store, budget=tokens
        )
        export_card(made_card, card)
    if chosen.undescribed:
        they = {"name": "stand with their plain name", "skip": "are left out"}[missing]
        say(
            f"{len(chosen.undescribed)} of {len(vocabulary)} classes have none of the "
            f"descriptions and {they}."
        )
    if chosen.shortened:
        say(_shortened(chosen, vocabulary, writing_for(format, form, tokens).room))
    for file in files:
        if str(file) not in STREAMS:
            print(file)
    if check is not None and output is not None:
        from ablations.commands.export_check import run_check
        from lsmseg_prompts.export.checking.running import CheckRequest

        run_check(CheckRequest(check, output, format, vocabulary, chosen.texts, background))


def _vocabulary(
    vocab: str | None, prompts: Path | None
) -> tuple[lsmseg_prompts.Vocabulary, tuple[int, ...]]:
    """The vocabulary, and which of its words are background."""
    from lsmseg_model.data.layouts import background_prompts

    if vocab is None and prompts is not None:
        vocab = load_native(prompts, say, budget=None).vocabulary
    vocabulary = lsmseg_prompts.load_vocabulary(vocab or "coco-stuff")
    return vocabulary, background_prompts(vocabulary.name)


def _shortened(
    prompts: lsmseg_prompts.PromptSet, vocabulary: lsmseg_prompts.Vocabulary, room: int
) -> str:
    lost = [vocabulary[index].readable for index in prompts.dropped]
    which = f": {', '.join(lost[:8])}{', ...' if len(lost) > 8 else ''}" if lost else ""
    which += "; --composition ensemble keeps them all" if lost else ""
    return (
        f"{len(prompts.shortened)} of {len(vocabulary)} classes have texts that were over {room} "
        f"tokens and were shortened by whole clauses; {len(lost)} of them lost a whole "
        f"attribute{which}."
    )
