"""Reading exported files back: every format, as texts in the vocabulary's order.

What comes back is a prompt set, ready for `evaluate` and `predict` or to be exported again; the
files of CuPL and DCLIP are also read by `store import`.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lsmseg_prompts.english import has_word, nearest
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.export.consumers import CONSUMERS
from lsmseg_prompts.export.formats import FORMATS, INVALID, readable_keys
from lsmseg_prompts.export.native import load_native
from lsmseg_prompts.files import parse_json, read_named
from lsmseg_prompts.prompts.prompt_set import PromptSet
from lsmseg_prompts.prompts.relative import which
from lsmseg_prompts.tokens import CLIP, TokenBudget
from lsmseg_prompts.vocabularies import Vocabulary

Groups = list[list[str]]


def load_export(
    path: str | Path,
    format: str,
    vocabulary: Vocabulary,
    background: Sequence[int] = (),
    budget: TokenBudget | None = CLIP,
) -> PromptSet:
    """The prompt set that a file of `format` (native or one of FORMATS) holds.

    Args:
        path: the file.
        format: whose file it is.
        vocabulary: the classes that it was made for.
        background: indices of the words that share the line of the background, if it has one.
        budget: the tokens that a text may take; None where that is seen to later.

    Raises:
        UsageError: a misshapen file, another format, or other classes than `vocabulary` has, as far
            as the file tells: their names or count.
        ConfigurationError: there is no such file.
        RefusedError: a text is over the token budget.
    """
    names = tuple(entry.name for entry in vocabulary)
    if format == "native":
        prompts = load_native(path, budget=budget)
        if (prompts.vocabulary, prompts.class_names) != (vocabulary.name, names):
            raise UsageError(
                f"{path} was made for the vocabulary {prompts.vocabulary} with other classes than "
                f"{vocabulary.name} has: name the vocabulary that it was made for."
            )
        return prompts
    if format not in FORMATS:
        known = ("native", *FORMATS)
        raise UsageError(
            f"Files of {format} are not read back{nearest(format, known)}: {', '.join(known)} are."
        )
    path = Path(path)
    texts = _texts(path, _Content(vocabulary, background, format), budget)
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


def _texts(
    path: Path, content: _Content, budget: TokenBudget | None
) -> tuple[tuple[str, ...], ...]:
    """The texts of every class in a file; raises as `load_export` does."""
    format, vocabulary = content.format, content.vocabulary
    data = read_named(path, f"{format} file")
    try:
        groups = _READERS[format](data.decode("utf-8-sig"), content)
        texts = tuple(_group(group, format) for group in groups)
    except _LackingError as error:
        raise UsageError(
            f"{path} is not a file of {format} for all classes of {vocabulary.name}: it has no "
            f"{error}. Take it into the store with `store import`, and export that with --missing."
        ) from error
    except _BAD_CONTENT as error:
        lost = "it has no " if isinstance(error, KeyError) else ""
        raise UsageError(
            f"{path} is not a file of {format} for {vocabulary.name}: {lost}{error}. Name the "
            "--format and the --vocab that it was written with."
        ) from error
    if len(texts) != len(vocabulary):
        raise UsageError(
            f"{path} has {len(texts)} classes and {vocabulary.name} has {len(vocabulary)}: name "
            "the vocabulary that it was made for."
        )
    for entry, group in zip(vocabulary, texts, strict=True):
        for text in group:
            if budget is not None:
                budget.check(text, entry.name)
    return texts


class _LackingError(Exception):
    """A file that names its classes has no texts of some of them."""


_BAD_CONTENT = (
    KeyError,
    ValueError,
    TypeError,
    AttributeError,
    SyntaxError,
    RecursionError,
    MemoryError,
)
"""What a file of another shape makes the readers below raise."""


@dataclass(frozen=True)
class _Content:
    """What a reader must know beside the file's text."""

    vocabulary: Vocabulary
    background: Sequence[int]
    format: str

    @property
    def names(self) -> list[str]:
        return [entry.name for entry in self.vocabulary]


def _loaded(text: str, kind: type) -> Any:
    raw: Any = parse_json(text)
    if not isinstance(raw, kind):
        raise ValueError(f"it holds a {type(raw).__name__}")
    return raw


