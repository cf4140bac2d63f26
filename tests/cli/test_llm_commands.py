"""The commands `llm ...`: who can be asked, and what one can do, seen from the local server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lsmseg_prompts.llm.providers import shipped
from lsmseg_prompts.llm.registry import USUAL, check_name

KEY = "sk-never-to-be-shown-0123456789"


def listed(call, *words: str, **env: str) -> Any:
    result = call("llm", "list", *words, "--json", env=env)
    assert result.code == 0, result.err
    assert KEY not in result.out
    return json.loads(result.out)


def test_every_provider_is_listed_and_every_name_can_be_asked(call) -> None:
    rows = listed(call)
    assert [row["provider"] for row in rows] == [one.name for one in shipped()]
    for row in rows:
        for name in row["asked_as"]:
            check_name(name.replace("[0-9]*", "3").replace("*", "x"))
    assert {name for name in USUAL if "/" in name} <= {n for row in rows for n in row["asked_as"]}


def test_whose_keys_are_set_is_said_and_never_their_values(call) -> None:
    rows = {row["provider"]: row for row in listed(call, OPENAI_API_KEY=KEY, XAI_API_KEY=" ")}
    assert [row["provider"] for row in rows.values() if row["key_set"]] == ["openai"]
    shown = call("llm", "list", env={"OPENAI_API_KEY": KEY}).out
    assert KEY not in shown
    lines = {line.split()[0]: line.split() for line in shown.splitlines() if line[:1].strip()}
    assert {name: lines[name][-4] for name in ("openai", "xai")} == {"openai": "yes", "xai": "no"}
    assert lines["ollama"][-2:] == ["-", "-"], "its key is not needed"


def test_the_address_is_the_one_that_would_be_asked(call) -> None:
    """And key and prices are those that hold there."""
    elsewhere = {
        "OPENAI_BASE_URL": f"https://me:{KEY}@proxy.example/v1", "OPENAI_API_KEY": KEY,
        "OLLAMA_HOST": "0.0.0.0", "VLLM_BASE_URL": "http://[",
        "DASHSCOPE_HTTP_BASE_URL": "https://dashscope-intl.aliyuncs.com/api/v1",
    }  # fmt: skip
    usual = {row["provider"]: row for row in listed(call)}
    rows = {row["provider"]: row for row in listed(call, **elsewhere)}
    openai = rows["openai"]
    assert openai["address"] == "https://***@proxy.example/v1"
    assert (openai["key"], openai["key_set"]) == ("LSMSEG_PROMPTS_KEY", False)
    assert (usual["openai"]["priced"] > 0, openai["priced"]) == (True, 0)
    assert rows["ollama"]["address"] == "http://127.0.0.1:11434/v1"
    assert rows["vllm"]["address"] == "http://["
    assert (usual["dashscope"]["priced"], rows["dashscope"]["priced"] > 0) == (0, True)


def test_the_prices_of_a_provider(call) -> None:
    rows = listed(call, "Anthropic")
    assert {"provider": "anthropic", "model": "claude-sonnet-4-5", "usd_per_million_in": 3,
            "usd_per_million_out": 15}.items() <= next(
                row for row in rows if row["model"] == "claude-sonnet-4-5").items()  # fmt: skip
    shown = call("llm", "list", "dashscope").out
    assert "qwen-max" in shown and "They hold at dashscope-intl.aliyuncs.com only." in " ".join(
        shown.split()
    )
    assert listed(call, "ollama") == []
    assert "No price is known" in call("llm", "list", "ollama").out


def test_a_provider_that_is_not_there(call) -> None:
    result = call("llm", "list", "olama")
    assert result.code == 2 and "There is no provider 'olama' (did you mean ollama" in result.err


def test_a_provider_of_ones_own_is_listed_first(call) -> None:
    entry = {"name": "lab", "models": ["lab-?*"], "endpoint": "https://lab.example/v1",
             "hosts": ["lab.example"], "key": "K", "reasoning": {"off": [{"x": 1}]}}  # fmt: skip
    Path("mine.json").write_text(json.dumps({"providers": [entry]}))
    first = listed(call, LSMSEG_PROMPTS_PROVIDERS="mine.json")[0]
    assert (first["provider"], first["asked_as"]) == ("lab", ["lab-*", "lab/<model>"])
    assert (first["reasoning"], first["batch"], first["prices_of"]) == (["off"], None, None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"endpoint": 5}, {"key": 5}, {"hosts": "x"}, {"port": "80"}, {"reasoning": 5},
        {"reasoning": {"some": []}}, {"prices": []}, {"prices": {"usd_per_million": {"x": 5}}},
        {"prices": {"as_of": "2026-11", "source": "s", "usd_per_million": {"x": [1, "2"]}}},
        {"protocol": "telnet"}, {"batch": True}, {"json": "yaml"}, {"name": "A B"}, {"speed": 1},
    ],
    ids=str,
)  # fmt: skip
def test_an_entry_that_is_not_right_is_refused(wrong: dict[str, Any], call) -> None:
    Path("mine.json").write_text(json.dumps({"providers": [{"name": "lab", **wrong}]}))
    result = call("llm", "list", env={"LSMSEG_PROMPTS_PROVIDERS": "mine.json"})
    assert result.code == 4 and "The file of providers mine.json" in result.err
    assert f"{next(iter(wrong))}" in result.err


@pytest.mark.parametrize("columns", ["80", "120"])
def test_the_list_fits(columns: str, call) -> None:
    lines = call("llm", "list", env={"COLUMNS": columns}).out.splitlines()
    assert max(map(len, lines)) <= int(columns)
    assert ("address" in lines[0]) == (columns == "120")
