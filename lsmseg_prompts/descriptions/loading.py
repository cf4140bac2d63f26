"""The descriptions that are there: loading, showing and checking them.

`load` gives those a prompt set is built from; `generation` is what asks for more.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

from lsmseg_prompts.attributes import (
    ATTRIBUTES,
    PSEUDO_ATTRIBUTES,
    combined,
    named_once,
    plain_names,
)
from lsmseg_prompts.attributes.contrast import contrast_with, other_class, other_of
from lsmseg_prompts.attributes.samples import (
    asked_of,
    check_sample,
    generate_options,
    sample,
    sampled,
    with_samples,
)
from lsmseg_prompts.descriptions.lint import lint
from lsmseg_prompts.english import nearest
from lsmseg_prompts.errors import ConfigurationError, UsageError
from lsmseg_prompts.llm.bundled import DESCRIBED_VOCABULARIES, LLM_NAME, TOGETHER, Bundled
from lsmseg_prompts.llm.registry import check_name
from lsmseg_prompts.store.sqlite import existing_store_path, shipped_store_path, working_store_path
from lsmseg_prompts.store.store import open_store_readonly, read_rows
from lsmseg_prompts.tokens import CLIP, TokenBudget
from lsmseg_prompts.vocabularies import (
    ClassEntry,
    Vocabulary,
    available_vocabularies,
    load_vocabulary,
)

DESCRIBED = (*ATTRIBUTES, "typical")
"""The attributes that have descriptions: the paper's nine, and `typical`."""

Cell = tuple[int, str]


def described_by(llm: str) -> tuple[str, ...]:
    """The shipped vocabularies that `llm` may have described in its own words.

    For `bundled` those with texts of their own: its other answers are the same texts again.
    """
    return DESCRIBED_VOCABULARIES if sampled(llm)[0] == LLM_NAME else available_vocabularies()


def check_attributes(names: Iterable[str] | None) -> tuple[str, ...]:
    """The attributes meant by `names`; None means all that are described.

    Several joined by "+" are one: a sentence about all of them (see `attributes.combined`).
    Raises UsageError, with the nearest names, for one that no description can be had of, for one
    that is named twice, and for that of a pair cell (see `attributes_of`).
    """
    if names is None:
        return DESCRIBED
    meant: list[str] = []
    for name in names:
        if other_of(name) is not None:
            raise UsageError(
                f"{name!r} tells one class from another: name an attribute that all classes have."
            )
        if "+" in name:
            parts = check_attributes(name.split("+"))
            if len(parts) < 2 or "typical" in parts or len(parts) < name.count("+") + 1:
                raise UsageError(
                    f"{name!r} is not an attribute set: join at least two of "
                    f"{', '.join(ATTRIBUTES)}, each once."
                )
            meant.append(combined(parts))
            continue
        plain, *others = plain_names(name) or [""]
        if others:
            raise UsageError(
                f"{name!r} is several attributes, {', '.join((plain, *others))}: name each on its "
                "own."
            )
        if plain in PSEUDO_ATTRIBUTES and plain != "typical":
            raise UsageError(f"{plain!r} is a pseudo-attribute: it has no descriptions.")
        if plain not in DESCRIBED:
            raise UsageError(
                f"There is no attribute {name!r}{nearest(name, list(DESCRIBED))}; there are "
                f"{', '.join(DESCRIBED)}."
            )
        meant.append(plain)
    if not meant:
        raise UsageError(f"No attribute is named; there are {', '.join(DESCRIBED)}.")
    return named_once(meant)


def attributes_of(
    entry: ClassEntry, vocabulary: Vocabulary, names: Iterable[str] | None = None
) -> tuple[str, ...]:
    """The attributes that cells of a class are filed under, those of pair cells among them.

    Args:
        entry: the class.
        vocabulary: its vocabulary.
        names: which; None means all that are described, and all pairs with another class.

    Raises:
        UsageError: one is not an attribute of the class, or is named twice.
    """
    if names is None:
        others = (contrast_with(other.name) for other in vocabulary if other is not entry)
        return (*DESCRIBED, *others)
    meant: list[str] = []
    for name in names:
        other = other_class(name, entry, vocabulary)
        if other is not None:
            meant.append(contrast_with(other.name))
            continue
        check_sample(name)
        attribute, number = sampled(name)
        meant.append(sample(check_attributes([attribute])[0], number))
    return named_once(meant) if meant else check_attributes(meant)


