"""Sources that lack descriptions: the plain name, what all have, and how many of how many."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import pytest
from support.ablation_fakes import NAMES, VOCABULARY, FakeBenchmark, FakeScorer, by_table
from support.ablation_runs import options, plain_figures

from ablations.report.tables import llm_sheets
from ablations.runs.compare import compare
from ablations.runs.open import coverage, load_descriptions
from ablations.runs.request import AblationRequest
from ablations.search.scoreboard import Bench
from lsmseg_prompts.descriptions.loading import load
from lsmseg_prompts.errors import ConfigurationError, UsageError
from lsmseg_prompts.store.descriptions import Description
from lsmseg_prompts.store.store import open_store
from lsmseg_prompts.tokens import count_tokens
from lsmseg_prompts.vocabularies import Vocabulary, load_vocabulary

Cells = Mapping[tuple[int, str], str]


def file_under(path: str | Path, vocabulary: Vocabulary, llm: str, cells: Cells) -> None:
    with open_store(path) as store, store.transaction():
        store.add_vocabulary(vocabulary)
        for (index, attribute), text in cells.items():
            cell = (vocabulary.name, index, attribute, llm)
            store.put_description(Description(*cell, text, count_tokens(text), source="import"))


def says(*cells: tuple[int, str]) -> dict[tuple[int, str], str]:
    return {(i, a): f"A {NAMES[i]} has {a}." for i, a in cells}


def test_what_counts_is_what_all_have() -> None:
    file_under("s.sqlite", VOCABULARY, "a", says((0, "color"), (1, "color"), (1, "typical")))
    file_under("s.sqlite", VOCABULARY, "b", says((1, "color"), (2, "shape"), (1, "typical")))
    request = AblationRequest(attributes=["color", "shape"], missing="skip", store="s.sqlite")
    loaded = load_descriptions(request, [VOCABULARY], ["a", "b"])
    assert [set(loaded[llm][0]) for llm in "ab"] == [{(1, "color"), (1, "typical")}] * 2
    assert coverage(request, [VOCABULARY], loaded) == [
        "All LLMs have 1 of 8 descriptions of four, and 1 of 4 classes with any: these classes "
        "alone count, and the others stand with their plain name."
    ]
    request = AblationRequest(attributes=["color", "shape"], missing="name", store="s.sqlite")
    loaded = load_descriptions(request, [VOCABULARY], ["a", "b"])
    assert len(loaded["a"][0]) == len(loaded["b"][0]) == 3
    assert coverage(request, [VOCABULARY], loaded)[0] == (
        "a has 2 of 8 descriptions of four, and 2 of 4 classes with any; the others stand with "
        "their plain name."
    )
    with pytest.raises(ConfigurationError, match="are missing"):
        load_descriptions(AblationRequest(store="s.sqlite"), [VOCABULARY], ["a", "b"])


def test_nothing_in_common_and_nothing_at_all_are_said() -> None:
    file_under("s.sqlite", VOCABULARY, "a", says((0, "color")))
    file_under("s.sqlite", VOCABULARY, "b", says((1, "color")))
    request = AblationRequest(missing="skip", store="s.sqlite")
    with pytest.raises(ConfigurationError, match="a and b have no description in common for four"):
        load_descriptions(request, [VOCABULARY], ["a", "b"])
    file_under("s.sqlite", VOCABULARY, "c", says((1, "position")))
    request = AblationRequest(attributes=["color"], missing="name", store="s.sqlite")
    with pytest.raises(ConfigurationError, match="4 of 4 descriptions by c are missing"):
        load_descriptions(request, [VOCABULARY], ["c"])
    with pytest.raises(UsageError, match="--missing is one of"):
        AblationRequest(missing="some")


def test_means_are_over_the_classes_that_count() -> None:
    """Positions in the benchmark, which has two of the four classes and a third unseen."""
    benchmark = FakeBenchmark(class_indices=(0, 2, 3), seen=frozenset({0, 2}))
    scorer = FakeScorer(benchmark, by_table({"name": 0.5}))
    bench = Bench("x", VOCABULARY, {}, {"report": scorer})
    skipped = bench.described_by(says((2, "color"), (3, "color"), (1, "color")), "skip")
    found = {name: subset.classes for name, subset in skipped.subsets.items()}
    assert found == {"miou": (1, 2), "union": (1, 2), "seen": (1,), "unseen": (2,)}
    named = bench.described_by(says((2, "color")), "name").subsets
    assert named["miou"].classes is None and named["seen"].classes == (0, 1)


def test_two_sources_are_compared_on_what_both_have(world: Path) -> None:
    vocabulary = load_vocabulary(str(world / "four.txt"))
    cells = load(vocabulary)
    half = {cell: text for cell, text in cells.items() if cell[0] < 2 and cell[1] == "typical"}
    file_under("s.sqlite", vocabulary, "half", half)
    how = {"missing": "skip", "attributes": ["typical"], "store": "s.sqlite", "out": "both"}
    request = AblationRequest(**options(world, **how))
    with plain_figures():
        result = compare(request, ["bundled", "half"], progress=False)
    rows = [row for row in result.rows if row["llm"] is not None]
    assert {(row["prompts"], row["described"]) for row in rows} == {("typical", "2 of 2")}
    assert all(row["difference"] == 0 for row in rows)  # the same texts for both
    assert "2 of 4 classes with any: these classes alone count" in result.summary
    table, *_ = llm_sheets(result.rows)
    assert table.columns[-1] == "described" and table.lines[-1].cells[-1] == "2 of 2"
    with (result.directories["half"] / "single.csv").open(newline="") as stream:
        single = [row for row in csv.DictReader(stream) if row["split"] == "report"]
    assert [row["described"] for row in single][:2] == ["", "2 of 2"]  # the name, typical
