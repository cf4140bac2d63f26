"""The commands `lsmseg-prompts store ...`: thin functions over the library's calls."""

from __future__ import annotations

from typing import Annotated

import typer
from typer import Option

from lsmseg_prompts.commands.options import Attributes, Json, Llm, StorePath, Vocab, names, show

app = typer.Typer(help="The attribute store: where it is and what it holds.")


@app.command("path")
def store_path(
    store: StorePath = None,
    shipped: Annotated[
        bool, Option("--shipped", help="The read-only store with the bundled descriptions.")
    ] = False,
) -> None:
    """Print where results go, or where the shipped store lies."""
    from lsmseg_prompts.database import shipped_store_path, working_store_path

    print(shipped_store_path() if shipped else working_store_path(store))


@app.command("status")
def store_status(store: StorePath = None, json: Json = False) -> None:
    """How many descriptions there are, in the working store and in the shipped one."""
    from lsmseg_prompts.store import status

    show(status(store), json)


@app.command("show")
def storeshow(
    name: Annotated[str, typer.Argument(help="A class, such as zebra.")],
    vocab: Vocab = "coco-stuff",
    attributes: Attributes = None,
    llm: Llm = "bundled",
    store: StorePath = None,
    json: Json = False,
) -> None:
    """The descriptions of a class."""
    from lsmseg_prompts.descriptions import show as descriptions_of
    from lsmseg_prompts.vocabularies import load_vocabulary

    rows = descriptions_of(load_vocabulary(vocab), name, llm, names(attributes), store)
    show(rows, json, ["attribute", "tokens", "text"])


@app.command("lint")
def store_lint(
    vocab: Annotated[
        str | None, Option("--vocab", help="One vocabulary (default: all that ship inside).")
    ] = None,
    llm: Llm = "bundled",
    store: StorePath = None,
    json: Json = False,
) -> None:
    """Check the descriptions: tokens, class named, one sentence, duplicates, leaks."""
    from lsmseg_prompts.descriptions import lint_store
    from lsmseg_prompts.errors import RefusedError

    cells, findings = lint_store(None if vocab is None else [vocab], llm, store)
    if json:
        show({"cells": cells, "findings": findings}, json)
    elif findings:
        show(findings, json)
    else:
        print(f"{cells} descriptions by {llm}: nothing found.")
    if findings:
        raise RefusedError(f"{len(findings)} findings in {cells} descriptions by {llm}.")
