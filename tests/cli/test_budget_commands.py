"""`--budget` on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command_line import refused

FOUR = ("export", "--attributes", "color,shape,size,texture", "--vocab", "camvid")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


def written(name: str) -> dict:
    return json.loads(Path(name).read_text("utf-8"))


def test_export(call) -> None:
    said = call(*FOUR, "--budget", "48", "-o", "small.json").err
    assert "over 48 tokens" in said and "; --composition ensemble keeps them all." in said
    assert written("small.json")["budget"] == {"name": "48", "limit": 48, "tokenizer": "clip"}
    assert max(t for item in written("small.json")["classes"] for t in item["tokens"]) <= 48
    call(*FOUR, "--composition", "ensemble", "--budget", "48", "-o", "each.json")
    assert not written("each.json")["dropped"]
    call(*FOUR, "-o", "usual.json")
    assert "budget" not in written("usual.json")
    call("export", "--prompts", "usual.json", "--budget", "48", "-o", "from.json")
    assert max(t for item in written("from.json")["classes"] for t in item["tokens"]) <= 48
    card = call(*FOUR, "--budget", "48", "--card", "card.json")
    assert card.code == 0 and written("card.json")["tokenizer"]["context"] == 48
    refused(call("evaluate", "--prompts", "usual.json", "--budget", "48"), 6, "of the 48 tokens")


def test_generate_and_lint(call) -> None:
    asked = ("generate", "--vocab", "camvid", "--classes", "sky,fence", "--attribute", "typical")
    result = call(*asked, "--budget", "20", "--store", "s.sqlite")
    assert result.code == 3 and "CLIP tokens and 20 are the most" in result.err
    call(*asked, "--budget", "60", "--store", "s.sqlite", "--retry-errors")
    show = ("store", "show", "fence", "--vocab", "camvid", "--llm", "bundled", "--attribute")
    shown = call(*show, "typical", "--store", "s.sqlite").out
    assert "of 60" in shown
    lint = ("store", "lint", "--vocab", "camvid", "--store", "s.sqlite")
    assert call(*lint).code == 0
    result = call(*lint, "--budget", "32", "--json")
    assert result.code == 6
    assert {row["rule"] for row in json.loads(result.out)["findings"]} == {"tokens"}
    assert call("store", "check", "--store", "s.sqlite").code == 0


@pytest.mark.parametrize("command", ["generate", "ablate", "evaluate", "refine"])
def test_budgets_that_are_not_there(call, command: str) -> None:
    refused(call(command, "--budget", "siglip7"), 2, "There is no token budget 'siglip7' (did you")
    says = ("tokenizer.json of timm/ViT-B-16-SigLIP2", "model pull ViT-B-16-SigLIP2` fetches it")
    refused(call(command, "--budget", "siglip2"), 4, *says)


def test_completion() -> None:
    from ablations.commands import completion

    assert completion.budgets("sig") == ["siglip", "siglip2"]
