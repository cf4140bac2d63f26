"""`attributes`: ask for the visual attributes and show them, or check the nine on pictures."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, BadParameter, Context, Option

from ablations.commands import options
from ablations.commands.output import Shown, say, show
from lsmseg_prompts.errors import PartialError
from lsmseg_prompts.terminal import print_line, printable, progress_bar

if TYPE_CHECKING:
    from lsmseg_prompts.generation.picture_check import ImageCheck
    from lsmseg_prompts.generation.stage1 import AttributeAnswer


def attributes(
    ctx: Context,
    pictures: Annotated[
        list[Path] | None, Argument(help="Pictures for --check-images.", show_default=False)
    ] = None,
    wording: options.Wording = "paper",
    llm: options.Llm = "bundled",
    base_url: options.BaseUrl = None,
    key_file: options.KeyFile = None,
    reasoning: options.Reasoning = None,
    option: options.RequestOption = None,
    system: options.System = None,
    check_images: Annotated[
        bool,
        Option("--check-images", help="Which of the nine a vision model names in the PICTURES."),
    ] = False,
    raw: Annotated[bool, Option("--raw", help="Print the raw reply.")] = False,
    store: options.StorePath = None,
    json: options.Json = False,
) -> None:
    """Stage 1: which visual attributes to describe classes by."""
    from lsmseg_prompts.generation import picture_check, stage1
    from lsmseg_prompts.generation.asking import open_store_for
    from lsmseg_prompts.llm import make_llm
    from lsmseg_prompts.llm.options import ask_options

    if check_images != bool(pictures):
        given = "pictures after --check-images" if check_images else "--check-images with pictures"
        raise BadParameter(f"give {given}: --check-images a.jpg b.jpg")
    options.unused(ctx, check_images, "beside --check-images", "wording")
    paid = ("key_file", "reasoning", "option", "system")
    options.unused(ctx, llm == "bundled", "with --llm bundled", *paid)
    options.unused(ctx, json, "beside --json, which has the reply", "raw")
    how_asked = ask_options(reasoning, option, system)
    provider = make_llm(llm, base_url, key_file, options=how_asked)
    if not pictures:
        with open_store_for(provider, store) as opened:
            answer = stage1.ask_attributes(provider, wording, opened)
        _show_attributes(answer, llm=provider.name, raw=raw, json=json)
        return
    bar = progress_bar(f"asking {provider.name}", not Shown.quiet)
    with open_store_for(provider, store) as opened, bar as progress:
        result = picture_check.check_images(provider, pictures, opened, on_progress=progress)
    _show_check(result, raw=raw, json=json)
    if result.failed:
        raise PartialError(
            f"{len(result.failed)} of {len(result.pictures)} pictures were not described, "
            f"the first because: {(result.failed[0].error or '').rstrip('. ')}."
        )


def _show_attributes(answer: AttributeAnswer, *, llm: str, raw: bool, json: bool) -> None:
    """How the attributes differ from the nine, or the raw reply."""
    renamed = answer.renamed
    if json:
        attributes = [{**asdict(one), "of_the_nine": one.of_the_nine} for one in answer]
        differing = {"missing": answer.missing, "additional": answer.additional}
        rest = {"renamed": renamed, "reply": answer.reply}
        show({"llm": llm, "attributes": attributes, **differing, **rest}, json)
        return
    if raw:
        print_line(printable(answer.reply))
        return
    rows = []
    for one in answer:
        which = f'yes, as "{renamed[one.name]}"' if one.name in renamed else "yes"
        which = which if one.of_the_nine else "no, additional"
        rows.append({"name": one.name, "of the nine": which, "meaning": one.meaning})
    show(rows, json)
    print_line(f"missing of the nine: {', '.join(answer.missing) or 'none'}")
    print_line(f"additional: {', '.join(answer.additional) or 'none'}")


def _show_check(result: ImageCheck, *, raw: bool, json: bool) -> None:
    """The coverage table, or every raw reply."""
    from lsmseg_prompts.generation.picture_check import SENTENCES

    if json:
        named = {"sentences_naming": result.total, "named_by_none": result.unnamed}
        show({"llm": result.llm, "pictures": [*map(asdict, result.pictures)], **named}, json)
        return
    if raw:
        for one in result.pictures:
            print_line(f"== {one.picture}\n{printable(one.reply or one.error or '')}")
        return
    rows = result.table()
    for row in rows:
        if len(row["sentence"]) > 60:  # the whole sentences are in --json and --raw
            row["sentence"] = row["sentence"][:57] + "..."
    show(rows, json)
    print_line(f"named by no sentence: {', '.join(result.unnamed) or 'none, all nine are covered'}")
    for one in result.pictures:
        if one.error is None and len(one.sentences) != SENTENCES:
            say(f"{one.picture}: {len(one.sentences)} sentences instead of {SENTENCES}")
