"""Attributes ranked by several backbones: ranks and correlations by hand, and a whole run."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ablations.recipes.backbones import named
from ablations.recipes.files import read_recipe
from ablations.recipes.plan import make_plan
from ablations.recipes.ranks import rank, ranking, spearman
from ablations.recipes.request import RecipeRequest
from ablations.recipes.run import run_recipe
from ablations.search.statistics import Draws
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.tokens import count_tokens


def test_ranks_and_their_correlation_by_hand() -> None:
    assert rank(np.array([0.3, 0.5, 0.3, 0.1])).tolist() == [2.5, 1, 2.5, 4]
    one, two = np.array([1.0, 2, 3, 4, 5]), np.array([2.0, 1, 4, 3, 5])
    # 1 - 6 sum d^2 / (n (n^2 - 1)) = 1 - 6 * 4 / 120
    assert spearman(one, two) == pytest.approx(0.8)
    assert spearman(one, one[::-1]) == pytest.approx(-1)
    assert np.isnan(spearman(one, np.full(5, 3.0)))


def counts(hits: list[int]) -> np.ndarray:
    """int64 [P, 1, 3]: one class, ten pixels labelled in each picture, so many of them hit."""
    return np.array([[[h, h, 10]] for h in hits])


def test_a_ranking_by_hand() -> None:
    order = {"a": ["color", "shape", "size"], "b": ["shape", "color", "size"]}
    scores = {
        name: {
            attribute: Draws(0.5 - place / 10, np.full(200, 0.5 - place / 10), 40)
            for place, attribute in enumerate(attributes)
        }
        for name, attributes in order.items()
    }
    scores["b"] = {attribute: scores["b"][attribute] for attribute in scores["a"]}
    same = {attribute: counts([9 - 3 * place] * 40) for place, attribute in enumerate(order["a"])}
    found = ranking("drawn", scores, {"a": same, "b": same}, None, seed=0)
    assert found.ranks.tolist() == [[1, 2], [2, 1], [3, 3]]
    by = {pair["pair"]: pair["rho"] for pair in found.pairs}
    assert by["a - b"] == pytest.approx(0.5)  # 1 - 6 * 2 / 24
    assert by["mean of all pairs"] == pytest.approx(0.5)
    assert by["a - itself, other half"] == pytest.approx(1)
    assert abs(by["random orders"]) <= 0.5
    chance = found.pairs[-1]
    assert (chance["low"], chance["high"]) == pytest.approx((-1, 1))  # of three, anything goes


def test_backbones_as_they_are_written() -> None:
    one = named("ViT-B-16:openai")
    assert (one.name, one.model, one.pretrained) == ("ViT-B-16:openai", "ViT-B-16", "openai")
    one = named("hf-hub:org/model")
    assert (one.model, one.pretrained) == ("hf-hub:org/model", None)
    one = named("own.json:runs/small.safetensors")
    assert (one.name, one.model) == ("small", "own.json")
    with pytest.raises(UsageError, match="names no model"):
        named(":openai")


@pytest.mark.usefixtures("plain_figures")
def test_two_backbones_compared(weights: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    other.write_bytes(weights.read_bytes())
    request = RecipeRequest(
        "backbones",
        variants=["name", "color", "shape", "size"],
        backbones=[f"{weights.with_suffix('.json')}:{path}" for path in (weights, other)],
        limit=4,
        samples=200,
        store=str(tmp_path / "store.sqlite"),
        out=tmp_path / "out",
        cache=False,
    )
    result = run_recipe(request, progress=False)
    (found,) = result.rankings
    assert found.backbones == ("small", "other")
    assert found.attributes == ("color", "shape", "size")
    assert (found.ranks[:, 0] == found.ranks[:, 1]).all()
    assert found.pairs[0]["rho"] == pytest.approx(1)
    kept = json.loads((tmp_path / "out/ranks.json").read_text())
    assert len(kept["ranks"]) == 6
    assert (tmp_path / "out/ranks.png").is_file()
    rows = [r for r in result.rows if r["variant"] == "color" and r["benchmark"] == "small"]
    assert rows[0]["change"] is not None and rows[0]["published"] is None


def test_all_texts_fit_the_smallest_budget(weights: Path, tmp_path: Path) -> None:
    config = json.loads(weights.with_suffix(".json").read_text())
    config["clip"]["text_cfg"]["context_length"] = 12
    (tmp_path / "short.json").write_text(json.dumps(config))
    request = RecipeRequest(
        "backbones",
        variants=["name", "context"],
        backbones=["lsmseg-tiny", f"{tmp_path / 'short.json'}:none.safetensors"],
    )
    plan = make_plan(read_recipe("backbones"), request)
    counted = [[count_tokens(text) for (text,) in one.texts] for one in plan.trials[1].prompts]
    assert counted[0] == counted[1]  # the same for both
    assert 8 < max(counted[0]) <= 12


def test_one_backbone_is_no_comparison(tmp_path: Path) -> None:
    request = RecipeRequest("backbones", backbones=["lsmseg-tiny"], out=tmp_path / "out")
    with pytest.raises(UsageError, match="compares at least two"):
        run_recipe(request, progress=False)
    with pytest.raises(UsageError, match="--model does not go with it"):
        run_recipe(RecipeRequest("backbones", model="ViT-B-16"), progress=False)


@pytest.mark.slow
@pytest.mark.usefixtures("plain_figures")
def test_small_backbones_are_trained_once(tmp_path: Path) -> None:
    from ablations.recipes.files import recipe_path

    recipe = json.loads(recipe_path("backbones").read_text())
    recipe["small"] |= {"limit": 4}
    for one in recipe["small"]["backbones"]:
        one["small"]["train"] = {"iterations": 2, "batch_size": 2}
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(recipe))
    request = RecipeRequest(
        str(path), variants=["name", "color", "shape", "size"], samples=200, cache=False,
        store=str(tmp_path / "store.sqlite"), out=tmp_path / "out",
    )  # fmt: skip
    first = run_recipe(request, progress=False)
    files = sorted((tmp_path / "out/backbones").glob("*/small.safetensors"))
    assert len(files) == 3
    written = [file.stat().st_mtime_ns for file in files]
    again = run_recipe(request, progress=False)
    assert [file.stat().st_mtime_ns for file in files] == written
    assert again.made == 0
    assert (first.rankings[0].ranks == again.rankings[0].ranks).all()
