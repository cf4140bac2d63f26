"""The recipes of CAA, ECAC and LLMFormer run, with their costs and controls."""

from __future__ import annotations

import json
from typing import Any

import pytest
import torch
from torch import nn

from ablations.recipes.cost import costs
from ablations.recipes.files import Recipe, available, read_recipe
from ablations.recipes.request import RecipeRequest
from ablations.recipes.trials import _head
from lsmseg_model.networks.build import build, read_network
from lsmseg_model.training.options import TrainOptions

OTHERS = [name for name in available() if name.startswith(("thesis-3", "thesis-4", "llmformer"))]


def head(recipe: Recipe, name: str) -> dict[str, float]:
    """What the variant's network has on its backbone."""
    plan: Any = type("Plan", (), {"recipe": recipe, "request": RecipeRequest(recipe.name)})
    return _head(plan, type("Trial", (), {"variant": recipe.variant(name)}))  # type: ignore[arg-type]


def test_what_stands_on_the_backbone_by_hand() -> None:
    """torchvision's FCN head is 3 x 3 from 2,048 to 512 channels, on 64 x 64 positions."""
    recipe = read_recipe("thesis-4.6")
    fcn, ecac = head(recipe, "FCN"), head(recipe, "FCN+ECAC")
    weights, classifier = 9 * 2048 * 512, 512 * 150
    assert fcn["head_millions"] == pytest.approx((weights + 2 * 512 + classifier + 150) / 1e6)
    assert fcn["head_gmacs"] == pytest.approx((weights + classifier) * 64 * 64 / 1e9)
    # The student's two layers, its calibration and the bank; not the teacher.
    more = 2 * 512 * 512 + 512 + 512 * 512 + 512 + 2 * 150 + 150 * 512
    assert ecac["head_millions"] - fcn["head_millions"] == pytest.approx(more / 1e6)


@pytest.mark.parametrize("name", ["thesis-3.2", "thesis-4.2", "thesis-4.5", "thesis-4.7"])
@pytest.mark.parametrize("small", [True, False])
def test_the_row_of_plain_layers_has_as_many_parameters(name: str, small: bool) -> None:
    recipe = read_recipe(name)
    sizes: dict[str, int] = {}
    for variant in reversed(recipe.variants):  # the whole add-on stands last
        addon = str(variant.settings.network.get("addon", "none"))
        if addon != "none" and addon not in sizes:
            settings = recipe.settings(variant, small)
            count = {"ministuff": 28, "pc-59": 59, "ade20k-150": 150}[str(settings.train_data)]
            read = read_network(str(settings.config), **settings.network)
            with torch.device("meta"):
                network: Any = build({**read, "classes": [str(n) for n in range(count)]})
            sizes[addon] = _size(network.addon)
    (addon,) = set(sizes) - {"plain"}
    assert sizes["plain"] == pytest.approx(sizes[addon], rel=0.02)


def _size(addon: nn.Module) -> int:
    """Parameters at inference, the memory bank with them."""
    bank = [b for name, b in addon.named_buffers() if name == "bank"]
    held = [p for name, p in addon.named_parameters() if not name.startswith("teacher.")]
    return sum(one.numel() for one in (*held, *bank))


def test_costs_follow_the_thesis_or_are_not_known() -> None:
    caa, llmformer, total = costs(["thesis-3.6", "llmformer-table"])
    # Table 3.6: minutes of 6,000 steps on two A40; plain layers count as CAA. 60,000 steps.
    minutes = 61 + 75 + 91 + 75 + 114
    assert caa["networks"] == 5
    assert caa["gpu_hours"] == pytest.approx(minutes / 60 * 2 * 10)
    assert llmformer["gpu_hours"] is None and total["gpu_hours"] == caa["gpu_hours"]
    (measured, _) = costs(["llmformer-table"], seconds_a_step=0.36)
    steps = 80_000 * measured["networks"]
    assert measured["gpu_hours"] == pytest.approx(steps * 0.36 / 3600)


def test_settings_fit_their_networks() -> None:
    for name in OTHERS:
        recipe = read_recipe(name)
        for variant in recipe.variants:
            for small in (True, False) if variant.run else ():
                settings = recipe.settings(variant, small)
                read_network(str(settings.config), **settings.network)
                TrainOptions.of(str(settings.config), **settings.train)


@pytest.mark.slow
@pytest.mark.parametrize("name", OTHERS)
def test_at_small_scale(name: str, call: Any, drawn_plainly: None) -> None:
    done = call("recipes", "run", name, "--limit", "2", "--iterations", "2", "--samples", "200",
                "--json")  # fmt: skip
    assert done.code == 0, done.err
    rows = json.loads(done.out)["rows"]
    recipe = read_recipe(name)
    for variant in recipe.variants:
        mine = [row for row in rows if row["variant"] == variant.name]
        measured = [row["metric"] for row in mine if row["measured"] is not None]
        assert bool(measured) == (variant.run and not isinstance(variant.small, str))
        if measured and "miou" in recipe.measures:
            assert "miou" in measured
