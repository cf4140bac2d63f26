"""Reading exported files back: class strings, as their consumers split them.

What comes back are texts in the vocabulary's order, ready for `evaluate` and `predict`; CuPL's and
DCLIP's files are also read by `store import`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lsmseg_prompts.english import has_word
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.export.formats import INVALID
from lsmseg_prompts.export.native import load_native
from lsmseg_prompts.files import parse_json, read_named
from lsmseg_prompts.prompts.prompt_set import PromptSet
from lsmseg_prompts.tokens import check_fits
from lsmseg_prompts.vocabularies import Vocabulary

READABLE = ("cat-seg", "sed", "san", "fc-clip", "maft", "open_clip", "cupl")


def load_export(path: str | Path, format: str, vocabulary: Vocabulary) -> PromptSet:
    """The prompt set that a file of `format` (native or one of READABLE) holds.

    Raises UsageError for a misshapen file, another format, and other classes than `vocabulary` has,
    as far as the file tells: their names or count. ConfigurationError for a missing file,
    RefusedError for a text over CLIP's 77 tokens.
    """
    names = tuple(entry.name for entry in vocabulary)
    if format == "native":
        prompts = load_native(path)
        if (prompts.vocabulary, prompts.class_names) != (vocabulary.name, names):
            raise UsageError(
                f"{path} was made for the vocabulary {prompts.vocabulary} with other classes than "
                f"{vocabulary.name} has: name the vocabulary that it was made for."
            )
        return prompts
    if format not in READABLE:
        raise UsageError(
            f"Files of {format} are not read back: {', '.join(('native', *READABLE))} are."
        )
    path = Path(path)
    data = read_named(path, f"{format} file")
    try:
        content = data.decode("utf-8-sig")
        lines = format in ("fc-clip", "maft")
        groups = _lines(content) if lines else _parsed(content, format, names)
        texts = tuple(map(_group, groups))
    except KeyError as error:
        raise UsageError(f"{path} is not a file of {format}: it has no {error}.") from error
    except (ValueError, TypeError) as error:
        raise UsageError(f"{path} is not a file of {format}: {error}.") from error
    if len(texts) != len(vocabulary):
        raise UsageError(
            f"{path} has {len(texts)} classes and {vocabulary.name} has {len(vocabulary)}: name "
            "the vocabulary that it was made for."
        )
    for entry, group in zip(vocabulary, texts, strict=True):
        for text in group:
            check_fits(text, entry.name)
    several = any(len(group) > 1 for group in texts)
    return PromptSet(
        name=path.stem,
        vocabulary=vocabulary.name,
        attributes=(path.stem,),
        composition="ensemble" if several else "concat",
        llm="imported",
        class_names=names,
        texts=texts,
    )


def _parsed(content: str, format: str, names: Sequence[str]) -> Any:
    """The texts of each class; ValueError where the file names other classes than `names`."""
    raw: Any = parse_json(content)
    if isinstance(raw, dict) != (format in ("open_clip", "cupl")):
        raise ValueError(f"it holds a {type(raw).__name__}")
    if format == "cupl":
        if unknown := [name for name in raw if name not in names]:
            raise ValueError(f"it names a class {unknown[0]!r}")
        return [raw[name] for name in names]
    if format == "open_clip":
        if tuple(raw.get("names", names)) != tuple(names):
            raise ValueError("it names other classes")
        return [
            [each.replace("{}", name) for each in raw["templates"]] for name in raw["classnames"]
        ]
    if format == "san":
        return [[text] for text in raw]
    return [text.split(", ")[: None if format == "sed" else 1] for text in raw]


def _lines(content: str) -> list[list[str]]:
    groups: list[list[str]] = []
    last = -1
    for line in content.splitlines():
        index, _, names = line.partition(":")
        if int(index) <= last:
            raise ValueError(f"the line of {index} comes after that of {last}")
        last = int(index)
        if names != INVALID:
            groups.append(names.split(","))
    return groups


def _group(texts: Any) -> tuple[str, ...]:
    """The texts of one class, each of them said."""
    if not isinstance(texts, list) or not texts:
        raise ValueError(f"a class has {texts!r} instead of a list of texts")
    for text in texts:
        if not isinstance(text, str) or not has_word(text):
            raise ValueError(f"a text of a class is {text!r}")
    return tuple(texts)
