"""Prompt sets as files of other projects: what `export --format` writes, beside `native`.

docs/export.md lists the formats and what their readers do; loading.py reads each of them back.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeVar

from lsmseg_prompts.english import nearest
from lsmseg_prompts.errors import RefusedError, UsageError
from lsmseg_prompts.export.consumers import CONSUMERS, fitted, spelled
from lsmseg_prompts.export.native import export_native
from lsmseg_prompts.files import STREAMS, check_free, write_whole
from lsmseg_prompts.prompts.from_store import provenance
from lsmseg_prompts.prompts.prompt_set import PromptSet
from lsmseg_prompts.prompts.relative import descriptor
from lsmseg_prompts.tokens import CLIP, TokenBudget
from lsmseg_prompts.vocabularies import Vocabulary

T = TypeVar("T")
INVALID = "invalid_class_id"
KEYED = ("cupl", "dclip", "json", "clip-benchmark")
"""The formats that have classes by their names, and so can leave some out."""
COCO_GAPS = (12, 26, 29, 30, 45, 66, 68, 69, 71, 83, 91)
"""Ids of COCO's 182 that name no class of COCO-Stuff's 171."""
FROM_ZERO = ("cityscapes-19",)
"""Vocabularies whose first class has the id 0, not 1."""
BENCHMARK = {"voc-20": "voc2007"}
"""What CLIP_benchmark calls a data set; any other is looked up as its wds/ folder is called."""


class Texts(NamedTuple):
    """What a file is written of: texts a class, as spelled; indices that are background."""

    groups: Sequence[Sequence[str]]
    vocabulary: Vocabulary
    background: Sequence[int]


def export(
    prompts: PromptSet,
    vocabulary: Vocabulary,
    path: str | Path,
    format: str = "native",
    form: str | None = None,
    background: Sequence[int] = (),
    force: bool = False,
    budget: TokenBudget = CLIP,
) -> PromptSet:
    """Write `prompts` as the file of `format`, whole or not at all; the prompt set as written.

    Args:
        prompts: the prompt set.
        vocabulary: its own vocabulary.
        path: the file to write.
        format: "native", or one of FORMATS: the project that reads the file.
        form: "sentence" or "phrase"; None for the reader's own ("sentence" in `native`).
        background: indices of the words whose pixels count as background, which some readers want
            in one line ahead.
        force: replace a file that is there.
        budget: the tokens that a text may take with what the reader puts around it.

    Raises:
        UsageError: there is no such format, or the prompt set is of another vocabulary.
        RefusedError: a text cannot be shortened enough, the reader cannot hold the set, or wants
            all classes and some have no text.
        ConfigurationError: the file exists or cannot be written.
    """
    check_whole(prompts, format)
    if format != "native" and format not in CONSUMERS:
        names = ("native", *FORMATS)
        raise UsageError(
            f"There is no format {format!r}{nearest(format, names)}: choose {', '.join(names)}."
        )
    check_free(path, force)
    if format == "native":
        as_it_is = form is None and budget == CLIP
        made = prompts if as_it_is else fitted(prompts, vocabulary, format, form, budget)
        about = provenance(made)
        export_native(made, vocabulary, path, provenance=about, force=force, budget=budget)
        return made
    made = fitted(prompts, vocabulary, format, form, budget)
    texts = Texts(spelled(made, vocabulary, CONSUMERS[format], budget), vocabulary, background)
    seen = seen_file(path, format, vocabulary)
    if seen is not None:
        check_free(seen, force)
    write_whole(path, _WRITERS[format](texts))
    if seen is not None:
        write_whole(seen, json.dumps(_seen(texts)) + "\n")
    return made


def check_whole(prompts: PromptSet, format: str) -> None:
    """Raise RefusedError where classes are left out and the format takes all or none."""
    empty = sum(not group for group in prompts.texts)
    if empty and (format not in KEYED or empty == len(prompts)):
        raise RefusedError(
            f"{empty} of {len(prompts)} classes have no text, and a file of the format {format} "
            f"has all classes in order: use --missing name, or --format {' or '.join(KEYED)}."
        )


def seen_file(path: str | Path, format: str, vocabulary: Vocabulary) -> Path | None:
    """The second file of FC-CLIP's formats: which classes count as seen; None for no such file."""
    known = all(entry.seen is not None for entry in vocabulary)
    if format not in ("fc-clip", "maft") or str(path) in STREAMS or not known:
        return None
    return Path(path).with_suffix(".seen.json")


