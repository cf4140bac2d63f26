"""The native format: a prompt set as JSON, whole, with scores and where it comes from.

docs/export.md shows one. Every class carries a hash of its place, its names and its texts, so that
a file whose texts and classes no longer belong together is not read.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from lsmseg_prompts.english import has_hidden, has_word
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.files import check_free, parse_json, plain, read_named, write_whole
from lsmseg_prompts.prompts.prompt_set import COMPOSITIONS, PromptSet
from lsmseg_prompts.tokens import CLIP, TokenBudget
from lsmseg_prompts.vocabularies import Vocabulary, available_vocabularies, load_vocabulary

FORMAT = "lsmseg-prompts/native"
VERSION = 1
SHOWN = 3  # classes that a message names


def export_native(
    prompt_set: PromptSet,
    vocabulary: Vocabulary,
    path: str | Path,
    scores: Any = None,
    provenance: Any = None,
    force: bool = False,
    budget: TokenBudget = CLIP,
) -> Path:
    """Write `prompt_set` to `path`, whole or not at all, and return the path.

    Args:
        prompt_set: the prompt set.
        vocabulary: its vocabulary.
        path: the file to write.
        scores: what it scored, as JSON can hold it; NaN and infinite numbers become null.
        provenance: where it comes from, likewise.
        force: replace a file that is there.
        budget: the tokens that a text may take; the file names another one than CLIP's.

    Raises:
        RefusedError: a text is over the token budget.
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
    classes = _classes(prompt_set, vocabulary, budget)
    fields = asdict(prompt_set)
    del fields["class_names"], fields["texts"], fields["weights"]
    if prompt_set.temperature is None:
        del fields["temperature"]
    content = {
        "format": FORMAT,
        "version": VERSION,
        **fields,
        **({} if budget == CLIP else {"budget": budget.described}),
        "scores": plain(scores),
        "provenance": plain(provenance),
        "classes": classes,
    }
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    return write_whole(path, text + "\n")


def _classes(
    prompt_set: PromptSet, vocabulary: Vocabulary, budget: TokenBudget
) -> list[dict[str, Any]]:
    """An item a class; raises RefusedError for a text over the budget."""
    classes: list[dict[str, Any]] = []
    for entry, texts in zip(vocabulary, prompt_set.texts, strict=True):
        for text in texts:
            budget.check(text, entry.name)
        classes.append(
            {
                "index": entry.index,
                "name": entry.name,
                "readable": entry.readable,
                "texts": list(texts),
                "tokens": [budget.count(text) for text in texts],
            }
        )
        if prompt_set.weights is not None:
            classes[-1]["weights"] = list(prompt_set.weights[entry.index])
        classes[-1]["sha256"] = _hash(vocabulary.name, len(vocabulary), classes[-1])
    return classes


def load_native(
    path: str | Path,
    on_message: Callable[[str], object] | None = None,
    budget: TokenBudget | None = CLIP,
) -> PromptSet:
    """Read a prompt set back.

    Args:
        path: the file.
        on_message: takes a sentence of a threshold, and where nothing tells whether texts belong:
            in a file by an earlier version, for classes of the user's own.
        budget: the tokens that a text may take; None where that is seen to later.

    Raises:
        ConfigurationError: the file is missing or cannot be read.
        UsageError: it is not JSON, of another format or a newer version, not of the right shape, or
            its classes are not those of its vocabulary or do not hold what was exported for them.
        RefusedError: a text in it is over the token budget.
    """
    raw = _read(Path(path))
    classes = raw.get("classes")
    if not isinstance(classes, list) or not classes:
        raise _misshapen(path, "classes is not a list of classes")
    names, texts = _read_classes(classes, path, budget)
    composition = _text(raw, "composition", path)
    if composition not in COMPOSITIONS:
        raise _misshapen(path, f"the composition {composition!r} is unknown")
    vocabulary = _text(raw, "vocabulary", path)
    known = check_class_names(path, vocabulary, names)
    hashed = _check_hashes(path, vocabulary, classes)
    shortened = _indices(raw.get("shortened", []), "shortened", len(texts), path)
    if on_message is not None and not known and not hashed:
        on_message(
            f"{path} is by an earlier version and {vocabulary} is a vocabulary of your own: "
            "nothing tells whether its texts stand by their classes; export it again to be sure."
        )
    if on_message is not None and isinstance(raw.get("threshold"), float):
        on_message(
            f"{path} was scored with the threshold {raw['threshold']:.4g} for background: "
            "`predict` takes it as --threshold, nothing else does."
        )
    made = PromptSet(
        name=_text(raw, "name", path),
        vocabulary=vocabulary,
        attributes=_texts(raw, "attributes", path),
        composition=composition,
        llm=_text(raw, "llm", path),
        class_names=tuple(names),
        texts=tuple(texts),
        shortened=shortened,
        dropped=_indices(raw.get("dropped", list(shortened)), "dropped", len(texts), path),
    )
    return _with_reading(made, raw, path)


