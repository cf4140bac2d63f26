"""The native format: a prompt set as JSON, whole, with scores and where it comes from.

docs/export.md shows one.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.files import check_free, plain, write_whole
from lsmseg_prompts.prompts.prompt_set import COMPOSITIONS, PromptSet
from lsmseg_prompts.tokens import check_fits, count_tokens
from lsmseg_prompts.vocabularies import Vocabulary

FORMAT = "lsmseg-prompts/native"
VERSION = 1


def export_native(
    prompt_set: PromptSet,
    vocabulary: Vocabulary,
    path: str | Path,
    scores: Any = None,
    provenance: Any = None,
    force: bool = False,
) -> Path:
    """Write `prompt_set` to `path`, whole or not at all, and return the path.

    Args:
        prompt_set: the prompt set.
        vocabulary: its vocabulary.
        path: the file to write.
        scores: what it scored, as JSON can hold it; NaN and infinite numbers become null.
        provenance: where it comes from, likewise.
        force: replace a file that is there.

    Raises:
        RefusedError: a text is over CLIP's 77 tokens.
        UsageError: the prompt set is of another vocabulary.
        ConfigurationError: the file exists or cannot be written.
    """
    check_free(path, force)
    names = tuple(entry.name for entry in vocabulary)
    if prompt_set.vocabulary != vocabulary.name or prompt_set.class_names != names:
        raise UsageError(
            f"The prompt set {prompt_set.name} was made for the vocabulary "
            f"{prompt_set.vocabulary}, not for {vocabulary.name}: export it with its own."
        )
    classes = []
    for entry, texts in zip(vocabulary, prompt_set.texts, strict=True):
        for text in texts:
            check_fits(text, entry.name)
        classes.append(
            {
                "index": entry.index,
                "name": entry.name,
                "readable": entry.readable,
                "texts": list(texts),
                "tokens": [count_tokens(text) for text in texts],
            }
        )
    fields = asdict(prompt_set)
    del fields["class_names"], fields["texts"]
    content = {
        "format": FORMAT,
        "version": VERSION,
        **fields,
        "scores": plain(scores),
        "provenance": plain(provenance),
        "classes": classes,
    }
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    return write_whole(path, text + "\n")


def load_native(path: str | Path) -> PromptSet:
    """Read a prompt set back.

    Raises UsageError if the file is missing, not JSON, of another format or a newer version, or
    not of the right shape, and RefusedError if a text in it is over CLIP's 77 tokens.
    """
    raw = _read(Path(path))
    if not isinstance(raw, dict) or raw.get("format") != FORMAT:
        raise UsageError(f"{path} is not a prompt set: export one with --format native.")
    version = raw.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version < 1:
        raise UsageError(f"{path} has no valid format version: export it again.")
    if version > VERSION:
        raise UsageError(
            f"{path} has format version {version} and this program reads up to {VERSION}: "
            "update lsmseg-prompts."
        )
    classes = raw.get("classes")
    if not isinstance(classes, list) or not classes:
        raise _misshapen(path, "classes is not a list of classes")
    names, texts = [], []
    for index, item in enumerate(classes):
        if not isinstance(item, dict) or item.get("index") != index:
            raise _misshapen(path, f"classes[{index}] is not the class with index {index}")
        names.append(_text(item, "name", path, f"classes[{index}]"))
        group = _texts(item, "texts", path, f"classes[{index}]")
        if not group:
            raise _misshapen(path, f"classes[{index}] has no text")
        for text in group:
            check_fits(text, names[-1])
        texts.append(group)
    composition = _text(raw, "composition", path)
    if composition not in COMPOSITIONS:
        raise _misshapen(path, f"the composition {composition!r} is unknown")
    shortened = _indices(raw.get("shortened", []), "shortened", len(texts), path)
    return PromptSet(
        name=_text(raw, "name", path),
        vocabulary=_text(raw, "vocabulary", path),
        attributes=_texts(raw, "attributes", path),
        composition=composition,
        llm=_text(raw, "llm", path),
        class_names=tuple(names),
        texts=tuple(texts),
        shortened=shortened,
        dropped=_indices(raw.get("dropped", list(shortened)), "dropped", len(texts), path),
    )


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        raise UsageError(f"There is no file {path}: check the path of the prompt set.") from None
    except OSError as error:
        raise UsageError(f"Cannot read the prompt set {path}: {error.strerror}.") from error
    except (ValueError, RecursionError):
        raise UsageError(
            f"{path} is not valid JSON in UTF-8: export the prompt set again."
        ) from None


def _misshapen(path: str | Path, what: str) -> UsageError:
    return UsageError(f"{path} is a damaged prompt set: {what}; export it again.")


def _text(item: Mapping[str, Any], key: str, path: str | Path, where: str = "") -> str:
    value = item.get(key)
    if not isinstance(value, str) or not value:
        raise _misshapen(path, f"{where} {key} is not text".strip())
    return value


def _texts(item: Mapping[str, Any], key: str, path: str | Path, where: str = "") -> tuple[str, ...]:
    value = item.get(key)
    if not isinstance(value, list) or not all(isinstance(v, str) and v.strip() for v in value):
        raise _misshapen(path, f"{where} {key} is not a list of texts".strip())
    return tuple(value)


def _indices(value: Any, key: str, count: int, path: str | Path) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(type(i) is int and 0 <= i < count for i in value):
        raise _misshapen(path, f"{key} is not a list of class indices")
    return tuple(value)