def load(
    vocabulary: Vocabulary | str,
    llm: str = "bundled",
    attributes: Iterable[str] | None = None,
    store: str | os.PathLike[str] | None = None,
    require: bool = True,
    samples: bool = False,
) -> dict[Cell, str]:
    """The descriptions by `llm` of a vocabulary: (class index, attribute) -> sentence.

    They come from the working store, where it exists. What `bundled` lacks there is taken from
    the shipped store; nothing is written.

    Args:
        vocabulary: the vocabulary, or its name.
        llm: who wrote them; "bundled#2" and the like for the second samples of all of them, in
            place of the first.
        attributes: which attributes; None for all that are described.
        store: the path of the working store; None for the usual one.
        require: whether cells without a description are an error.
        samples: whether the further samples of these cells come too, see `attributes.samples`.

    Raises:
        ConfigurationError: cells are missing; the message says which command makes them.
        UsageError: there is no such vocabulary, LLM or attribute; one sample and all are wanted.
        StoreError: the store cannot be read; it is named and not there, and `llm` is not bundled.
    """
    vocabulary = load_vocabulary(vocabulary)
    wanted = check_attributes(attributes)
    writer, number = sampled(llm)
    if samples and number > 1:
        raise UsageError(
            f"{llm} is one sample of each description: leave out #{number}, or --all-samples."
        )
    cells = _working(vocabulary, writer, store)
    if writer == LLM_NAME:
        cells = {**bundled_cells(vocabulary, wanted, samples or number > 1), **cells}
    if number > 1:
        named = ((index, *sampled(name), text) for (index, name), text in cells.items())
        cells = {(index, name): text for index, name, at, text in named if at == number}
    places = [(entry, attribute) for entry in vocabulary.classes for attribute in wanted]
    lacking = [place for place in places if (place[0].index, place[1]) not in cells]
    if lacking and require:
        entry, attribute = lacking[0]
        only = dict.fromkeys(attribute for _, attribute in lacking)
        raise ConfigurationError(
            f"{len(lacking)} of {len(places)} descriptions by {llm} are missing "
            f"(first: {attribute} of {entry.readable!r}): "
            f"{remedy(llm, vocabulary, only if set(wanted) != set(DESCRIBED) else None, store)}, "
            "or see --missing of evaluate, ablate and export."
        )
    wanted_cells = ((entry.index, attribute) for entry, attribute in places)
    chosen = {cell: cells[cell] for cell in wanted_cells if cell in cells}
    if samples:
        for (index, name), text in cells.items():
            if "#" in name and (index, sampled(name)[0]) in chosen:
                chosen[index, name] = text
    return chosen


def load_pairs(
    vocabulary: Vocabulary | str,
    llm: str = "bundled",
    store: str | os.PathLike[str] | None = None,
) -> dict[Cell, str]:
    """The pair cells by `llm` of a vocabulary: (class index, "contrast:other") -> sentence.

    They come from the working store, where it exists; what `bundled` lacks there is taken from
    the shipped store. None is missing: there are those that somebody asked for or wrote.

    Args:
        vocabulary: the vocabulary, or its name.
        llm: who wrote them.
        store: the path of the working store; None for the usual one.

    Raises:
        UsageError: there is no such vocabulary or LLM.
        StoreError: the store cannot be read; it is named and not there, and `llm` is not bundled.
    """
    vocabulary, llm = load_vocabulary(vocabulary), sampled(llm)[0]
    cells = _working(vocabulary, llm, store)
    if llm == LLM_NAME:
        cells = {**Bundled().pairs(vocabulary), **cells}
    return {
        (index, attribute): text
        for (index, attribute), text in sorted(cells.items())
        if other_of(attribute) is not None and index < len(vocabulary)
    }


def _working(
    vocabulary: Vocabulary, llm: str, store: str | os.PathLike[str] | None
) -> dict[Cell, str]:
    """All that the working store has by an LLM; see `load` for what it raises."""
    path = working_store_path(store)
    if store is not None and llm != LLM_NAME:
        existing_store_path(store)  # raises: its texts can be nowhere else
    cells: dict[Cell, str] = {}
    on_file = False  # imported texts may stand under a name that cannot be asked
    if path.exists():
        with open_store_readonly(path) as file:
            cells = file.descriptions(vocabulary, llm)
            on_file = bool(file.rows("SELECT 1 FROM llms WHERE name = ?", [llm]))
    if llm != LLM_NAME and not on_file:
        check_name(llm)
    return cells


def writers(vocabulary: Vocabulary, store: str | os.PathLike[str] | None = None) -> list[str]:
    """The LLMs that the stores have texts of a vocabulary by; those of the shipped one first."""
    sql = "SELECT DISTINCT llm FROM descriptions WHERE vocabulary = ? AND status = 'done'"
    paths = (shipped_store_path(), working_store_path(store))
    found = (row["llm"] for path in paths for row in read_rows(path, sql, [vocabulary.name]))
    return list(dict.fromkeys(found))


