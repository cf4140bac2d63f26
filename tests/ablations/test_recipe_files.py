"""Recipes as data: figures as published, wrong fields and values refused with the nearest right."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from ablations.recipes.cost import costs
from ablations.recipes.files import MEASURES, NUMBERS, available, read_recipe, recipe_path
from lsmseg_prompts.errors import ConfigurationError, UsageError

TABLES = Path(__file__).resolve().parents[3] / "shared" / "tables"
COLUMNS = {
    "A-847": "ade20k-847", "PC-459": "pc-459", "A-150": "ade20k-150", "PC-59": "pc-59",
    "VOC": "voc-20", "VOCb": "voc-21", "avg": "average", "latency_ms": "latency_ms",
    "learnable_params_M": "learnable_millions", "training_min": "training_minutes",
    "GFLOPs": "gflops",
}  # fmt: skip
FILES = {
    "table2": "table2_single_attribute", "table3": "table3_combinations", "table4": "table4_cfm_k",
    "table5": "table5_frm", "table6": "table6_fusion", "table7": "table7_efficiency",
    "table8": "table8_finetune", "thesis-5.7": "thesis_5.7_fusion_without_enriched_prompts",
    "thesis-5.9": "thesis_5.9_llms", "thesis-5.11": "thesis_5.11_training_sets",
}  # fmt: skip
OTHERS = [*(f"3.{n}" for n in range(1, 8)), *(f"4.{n}" for n in range(1, 9))]


def table(name: str) -> list[dict[str, str]]:
    path = TABLES / f"{name}.csv"
    if not path.is_file():
        pytest.skip(f"the published tables are not at {TABLES}")
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_recipes_are_those_promised() -> None:
    thesis = {f"thesis-{table}" for table in ("5.2", *OTHERS)}
    llmformer = {f"llmformer-{what}" for what in ("priors", "scales", "relations", "table")}
    assert set(available()) == {*FILES, *thesis, *llmformer, "backbones"}


@pytest.mark.parametrize("name", FILES)
def test_figures_are_the_published_ones(name: str) -> None:
    rows = table(FILES[name])
    wanted = [{COLUMNS[k]: float(v) for k, v in r.items() if k in COLUMNS and v} for r in rows]
    published = [dict(v.published) for v in read_recipe(name).variants if v.published]
    assert published == wanted


def test_figures_of_classes_are_the_published_ones() -> None:
    rows = table("thesis_5.2_vocb_seen_unseen")
    for variant in read_recipe("thesis-5.2").variants:
        own = dict(variant.published["voc-21"])
        means = {split: own.pop(split) for split in ("seen", "unseen")}
        mine = [r for r in rows if r["method"] == variant.name]
        assert own == {r["class"]: float(r["iou"]) for r in mine}
        for split, mean in means.items():  # as the thesis prints them, not always rounded
            parts = [float(r["iou"]) for r in mine if r["split"] == split]
            assert sum(parts) / len(parts) == pytest.approx(mean, abs=0.06)


@pytest.mark.parametrize("name", available())
def test_what_varies_varies_at_both_scales(name: str) -> None:
    recipe = read_recipe(name)
    for small in (True, False):
        running = [v for v in recipe.variants if v.run and not (small and isinstance(v.small, str))]
        assert len(running) >= 2
        assert recipe.variant(recipe.reference) in running
        settings = {repr(recipe.settings(v, small)) for v in running}
        # Table 5 prints one network twice.
        assert len(settings) == len(running) - (name == "table5" and not small)
    assert recipe.settings(running[0], True).data == ["ministuff"]


def test_settings_of_a_variant_join() -> None:
    recipe = read_recipe("table4")
    small = recipe.settings(recipe.variant("k = 64"), True)
    assert small.network == {"encoder": "none", "fusion": "none", "k": 16}
    full = recipe.settings(recipe.variant("k = 64"), False)
    assert full.network == {"k": 64} and full.train_data == "coco-stuff"
    assert set(NUMBERS) < set(MEASURES)


# -- a recipe of one's own ---------------------------------------------------------------


def mine(change: Any, name: str = "table3") -> Path:
    values = json.loads(recipe_path(name).read_text("utf-8"))
    change(values)
    path = Path("mine.json")
    path.write_text(json.dumps(values))
    return path


def test_a_copy_with_other_values() -> None:
    def change(r: dict[str, Any]) -> None:
        r["variants"][0]["attributes"] = ["colour", "Shape"]
        del r["notes"], r["name"]

    read = read_recipe(mine(change))
    assert read.name == "mine" and read.variants[0].settings.attributes == ["color", "shape"]


WRONG: dict[str, tuple[Any, type[Exception], str]] = {
    "field": (lambda r: r.update(variantz=[]), ConfigurationError, "mean variants?"),
    "lacks": (lambda r: r.pop("reference"), ConfigurationError, "lacks the field(s) reference"),
    "kind": (lambda r: r.update(kind="network"), ConfigurationError, "mean networks?"),
    "measure": (lambda r: r.update(measures=["mioU2"]), ConfigurationError, "choose miou"),
    "benchmark": (lambda r: r.update(benchmarks=["pc-95"]), UsageError, "pc-59"),
    "reference": (lambda r: r.update(reference="sise"), ConfigurationError, "mean size?"),
    "setting": (lambda r: r["small"].update(atributes=[]), ConfigurationError, "mean attributes?"),
    "type": (lambda r: r["small"].update(limit="3"), ConfigurationError, "a number of pictures"),
    "zero": (lambda r: r["small"].update(limit=0), ConfigurationError, "at least 1"),
    "attribute": (lambda r: r["variants"][1].update(attributes=["shap"]), UsageError, "shape"),
    "empty": (lambda r: r["variants"][1].update(attributes=[]), UsageError, "attribute"),
    "control": (lambda r: r["variants"][1].update(control="suffled"), ConfigurationError,
                "mean shuffled?"),
    "train data": (lambda r: r["full"].update(train_data="coco-stuf"), UsageError, "coco-stuff"),
    "published": (lambda r: r["variants"][0]["published"].update({"pc-60": 1}), ConfigurationError,
                  "mean pc-59?"),
    "figure": (lambda r: r["variants"][0]["published"].update(average="47"), ConfigurationError,
               "each a number"),
    "twice": (lambda r: r["variants"].append(r["variants"][0]), ConfigurationError, "two variants"),
    "not varied": (lambda r: r["variants"][1].update(model="ViT-B-16"), ConfigurationError,
                   "no field 'model'"),
    "variant": (lambda r: r["variants"].append({"run": True}), ConfigurationError, "with a name"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong_recipes_are_refused(case: str) -> None:
    change, error, says = WRONG[case]
    with pytest.raises(error) as caught:
        read_recipe(mine(change))
    assert says in str(caught.value)


def test_names_and_files_that_are_none() -> None:
    with pytest.raises(UsageError, match=r"did you mean table2"):
        read_recipe("tabel2")
    with pytest.raises(ConfigurationError, match=r"no file none\.json"):
        read_recipe("none.json")
    Path("broken.json").write_text("{")
    with pytest.raises(ConfigurationError, match="not valid JSON"):
        read_recipe("broken.json")
    Path("list.json").write_text("[]")
    with pytest.raises(ConfigurationError, match="must be an object"):
        read_recipe("list.json")


def test_costs_count_a_network_once_and_follow_the_rate() -> None:
    table5, thesis, total = costs(["table5", "thesis-5.9"])
    assert (table5["networks"], table5["new"]) == (7, 7)
    assert (thesis["networks"], thesis["new"]) == (3, 2)  # GPT-4's is table5's
    assert total["recipe"] == "total" and total["new"] == 9
    # Table 7: LSMSeg with and without a second encoder, 546 and 446 minutes.
    assert thesis["gpu_hours"] == pytest.approx(2 * 546 / 60)
    (one, _) = costs(["table6"], seconds_a_step=0.9, gpus=2)
    assert one["gpu_hours"] == pytest.approx(3 * 80_000 * 0.9 * 2 / 3600)
    # model describe lsmseg-b-no-sam: 152.3 million parameters, in 32 bits.
    assert costs(["table4"])[0]["gigabytes"] == pytest.approx(5 * 4 * 0.1543, rel=0.02)
    with pytest.raises(UsageError):
        costs(["table99"])
