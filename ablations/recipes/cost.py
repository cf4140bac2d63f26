"""What the published tables cost at full scale: networks to train, GPU hours, disk; nothing runs.

Hours follow from seconds a step: those you measured on your GPUs (`loss.csv` of a training has
them), else the paper's (Table 7, an L40, 80,000 steps: CAT-Seg, and LSMSeg on ViT-L without a
second encoder and with SAM-L; smaller networks, which the table does not have, count as much).
Those of closed-set networks are of the thesis's Table 3.6, which is of two A40; of LLMFormer
nothing was published. Disk follows from parameters. A network that several tables need counts once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from ablations.recipes.files import Recipe, Variant, available, read_recipe

RATES = {"cat-seg": "CAT-Seg", "none": "LSMSeg without SAM", "encoder": "LSMSeg with SAM-L"}
"""The variant of Table 7 whose training minutes count for a network."""
OF_A_NETWORK = ("config", "network", "train", "train_data", "attributes", "composition", "llm",
                "captions")  # fmt: skip


def costs(
    names: Sequence[str] = (), seconds_a_step: float | None = None, gpus: int = 1
) -> list[dict[str, Any]]:
    """A row a recipe, of all that ship by default, and a total; hours are None where unknown.

    seconds_a_step: of one GPU, or of ``gpus`` that share each step. Raises UsageError for a recipe
    that there is not.
    """
    rows: list[dict[str, Any]] = []
    counted: set[str] = set()
    total = {"networks": 0, "new": 0, "gpu_hours": 0.0, "gigabytes": 0.0}
    for name in names or available():
        recipe = read_recipe(name)
        trains = recipe.kind == "networks" or recipe.retrained
        trained = {_key(recipe, v): v for v in recipe.variants if v.run and trains}
        fresh = {key: v for key, v in trained.items() if key not in counted}
        counted |= set(trained)
        hours = [_hours(recipe, v, seconds_a_step, gpus) for v in fresh.values()]
        row: dict[str, Any] = {
            "recipe": name,
            "networks": len(trained),
            "new": len(fresh),
            "gpu_hours": None if None in hours else sum(h for h in hours if h is not None),
            "gigabytes": sum(_bytes(recipe, v) for v in fresh.values()) / 1e9,
        }
        rows.append(row)
        for column in total:
            total[column] += row[column] or 0
    return [*rows, {"recipe": "total", **total}]


def _key(recipe: Recipe, variant: Variant) -> str:
    given = recipe.settings(variant, small=False).given
    return json.dumps({k: given[k] for k in OF_A_NETWORK if k in given}, sort_keys=True)


def _network(recipe: Recipe, variant: Variant) -> dict[str, Any]:
    from lsmseg_model.networks.build import read_network

    settings = recipe.settings(variant, small=False)
    return read_network(str(settings.config), **settings.network)


def _hours(
    recipe: Recipe, variant: Variant, seconds_a_step: float | None, gpus: int
) -> float | None:
    network = _network(recipe, variant)
    own = recipe.settings(variant, small=False).train
    steps = own.get("iterations") or network.get("train", {}).get("iterations") or recipe.iterations
    if seconds_a_step is not None:
        return float(steps * seconds_a_step * gpus / 3600)
    kind = network.get("kind", "lsmseg")
    if kind == "llmformer":
        return None
    if kind == "closed-set":
        host = "DeepLabV3" if "deeplabv3" in str(network["clip"]) else "FCN"
        addon = "" if network["network"].get("addon", "none") == "none" else "+CAA"
        table, name, gpus = read_recipe("thesis-3.6"), host + addon, 2
    else:
        plain = "encoder" if network["network"].get("encoder") not in (None, "none") else "none"
        name = RATES["cat-seg" if network["name"].startswith("cat-seg") else plain]
        table, steps, gpus = read_recipe("table7"), recipe.iterations, 1
    minutes: Any = table.variant(name).published["training_minutes"]
    return float(minutes / 60 * gpus * steps / table.iterations)


def _bytes(recipe: Recipe, variant: Variant) -> float:
    """Of the weights in 32 bits, without those a going-on needs: they go when a training ends."""
    read = _network(recipe, variant)
    # Without what changes no size: the losses, and all that LLMFormer's alternatives are named by.
    apart = (float, str) if read.get("kind") == "llmformer" else float
    sizes = {k: v for k, v in read["network"].items() if not isinstance(v, apart)}
    return 4.0 * _parameters(json.dumps({**read, "network": sizes, "train": {}}, sort_keys=True))


@cache
def _parameters(network: str) -> int:
    """How many a network of these settings, as JSON, has."""
    import torch

    from lsmseg_model.networks.build import build

    with torch.device("meta"):
        return sum(one.numel() for one in build(json.loads(network)).parameters())