def remedy(
    llm: str,
    vocabulary: Vocabulary,
    attributes: Iterable[str] | None = None,
    store: str | os.PathLike[str] | None = None,
) -> str:
    """What to do about missing descriptions, as the end of a sentence.

    Args:
        llm: who lacks them; where it has none at all, the others are named.
        vocabulary: what they are missing of.
        attributes: which; None for all.
        store: the path of the working store; None for the usual one.
    """
    writer, _ = sampled(llm)
    names = [] if writer == LLM_NAME else writers(vocabulary, store)
    others = ""
    if names and writer not in names:
        others = f"there are some by {', '.join(names)}{nearest(writer, names)}; "
    try:
        check_name(writer if writer != LLM_NAME else llm)
    except UsageError:
        return (
            f"{others}{llm} cannot be asked for them, so import them for {vocabulary.name}, or "
            "name only --attributes that are there"
        )
    only = ",".join(
        dict.fromkeys(asked_of(name) for name in attributes or () if other_of(name) is None)
    )
    asked = [*generate_options(llm), "--vocab", vocabulary.option]
    asked += ["--attribute", only] if only else []
    return (
        f"{others}run `lsmseg-prompts generate {' '.join(asked)}` and see what it says about them"
    )


def show(
    vocabulary: Vocabulary,
    name: str,
    llm: str = "bundled",
    attributes: Iterable[str] | None = None,
    store: str | os.PathLike[str] | None = None,
) -> list[dict[str, Any]]:
    """The filled cells of one class, pair and failed ones included, as rows (see Store.cells).

    Those of the working store, and what `bundled` lacks there from the shipped store.

    Args:
        vocabulary: the vocabulary.
        name: the class.
        llm: who wrote them.
        attributes: which attributes; None for all, see `attributes_of`.
        store: the path of the working store; None for the usual one.

    Raises:
        UsageError: there is no such class or attribute.
        ConfigurationError: there is nothing to show.
        StoreError: the store cannot be read.
    """
    entry = vocabulary.find(name)
    wanted = attributes_of(entry, vocabulary, attributes)
    given = None if attributes is None else wanted
    paths = [existing_store_path(store), shipped_store_path() if llm == LLM_NAME else None]
    rows: dict[str, dict[str, Any]] = {}
    for path in reversed(paths):
        if path is not None:
            with open_store_readonly(path) as file:
                file.check_vocabulary(vocabulary)
                filled = file.cells(vocabulary, llm, given, entry.index)
            rows |= {row["attribute"]: row for row in filled}
    if not rows:
        raise ConfigurationError(
            f"There is no description of {entry.readable!r} by {llm}: "
            f"{remedy(llm, vocabulary, given, store)}."
        )
    shown = wanted if given else with_samples(wanted, rows)
    return [rows[attribute] for attribute in shown if attribute in rows]


def lint_store(
    vocabularies: Iterable[str] | None = None,
    llm: str = "bundled",
    store: str | os.PathLike[str] | None = None,
    budget: TokenBudget = CLIP,
) -> tuple[int, list[dict[str, Any]]]:
    """Lint every description there is by `llm`: (how many, findings as rows).

    Keys of a row: vocabulary, class, attribute, rule, message, text.

    Args:
        vocabularies: their names; None for those that ship inside (see `described_by`).
        llm: who wrote them.
        store: the path of the working store; None for the usual one.
        budget: the tokens that a text may take.
    """
    existing_store_path(store)
    count = 0
    rows = []
    for name in described_by(llm) if vocabularies is None else vocabularies:
        vocabulary = load_vocabulary(name)
        cells = load(vocabulary, llm, None, store, require=vocabularies is not None, samples=True)
        cells |= load(vocabulary, llm, [TOGETHER], store, require=False, samples=True)
        cells |= load_pairs(vocabulary, llm, store)
        count += len(cells)
        for finding in lint(cells, vocabulary, budget):
            rows.append(
                {
                    "vocabulary": vocabulary.name,
                    "class": vocabulary[finding.index].name,
                    "attribute": finding.attribute,
                    "rule": finding.rule,
                    "message": finding.message,
                    "text": cells[finding.index, finding.attribute],
                }
            )
    return count, rows


def bundled_cells(
    vocabulary: Vocabulary, attributes: Sequence[str], samples: bool
) -> dict[Cell, str]:
    """The bundled texts of a vocabulary, those that its classes take from described ones too.

    Args:
        vocabulary: the vocabulary.
        attributes: which attributes.
        samples: whether the further samples of these cells come too.
    """
    bundled = Bundled()
    cells: dict[Cell, str] = {}
    for entry in vocabulary.classes:
        for attribute in attributes:
            try:
                texts = bundled.samples(vocabulary.name, entry, attribute, every=samples)
            except UsageError:
                break  # no described class has this name: none of its cells can be had
            cells |= {(entry.index, name): text for name, text in texts.items()}
    return cells
