"""Reading exported files back: class strings, as their consumers split them.

What comes back are texts in the vocabulary's order, ready for `evaluate` and `predict`; CuPL's and
DCLIP's files are also read by `store import`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.export.formats import INVALID
from lsmseg_prompts.export.native import load_native
from lsmseg_prompts.prompts.prompt_set import PromptSet
from lsmseg_prompts.vocabularies import Vocabulary

READABLE = ("cat-seg", "sed", "san", "fc-clip", "maft", "open_clip", "cupl")


def load_export(path: str | Path, format: str, vocabulary: Vocabulary) -> PromptSet:
    """The prompt set that a file of `format` (native or one of READABLE) holds.

    Raises UsageError for a missing or misshapen file, another number of classes, another format.
    """
    if format == "native":
        return load_native(path)
    if format not in READABLE:
        raise UsageError(
            f"Files of {format} are not read back: {', '.join(('native', *READABLE))} are."
        )
    path = Path(path)
    try:
        content = path.read_text("utf-8-sig")
    except OSError as error:
        raise UsageError(f"Cannot read {path}: {error.strerror}.") from error
    try:
        groups = _lines(content) if format in ("fc-clip", "maft") else _parsed(content, format)
        if isinstance(groups, dict):
            groups = [groups[entry.name] for entry in vocabulary]
        texts = tuple(tuple(str(text) for text in group) for group in groups)
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is not a file of {format}: {error}.") from error
    if len(texts) != len(vocabulary):
        raise UsageError(
            f"{path} has {len(texts)} classes and {vocabulary.name} has {len(vocabulary)}: name "
            "the vocabulary that it was made for."
        )
    several = any(len(group) > 1 for group in texts)
    return PromptSet(
        name=path.stem,
        vocabulary=vocabulary.name,
        attributes=(path.stem,),
        composition="ensemble" if several else "concat",
        llm="imported",
        class_names=tuple(entry.name for entry in vocabulary),
        texts=texts,
    )


def _parsed(content: str, format: str) -> Any:
    raw = json.loads(content)
    if format == "open_clip":
        return [[text] for text in raw["classnames"]]
    if format == "sed":
        return [text.split(", ") for text in raw]
    if format == "cat-seg":
        return [text.split(", ")[:1] for text in raw]
    return raw if isinstance(raw, dict) else [[text] for text in raw]


def _lines(content: str) -> list[list[str]]:
    groups = []
    for line in content.splitlines():
        if line != INVALID:
            _, name = line.split(":")
            groups.append(name.split(","))
    return groups