def _listed(text: str, content: _Content) -> Groups:
    """One string a class, of which the first piece is read (cat-seg), all (sed), or the whole."""
    raw = _loaded(text, list)
    if content.format == "san":
        return [[one] for one in raw]
    return [one.split(", ")[: None if content.format == "sed" else 1] for one in raw]


def _metadata(text: str, content: _Content) -> Groups:
    return [[one] for one in _loaded(text, dict)["stuff_classes"]]


def _openseg(text: str, content: _Content) -> Groups:
    groups: Groups = []
    last = -1
    for line in text.splitlines():
        index, _, names = line.partition(":")
        if int(index) <= last:
            raise ValueError(f"the line of {index} comes after that of {last}")
        last = int(index)
        background = last == 0 and content.vocabulary.name == "voc-20"  # of 21, which share a file
        if names != INVALID and not background:
            groups.append(names.split(","))
    return _behind_background(groups, content)


def _lines(text: str, content: _Content) -> Groups:
    return _behind_background([line.split(", ") for line in text.splitlines()], content)


def _behind_background(groups: Groups, content: _Content) -> Groups:
    """A class each again: the first line is that of the whole background, if there is one."""
    if not content.background or len(groups) == len(content.vocabulary):
        return groups
    ahead, rest = groups[0], iter(groups[1:])
    each, over = divmod(len(ahead), len(content.background))
    if over or len(groups) - 1 + len(content.background) != len(content.vocabulary):
        return groups
    parts = {i: ahead[n * each : (n + 1) * each] for n, i in enumerate(content.background)}
    return [parts[i] if i in parts else next(rest) for i in range(len(content.vocabulary))]


def _mmseg(text: str, content: _Content) -> Groups:
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "text_vocabulary":
            return [[one] for one in ast.literal_eval(node.value)]
    raise KeyError("text_vocabulary")


def _open_clip(text: str, content: _Content) -> Groups:
    raw = _loaded(text, dict)
    if list(raw.get("names", content.names)) != content.names:
        raise ValueError("it names other classes")
    return [[each.replace("{}", name) for each in raw["templates"]] for name in raw["classnames"]]


def _keyed(raw: Mapping[str, Any], keys: Sequence[str]) -> list[Any]:
    if unknown := [name for name in raw if name not in keys]:
        raise ValueError(f"it names a class {unknown[0]!r}")
    if lacking := [name for name in keys if name not in raw]:
        more = f" and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        raise _LackingError(f"{lacking[0]!r}{more}")
    return [raw[name] for name in keys]


def _by_name(text: str, content: _Content) -> Groups:
    return _keyed(_loaded(text, dict), content.names)


def _clip_benchmark(text: str, content: _Content) -> Groups:
    raw = _loaded(text, dict)
    if len(raw) != 1:
        raise ValueError(f"it holds {len(raw)} data sets instead of one")
    return _keyed(next(iter(raw.values())), content.names)


def _dclip(text: str, content: _Content) -> Groups:
    keys = readable_keys(content.vocabulary)
    groups = _keyed(_loaded(text, dict), keys)
    for group in groups:
        if not isinstance(group, list):
            raise ValueError(f"a class has {group!r} instead of a list of texts")
    return [
        [f"{key}, {which(one)}" for one in group] for key, group in zip(keys, groups, strict=True)
    ]


_READERS: dict[str, Callable[[str, _Content], Groups]] = {
    "cat-seg": _listed,
    "sed": _listed,
    "san": _listed,
    "fc-clip": _openseg,
    "maft": _openseg,
    "mmseg": _mmseg,
    "detectron2": _metadata,
    "class-names": _lines,
    "open_clip": _open_clip,
    "clip-benchmark": _clip_benchmark,
    "cupl": _by_name,
    "dclip": _dclip,
    "json": _by_name,
}


def _group(texts: Any, format: str) -> tuple[str, ...]:
    """The texts of one class, each of them said, spelled as here."""
    if not isinstance(texts, list) or not texts:
        raise ValueError(f"a class has {texts!r} instead of a list of texts")
    for text in texts:
        if not isinstance(text, str) or not has_word(text):
            raise ValueError(f"a text of a class is {text!r}")
    return tuple(CONSUMERS[format].unspell(text) for text in texts)
