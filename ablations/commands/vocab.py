"""The commands `lsmseg-prompts vocab ...`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer import Option

import lsmseg_prompts
from ablations.commands import completion, meanings, options
from ablations.commands.app import example, group
from ablations.commands.output import Shown, show
from lsmseg_prompts.errors import RefusedError, UsageError
from lsmseg_prompts.files import check_free, write_whole
from lsmseg_prompts.terminal import note, print_line, progress_bar

if TYPE_CHECKING:
    from lsmseg_prompts.generation.vocab_check import VocabularyCheck
    from lsmseg_prompts.vocabularies import ClassEntry

app = group("The vocabularies: ordered lists of classes.")

Name = Annotated[
    str,
    typer.Argument(
        autocompletion=completion.vocabularies, help="A vocabulary's name, or a file of your own."
    ),
]
PROPOSED = ("index", "name", "readable", "sense", "synonyms")


@app.command("list", **example("vocab list"))
def list_all(json: options.Json = False) -> None:
    """The vocabularies that ship inside, and how many classes COCO-Stuff has too (seen)."""
    show(lsmseg_prompts.vocab_list(), json)


@app.command("show", **example("vocab show camvid"))
def vocab_show(name: Name, json: options.Json = False) -> None:
    """The classes of a vocabulary."""
    rows = [asdict(entry) for entry in lsmseg_prompts.load_vocabulary(name)]
    if not json:
        for row in rows:
            if row["doubtful"]:
                row["sense"] = f"{row['sense']}, or {row['doubtful']} (doubtful)"
    show(rows, json, ["index", "name", "sense", "synonyms", "seen"])


@app.command("check", **example("vocab check my_classes.txt -o better.json"))
def check(
    ctx: typer.Context,
    name: Name,
    llm: Annotated[
        str | None,
        Option(
            autocompletion=completion.llms,
            help="Who proposes names and senses (default: rules alone).",
        ),
    ] = None,
    base_url: options.BaseUrl = None,
    key_file: options.KeyFile = None,
    reasoning: options.Reasoning = None,
    output: Annotated[
        Path | None,
        Option("-o", "--output", help="A vocabulary file with the proposals, to read through."),
    ] = None,
    force: options.Force = False,
    strict: Annotated[bool, Option("--strict", help="Exit with 6 if there are findings.")] = False,
    store: options.StorePath = None,
    json: options.Json = False,
) -> None:
    """Names that people or an LLM would misread, and better ones to confirm."""
    from lsmseg_prompts.llm.options import AskOptions
    from lsmseg_prompts.vocabularies.check import as_file

    if output is not None:
        check_free(output, force, options.inputs(ctx, "output"))
        if output.suffix.lower() == ".txt":  # it would be read line by line
            raise UsageError(f"{output} is not for JSON, which is written: call it .json.")
    options.unused(ctx, llm is None, "without --llm", "base_url", "key_file", "reasoning", "store")
    options.unused(ctx, llm == "bundled", "with --llm bundled", "key_file", "reasoning")
    how = AskOptions(reasoning)
    provider = (
        None if llm is None else lsmseg_prompts.make_llm(llm, base_url, key_file, options=how)
    )
    with progress_bar(f"asking {llm}", not Shown.quiet and provider is not None) as progress:
        result = lsmseg_prompts.vocab_check(name, provider, store=store, on_progress=progress)
    vocabulary, findings = result.vocabulary, result.findings
    unanswered = {vocabulary[index].name: why for index, why in result.failures.items()}
    flagged = len({finding.index for finding in findings})
    if output is not None:
        write_whole(output, as_file(vocabulary, result.proposals, vocabulary.name))
    if json:
        proposed = [{f: getattr(b, f) for f in PROPOSED} for b in result.proposals.values()]
        record = {"findings": [*map(asdict, findings)], "proposals": proposed}
        show({"vocabulary": vocabulary.name, **record, "unanswered": unanswered}, json)
    else:
        if findings:
            show(_rows(result), json)
        print_line(f"{flagged} of {len(vocabulary)} classes of {vocabulary.name} have findings.")
        if output is not None:
            print(output)
    for class_name, why in unanswered.items():
        note(f"{llm} proposes nothing for {class_name}: {why}")
    if flagged and strict:
        raise RefusedError(f"{len(findings)} findings in the names of {vocabulary.name}.")


@app.command("new", **example("vocab new my_classes.txt -o mine.json --yes"))
def new(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(help="A .txt or .json file of your own classes.")],
    output: Annotated[
        Path,
        Option(
            "-o", "--output", help="The vocabulary, .json; a table of its texts beside it, .csv."
        ),
    ],
    yes: Annotated[
        bool, Option("--yes", help="Ask nothing: take the likeliest meaning, and say which.")
    ] = False,
    force: options.Force = False,
    json: options.Json = False,
) -> None:
    """A vocabulary of your own classes, with the bundled texts that fit them."""
    if output.suffix.lower() != ".json":
        raise UsageError(f"{output} is not for JSON, which is written: call it .json.")
    table = output.with_suffix(".csv")
    for path in (output, table):
        check_free(path, force, options.inputs(ctx, "output"))
    made = lsmseg_prompts.vocab_new(name, None if yes else meanings.choose)
    write_whole(output, made.as_json())
    write_whole(table, made.as_csv())
    meanings.show_new(made, name, output, table, json)


def _rows(result: VocabularyCheck) -> list[dict[str, str]]:
    rows, last = [], None
    for finding in result.findings:
        entry, better = result.vocabulary[finding.index], result.proposals.get(finding.index)
        first = finding.index != last  # a class's name and proposal stand once
        rows.append(
            {
                "class": entry.readable if first else "",
                "rule": finding.rule,
                "why": finding.why,
                "to do": finding.advice,
                "proposed": _change(entry, better) if first and better else "",
            }
        )
        last = finding.index
    return rows


def _change(entry: ClassEntry, better: ClassEntry) -> str:
    """Current -> proposed, for what changes."""
    parts = []
    if better.readable != entry.readable:
        parts.append(f"-> {better.readable}")
    if better.sense != entry.sense:
        parts.append(f"({better.sense})")
    if better.synonyms != entry.synonyms:
        parts.append(f"also: {', '.join(better.synonyms)}")
    return " ".join(parts)
