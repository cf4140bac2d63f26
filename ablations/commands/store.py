"""The commands `lsmseg-prompts store ...`: each shows what the call of its name returns."""

import json as jsons
import re
import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer
from typer import Argument, Option

import lsmseg_prompts
from ablations.commands import completion, options, store_tables
from ablations.commands.app import example, group
from ablations.commands.output import say, show
from lsmseg_prompts.curation.sources import Format
from lsmseg_prompts.errors import PartialError, RefusedError
from lsmseg_prompts.terminal import note, print_json, print_line
from lsmseg_prompts.tokens import find_budget

app = group("The attribute store: where it is and what it holds.")

ClassName = Annotated[str, Argument(help="A class, such as zebra.")]
MaybeAttribute = Annotated[
    str | None, Argument(help="The attribute (default: all of the class's).")
]

OneAttribute = Annotated[str, Argument(help="The attribute, such as color.")]
Expected = Annotated[
    str | None, Option(help="Only if this text stands there now (exit code 6 otherwise).")
]


@app.command("path", **example("store path"))
def store_path(
    ctx: typer.Context,
    store: options.StorePath = None,
    shipped: Annotated[
        bool, Option("--shipped", help="The read-only store with the bundled descriptions.")
    ] = False,
) -> None:
    """Print where results go, or where the shipped store lies."""
    from lsmseg_prompts.store.sqlite import shipped_store_path

    options.unused(ctx, shipped, "beside --shipped", "store")
    print(shipped_store_path() if shipped else lsmseg_prompts.store_path(store))


@app.command("status", **example("store status"))
def store_status(store: options.StorePath = None, json: options.Json = False) -> None:
    """How many descriptions there are, in the working store and in the shipped one."""
    show(lsmseg_prompts.store_status(store), json, printed=store_tables.status)


@app.command("show", **example("store show zebra"))
def store_show(
    ctx: typer.Context,
    name: ClassName,
    vocab: options.Vocab = "coco-stuff",
    attributes: options.Attributes = None,
    llm: Annotated[
        list[str] | None,
        Option(
            autocompletion=completion.llms,
            help="Who wrote them; repeated, side by side (default: all that did).",
        ),
    ] = None,
    attempts: Annotated[
        bool, Option("--attempts", help="Every question asked about it, with the raw reply.")
    ] = False,
    edits: Annotated[
        bool, Option("--edits", help="What people and imports replaced, with the old text.")
    ] = False,
    store: options.StorePath = None,
    json: options.Json = False,
) -> None:
    """The descriptions of a class, by one LLM or by several."""
    options.unused(ctx, attempts, "beside --attempts", "edits")
    options.unused(ctx, edits, "beside --edits", "llm", "attributes")
    wanted = options.names(attributes)
    llms = list(dict.fromkeys(llm)) if llm and llm != ["all"] else None
    if attempts:
        rows = lsmseg_prompts.store_attempts(vocab, name, llms, wanted, store)
        show(rows, json, printed=store_tables.attempts)
    elif edits:
        show(lsmseg_prompts.store_edits(vocab, name, store), json, printed=store_tables.edits)
    else:
        rows = lsmseg_prompts.store_show(vocab, name, llms, wanted, store)
        show(rows, json, printed=store_tables.cells)
        store_tables.doubt(lsmseg_prompts.load_vocabulary(vocab).find(name))


@app.command("edit", **example('store edit fence color --vocab camvid --text "A fence is white."'))
def store_edit(
    name: ClassName,
    attribute: OneAttribute,
    text: Annotated[str | None, Option(help="The new sentence (default: $EDITOR opens).")] = None,
    file: Annotated[Path | None, Option(help="A file with the new sentence; - is stdin.")] = None,
    force: Annotated[
        bool, Option("--force", help="Also if it is not a sentence or does not name the class.")
    ] = False,
    expected: Expected = None,
    vocab: options.Vocab = "coco-stuff",
    llm: options.Llm = "bundled",
    budget: options.Budget = None,
    store: options.StorePath = None,
    json: options.Json = False,
) -> None:
    """Put your own sentence in a description's place, and lock it."""
    from ablations.commands.editor import text_from
    from lsmseg_prompts.curation.edits import editable

    vocabulary, tokens = lsmseg_prompts.load_vocabulary(vocab), find_budget(budget)
    now = editable(vocabulary, name, attribute, llm, store)
    given = text_from(text, file, now, f"{attribute} of {name}, by {llm}")
    from_editor = text is None and file is None
    if expected is None and from_editor:
        expected = now  # what the editor was opened with
    into = (vocabulary, name, attribute, given, llm, store, force, tokens, expected)
    try:
        cell = lsmseg_prompts.store_edit(*into)
    except RefusedError:
        if from_editor:  # it is written nowhere else
            note(f"Not taken: {given}")
        raise
    show(cell, json, printed=lambda cell: store_tables.cells([cell]))


