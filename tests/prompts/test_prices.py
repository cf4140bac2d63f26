"""Prices: certain ones only, on the provider's own host only."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import pytest

from lsmseg_prompts.llm.prices import Price, price_of

OPENAI = "https://api.openai.com/v1"


def test_a_price_is_for_a_million_tokens() -> None:
    price = price_of("gpt-4", OPENAI)
    assert price is not None and price.as_of and "list prices" in price.source
    assert price.cost(1_000_000, 0) == pytest.approx(30)
    assert price.cost(0, 1000) == pytest.approx(0.06)


def test_the_case_of_a_name_does_not_matter() -> None:
    assert price_of("gpt-4o", OPENAI) == price_of("GPT-4o", OPENAI) is not None


def test_the_case_of_a_name_of_ones_own_does_not_matter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prices = {"as_of": "2026-11", "source": "s", "usd_per_million": {"Lab-X": [1, 2]}}
    entry = {"name": "lab", "hosts": ["lab.example"], "prices": prices}
    (tmp_path / "mine.json").write_text(json.dumps({"providers": [entry]}))
    monkeypatch.setenv("LSMSEG_PROMPTS_PROVIDERS", str(tmp_path / "mine.json"))
    price = price_of("Lab-X", "https://lab.example/v1")
    assert price is not None and price.cost(1_000_000, 1_000_000) == 3


@pytest.mark.parametrize(
    ("name", "host"),
    [
        ("gpt-4", "http://localhost:8000/v1"), ("gpt-4", None), ("gpt-9", OPENAI),
        ("gpt-4", "https://api.openai.com.evil.example/v1"),
        ("ft:gpt-4o-mini:me", OPENAI), ("qwen-max", OPENAI),
        ("qwen-max", "https://dashscope.aliyuncs.com/api/v1"),
    ],
)  # fmt: skip
def test_no_price_is_guessed(name: str, host: str | None) -> None:
    assert price_of(name, host) is None


def test_dashscopes_price_is_that_of_its_international_host() -> None:
    assert price_of("qwen-max", "https://dashscope-intl.aliyuncs.com/api/v1") is not None


def test_every_row_is_a_price_and_the_file_says_when() -> None:
    table = json.loads(files("lsmseg_prompts.llm").joinpath("providers.json").read_text())
    assert "bill decides" in table["note"] and "looked up on 20" in table["note"]
    for prices in filter(None, (provider.get("prices") for provider in table["providers"])):
        assert prices["as_of"] and prices["source"]
        for model, (given, made) in prices["usd_per_million"].items():
            assert model == model.lower() and 0 < given <= made < 1000


def test_a_users_price_says_so() -> None:
    assert Price(1, 2).source == "given on the command line"