def _read_classes(
    classes: Sequence[Any], path: str | Path, budget: TokenBudget | None
) -> tuple[list[str], list[tuple[str, ...]]]:
    """The names and the texts of all classes; raises as `load_native` does."""
    names, texts = [], []
    for index, item in enumerate(classes):
        if not isinstance(item, dict) or item.get("index") != index:
            raise _misshapen(path, f"classes[{index}] is not the class with index {index}")
        names.append(_text(item, "name", path, f"classes[{index}]"))
        group = _texts(item, "texts", path, f"classes[{index}]")
        if not group:
            raise _misshapen(path, f"classes[{index}] has no text")
        for text in group:
            if not has_word(text) or has_hidden(text):
                raise _misshapen(path, f"classes[{index}] says nothing, or what nobody sees")
            if budget is not None:
                budget.check(text, names[-1])
        texts.append(group)
    return names, texts


def _with_reading(made: PromptSet, raw: Mapping[str, Any], path: str | Path) -> PromptSet:
    """The prompt set with the weights and the temperature of its file."""
    weights = None
    if any("weights" in item for item in raw["classes"]):
        for index, item in enumerate(raw["classes"]):
            if not isinstance(item.get("weights"), list):
                raise _misshapen(path, f"classes[{index}] weights is not a list of numbers")
        weights = tuple(tuple(map(_number, item["weights"])) for item in raw["classes"])
    temperature = raw.get("temperature")
    try:
        temperature = None if temperature is None else _number(temperature)
        return replace(made, weights=weights, temperature=temperature)
    except UsageError as error:
        raise _misshapen(path, str(error).rstrip(".")) from None


def check_class_names(path: str | Path, vocabulary: str, names: Sequence[str]) -> bool:
    """Whether `vocabulary` ships inside; then `names` are its classes, in its order.

    Raises UsageError where they are not, with the first that differ.
    """
    if vocabulary not in available_vocabularies():
        return False
    own = [entry.name for entry in load_vocabulary(vocabulary)]
    if len(names) != len(own):
        raise UsageError(
            f"{path} has {len(names)} classes and {vocabulary} has {len(own)}: export it again."
        )
    pairs = enumerate(zip(own, names, strict=True))
    other = [f"class {index} is {one!r}, not {two!r}" for index, (one, two) in pairs if one != two]
    if other:
        raise UsageError(
            f"{path} has other classes than {vocabulary}: {_first(other)}; export it again."
        )
    return True


def _check_hashes(path: str | Path, vocabulary: str, classes: Sequence[Mapping[str, Any]]) -> bool:
    """Whether there are hashes; UsageError where a class does not hold what its own is of."""
    hashed = [item for item in classes if "sha256" in item]
    wrong = [item for item in hashed if item["sha256"] != _hash(vocabulary, len(classes), item)]
    if wrong and len(wrong) == len(hashed):
        raise UsageError(
            f"No class of {path} holds what was exported: the vocabulary was renamed, or classes "
            "were added, removed or moved; export it again."
        )
    if wrong:
        which = _first([f"class {item['index']} {item['name']!r}" for item in wrong])
        raise UsageError(
            f"{path} does not hold what was exported for {which}: names, texts or weights were "
            'changed or swapped; export it again, or remove the line "sha256" of a class whose '
            "text is yours."
        )
    return bool(hashed)


def _hash(vocabulary: str, count: int, item: Mapping[str, Any]) -> str:
    """SHA-256 of all that ties a class's texts, and their weights if any, to the class."""
    keys = ("index", "name", "readable", "texts", *(["weights"] if "weights" in item else []))
    whole = [vocabulary, count, *(item.get(key) for key in keys)]
    return hashlib.sha256(json.dumps(whole, ensure_ascii=False).encode()).hexdigest()


def _first(things: Sequence[str]) -> str:
    more = f" and {len(things) - SHOWN} more" if len(things) > SHOWN else ""
    return ", ".join(things[:SHOWN]) + more


def _read(path: Path) -> dict[str, Any]:
    data = read_named(path, "prompt set")
    try:
        raw = parse_json(data)
    except ValueError as error:
        raise UsageError(
            f"{path} is not valid JSON ({error}): export the prompt set again."
        ) from None
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
    return raw


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


def _number(value: Any) -> float:
    """NaN of what is not a number."""
    try:
        return float(value) if type(value) in (int, float) else math.nan
    except OverflowError:
        return math.nan


def _indices(value: Any, key: str, count: int, path: str | Path) -> tuple[int, ...]:
    if not isinstance(value, list) or not all(type(i) is int and 0 <= i < count for i in value):
        raise _misshapen(path, f"{key} is not a list of class indices")
    return tuple(value)
