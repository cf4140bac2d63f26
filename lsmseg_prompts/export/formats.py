"""Prompt sets as files of other projects: what `export --format` writes, beside `native`.

docs/export.md lists the formats and what their readers do.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from lsmseg_prompts.english import nearest
from lsmseg_prompts.errors import RefusedError, UsageError
from lsmseg_prompts.export.consumers import CONSUMERS, prepare
from lsmseg_prompts.export.native import export_native
from lsmseg_prompts.files import check_free, write_whole
from lsmseg_prompts.prompts.clauses import parse
from lsmseg_prompts.prompts.from_store import provenance
from lsmseg_prompts.prompts.prompt_set import PromptSet
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary

Texts = Sequence[Sequence[str]]
INVALID = "invalid_class_id"
KEYED = ("cupl", "dclip")
"""The formats that have classes by their names, and so can leave some out."""


def export(
    prompts: PromptSet,
    vocabulary: Vocabulary,
    path: str | Path,
    format: str = "native",
    rewrite: bool = False,
    force: bool = False,
) -> int:
    """Write `prompts` as the file of `format`, whole or not at all; how many were rewritten.

    Args:
        prompts: the prompt set.
        vocabulary: its own vocabulary.
        path: the file to write.
        format: "native", or one of FORMATS: the project that reads the file.
        rewrite: leave out the separators that its reader splits on.
        force: replace a file that is there.

    Raises:
        UsageError: there is no such format, or the prompt set is of another vocabulary.
        RefusedError: the reader would split or cut a text, takes one text a class, or wants all
            classes and some have no text.
        ConfigurationError: the file exists or cannot be written.
    """
    check_whole(prompts, format)
    if format == "native":
        export_native(prompts, vocabulary, path, provenance=provenance(prompts), force=force)
        return 0
    if format not in CONSUMERS:
        names = ("native", *FORMATS)
        raise UsageError(
            f"There is no format {format!r}{nearest(format, names)}: choose {', '.join(names)}."
        )
    check_free(path, force)
    texts, changed = prepare(prompts, vocabulary, CONSUMERS[format], rewrite)
    write_whole(path, _WRITERS[format](texts, vocabulary))
    return changed


def check_whole(prompts: PromptSet, format: str) -> None:
    """Raise RefusedError where classes are left out and the format takes all or none."""
    empty = sum(not group for group in prompts.texts)
    if empty and (format not in KEYED or empty == len(prompts)):
        raise RefusedError(
            f"{empty} of {len(prompts)} classes have no text, and a file of the format {format} "
            f"has all classes in order: use --missing name, or --format {' or '.join(KEYED)}."
        )


def _class_list(texts: Texts, vocabulary: Vocabulary) -> str:
    return _json([", ".join(group) for group in texts])


def _openseg(texts: Texts, vocabulary: Vocabulary) -> str:
    lines = [f"{index}:{','.join(group)}" for index, group in enumerate(texts, start=1)]
    return "\n".join([f"0:{INVALID}", *lines]) + "\n"


def _mmseg(texts: Texts, vocabulary: Vocabulary) -> str:
    # Characters as they are: JSON's escapes for those beyond U+FFFF mean others in Python.
    words = "".join(f"    {json.dumps(text, ensure_ascii=False)},\n" for (text,) in texts)
    names = "".join(
        f"        {json.dumps(entry.name, ensure_ascii=False)},\n" for entry in vocabulary
    )
    return (
        f"# The prompts of {vocabulary.name}, in the order of its classes.\n"
        f"text_vocabulary = [\n{words}]\n"
        f"metainfo = dict(\n    classes=(\n{names}    ),\n)\n"
    )


def _open_clip(texts: Texts, vocabulary: Vocabulary) -> str:
    return _json(
        {
            "classnames": [text for (text,) in texts],
            "templates": ["{}"],
            "names": [entry.name for entry in vocabulary],
        }
    )


def _cupl(texts: Texts, vocabulary: Vocabulary) -> str:
    held = [(entry.name, group) for entry, group in zip(vocabulary, texts, strict=True) if group]
    names = [name for name, _ in held]
    double = {name for name in names if names.count(name) > 1}
    if double:
        raise RefusedError(
            f"In this format names alone tell classes apart, and {vocabulary.name} has several "
            f"called {min(double)!r}: use another format."
        )
    return _json({name: list(group) for name, group in held})


def _dclip(texts: Texts, vocabulary: Vocabulary) -> str:
    groups = [
        [descriptor(text, entry) for text in group]
        for group, entry in zip(texts, vocabulary, strict=True)
    ]
    return _cupl(groups, vocabulary)


def descriptor(text: str, entry: ClassEntry) -> str:
    """What a sentence says of its class, for "NAME, which has ...".

    "A zebra has a mane." is "a mane"; a sentence whose subject is another stays whole, without its
    period.
    """
    predicate = parse(text, entry.names).predicate or ""
    for verb in ("has ", "have "):
        if predicate.startswith(verb):
            return predicate.removeprefix(verb)
    return text.rstrip(".")


def _json(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


_WRITERS: dict[str, Callable[[Texts, Vocabulary], str]] = {
    "cat-seg": _class_list,
    "sed": _class_list,
    "fc-clip": _openseg,
    "maft": _openseg,
    "san": _class_list,
    "mmseg": _mmseg,
    "open_clip": _open_clip,
    "cupl": _cupl,
    "dclip": _dclip,
}
FORMATS = tuple(_WRITERS)