def _seen(texts: Texts) -> list[int]:
    flags = [[int(entry.seen or False)] for entry in texts.vocabulary]
    return [max(group) for group in with_background_first(flags, texts.background)]


def with_background_first(
    groups: Sequence[Sequence[T]], background: Sequence[int]
) -> list[list[T]]:
    """One line a class, those of the background together ahead of them if there are any."""
    ahead = [text for index in background for text in groups[index]]
    rest = [list(group) for index, group in enumerate(groups) if index not in set(background)]
    return [ahead, *rest] if ahead else rest


def _class_list(texts: Texts) -> str:
    return _json([", ".join(group) for group in texts.groups])


def _openseg(texts: Texts) -> str:
    groups = [",".join(group) for group in with_background_first(texts.groups, texts.background)]
    if texts.background:
        return "".join(f"{index}:{line}\n" for index, line in enumerate(groups))
    gaps = COCO_GAPS if texts.vocabulary.name == "coco-stuff" else ()
    first = 0 if texts.vocabulary.name in FROM_ZERO else 1
    # The readers of VOC's 20 and 21 classes share a file: the first leaves line 0 out.
    lines = {0: "background" if texts.vocabulary.name == "voc-20" else INVALID}
    lines |= dict.fromkeys(gaps, INVALID)
    free = (n for n in range(first, len(groups) + len(gaps) + first) if n not in gaps)
    lines |= zip(free, groups, strict=True)
    return "".join(f"{number}:{lines[number]}\n" for number in sorted(lines))


def _class_names(texts: Texts) -> str:
    groups = with_background_first(texts.groups, texts.background)
    return "".join(f"{', '.join(group)}\n" for group in groups)


def _mmseg(texts: Texts) -> str:
    # Characters as they are: JSON's escapes for those beyond U+FFFF mean others in Python.
    words = "".join(f"    {json.dumps(text, ensure_ascii=False)},\n" for (text,) in texts.groups)
    return (
        f"# The prompts of {texts.vocabulary.name}, in the order of its classes.\n"
        f"text_vocabulary = [\n{words}]\n"
    )


def _detectron2(texts: Texts) -> str:
    return _json({"stuff_classes": [text for (text,) in texts.groups]})


def _open_clip(texts: Texts) -> str:
    return _json(
        {
            "classnames": [text for (text,) in texts.groups],
            "templates": ["{}"],
            "names": [entry.name for entry in texts.vocabulary],
        }
    )


def _by_name(texts: Texts) -> str:
    return _json(_keyed([entry.name for entry in texts.vocabulary], texts))


def _clip_benchmark(texts: Texts) -> str:
    name = texts.vocabulary.name
    by_name = _keyed([entry.name for entry in texts.vocabulary], texts)
    return _json({BENCHMARK.get(name, name): by_name})


def _dclip(texts: Texts) -> str:
    keys = readable_keys(texts.vocabulary)
    groups = [
        [descriptor(text, entry.readable) for text in group]
        for group, entry in zip(texts.groups, texts.vocabulary, strict=True)
    ]
    return _json(_keyed(keys, texts._replace(groups=groups)))


def readable_keys(vocabulary: Vocabulary) -> list[str]:
    """The readable names, the benchmark's where several classes share one."""
    names = [entry.readable for entry in vocabulary]
    return [
        entry.name if names.count(entry.readable) > 1 else entry.readable for entry in vocabulary
    ]


def _keyed(names: list[str], texts: Texts) -> dict[str, list[str]]:
    held = {name for name, group in zip(names, texts.groups, strict=True) if group}
    double = {name for name in held if names.count(name) > 1}
    if double:
        raise RefusedError(
            f"In this format names alone tell classes apart, and {texts.vocabulary.name} has "
            f"several called {min(double)!r}: use another format."
        )
    pairs = zip(names, texts.groups, strict=True)
    return {name: list(group) for name, group in pairs if group}


def _json(value: object) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


_WRITERS: dict[str, Callable[[Texts], str]] = {
    "cat-seg": _class_list,
    "sed": _class_list,
    "fc-clip": _openseg,
    "maft": _openseg,
    "san": _class_list,
    "mmseg": _mmseg,
    "detectron2": _detectron2,
    "class-names": _class_names,
    "open_clip": _open_clip,
    "clip-benchmark": _clip_benchmark,
    "cupl": _by_name,
    "dclip": _dclip,
    "json": _by_name,
}
FORMATS = tuple(_WRITERS)
