"""Reading descriptions of other projects and of a user's own into the store.

What files may look like is in sources.py, what becomes of their texts in phrases.py. The file's
name, SHA-256 and format are kept with the LLM as provenance, and the cells have source "import".
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from lsmseg_prompts.attributes.samples import sampled
from lsmseg_prompts.curation.history import recorded
from lsmseg_prompts.curation.phrases import (
    Cells,
    from_cells,
    from_phrases,
    from_sentences,
    from_synonyms,
)
from lsmseg_prompts.curation.places import Place
from lsmseg_prompts.curation.sources import Format, Named, read, recognise
from lsmseg_prompts.descriptions.loading import check_attributes
from lsmseg_prompts.english import excerpt, has_word, nearest
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.files import read_named
from lsmseg_prompts.store.descriptions import Description
from lsmseg_prompts.store.sqlite import working_store_path
from lsmseg_prompts.store.store import Store, open_store
from lsmseg_prompts.tokens import count_tokens
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary, load_vocabulary

SUGGESTED = 3  # so many names of no class are shown, and so few have the nearest ones beside them


@dataclass
class Imported:
    """What an import did.

    added, replaced, kept, locked: numbers of cells; `kept` were filled before and stay, as
    `locked` ones do. samples: how many of the cells in the file were further samples; review: how
    many of those that were filled a person should look at. names: {name, reason}, those of the file
    that were not taken as classes. left_out: {class, phrase, reason}, texts without a place. empty:
    classes of the vocabulary that got nothing and have nothing by this LLM.
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
    samples: int = 0
    review: int = 0
    names: list[dict[str, str]] = field(default_factory=list)
    left_out: list[dict[str, str]] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)

    @property
    def first_names(self) -> str:
        """Some of the names that were not taken, with the reasons, for a message."""
        return "; ".join(f"{excerpt(n['name'])!r} {n['reason']}" for n in self.names[:SUGGESTED])


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
        file: a JSON, CSV or text file, see sources.py.
        vocabulary: the vocabulary, or its name.
        llm: under whom the texts are filed.
        format: whose file it is; "auto" recognises it by its shape and texts.
        store: the path of the store; None for the usual one.
        replace: replace texts that are there; the old ones go into the table `edits`.

    Raises:
        UsageError: the file cannot be read as such or has no class of the vocabulary, or the
            name for the LLM is reserved.
        StoreError: the store cannot be written.
    """
    vocabulary = load_vocabulary(vocabulary)
    reserved = llm in ("bundled", "all") or sampled(llm)[1] > 1  # me#2: the second samples of me
    if reserved or not has_word(llm) or not llm.isprintable():
        raise UsageError(f"Imported texts cannot be filed under {llm!r}: give another --llm.")
    path = Path(file)
    data = read_named(path, "descriptions")
    chosen, named = read(data, path, format)
    digest = hashlib.sha256(data).hexdigest()
    result = Imported(str(path), digest, chosen, llm, vocabulary.name)
    result.phrases = sum(one.count for one in named)
    matched = match(named, vocabulary, result)
    if not matched:
        raise UsageError(
            f"No name in {path} was taken as a class of the vocabulary {vocabulary.name} (first: "
            f"{result.first_names}): give the --vocab whose classes the file names."
        )
    provenance = f"Imported from {path.name} ({chosen}, sha256 {digest})"
    with open_store(working_store_path(store)) as opened, opened.transaction():
        opened.add_vocabulary(vocabulary)
        _add_provenance(opened, llm, provenance)
        before = {
            (row["class_index"], row["attribute"]): row for row in opened.cells(vocabulary, llm)
        }
        for entry, one in matched:
            cells = cells_of(one, entry, chosen)
            _note(result, entry, cells)
            for attribute, text in cells.texts.items():
                cell = (vocabulary.name, entry.index, attribute, llm)
                review = cells.review.get(attribute)
                tokens = count_tokens(text)
                new = Description(*cell, text, tokens, source="import", review=review)
                _put(opened, Place(vocabulary, entry, attribute, llm), new, before, replace, result)
            if replace:
                _drop_samples(opened, vocabulary, entry, cells, before)
        filled = {index for index, _ in opened.descriptions(vocabulary, llm)}
    result.empty = [entry.name for entry in vocabulary if entry.index not in filled]
    return result


def _note(result: Imported, entry: ClassEntry, cells: Cells) -> None:
    """Count a class that got texts, and list what was left out."""
    result.classes += bool(cells.texts)
    result.left_out += [
        {"class": entry.name, "phrase": phrase, "reason": reason}
        for phrase, reason in cells.left_out
    ]


def cells_of(named: Named, entry: ClassEntry, format: str) -> Cells:
    """What becomes of the texts of one class of a file."""
    if named.synonyms:
        return from_synonyms(named.texts["typical"], entry)
    loose = named.texts.get(None, [])
    kind = format if format in ("cupl", "dclip", "prolab") else recognise(loose)
    cells = (from_sentences if kind == "cupl" else from_phrases)(loose, entry)
    known: dict[str, list[str]] = {}
    for name, texts in named.texts.items():
        if name is not None:
            try:
                (attribute,) = check_attributes([sampled(name.lower())[0]])
            except UsageError as error:
                cells.left_out += [(text, str(error)) for text in texts]
            else:
                known.setdefault(attribute, []).extend(texts)
    told = from_cells(known, entry)
    for attribute, text in told.texts.items():
        cells.add(sampled(attribute)[0], text, told.review.get(attribute))
    cells.left_out += told.left_out
    return cells


def match(
    named: Sequence[Named], vocabulary: Vocabulary, result: Imported
) -> list[tuple[ClassEntry, Named]]:
    """The classes meant by a file's names, in the vocabulary's order; `result` gets the rest.

    A name means the class of that name, else the one with that readable name, else the one with
    that synonym. Where it means two classes, or two names mean the same, none is taken.
    """
    unknown: list[str] = []
    claims: dict[int, list[tuple[int, Named]]] = {}
    for one in named:
        rank, entries = _meant(one, vocabulary)
        if len(entries) == 1:
            claims.setdefault(entries[0].index, []).append((rank, one))
        elif entries:
            which = " and ".join(f"{e.name!r} ({e.index})" for e in entries)
            result.names.append({"name": one.names[0], "reason": f"means the classes {which}"})
        else:
            unknown.append(one.names[0])
    matched = []
    for index, claimed in sorted(claims.items()):
        best = min(rank for rank, _ in claimed)
        first = [one for rank, one in claimed if rank == best]
        taken = first[0] if len(first) == 1 else None
        if taken is not None:
            matched.append((vocabulary[index], taken))
        for _, one in claimed:
            if one is not taken:
                others = " and ".join(repr(o.names[0]) for _, o in claimed if o is not one)
                reason = f"means the class {vocabulary[index].name!r}, like {others}"
                result.names.append({"name": one.names[0], "reason": reason})
    few = len(unknown) <= SUGGESTED
    spellings = [spelling for entry in vocabulary for spelling in entry.names]
    for name in unknown:
        near = nearest(excerpt(name), spellings) if few else ""
        result.names.append({"name": name, "reason": f"is not a class{near}"})
    return matched


def _meant(one: Named, vocabulary: Vocabulary) -> tuple[int, list[ClassEntry]]:
    """`Vocabulary.meant` of the first of a class's names that means any."""
    for name in one.names:
        for spelling in (name, name.replace("_", " ")):
            rank, entries = vocabulary.meant(spelling)
            if entries:
                return rank, entries
    return 0, []


