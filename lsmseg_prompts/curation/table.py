"""The cells of a vocabulary as the rows of a table: filtered, sorted, page by page."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

from lsmseg_prompts.attributes import ATTRIBUTES, PSEUDO_ATTRIBUTES
from lsmseg_prompts.attributes.contrast import other_of
from lsmseg_prompts.attributes.samples import asked_of, sampled
from lsmseg_prompts.descriptions.lint import lint_text
from lsmseg_prompts.descriptions.loading import DESCRIBED, bundled_cells, check_attributes, remedy
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.llm.bundled import DESCRIBED_VOCABULARIES, LLM_NAME, TOGETHER
from lsmseg_prompts.store.sqlite import existing_store_path, shipped_store_path
from lsmseg_prompts.store.store import Store, open_store_readonly
from lsmseg_prompts.tokens import CLIP, TokenBudget, count_tokens
from lsmseg_prompts.vocabularies import Vocabulary, load_vocabulary

STATUSES = ("done", "failed", "missing", "stale", "locked", "review")
"""What a cell may be; a stale or locked one is done as well, and each may be for review."""
SORTS = ("class", "attribute", "llm", "text", "tokens", "status")
_ORDER = {name: place for place, name in enumerate((*ATTRIBUTES, *PSEUDO_ATTRIBUTES))}
_COLUMNS = (
    "text", "tokens", "other_tokens", "budget", "status", "reason", "source", "taken_from",
    "locked", "stale", "review", "updated_at",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class CellsRequest:
    """Which cells of a vocabulary, and in which order.

    Args:
        name: Part of any name of the class.
        index: The class; None for all. What there is to filter by is then of this one alone.
        attributes: Of these; empty for all.
        llms: By these; empty for all that have any.
        statuses: That are any of `STATUSES` in this list; empty for all.
        search: Words that all have to be in the text, or in the reason of a failure.
        samples: Further samples as rows of their own.
        pairs: Pair cells too.
        sort: One of `SORTS`.
        descending: The other way round.
        offset: How many rows are left out at the beginning.
        limit: How many are given at most.

    Raises:
        UsageError: For a status or an order that there is not.
    """

    name: str = ""
    index: int | None = None
    attributes: tuple[str, ...] = ()
    llms: tuple[str, ...] = ()
    statuses: tuple[str, ...] = ()
    search: str = ""
    samples: bool = False
    pairs: bool = False
    sort: str = "class"
    descending: bool = False
    offset: int = 0
    limit: int = 100

    def __post_init__(self) -> None:
        for value in self.statuses:
            if value not in STATUSES:
                raise UsageError(f"A cell is never {value!r}: name {', '.join(STATUSES)}.")
        if self.sort not in SORTS:
            raise UsageError(f"Cells cannot be sorted by {self.sort!r}: name {', '.join(SORTS)}.")


@dataclass
class CellTable:
    """The rows asked for, how many there are in all, and what there is to filter by.

    rows: {class_index, class, readable, attribute, sample, llm, text, tokens, limit, samples,
    status, reason, remedy, source, taken_from, locked, stale, review, findings, updated_at};
    ``tokens`` and ``limit`` are of the budget in use, ``samples`` is the number of texts of the
    cell, ``status`` the most telling of `STATUSES`, ``remedy`` what to do about a failed or missing
    one, ``findings`` {rule, message} of each lint rule that the text breaks by itself, or by being
    the text of another cell. counts: of each status, whatever statuses were asked for.
    """

    rows: list[dict[str, Any]] = field(default_factory=list)
    total: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    llms: list[str] = field(default_factory=list)
    attributes: list[str] = field(default_factory=list)


class _Key(NamedTuple):
    at: int  # the class's index
    attribute: str
    llm: str


_Cell = tuple[Any, ...]  # the values of _COLUMNS
_Cells = dict[_Key, _Cell]
_AT = {name: place for place, name in enumerate(_COLUMNS)}


def cells(
    vocabulary: Vocabulary | str,
    request: CellsRequest | None = None,
    store: str | os.PathLike[str] | None = None,
    budget: TokenBudget = CLIP,
) -> CellTable:
    """The cells of a vocabulary, missing ones too: of each LLM those of attributes that it has.

    Args:
        vocabulary: the vocabulary, or its name.
        request: which of them; None for the first of all.
        store: the path of the working store; None for the usual one. What `bundled` lacks there
            comes from the shipped store.
        budget: what tokens are counted by.

    Raises:
        UsageError: there is no such attribute, or the store has the vocabulary with other classes.
        StoreError: the store cannot be read.
    """
    vocabulary, request = load_vocabulary(vocabulary), request or CellsRequest()
    filled = _bundled(vocabulary)
    if request.index is not None:  # of one class little need be read
        filled = {key: cell for key, cell in filled.items() if key.at == request.index}
    filled = filled | _working(vocabulary, store, request.index)
    kinds = {(key.llm, key.attribute) for key in filled}
    for name in set(request.attributes) - {name for _, name in kinds}:
        if other_of(name) is None:
            check_attributes([sampled(name)[0]])
    table = CellTable(llms=_sorted_llms({llm for llm, _ in kinds}))
    bases = {asked_of(name) for _, name in kinds if other_of(name) is None} | set(DESCRIBED)
    table.attributes = sorted(bases, key=lambda name: (_ORDER.get(name, len(_ORDER)), name))
    chosen = _chosen(table, _wanted(vocabulary, request, filled, kinds), request, filled)
    chosen.sort(key=lambda key: _place(key, filled.get(key), request.sort, budget))
    if request.descending:
        chosen.reverse()
    table.total = len(chosen)
    shown = chosen[request.offset : request.offset + request.limit]
    samples = _counted(filled)
    same = _first_of_each_text(filled, shown)
    remedies: dict[tuple[str, str], str] = {}
    for key in shown:
        row = _row(vocabulary, key, filled.get(key), budget)
        row["samples"] = samples[key.at, asked_of(key.attribute), key.llm]
        first = same.get((key.llm, row["text"]), key)
        if first != key:
            where = f"{vocabulary[first.at].name}/{first.attribute}"
            row["findings"].append({"rule": "duplicate", "message": f"the same text as {where}"})
        if row["status"] in ("failed", "missing"):
            kind = key.llm, asked_of(key.attribute)
            if kind not in remedies:
                remedies[kind] = remedy(key.llm, vocabulary, [kind[1]], store)
            row["remedy"] = remedies[kind]
        table.rows.append(row)
    return table


def _chosen(
    table: CellTable, keys: Iterable[_Key], request: CellsRequest, filled: _Cells
) -> list[_Key]:
    """Those with the words and of the statuses that are asked for; the table gets the counts."""
    chosen = []
    counts: Counter[tuple[str, ...]] = Counter()
    for key in keys:
        cell = filled.get(key)
        if not request.search or _has_words(cell, request.search):
            marks = _marks(cell)
            counts[marks] += 1
            if not request.statuses or not set(marks).isdisjoint(request.statuses):
                chosen.append(key)
    for marks, number in counts.items():
        table.counts |= {mark: table.counts.get(mark, 0) + number for mark in marks}
    return chosen


def _working(
    vocabulary: Vocabulary, store: str | os.PathLike[str] | None, index: int | None
) -> _Cells:
    path = existing_store_path(store)
    if path is None:
        return {}
    with open_store_readonly(path) as file:
        file.check_vocabulary(vocabulary)
        return _read(file, vocabulary, index)


@lru_cache(maxsize=8)
def _bundled(vocabulary: Vocabulary) -> _Cells:
    """The bundled texts as the shipped store has them, else as classes take them from described."""
    if vocabulary.name in DESCRIBED_VOCABULARIES:
        with open_store_readonly(shipped_store_path()) as file:
            if not file.rows("SELECT 1 FROM vocabularies WHERE name = ?", [vocabulary.name]):
                return {}
            file.check_vocabulary(vocabulary)
            return _read(file, vocabulary)
    texts = bundled_cells(vocabulary, (*DESCRIBED, TOGETHER), samples=True)
    as_told = (None, None, "done", None, "llm", None, 0, 0, None, None)
    return {
        _Key(index, attribute, LLM_NAME): (text, count_tokens(text), *as_told)
        for (index, attribute), text in texts.items()
    }


def _read(file: Store, vocabulary: Vocabulary, index: int | None = None) -> _Cells:
    low, high = (0, len(vocabulary) - 1) if index is None else (index, index)
    rows = file.execute(
        f"SELECT class_index, attribute, llm, {', '.join(_COLUMNS)} FROM descriptions "
        "WHERE vocabulary = ? AND class_index BETWEEN ? AND ?",
        [vocabulary.name, low, high],
    )
    return {_Key(*row[:3]): row[3:] for row in rows.fetchall()}


def _sorted_llms(names: set[str]) -> list[str]:
    """Bundled first; it is there where nobody has written anything."""
    return [LLM_NAME, *sorted(names - {LLM_NAME})]


def _wanted(
    vocabulary: Vocabulary, request: CellsRequest, filled: _Cells, kinds: set[tuple[str, str]]
) -> Iterator[_Key]:
    """The cells of the classes, attributes and LLMs that are asked for, those that lack a text."""
    part = request.name.strip().casefold()
    classes = {
        entry.index
        for entry in vocabulary
        if request.index in (None, entry.index)
        and any(part in name.casefold() for name in entry.names)
    }
    llms = request.llms or _sorted_llms({llm for llm, _ in kinds})
    named = {name for _, name in kinds if _is_wanted(name, request)}
    for key in filled:
        if key.attribute in named and key.at in classes and key.llm in llms:
            yield key
    for llm in llms:
        has = {name for who, name in kinds if who == llm}
        nothing = DESCRIBED if llm == LLM_NAME and not has else ()
        for attribute in request.attributes or [*nothing, *has]:
            plain = other_of(attribute) is None and sampled(attribute)[1] == 1
            if plain or (request.index is not None and attribute in request.attributes):
                keys = (_Key(index, attribute, llm) for index in sorted(classes))
                yield from (key for key in keys if key not in filled)


def _is_wanted(attribute: str, request: CellsRequest) -> bool:
    """Whether cells of an attribute, a sample or a pair are shown."""
    if request.attributes:
        base = asked_of(attribute)
        asked = base in request.attributes and (request.samples or base == attribute)
        return asked or attribute in request.attributes
    if other_of(attribute) is not None:
        return request.pairs
    return request.samples or sampled(attribute)[1] == 1


def _marks(cell: _Cell | None) -> tuple[str, ...]:
    if cell is None:
        return ("missing",)
    marks = (cell[_AT["status"]],)
    if cell[_AT["stale"]] or cell[_AT["locked"]] or cell[_AT["review"]]:
        marks += tuple(mark for mark in ("stale", "locked", "review") if cell[_AT[mark]])
    return marks


def _status(marks: Sequence[str]) -> str:
    for mark in ("failed", "missing", "stale", "locked"):
        if mark in marks:
            return mark
    return "done"


def _has_words(cell: _Cell | None, search: str) -> bool:
    if cell is None:
        return False
    said = f"{cell[_AT['text']] or ''} {cell[_AT['reason']] or ''}".casefold()
    return all(word in said for word in search.casefold().split())


def _place(key: _Key, cell: _Cell | None, sort: str, budget: TokenBudget) -> tuple[Any, ...]:
    """What a cell is sorted by: the column, then class, attribute and LLM."""
    at = (*_attribute_place(key.attribute), key.llm != LLM_NAME, key.llm)
    first: tuple[Any, ...] = ()
    if sort == "attribute":
        first = _attribute_place(key.attribute)
    elif sort == "llm":
        first = (key.llm != LLM_NAME, key.llm)
    elif sort == "text":
        first = ((cell[0] or "").casefold() if cell else "",)
    elif sort == "tokens":
        first = ((_tokens(cell, budget) or 0) if cell else 0,)
    elif sort == "status":
        first = (STATUSES.index(_status(_marks(cell))),)
    return (*first, key.at, *at)


@lru_cache(maxsize=4096)
def _attribute_place(attribute: str) -> tuple[int, str, int]:
    base, number = (attribute, 1) if other_of(attribute) is not None else sampled(attribute)
    return _ORDER.get(base, len(_ORDER)), base, number


def _tokens(cell: _Cell, budget: TokenBudget) -> int | None:
    """The count of the budget in use: as it is on file, else counted."""
    text, tokens, others = cell[:3]
    if budget.tokenizer == CLIP.tokenizer:
        return None if tokens is None else int(tokens)
    if not text:
        return None
    known = json.loads(others or "{}").get(budget.tokenizer)
    return int(known) if known is not None else budget.count(text)


def _counted(filled: _Cells) -> Counter[tuple[int, str, str]]:
    """How many texts each (class, attribute, LLM) has."""
    done = (key for key, cell in filled.items() if cell[_AT["status"]] == "done")
    return Counter((key.at, asked_of(key.attribute), key.llm) for key in done)


def _first_of_each_text(filled: _Cells, shown: Iterable[_Key]) -> dict[tuple[str, str], _Key]:
    """Of each text that is shown the first cell that has it."""
    texts = {(key.llm, filled[key][0]) for key in shown if key in filled}
    first: dict[tuple[str, str], _Key] = {}
    for key, cell in filled.items():
        text = (key.llm, cell[0])
        if text in texts and cell[0] and cell[_AT["status"]] == "done":
            first[text] = min(key, first.get(text, key))
    return first


def _row(
    vocabulary: Vocabulary, key: _Key, cell: _Cell | None, budget: TokenBudget
) -> dict[str, Any]:
    entry = vocabulary[key.at]
    values: dict[str, Any] = dict(zip(_COLUMNS, cell or (None,) * len(_COLUMNS), strict=True))
    for name in ("other_tokens", "budget"):
        del values[name]
    findings = []
    if values["text"] and values["status"] == "done":
        broken = lint_text(values["text"], key.attribute, entry, vocabulary, budget)
        findings = [{"rule": rule, "message": message} for rule, message in broken]
    return {
        "class_index": key.at,
        "class": entry.name,
        "readable": entry.readable,
        "attribute": key.attribute,
        "sample": _attribute_place(key.attribute)[2],
        "llm": key.llm,
        **values,
        "tokens": _tokens(cell, budget) if cell else None,
        "limit": budget.limit,
        "status": _status(_marks(cell)),
        "locked": bool(values["locked"]),
        "stale": bool(values["stale"]),
        "remedy": None,
        "findings": findings,
    }
