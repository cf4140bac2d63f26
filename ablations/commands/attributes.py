"""`attributes`: ask for the visual attributes and show them, or check the nine on pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from typer import Argument, BadParameter, Option

from ablations.commands.options import BaseUrl, Json, KeyFile, Llm, Shown, StorePath

if TYPE_CHECKING:
    from lsmseg_prompts.generation.picture_check import ImageCheck
    from lsmseg_prompts.llm.base import LLM


def attributes(
    pictures: Annotated[
        list[Path] | None, Argument(help="Pictures for --check-images.", show_default=False)
    ] = None,
    wording: Annotated[
        Literal["paper", "thesis"], Option("--wording", help="Whose wording of the question.")
    ] = "paper",
    llm: Llm = "bundled",
    base_url: BaseUrl = None,
    key_file: KeyFile = None,
    check_images: Annotated[
        bool,
        Option("--check-images", help="Which of the nine a vision model names in the PICTURES."),
    ] = False,
    raw: Annotated[bool, Option("--raw", help="Print the raw reply.")] = False,
    store: StorePath = None,
    json: Json = False,
) -> None:
    """Stage 1: which visual attributes to describe classes by."""
    from lsmseg_prompts.llm import make_llm

    if check_images != bool(pictures):
        given = "pictures after --check-images" if check_images else "--check-images with pictures"
        raise BadParameter(f"give {given}: --check-images a.jpg b.jpg")
    provider = make_llm(llm, base_url, key_file)
    if pictures:
        _check(provider, pictures, store, raw, json, not Shown.quiet)
    else:
        _ask(provider, wording, store, raw, json)


def _ask(llm: LLM, wording: str, store: Path | None, raw: bool, as_json: bool) -> None:
    """Ask for the attributes; show how they differ from the nine, or the raw reply."""
    from lsmseg_prompts.generation.engine import open_store_for
    from lsmseg_prompts.generation.stage1 import ask_attributes
    from lsmseg_prompts.terminal import print_json, print_table, printable

    with open_store_for(llm, store) as opened:
        answer = ask_attributes(llm, wording, opened)
    if as_json:
        print_json(
            {
                "llm": llm.name,
                "attributes": [
                    {**asdict(attribute), "of_the_nine": attribute.of_the_nine}
                    for attribute in answer
                ],
                "missing": answer.missing,
                "additional": answer.additional,
                "renamed": answer.renamed,
                "reply": answer.reply,
            }
        )
        return
    if raw:
        print(printable(answer.reply))
        return
    renamed = answer.renamed
    rows = [
        {
            "name": attribute.name,
            "of the nine": _which(attribute.name, attribute.of_the_nine, renamed),
            "meaning": attribute.meaning,
        }
        for attribute in answer
    ]
    print_table(rows)
    print(f"missing of the nine: {', '.join(answer.missing) or 'none'}")
    print(f"additional: {', '.join(answer.additional) or 'none'}")


def _which(name: str, of_the_nine: bool, renamed: dict[str, str]) -> str:
    if not of_the_nine:
        return "no, additional"
    return f'yes, as "{renamed[name]}"' if name in renamed else "yes"


def _check(
    llm: LLM, pictures: Sequence[Path], store: Path | None, raw: bool, as_json: bool, shown: bool
) -> None:
    """Check pictures and show the coverage table; PartialError if some got no answer."""
    from lsmseg_prompts.errors import PartialError
    from lsmseg_prompts.generation.engine import open_store_for
    from lsmseg_prompts.generation.picture_check import check_images
    from lsmseg_prompts.terminal import print_json, printable, progress_bar

    with (
        open_store_for(llm, store) as opened,
        progress_bar(f"asking {llm.name}", shown) as bar,
    ):
        result = check_images(llm, pictures, opened, on_progress=bar)
    if as_json:
        print_json(_as_json(result))
    elif raw:
        for picture in result.pictures:
            print(f"== {picture.picture}\n{printable(picture.reply or picture.error or '')}")
    else:
        _print(result, shown)
    if result.failed:
        raise PartialError(
            f"{len(result.failed)} of {len(result.pictures)} pictures were not described, "
            f"the first because: {(result.failed[0].error or '').rstrip('. ')}."
        )


def _print(result: ImageCheck, shown: bool) -> None:
    from lsmseg_prompts.generation.picture_check import SENTENCES
    from lsmseg_prompts.terminal import note, print_table

    rows = result.table()
    for row in rows:
        if len(row["sentence"]) > 60:  # the whole sentences are in --json and --raw
            row["sentence"] = row["sentence"][:57] + "..."
    print_table(rows)
    print(f"named by no sentence: {', '.join(result.unnamed) or 'none, all nine are covered'}")
    for picture in result.pictures:
        if shown and picture.error is None and len(picture.sentences) != SENTENCES:
            note(f"{picture.picture}: {len(picture.sentences)} sentences instead of {SENTENCES}")


def _as_json(result: ImageCheck) -> dict[str, Any]:
    return {
        "llm": result.llm,
        "pictures": [asdict(picture) for picture in result.pictures],
        "sentences_naming": result.total,
        "named_by_none": result.unnamed,
    }