def _add_provenance(store: Store, llm: str, provenance: str) -> None:
    """Several files may be filed under one name."""
    rows = store.rows("SELECT provenance FROM llms WHERE name = ?", [llm])
    before = (rows[0]["provenance"] if rows else None) or ""
    if provenance not in before:
        store.add_llm(llm, f"{before}; {provenance}" if before else provenance)


def _put(
    store: Store,
    place: Place,
    new: Description,
    before: Mapping[tuple[int, str], Mapping[str, Any]],
    replace: bool,
    result: Imported,
) -> None:
    """Fill one cell, where that is allowed, and count it.

    Samples belong together: none is added to those that are there.
    """
    base, number = sampled(new.attribute)
    old, first = before.get((new.class_index, new.attribute)), before.get((new.class_index, base))
    text = old["text"] if old and old["status"] == "done" else None
    result.samples += number > 1
    if old and old["locked"]:
        result.locked += 1
        return
    if new.text == text or (not replace and first and first["status"] == "done"):
        result.kept += 1
        return
    result.review += new.review is not None
    if text is None:
        store.put_description(new)
        result.added += 1
    else:
        with recorded(store, place, "import"):
            store.put_description(new)
        result.replaced += 1


def _drop_samples(
    store: Store,
    vocabulary: Vocabulary,
    entry: ClassEntry,
    cells: Cells,
    before: Mapping[tuple[int, str], Mapping[str, Any]],
) -> None:
    """Take away samples of replaced texts that the new ones have none in the place of."""
    bases = {sampled(attribute)[0] for attribute in cells.texts}
    for (index, attribute), old in before.items():
        base, number = sampled(attribute)
        surplus = number > 1 and base in bases and attribute not in cells.texts
        if index == entry.index and surplus and old["source"] == "import" and not old["locked"]:
            place = Place(vocabulary, entry, attribute, old["llm"])
            with recorded(store, place, "import"):
                place.put(store, None)
