"""The recipes of chapters 3 and 4 of the thesis hold its figures, row by row, as printed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from ablations.recipes.files import Recipe, read_recipe
from lsmseg_prompts.vocabularies import load_vocabulary

TABLES = Path(__file__).resolve().parents[3] / "shared" / "reference" / "thesis-and-llmformer.md"
SETS = ("ade20k-150", "coco-stuff10k", "pc-59")
HEADS = ("head_millions", "head_gmacs", "ade20k-150")
COLUMNS = {  # table -> what the figures that end its lines are of
    "3.1": SETS, "3.2": SETS[:1], "3.3": SETS[:1], "3.4": SETS[:1], "3.5": HEADS,
    "3.6": ("training_minutes", "latency_ms", "pc-59"), "3.7": SETS, "4.1": SETS, "4.2": SETS[2:],
    "4.3": SETS[2:], "4.4": SETS[2:], "4.5": SETS[2:], "4.6": HEADS, "4.7": SETS,
}  # fmt: skip
CAA = {"addon": "caa"}
ECAC = {"addon": "ecac"}
SWITCHES: dict[str, dict[str, dict[str, Any]]] = {  # table -> what begins a line -> the network
    "3.2": {"0,0": {"addon": "none"}, "1,0": CAA | {"affinity": False},
            "0,1": CAA | {"centres": False}, "1,1": CAA},
    "3.3": {"0,0": {"addon": "none"}, "1,0": CAA | {"inter": False}, "0,1": CAA | {"intra": False},
            "1,1": CAA},
    "3.4": {"0,0": CAA | {"aux_loss": 0.0, "affinity_loss": 0.0},
            "1,0": CAA | {"affinity_loss": 0.0}, "0,1": CAA | {"aux_loss": 0.0}, "1,1": CAA},
    "4.2": {"0,0,0,0,0": {"addon": "none"}, "0,1,0,0,0": {"addon": "none", "reweighted": True},
            "1,1,0,0,0": ECAC | {"memory_loss": 0.0, "kl": 0.0, "iv": 0.0},
            "1,1,1,0,0": ECAC | {"kl": 0.0, "iv": 0.0}, "1,1,1,1,0": ECAC | {"iv": 0.0},
            "1,1,1,1,1": ECAC},
}  # fmt: skip


def lines(number: str) -> list[str]:
    """The lines of a table, in the shared copy."""
    if not TABLES.is_file():
        pytest.skip(f"the published tables are not at {TABLES}")
    text = TABLES.read_text("utf-8").partition("## 7. Tables as data")[2]
    found = re.search(rf"^# thesis {re.escape(number)}\b.*\n((?:[^#].*\n?)+)", text, re.MULTILINE)
    assert found
    return found[1].splitlines()


def names(number: str, begins: list[str]) -> list[str]:
    """What the rows are called, from what begins their lines."""
    if number == "4.3":
        return ["alpha {}, beta {}".format(*one.split(",")) for one in begins]
    if number == "4.5":
        return ["DeepLabV3+" + one.replace("baseline", "") for one in begins]
    found, host = [], ""
    for one in begins:
        host = host if one.startswith("+") else one
        found.append(host + one if one.startswith("+") else one.replace(",", ", "))
    return found


@pytest.mark.parametrize("number", COLUMNS)
def test_figures_are_those_printed(number: str) -> None:
    columns, recipe = COLUMNS[number], read_recipe(f"thesis-{number}")
    rows = [line.rsplit(",", len(columns)) for line in lines(number)]
    published = [v for v in recipe.variants if v.published]
    assert [dict(v.published) for v in published] == [
        {c: float(x) for c, x in zip(columns, row[1:], strict=True) if x} for row in rows
    ]
    begins = [row[0] for row in rows]
    if number in SWITCHES:
        networks = [v.settings.network for v in published]
        assert networks == [SWITCHES[number][one] for one in begins]
    else:
        assert [v.name for v in published] == names(number, begins)


def test_weights_of_table_43_are_those_of_the_rows() -> None:
    recipe = read_recipe("thesis-4.3")
    for variant in recipe.variants:
        if variant.published:
            network = recipe.settings(variant, small=False).network
            assert variant.name == f"alpha {network['kl']:g}, beta {network['iv']:g}"


def test_classes_of_table_48() -> None:
    recipe = read_recipe("thesis-4.8")
    before, after = (v.published["ade20k-150"] for v in recipe.variants if v.published)
    assert isinstance(before, dict) and isinstance(after, dict)
    rows = re.findall(r"([a-z][a-z ]+) ([\d.]+) ([\d.]+)(?=;|$)", "\n".join(lines("4.8")[:3]), re.M)
    assert len(rows) == 24
    assert {name: (float(a), float(b)) for name, a, b in rows} == {
        name: (before[name], after[name]) for name, *_ in rows
    }
    # The six others are put right by section 6: so the means are those that are printed.
    means = [
        f"{sum(list(one.values())[at : at + 10]) / 10:.2f}"
        for at in (0, 10, 20)
        for one in (before, after)
    ]
    assert means == re.findall(r"\d+\.\d+", recipe.notes[0])
    assert set(before) <= {entry.name.strip() for entry in load_vocabulary("ade20k-150")}


def of_chapters() -> list[Recipe]:
    return [read_recipe(f"thesis-{number}") for number in (*COLUMNS, "4.8")]


def test_every_table_has_a_row_of_equal_parameters() -> None:
    for recipe in of_chapters():
        plain = [v for v in recipe.variants if v.settings.network.get("addon") == "plain"]
        assert plain and not any(v.published for v in plain), recipe.name


def test_rows_of_other_methods_do_not_run() -> None:
    for recipe in of_chapters():
        for variant in recipe.variants:
            assert variant.run == bool(variant.settings.network), f"{recipe.name} {variant.name}"


def test_figures_of_llmformer_are_derived_from_published_differences() -> None:
    published = {v.name: v.published for v in read_recipe("llmformer-table").variants}
    own = published["LLMFormer, derived from published differences"]
    over = {"ade20k-847": 1.7, "pc-459": 7.2, "ade20k-150": 4.4, "pc-59": 5.8, "voc-20": 1.4}
    fc_clip = published["FC-CLIP"]
    assert {b: round(own[b] - fc_clip[b], 2) for b in over} == over  # type: ignore[operator]
    relations = {v.name: v.published for v in read_recipe("llmformer-relations").variants}
    for benchmark, more in (("ade20k-847", 1.7), ("ade20k-150", 2.3)):
        both, plain = relations["both"][benchmark], relations["plain map"][benchmark]
        assert both == own[benchmark]
        assert round(both - plain, 2) == more  # type: ignore[operator]
