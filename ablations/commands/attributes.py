"""What `lsmseg-prompts attributes` does: ask and show, or check pictures and show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lsmseg_prompts.generation.picture_check import ImageCheck
    from lsmseg_prompts.llm.base import LLM
    from lsmseg_prompts.store.store import Store


@contextmanager
def store_for(llm: LLM, store: Path | None) -> Iterator[Store | None]:
    """The working store, where every reply that was paid for is kept; none for `bundled`,
    unless one is named."""
    from lsmseg_prompts.store.store import open_store, working_store_path

    if llm.free and store is None:
        yield None
        return
    llm.check()  # before a file is made for nothing
    with open_store(working_store_path(store)) as opened:
        yield opened


def ask(llm: LLM, wording: str, store: Path | None, raw: bool, as_json: bool) -> None:
    """Ask for the attributes; show how they differ from the nine, or the raw reply."""
    from lsmseg_prompts.attributes import ask_attributes
    from lsmseg_prompts.terminal import print_json, print_table

    with store_for(llm, store) as opened:
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


def check(
    llm: LLM, pictures: Sequence[Path], store: Path | None, raw: bool, as_json: bool, shown: bool
) -> None:
    """Check pictures and show the coverage table; PartialError if some got no answer."""
    from lsmseg_prompts.errors import PartialError
    from lsmseg_prompts.generation.picture_check import check_images
    from lsmseg_prompts.terminal import print_json, progress_bar

    with store_for(llm, store) as opened, progress_bar(f"asking {llm.name}", shown) as progress:
        result = check_images(llm, pictures, opened, progress=progress)
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


def printable(text: str) -> str:
    """An LLM's text for a terminal: without control characters but line breaks and tabs."""
    return "".join(c for c in text if c.isprintable() or c in "\n\t")
