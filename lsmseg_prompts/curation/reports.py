"""Reports on the store: spending, attempts, and how two LLMs' texts differ."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from typing import Any, Literal

from lsmseg_prompts.attributes.samples import asked_of, sampled
from lsmseg_prompts.curation.variance import differences, mean_and_sd, overlap
from lsmseg_prompts.descriptions.loading import (
    attributes_of,
    check_attributes,
    load,
    remedy,
    show,
    writers,
)
from lsmseg_prompts.errors import ConfigurationError, UsageError
from lsmseg_prompts.store.sqlite import existing_store_path, shipped_store_path, working_store_path
from lsmseg_prompts.store.store import Store, open_store_readonly, read_rows
from lsmseg_prompts.vocabularies import Vocabulary, load_vocabulary

Path = str | os.PathLike[str]
Grouping = Literal["llm", "model", "purpose", "day", "attribute"]

GROUPS = {
    "llm": "llm",
    "model": "llm || ' ' || coalesce(served_model, asked_model)",
    "purpose": "purpose",
    "day": "substr(started_at, 1, 10)",  # UTC
}
"""What attempts are grouped by, in SQL."""

SPENDING = """
    count(*) AS attempts,
    coalesce(sum(state = 'ended' AND error_class IS NOT NULL), 0) AS failed,
    coalesce(sum(state = 'lost'), 0) AS lost,
    coalesce(sum(state = 'sent'), 0) AS under_way,
    coalesce(sum(input_tokens), 0) AS input_tokens,
    coalesce(sum(output_tokens), 0) AS output_tokens,
    coalesce(sum(reasoning_tokens), 0) AS reasoning_tokens,
    coalesce(sum(CASE WHEN NOT cost_is_bound THEN cost_usd END), 0.0) AS cost_usd,
    coalesce(sum(CASE WHEN cost_is_bound THEN cost_usd END), 0.0) AS bound_usd,
    coalesce(sum(cost_usd IS NULL), 0) AS unpriced
    FROM attempts
"""
"""What a group of attempts came to."""

CELL_COSTS = """
    WITH shares AS (
        SELECT {group} AS "group", llm, vocabulary, class_index,
            coalesce(one.value, attribute) AS attribute,
            cost_usd / coalesce(json_array_length(attributes), 1) AS usd
        FROM attempts LEFT JOIN json_each(attempts.attributes) AS one
        WHERE purpose = 'describe' AND state <> 'sent' AND class_index IS NOT NULL
    )
    SELECT "group", llm, attribute, sum(usd) AS usd FROM shares
    GROUP BY "group", llm, vocabulary, class_index, attribute HAVING count(usd) = count(*)
