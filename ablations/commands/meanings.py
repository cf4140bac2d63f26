"""Which described class a class of the user's means: asked on a terminal, shown, and noted."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ablations.commands.output import say, show
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.terminal import note, print_line

if TYPE_CHECKING:
    from lsmseg_prompts.descriptions.new_vocabulary import NewVocabulary
    from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary
    from lsmseg_prompts.vocabularies.meanings import Meaning

SHOWN = 10  # names in a note


def choose(entry: ClassEntry, offered: Sequence[Meaning]) -> Meaning | None:
    """Ask on the terminal which of several meanings, or of the nearest classes, a class has.

    Raises UsageError away from a terminal.
    """
    if not sys.stdin or not sys.stdin.isatty():
        raise UsageError(
            f"What {entry.readable!r} means has to be chosen, which takes a terminal: add --yes to "
            "take the likeliest meanings."
        )
    found = {
        "nearest": "is not a described class; near are",
        "other sense": f"as {entry.sense} is not described; of that name are",
    }.get(offered[0].how, "may mean")
    usual = 1 if found == "may mean" else 0
    note(f"{entry.readable!r} {found}")
    for number, meaning in enumerate(offered, start=1):
        note(f"  {number}  {meaning.gloss}")
    note("  0  none of them")
    while True:
        number = typer.prompt("Which", usual, type=int, err=True)
        if 0 <= number <= len(offered):
            return offered[number - 1] if number else None
        note(f"Type a number from 0 to {len(offered)}.")


def show_new(made: NewVocabulary, source: str, output: Path, table: Path, json: bool) -> None:
    """What `vocab new` found, where it was written, and what to run next."""
    vocabulary = made.vocabulary
    rows = []
    for entry in vocabulary:
        taken = made.taken.get(entry.index)
        rows.append(
            {
                "class": entry.name,
                "meaning": taken and taken.reference,
                "found by": taken and taken.how,
                "sense": taken and taken.entry.sense,
                "others": [one.reference for one in made.others.get(entry.index, ())],
            }
        )
    counts = {"described": len(made.taken), "missing": made.missing}
    if json:
        files = {"vocabulary": output, "texts": table}
        show({"classes": rows, "of": len(vocabulary), **counts, **files}, json)
    else:
        show(rows, json, ["class", "meaning", "found by", "others"])
        print_line(f"{len(made.taken)} of {len(vocabulary)} classes of {source} are described.")
        print(output)
        print(table)
    for line in notes(vocabulary, made.taken, made.unsure, made.others):
        say(line)
    if made.missing:
        mine, texts = shlex.quote(str(output)), shlex.quote(str(table))
        say(
            f"{made.missing} texts are missing. Fill in the column text of {table}, then: "
            f"lsmseg-prompts store import {texts} --vocab {mine} --llm mine; "
            f"or ask an LLM: lsmseg-prompts generate --llm gpt-4 --vocab {mine}"
        )


def notes(
    vocabulary: Vocabulary,
    taken: Mapping[int, Meaning],
    unsure: Collection[int],
    others: Mapping[int, Sequence[Meaning]],
) -> list[str]:
    """What a reader should look at: last words, several senses, and senses that are not theirs."""
    heads, several = [], []
    for index, meaning in taken.items():
        said = f"{vocabulary[index].readable} as {meaning.gloss}"
        if meaning.how == "head word":
            heads.append(said)
        elif index in unsure:
            several.append(said)
    senses = [
        f"{vocabulary[index].readable} as {some[0].entry.sense} ({some[0].reference})"
        for index, some in others.items()
        if index not in taken and some[0].how == "other sense"
    ]
    lines = []
    if heads:
        lines.append(f"Described as what their last words name: {_some(heads)}.")
    if several:
        lines.append(f"Of several meanings these were taken: {_some(several)}.")
    if senses:
        lines.append(
            f"Described in another sense than yours: {_some(senses)}. Where that is what you mean, "
            'write what is in brackets as "bundled" of the class.'
        )
    return lines


def note_meanings(vocabulary: Vocabulary) -> None:
    """Say what `bundled` takes the classes of a user's own list for, where that is not plain."""
    from lsmseg_prompts.vocabularies.meanings import choices, unsure

    if vocabulary.option != "FILE":
        return
    found = {entry.index: choices(entry) for entry in vocabulary}
    taken = {index: some[0] for index, some in found.items() if some}
    doubtful = [entry.index for entry in vocabulary if unsure(entry, found[entry.index])]
    lines = notes(vocabulary, taken, doubtful, {})
    for line in lines:
        say(line)
    if lines:
        say("To choose otherwise: lsmseg-prompts vocab new FILE -o NEW.json")


def _some(words: Sequence[str]) -> str:
    more = f" and {len(words) - SHOWN} more" if len(words) > SHOWN else ""
    return ", ".join(words[:SHOWN]) + more
