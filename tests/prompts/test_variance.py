"""How samples differ and what cells cost: every number here was computed by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lsmseg_prompts.curation.variance import differences, mean_and_sd, mean_overlap, overlap
from lsmseg_prompts.store.descriptions import Description
from lsmseg_prompts.store.store import Store, open_store
from lsmseg_prompts.vocabularies import load_vocabulary

CAMVID = load_vocabulary("camvid")
SKY, ROAD = (CAMVID.find(name).index for name in ("sky", "road"))
TEXTS = {
    (SKY, "color"): ("The sky is blue.", 6),
    (SKY, "color#2"): ("the Sky is gray", 6),
    (SKY, "color#3"): ("The sky is blue.", 6),
    (ROAD, "color"): ("A road is gray and dark.", 8),
    (ROAD, "color#2"): ("A road is black, mostly in rain.", 10),
    (SKY, "shape"): ("The sky is flat.", 6),
}


@pytest.fixture
def filled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    with open_store("s.sqlite") as store, store.transaction():
        store.add_vocabulary(CAMVID)
        for (index, attribute), (text, tokens) in TEXTS.items():
            store.put_description(Description("camvid", index, attribute, "gpt-4", text, tokens))
        _attempts(store)
    with open_store("s.sqlite") as store:
        yield store


def _attempts(store: Store) -> None:
    """Sky, color cost 1 + 2; color#2 3; road, color and shape shared 4; color#3 is unpriced."""
    for index, attribute, fields in (
        (SKY, "color", {"cost_usd": 1.0, "reasoning_tokens": 40}),
        (SKY, "color", {"cost_usd": 2.0}),
        (SKY, "color#2", {"cost_usd": 3.0}),
        (SKY, "color#3", {}),
        (ROAD, None, {"cost_usd": 4.0, "attributes": '["color", "shape"]'}),
        (ROAD, "color", {"cost_usd": 100.0, "state": "sent"}),
        (None, None, {"cost_usd": 100.0, "purpose": "attributes"}),
    ):
        store.record_attempt(
            "camvid", index, attribute, "gpt-4", asked_model="m", prompt="p", **fields
        )


def test_words_in_common() -> None:
    assert overlap("The sky is blue.", "the Sky is gray") == 3 / 5
    assert overlap("a zebra's coat", "A coat!") == 2 / 3
    assert (overlap("one", "two"), overlap("", "..."), overlap("", "a")) == (0, 1, 0)
    assert mean_overlap(["a b", "a b", "a c"]) == pytest.approx((1 + 1 / 3 + 1 / 3) / 3)
    assert mean_overlap(["a b"]) is None


def test_mean_and_standard_deviation() -> None:
    assert mean_and_sd([2, 4, 4, 6]) == (4, pytest.approx((8 / 3) ** 0.5))
    assert (mean_and_sd([7]), mean_and_sd([])) == ((7, None), (None, None))


def test_samples_of_cells_are_compared_within_the_cell(filled: Store) -> None:
    color, shape = differences(filled.cells())
    sky = (3 / 5 + 1 + 3 / 5) / 3
    road = 3 / 10  # a, road, is; of a road is gray and dark black mostly in rain
    assert color == {
        "llm": "gpt-4", "attribute": "color", "cells": 2, "samples": 5,
        "distinct": (2 + 2) / 5, "tokens": 36 / 5, "tokens_sd": pytest.approx(3.2**0.5),
        "overlap": pytest.approx((sky + road) / 2),
    }  # fmt: skip
    assert (shape["samples"], shape["distinct"], shape["overlap"]) == (1, None, None)
    assert (shape["tokens"], shape["tokens_sd"]) == (6, None)


def test_what_a_cell_costs(filled: Store, call: Any) -> None:
    costs = json.loads(call("store", "costs", "--json", "--store", "s.sqlite").out)
    for row in costs:  # sky: 3 and 3, road: 2 and 2
        assert (row["cells"], row["cell_usd"]) == (4, 2.5)
        assert row["cell_usd_sd"] == pytest.approx((1 / 3) ** 0.5)
        assert row["reasoning_tokens"] == 40


def test_by_attribute(filled: Store, call: Any) -> None:
    words = ("store", "costs", "--by", "attribute", "--store", "s.sqlite")
    color, shape = json.loads(call(*words, "--json").out)
    assert (color["priced"], color["cell_usd"]) == (3, pytest.approx(8 / 3))
    assert (color["samples"], color["distinct"]) == (5, 0.8)
    assert (shape["priced"], shape["cell_usd"], shape["cell_usd_sd"]) == (1, 2, None)
    printed = call(*words).out
    assert "7.2±1.8" in printed and "2666.667±577.350" in printed
    assert max(map(len, printed.splitlines())) <= 80


def test_show_tells_how_the_samples_of_a_class_differ(filled: Store, call: Any) -> None:
    words = ("store", "show", "sky", "--vocab", "camvid", "--llm", "gpt-4", "--store", "s.sqlite")
    rows = json.loads(call(*words, "--json").out)
    assert {row["attribute"]: row["overlap"] for row in rows} == {
        "color": 0.8, "color#2": 0.6, "color#3": 0.8, "shape": None,
    }  # fmt: skip
    *_, heading, row = call(*words).out.splitlines()
    assert heading.split() == ["attribute", "samples", "distinct", "tokens", "overlap"]
    assert row.split() == ["color", "3", "0.67", "6.0±0.0", "0.73"]
