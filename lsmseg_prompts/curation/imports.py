"""Reading other projects' descriptions into the store: CuPL's, DCLIP's and ProLab's files.

All three are a JSON object, {"class name": ["phrase or sentence", ...]}; what becomes of the
phrases is in phrases.py. The file's name, SHA-256 and format are kept with the LLM as provenance,
and the cells have source "import".
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lsmseg_prompts.curation.edits import keep_old
from lsmseg_prompts.curation.phrases import from_phrases, from_sentences
from lsmseg_prompts.english import has_word, nearest
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.files import parse_json, read_named
from lsmseg_prompts.store.descriptions import Description
from lsmseg_prompts.store.sqlite import working_store_path
from lsmseg_prompts.store.store import Store, open_store
from lsmseg_prompts.tokens import count_tokens
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary, load_vocabulary

Format = Literal["cupl", "dclip", "prolab"]


@dataclass
class Imported:
    """What an import did.

    added, replaced, kept, locked: numbers of cells; `kept` were filled before and stay, as
    `locked` ones do. unknown: names of no class, with the nearest ones. refused: names that
    could not be told apart, with the reason. left_out: {class, phrase, reason}, phrases without a
    place. empty: classes of the vocabulary that got nothing and have nothing by this LLM.
    """

    file: str
    sha256: str
    format: str
    llm: str
    vocabulary: str
    classes: int = 0
    phrases: int = 0
    added: int = 0
    replaced: int = 0
    kept: int = 0
    locked: int = 0
    unknown: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    left_out: list[dict[str, str]] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)


def import_file(
    file: str | os.PathLike[str],
    vocabulary: Vocabulary | str,
    llm: str,
    format: Format | Literal["auto"] = "auto",
    store: str | os.PathLike[str] | None = None,
    replace: bool = False,
) -> Imported:
    """Fill cells of `vocabulary` by `llm` from a file; all of them or, on an error, none.

    Args:
        file: a JSON file, {"class name": ["phrase or sentence", ...]}.
        vocabulary: the vocabulary, or its name.
        llm: under whom the texts are filed.
        format: whose file it is; "auto" recognises it by its texts.
        store: the path of the store; None for the usual one.
        replace: replace texts that are there; the old ones go into the table `edits`.

    Raises:
        UsageError: the file cannot be read as such or has no class of the vocabulary, or the
            name for the LLM is reserved.
        StoreError: the store cannot be written.
    """
    vocabulary = load_vocabulary(vocabulary)
    if llm in ("bundled", "all") or not has_word(llm) or not llm.isprintable():
        raise UsageError(f"Imported texts cannot be filed under {llm!r}: give another --llm.")
    path = Path(file)
    data, pairs = read(path)
    texts = [phrase for _, some in pairs for phrase in some]
    chosen = recognise(texts) if format == "auto" else format
    digest = hashlib.sha256(data).hexdigest()
    result = Imported(str(path), digest, chosen, llm, vocabulary.name)
    matched = match(pairs, vocabulary, result)
    if not matched:
        raise UsageError(
            f"No name in {path} is a class of the vocabulary {vocabulary.name}: "
            f"{'; '.join([*result.refused, *result.unknown][:3])}."
        )
    provenance = f"Imported from {path.name} ({chosen}, sha256 {digest})"
    with open_store(working_store_path(store)) as opened, opened.transaction():
        opened.add_vocabulary(vocabulary)
        _add_provenance(opened, llm, provenance)
        before = {
            (row["class_index"], row["attribute"]): row for row in opened.cells(vocabulary, llm)
        }
        for entry, phrases in matched:
            cells = (from_sentences if chosen == "cupl" else from_phrases)(phrases, entry)
            result.classes += bool(cells.texts)
            result.left_out += [
                {"class": entry.name, "phrase": phrase, "reason": reason}
                for phrase, reason in cells.left_out
            ]
            for attribute, text in cells.texts.items():
                cell = (vocabulary.name, entry.index, attribute, llm)
                new = Description(*cell, text, count_tokens(text), source="import")
                _put(opened, new, before.get((entry.index, attribute)), replace, result)
        filled = {index for index, _ in opened.descriptions(vocabulary, llm)}
    result.empty = [entry.name for entry in vocabulary if entry.index not in filled]
    return result


def read(path: Path) -> tuple[bytes, list[tuple[str, list[str]]]]:
    """The file, and its names with their phrases."""
    data = read_named(path, "descriptions")
    try:
        raw = parse_json(data)
    except ValueError as error:
        raise UsageError(f"{path} is not valid JSON: {error}.") from error
    if not isinstance(raw, dict) or not raw:
        raise UsageError(
            f"{path} is not a list of phrases for each class: it must be a JSON object such as "
            '{"zebra": ["black and white stripes"]}.'
        )
    for name, phrases in raw.items():
        if not isinstance(phrases, list) or not all(isinstance(one, str) for one in phrases):
            raise UsageError(f"In {path} the class {name!r} does not have a list of texts.")
    return data, [*raw.items()]


def recognise(phrases: Sequence[str]) -> Format:
    """CuPL's sentences end with a period, ProLab's phrases begin with a capital letter."""
    texts = [phrase.strip() for phrase in phrases if phrase.strip()]
    if 2 * sum(text.endswith(".") for text in texts) > len(texts):
        return "cupl"
    return "prolab" if 2 * sum(text[0].isupper() for text in texts) > len(texts) else "dclip"


def match(
    pairs: Sequence[tuple[str, list[str]]], vocabulary: Vocabulary, result: Imported
) -> list[tuple[ClassEntry, list[str]]]:
    """The classes meant by a file's names, in the vocabulary's order; `result` gets the rest.

    A name means the class of that name, else the one with that readable name, else the one with
    that synonym. Where it means two classes, or two names mean the same, none is taken.
    """
    result.phrases = sum(len(phrases) for _, phrases in pairs)
    spellings = [entry_spelling for entry in vocabulary for entry_spelling in entry.names]
    meant: dict[int, list[tuple[int, str, list[str]]]] = {}
    for name, phrases in pairs:
        rank, entries = vocabulary.meant(name)
        if not entries:
            rank, entries = vocabulary.meant(name.replace("_", " "))
        if len(entries) == 1:
            meant.setdefault(entries[0].index, []).append((rank, name, phrases))
        elif entries:
            which = " and ".join(f"{e.name!r} ({e.index})" for e in entries)
            result.refused.append(f"{name!r} means the classes {which}")
        else:
            result.unknown.append(f"{name!r}{nearest(name, spellings)}")
    matched = []
    for index, claims in sorted(meant.items()):
        best = min(rank for rank, *_ in claims)
        first = [claim for claim in claims if claim[0] == best]
        for _, name, _ in claims if len(first) > 1 else [c for c in claims if c[0] != best]:
            others = " and ".join(repr(other) for _, other, _ in claims)
            result.refused.append(
                f"{name!r}: {others} are all the class {vocabulary[index].name!r}"
            )
        if len(first) == 1:
            matched.append((vocabulary[index], first[0][2]))
    return matched


def _add_provenance(store: Store, llm: str, provenance: str) -> None:
    """Several files may be filed under one name."""
    rows = store.rows("SELECT provenance FROM llms WHERE name = ?", [llm])
    before = (rows[0]["provenance"] if rows else None) or ""
    if provenance not in before:
        store.add_llm(llm, f"{before}; {provenance}" if before else provenance)


def _put(
    store: Store, new: Description, old: Mapping[str, Any] | None, replace: bool, result: Imported
) -> None:
    """Fill one cell, where that is allowed, and count it."""
    text = old["text"] if old and old["status"] == "done" else None
    if old and old["locked"]:
        result.locked += 1
    elif text is not None and (not replace or text == new.text):
        result.kept += 1
    elif text is not None:
        store.put_description(new)
        keep_old(store, text, new)
        result.replaced += 1
    else:
        store.put_description(new)
        result.added += 1