"""
"""What all questions about a cell cost, cell by cell, where it is known."""


def costs(store: Path | None = None, by: Grouping = "llm") -> list[dict[str, Any]]:
    """What asking cost, in US dollars.

    A row for each LLM, model served, purpose or day (UTC), and the total.

    Keys: the name of the grouping, attempts (of them: failed, lost, under_way), input_tokens,
    output_tokens (of them: reasoning_tokens, as far as they were told), cost_usd (known to be
    spent), bound_usd (of attempts whose cost is known only as an upper bound, such as lost ones),
    unpriced (attempts of unknown cost), cells (those whose cost is known), cell_usd and
    cell_usd_sd (what one cost: mean and standard deviation over them).

    What a cell cost is what all questions about it cost, those that failed too; a question about
    several is shared out equally. A sample is a cell.

    By "attribute" it is a row for each LLM and attribute, with the last three keys and how the
    samples of its cells differ, see `variance.differences`. Raises StoreError.
    """
    if by == "attribute":
        with open_store_readonly(working_store_path(store)) as file:
            return _by_attribute(file)
    with open_store_readonly(working_store_path(store)) as file:
        rows = file.rows(f"SELECT {GROUPS[by]} AS {by}, {SPENDING} GROUP BY 1 ORDER BY 1")
        total = file.rows(f"SELECT 'total' AS {by}, {SPENDING}")
        costs_of: dict[str, list[float]] = {}
        for group in (GROUPS[by], "'total'"):
            for cell in file.rows(CELL_COSTS.format(group=group)):
                costs_of.setdefault(cell["group"], []).append(cell["usd"])
    return [{**row, **_of_a_cell(costs_of.get(row[by], ()))} for row in rows + total]


def _of_a_cell(costs: Sequence[float]) -> dict[str, Any]:
    mean, deviation = mean_and_sd(costs)
    return {"cells": len(costs), "cell_usd": mean, "cell_usd_sd": deviation}


def _by_attribute(file: Store) -> list[dict[str, Any]]:
    """What a cell cost and how samples differ, LLM by LLM and attribute by attribute."""
    costs_of: dict[tuple[str, str], list[float]] = {}
    for cell in file.rows(CELL_COSTS.format(group="llm")):
        place = cell["llm"], asked_of(cell["attribute"])
        costs_of.setdefault(place, []).append(cell["usd"])
    found = differences(row for row in file.cells(status="done") if row["source"] == "llm")
    there = {(row["llm"], row["attribute"]) for row in found}
    nothing = [
        {"llm": llm, "attribute": attribute, **dict.fromkeys(("cells", "samples"), 0)}
        | dict.fromkeys(("distinct", "tokens", "tokens_sd", "overlap"))
        for llm, attribute in costs_of
        if (llm, attribute) not in there
    ]
    return [
        {**row, "priced": len(costs), "cell_usd": mean, "cell_usd_sd": deviation}
        for row in sorted(found + nothing, key=lambda row: row["llm"])
        for costs in [costs_of.get((row["llm"], row["attribute"]), [])]
        for mean, deviation in [mean_and_sd(costs)]
    ]


def attempts(
    vocabulary: Vocabulary | str,
    name: str,
    llms: Sequence[str] | None = None,
    attributes: Iterable[str] | None = None,
    store: Path | None = None,
) -> list[dict[str, Any]]:
    """Every question asked about a class, oldest first, with its raw reply.

    Keys: id, started_at, llm, asked_model, served_model, host, attributes, try, state, verdict,
    http_status, input_tokens, output_tokens, reasoning_tokens, cost_usd, cost_is_bound, parameters,
    system, prompt, thoughts, reply, error.

    Args:
        vocabulary: the vocabulary, or its name.
        name: the class.
        llms: who was asked; None for all.
        attributes: about which attributes; None for all.
        store: the path of the store; None for the usual one.

    Raises:
        UsageError: there is no such class or attribute.
        StoreError: the store cannot be read.
    """
    vocabulary = load_vocabulary(vocabulary)
    entry = vocabulary.find(name)
    wanted = set(attributes_of(entry, vocabulary, attributes))
    asked = f"AND llm IN ({', '.join('?' * len(llms))}) " if llms else ""
    rows = read_rows(
        existing_store_path(store),
        "SELECT id, started_at, llm, asked_model, served_model, host, attribute, attributes, "
        "attempt_number AS try, state, verdict, http_status, input_tokens, output_tokens, "
        "reasoning_tokens, cost_usd, cost_is_bound, parameters, system, prompt, thoughts, reply, "
        "error_class, error_message FROM attempts "
        f"WHERE vocabulary = ? AND class_index = ? {asked}ORDER BY id",
        [vocabulary.name, entry.index, *(llms or ())],
        vocabulary,
    )
    kept = []
    for row in rows:
        several, one = row["attributes"], row.pop("attribute")
        row["attributes"] = json.loads(several) if several else [one] if one else []
        said = [row.pop(key) for key in ("error_class", "error_message")]
        row["error"] = ": ".join(filter(None, said)) or None
        row["cost_is_bound"] = bool(row["cost_is_bound"])
        row["parameters"] = json.loads(row["parameters"])
        if not row["attributes"] or wanted & set(row["attributes"]):
            kept.append(row)
    return kept


def _llms_of(
    vocabulary: Vocabulary, name: str, attributes: Sequence[str] | None, store: Path | None
) -> list[str]:
    """Every LLM that a class has cells by, of these attributes or any; `bundled` first."""
    entry = vocabulary.find(name)
    given = None if attributes is None else attributes_of(entry, vocabulary, attributes)
    llms: dict[str, None] = {}
    for path in (shipped_store_path(), existing_store_path(store)):
        if path is not None:
            with open_store_readonly(path) as file:
                file.check_vocabulary(vocabulary)
                cells = file.cells(vocabulary, attributes=given, index=entry.index)
            llms |= dict.fromkeys(row["llm"] for row in cells)
    if not llms:
        raise ConfigurationError(
            f"There is no description of {entry.readable!r} yet: run "
            f"`lsmseg-prompts generate --vocab {vocabulary.option}`."
        )
    return list(llms)


def cells_of(
    vocabulary: Vocabulary | str,
    name: str,
    llms: Sequence[str] | None = None,
    attributes: Iterable[str] | None = None,
    store: Path | None = None,
) -> list[dict[str, Any]]:
    """The cells of a class (see Store.cells), LLM by LLM.

    Beside the keys of Store.cells they have `overlap`: the mean `variance.overlap` of the text with
    the other samples of its cell, None where there are none.

    Args:
        vocabulary: the vocabulary, or its name.
        name: the class.
        llms: who wrote them; None for all that did.
        attributes: which attributes; None for all that are described.
        store: the path of the store; None for the usual one.

    Raises:
        UsageError: there is no such class or attribute.
        ConfigurationError: an LLM has nothing to show.
        StoreError: the store cannot be read.
    """
    vocabulary = load_vocabulary(vocabulary)
    wanted = None if attributes is None else list(attributes)
    rows = [
        row
        for llm in llms or _llms_of(vocabulary, name, wanted, store)
        for row in show(vocabulary, name, llm, wanted, store)
    ]
    samples: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in rows:
        row["overlap"] = None
        if row["status"] == "done":
            samples.setdefault((row["llm"], asked_of(row["attribute"])), []).append(row)
    for group in samples.values():
        for row in group:
            common = [overlap(row["text"], one["text"]) for one in group if one is not row]
            row["overlap"] = mean_and_sd(common)[0]
    return rows


def diff(
    vocabulary: Vocabulary | str,
    first: str,
    second: str,
    attributes: Iterable[str] | None = None,
    store: Path | None = None,
) -> dict[str, Any]:
    """How the texts of two LLMs differ.

    counts: same, differ, only_first, only_second, neither (numbers of cells). cells: those that
    differ or that only one has, as {class, attribute, first, second, words}; `words` is a list of
    (what, text), what being "same", "first" or "second".

    Args:
        vocabulary: the vocabulary, or its name.
        first: the one LLM.
        second: the other.
        attributes: which attributes; None for all that are described.
        store: the path of the store; None for the usual one.

    Raises:
        UsageError: the two are the same, or there is no such attribute.
        ConfigurationError: one of the two has nothing.
        StoreError: the store cannot be read.
    """
    vocabulary = load_vocabulary(vocabulary)
    if first == second:
        raise UsageError(f"Both are {first!r}: name two LLMs that differ.")
    wanted = check_attributes(attributes)
    mine, theirs = (_texts(vocabulary, llm, wanted, store) for llm in (first, second))
    counts = dict.fromkeys(("same", "differ", "only_first", "only_second", "neither"), 0)
    cells = []
    for entry in vocabulary:
        for attribute in wanted:
            a, b = mine.get((entry.index, attribute)), theirs.get((entry.index, attribute))
            kind = "neither" if a is None else "only_first"
            if b is not None:
                kind = "only_second" if a is None else "same" if a == b else "differ"
            counts[kind] += 1
            if kind not in ("same", "neither"):
                row = {"class": entry.name, "attribute": attribute, "first": a, "second": b}
                cells.append({**row, "words": words_apart(a or "", b or "")})
    return {"first": first, "second": second, "counts": counts, "cells": cells}


def words_apart(a: str, b: str) -> list[tuple[str, str]]:
    """Two sentences word by word: [(what, words)], what being "same", "first" or "second"."""
    left, right = a.split(), b.split()
    parts: list[tuple[str, str]] = []
    for tag, i, j, k, m in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if tag == "equal":
            pieces = [("same", left[i:j])]
        else:
            pieces = [("first", left[i:j]), ("second", right[k:m])]
        parts += [(what, " ".join(words)) for what, words in pieces if words]
    return parts


def _texts(
    vocabulary: Vocabulary, llm: str, attributes: Sequence[str], store: Path | None
) -> dict[tuple[int, str], str]:
    existing_store_path(store)
    there = sampled(llm)[0] in writers(vocabulary, store)
    texts = load(vocabulary, llm, attributes, store, require=False) if there else {}
    if not texts:
        raise ConfigurationError(
            f"There are no descriptions by {llm} of {vocabulary.name}: "
            f"{remedy(llm, vocabulary, attributes, store)}."
        )
    return texts