@app.command("take", **example("store take fence color gpt-4 --vocab camvid"))
def store_take(
    name: ClassName,
    attribute: OneAttribute,
    writer: Annotated[str, Argument(help="The LLM whose text it is; gpt-4#2: its second sample.")],
    expected: Expected = None,
    vocab: options.Vocab = "coco-stuff",
    llm: options.Llm = "bundled",
    budget: options.Budget = None,
    store: options.StorePath = None,
    json: options.Json = False,
) -> None:
    """Take another LLM's sentence into a description's place, and lock it."""
    into = (vocab, name, attribute, writer, llm, store, expected, find_budget(budget))
    cell = lsmseg_prompts.store_take(*into)
    show(cell, json, printed=lambda cell: store_tables.cells([cell]))


@app.command("undo", **example("store undo fence color --vocab camvid"))
def store_undo(
    name: ClassName,
    attribute: OneAttribute,
    before: Annotated[
        int | None,
        Option(min=1, help="As it was before this change, by its id (default: the last one)."),
    ] = None,
    expected: Expected = None,
    vocab: options.Vocab = "coco-stuff",
    llm: options.Llm = "bundled",
    store: options.StorePath = None,
    json: options.Json = False,
) -> None:
    """Put back what stood there before the last change; again, and the change is back."""
    cell = lsmseg_prompts.store_undo(vocab, name, attribute, llm, store, expected, before)
    show(cell, json, printed=lambda cell: store_tables.undone(cell, attribute))


@app.command("lock", **example("store lock fence --vocab camvid"))
def store_lock(
    name: ClassName,
    attribute: MaybeAttribute = None,
    vocab: options.Vocab = "coco-stuff",
    llm: options.Llm = "bundled",
    store: options.StorePath = None,
    json: options.Json = False,
) -> None:
    """Keep descriptions as they are: no rerun and no import overwrites them."""
    rows = lsmseg_prompts.store_lock(vocab, name, attribute, llm, store)
    show(rows if json else {"locked": len(rows)}, json)


@app.command("unlock", **example("store unlock fence shape --vocab camvid"))
def store_unlock(
    name: ClassName,
    attribute: MaybeAttribute = None,
    vocab: options.Vocab = "coco-stuff",
    llm: options.Llm = "bundled",
    store: options.StorePath = None,
    json: options.Json = False,
) -> None:
    """Let reruns and imports overwrite descriptions again."""
    rows = lsmseg_prompts.store_unlock(vocab, name, attribute, llm, store)
    show(rows if json else {"unlocked": len(rows)}, json)


@app.command("diff", **example("store diff --llm bundled --llm gpt-4"))
def store_diff(
    llm: options.Llms = None,
    vocab: options.Vocab = "coco-stuff",
    attributes: options.Attributes = None,
    store: options.StorePath = None,
    json: options.Json = False,
) -> None:
    """What two LLMs wrote differently, word by word."""
    if llm is None or len(llm) != 2:
        raise typer.BadParameter("Give --llm twice: --llm bundled --llm gpt-4.")
    result = lsmseg_prompts.store_diff(vocab, llm[0], llm[1], options.names(attributes), store)
    show(result, json, printed=store_tables.diff)


@app.command("import", **example("store import descriptions.json --llm cupl"))
def store_import(
    file: Annotated[Path, Argument(help="A JSON, CSV or text file of descriptions.")],
    llm: Annotated[str, Option(help="The name to file the texts under, such as cupl.")],
    format: Annotated[
        Literal["auto", Format],
        Option(metavar="WHOSE", help="Whose file it is, as docs/store.md lists; auto looks at it."),
    ] = "auto",
    vocab: options.Vocab = "coco-stuff",
    replace: Annotated[
        bool, Option("--replace", help="Also where a description is, unless it is locked.")
    ] = False,
    store: options.StorePath = None,
    json: options.Json = False,
) -> None:
    """Take over the descriptions of another project, with their source."""
    result = lsmseg_prompts.store_import(file, vocab, llm, format, store, replace)
    name = re.sub(r"[^A-Za-z0-9_.+-]+", "-", f"{llm}-{result.vocabulary}")
    store_tables.imported(
        result, json, lsmseg_prompts.store_path(store).parent / f"not-imported-{name}.csv"
    )
    if result.empty:
        raise PartialError(
            f"{len(result.empty)} classes of {result.vocabulary} have nothing by {llm} "
            f"(first: {'; '.join(result.empty[:5])}): import another file under that name, or see "
            "--missing of evaluate, ablate and export."
        )


