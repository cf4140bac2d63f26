"""Networks by name: their sizes are the published ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lsmseg_model.describe import describe, lines
from lsmseg_model.errors import ConfigError, UsageError
from lsmseg_model.networks import available, read_network


def test_the_names() -> None:
    assert set(available()) >= {
        "lsmseg-b", "lsmseg-l", "lsmseg-b-thesis", "lsmseg-l-thesis", "cat-seg-b", "cat-seg-l",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "learn", "total"), [("cat-seg-b", 25.12, 154.29), ("cat-seg-l", 70.27, None)]
)
def test_cat_segs_parameters_are_as_published(name: str, learn: float, total: float | None) -> None:
    found = describe(name)
    assert round(found.trainable / 1e6, 2) == learn
    assert total is None or round(found.parameters / 1e6, 2) == total
    assert sum(row["parameters"] for row in found.parts) == found.parameters


def test_the_papers_network_learns_as_much_as_it_says() -> None:
    found = describe("lsmseg-l")
    assert abs(found.trainable / 1e6 - 73.4) < 0.1
    assert {row["part"] for row in found.parts} >= {"second encoder", "fusion"}
    assert not next(r for r in found.parts if r["part"] == "second encoder")["trainable"]
    assert "73.4 million" in lines(found)[-1]


def test_the_filter_saves_operations() -> None:
    assert describe("lsmseg-b-no-sam").gflops < 0.5 * describe("cat-seg-b").gflops
    few, many = describe("lsmseg-b-no-sam", 100), describe("lsmseg-b-no-sam", 800)
    assert many.gflops < 1.01 * few.gflops


def test_fields_may_be_changed_and_wrong_ones_are_named(tmp_path: Path) -> None:
    assert describe("lsmseg-b", encoder="none", fusion="none").parameters == (
        describe("lsmseg-b-no-sam").parameters
    )
    with pytest.raises(ConfigError, match="did you mean 'refinement'"):
        read_network("lsmseg-b", refinment="none")
    with pytest.raises(UsageError, match="did you mean lsmseg-b"):
        read_network("lsmseg-bb")
    own = tmp_path / "own.json"
    own.write_text(json.dumps({**read_network("lsmseg-b"), "crop": 336}))
    assert read_network(str(own))["crop"] == 336
    own.write_text("{}")
    with pytest.raises(ConfigError, match="must have the fields"):
        read_network(str(own))
    own.write_text("{")
    with pytest.raises(ConfigError, match="not valid JSON"):
        read_network(str(own))
