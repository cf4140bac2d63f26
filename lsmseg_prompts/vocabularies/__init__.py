"""Vocabularies: ordered lists of classes, ours and the user's.

What identifies a class is (vocabulary, index), never its name; beside the name, as the benchmark
spells it, stand a readable one for prompts, a sense where the word is ambiguous, and synonyms.
`coco_stuff` says which COCO-Stuff classes are the same visual concept (docs/vocabularies.md).
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lsmseg_prompts.english import nearest, normalise
from lsmseg_prompts.errors import ConfigurationError, UsageError
from lsmseg_prompts.files import is_path
from lsmseg_prompts.vocabularies.vocabulary import BUILT_IN, ClassEntry, Vocabulary, built_in

__all__ = [
    "ClassEntry",
    "Vocabulary",
    "available_vocabularies",
    "benchmark_vocabulary",
    "load_vocabulary",
    "named_vocabulary",
    "vocab_list",
]

LIKE = {"ministuff": "coco-stuff", "coco-stuff10k": "coco-stuff"}
"""The vocabulary of benchmarks that have none of their own."""


def available_vocabularies() -> tuple[str, ...]:
    """Names of the vocabularies that ship inside."""
    return BUILT_IN


def vocab_list() -> list[dict[str, Any]]:
    """A row for each vocabulary that ships inside.

    Name, classes, title, and how many classes COCO-Stuff has too (seen) and has not (unseen).
    """
    rows = []
    for name in BUILT_IN:
        vocabulary = built_in(name)
        seen = sum(entry.seen is True for entry in vocabulary)
        rows.append(
            {"name": name, "classes": len(vocabulary), "seen": seen,
             "unseen": len(vocabulary) - seen, "title": vocabulary.title}
        )  # fmt: skip
    return rows


def load_vocabulary(name_or_path: str | Path | Vocabulary) -> Vocabulary:
    """A built-in vocabulary by name, or the user's own from a .txt or .json file.

    .txt: a class name a line; blank lines and lines beginning with # are skipped.
    .json: a list of names, a list of objects, or an object in our own format
    ({"name", "title", "classes": [{"name", "readable", "sense", "synonyms", "seen",
    "coco_stuff", "bundled", "doubtful", "frequency"}]}). A vocabulary that is loaded already is
    given back as it is.

    Raises UsageError if the name is unknown or the file is empty, of a wrong shape, or names a
    class twice, and ConfigurationError if it is missing or cannot be read.
    """
    if isinstance(name_or_path, Vocabulary):
        return name_or_path
    wanted = str(name_or_path).strip()
    if normalise(wanted) in BUILT_IN:
        return built_in(normalise(wanted))
    from lsmseg_prompts.vocabularies import user_file

    path = Path(os.path.expanduser(wanted))
    if wanted and (path.exists() or is_path(wanted)):
        return user_file.read(path)
    near = nearest(wanted, BUILT_IN)
    raise UsageError(
        f"There is no vocabulary {wanted!r}{near}; built in are {', '.join(BUILT_IN)}; "
        "or give a .txt or .json file with your own class names."
    )


def named_vocabulary(name: str, class_names: Sequence[str]) -> Vocabulary:
    """The vocabulary of a prompt set: a built-in one, else one that knows the names alone."""
    if name in BUILT_IN:
        return built_in(name)
    entries = tuple(ClassEntry(i, one, one) for i, one in enumerate(class_names))
    return Vocabulary(name, name, entries)


def benchmark_vocabulary(data: str, named: str | None = None) -> Vocabulary:
    """The vocabulary that is named, else the one that the benchmark `data` is labelled with.

    Raises UsageError for an unknown benchmark, with the nearest names, and for a folder of the
    user's own without a vocabulary: its labels may mean anything; ConfigurationError for a path
    that is not a folder.
    """
    benchmarks = (*LIKE, *available_vocabularies())
    if data not in benchmarks and not os.path.isdir(data):
        if is_path(data):
            raise ConfigurationError(f"{data} is not a folder: --data takes one, or a name.")
        raise UsageError(
            f"There is no benchmark {data!r}{nearest(data, benchmarks)}: name "
            f"{', '.join(benchmarks)}, or a folder with images/ and annotations/ and its --vocab."
        )
    if named is None and data not in benchmarks:
        raise UsageError(f"Say which classes the labels of {data} mean with --vocab.")
    return load_vocabulary(named or LIKE.get(data, data))