@app.command("backup", **example("store backup copy.sqlite"))
def store_backup(
    file: Annotated[Path, Argument(help="The copy to write.")],
    force: Annotated[bool, Option("--force", help="Replace the file if it exists.")] = False,
    store: options.StorePath = None,
) -> None:
    """Copy the store into one file, also while others write to it."""
    print(lsmseg_prompts.store_backup(file, store, force))


@app.command("check", **example("store check"))
def store_check(store: options.StorePath = None, json: options.Json = False) -> None:
    """Look for damage, wrong token counts, and what a person should look at."""
    result = lsmseg_prompts.store_check(store)
    show(result.rows, json, printed=store_tables.check)
    if (error := result.error()) is not None:
        raise error


@app.command("costs", **example("store costs --by day"))
def store_costs(
    by: Annotated[
        Literal["llm", "model", "purpose", "day", "attribute"],
        Option(
            help="A row for each LLM, model served, purpose, day in UTC, or attribute: what a "
            "description costs, and how its samples differ."
        ),
    ] = "llm",
    store: options.StorePath = None,
    json: options.Json = False,
) -> None:
    """What asking cost, in US dollars."""
    show(lsmseg_prompts.store_costs(store, by), json, printed=store_tables.costs)


@app.command("captions", **example("store captions -o captions.jsonl --llm gpt-4o"))
def store_captions(
    ctx: typer.Context,
    output: Annotated[Path, Option("-o", "--output", "--out", help="The file, JSON Lines.")],
    llm: Annotated[
        str | None, Option(autocompletion=completion.llms, help="Whose (default: the only one's).")
    ] = None,
    data: Annotated[str | None, Option(help="Of which data (default: the only ones).")] = None,
    detailed: Annotated[
        bool, Option("--detailed", help="Those asked for with generate --detailed.")
    ] = False,
    force: options.Force = False,
    store: options.StorePath = None,
) -> None:
    """Captions of pictures as the file that --captions reads."""
    from lsmseg_prompts.files import check_free, write_whole

    check_free(output, force, options.inputs(ctx, "output"))
    lines = lsmseg_prompts.store_captions(llm, data, detailed, store)
    write_whole(output, "".join(f"{jsons.dumps(one, ensure_ascii=False)}\n" for one in lines))
    print(output)


@app.command("datasette", **example("store datasette -o metadata.json"))
def store_datasette(
    output: Annotated[
        Path | None, Option("-o", "--output", help="The file to write (default: printed).")
    ] = None,
    force: options.Force = False,
    store: options.StorePath = None,
) -> None:
    """Metadata for Datasette: the store's tables explained, and queries that lead on."""
    metadata = lsmseg_prompts.store_datasette(store, output, force)
    if output is None:
        print_json(metadata)
    else:
        print(output)
    path = lsmseg_prompts.store_path(store)
    words = ["datasette", str(path), "--metadata", str(output or "FILE")]
    say(f"Open it, also while others write to it, with: {shlex.join(words)}")


@app.command("lint", **example("store lint --vocab camvid"))
def store_lint(
    vocab: Annotated[
        str | None,
        Option(
            autocompletion=completion.vocabularies,
            help="One vocabulary (default: all that ship inside).",
        ),
    ] = None,
    llm: options.Llm = "bundled",
    budget: options.Budget = None,
    store: options.StorePath = None,
    json: options.Json = False,
) -> None:
    """Check the descriptions: tokens, class named, one sentence, duplicates, leaks."""
    vocabularies, tokens = None if vocab is None else [vocab], find_budget(budget)
    cells, findings = lsmseg_prompts.store_lint(vocabularies, llm, store, tokens)
    if json:
        show({"cells": cells, "findings": findings}, json)
    elif findings:
        show(findings, json)
    else:
        print_line(f"{cells} descriptions by {llm}: nothing found.")
    if findings:
        raise RefusedError(f"{len(findings)} findings in {cells} descriptions by {llm}.")
