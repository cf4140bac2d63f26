"""The commands `lsmseg-prompts vocab ...`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer import Option

from ablations.commands.options import BaseUrl, Json, KeyFile, Shown, StorePath, show

if TYPE_CHECKING:
    from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary
    from lsmseg_prompts.vocabularies.check import Finding

app = typer.Typer(help="The vocabularies: ordered lists of classes.")

Name = Annotated[str, typer.Argument(help="A vocabulary's name, or a file of your own.")]


@app.command("list")
def list_all(json: Json = False) -> None:
    """The vocabularies that ship inside, and how many classes COCO-Stuff has too (seen)."""
    from lsmseg_prompts.vocabularies import vocab_list

    show(vocab_list(), json)


@app.command("show")
def vocab_show(name: Name, json: Json = False) -> None:
    """The classes of a vocabulary."""
    from lsmseg_prompts.vocabularies import load_vocabulary

    show([asdict(entry) for entry in load_vocabulary(name).classes], json)


@app.command("check")
def check(
    name: Name,
    llm: Annotated[
        str | None, Option("--llm", help="Who proposes names and senses (default: rules alone).")
    ] = None,
    base_url: BaseUrl = None,
    key_file: KeyFile = None,
    output: Annotated[
        Path | None,
        Option("-o", "--output", help="A vocabulary file with the proposals, to read through."),
    ] = None,
    strict: Annotated[bool, Option("--strict", help="Exit with 6 if there are findings.")] = False,
    store: StorePath = None,
    json: Json = False,
) -> None:
    """Names that people or an LLM would misread, and better ones to confirm."""
    from lsmseg_prompts.errors import RefusedError
    from lsmseg_prompts.files import write_whole
    from lsmseg_prompts.generation.vocab_check import vocab_check
    from lsmseg_prompts.llm import make_llm
    from lsmseg_prompts.terminal import note, print_json, progress_bar
    from lsmseg_prompts.vocabularies.check import as_file

    provider = None if llm is None else make_llm(llm, base_url, key_file)
    with progress_bar(f"asking {llm}", not Shown.quiet and provider is not None) as progress:
        result = vocab_check(name, provider, store=store, on_progress=progress)
    vocabulary, findings = result.vocabulary, result.findings
    proposals, failures = result.proposals, result.failures
    if output is not None:
        write_whole(output, as_file(vocabulary, proposals, vocabulary.name))
    if json:
        print_json(
            {
                "vocabulary": vocabulary.name,
                "findings": [asdict(finding) for finding in findings],
                "proposals": [_proposal(entry) for entry in proposals.values()],
                "unanswered": {vocabulary[index].name: why for index, why in failures.items()},
            }
        )
    elif findings:
        _print(vocabulary, findings, proposals)
    flagged = len({finding.index for finding in findings})
    if not json:
        print(f"{flagged} of {len(vocabulary)} classes of {vocabulary.name} have findings.")
        if output is not None:
            print(output)
    for index, why in failures.items():
        note(f"{llm} proposes nothing for {vocabulary[index].name}: {why}")
    if flagged and strict:
        raise RefusedError(f"{len(findings)} findings in the names of {vocabulary.name}.")


def _proposal(entry: ClassEntry) -> dict[str, Any]:
    return {"index": entry.index, "name": entry.name, "readable": entry.readable,
            "sense": entry.sense, "synonyms": list(entry.synonyms)}  # fmt: skip


def _print(
    vocabulary: Vocabulary, findings: Sequence[Finding], proposals: Mapping[int, ClassEntry]
) -> None:
    from lsmseg_prompts.terminal import print_table

    rows, last = [], None
    for finding in findings:
        entry, better = vocabulary[finding.index], proposals.get(finding.index)
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
    print_table(rows)


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
