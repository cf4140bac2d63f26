"""Recipes run: rows beside published figures, going on where a run stopped, wrong requests."""

from __future__ import annotations

import copy
import csv
import io
import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.command_line import process, refused, struck
from support.mini_network import NETWORK, make_pictures

from ablations.recipes import results, tables
from ablations.recipes.files import Recipe, read_recipe
from ablations.recipes.plan import Place, Plan
from ablations.recipes.request import RecipeRequest
from ablations.recipes.run import run_recipe
from ablations.runs.directory import run_directory
from ablations.scoring.networks import NetworkScorer
from ablations.scoring.splits import BenchmarkSource
from ablations.scoring.training import TrainingJob
from lsmseg_prompts.store.store import open_store

# -- rows, from counts made by hand ------------------------------------------------------


class Pictures:
    """Two classes, labelled ten pixels each on either of two pictures."""

    split, vocabulary, owners, groups = "val", "camvid", None, None
    class_indices = (0, 1)
    seen: frozenset[int] | None = frozenset({0})

    def __init__(self, name: str) -> None:
        self.name = name

    def __len__(self) -> int:
        return 2


def counts(hits: int) -> np.ndarray:
    """IoU of both classes: hits of 10, nothing predicted wrongly elsewhere."""
    return np.array([[[hits, hits, 10], [hits, hits, 10]]] * 2)


def plan_of(recipe: Recipe, *names: str) -> Plan:
    from lsmseg_prompts.vocabularies import load_vocabulary

    vocabulary = load_vocabulary("camvid")
    source = BenchmarkSource("camvid", None, "camvid", len(vocabulary))
    places = tuple(Place(name, vocabulary, Pictures(name), source) for name in names)
    request = RecipeRequest(recipe.name, data=names)
    skipped = {"typical": "not asked for"}
    return Plan(recipe, request, "frozen", Path("o"), places, (), skipped)


def test_rows_by_hand() -> None:
    recipe = read_recipe("table3")
    plan = plan_of(recipe, "pc-59", "voc-20")
    found = {
        "size": {"pc-59": counts(5), "voc-20": counts(9)},
        "size+shape": {"pc-59": counts(6), "voc-20": counts(9)},
    }
    rows = results.result_rows(plan, results.scores_of(plan, found, 20, 0), {})
    by = {(r["variant"], r["benchmark"]): r for r in rows}
    size, both = by["size", "pc-59"], by["size+shape", "pc-59"]
    assert (size["measured"], size["published"], size["difference"]) == (50, 55.8, -5.8)
    assert (size["change"], size["published_change"]) == (None, None)
    assert (both["measured"], both["change"]) == pytest.approx((60, 10))
    assert [both[k] for k in ("low", "high", "change_low", "change_high")] == [None] * 4
    assert both["no_interval"] == "too few pictures (2, at least 20 are needed)"
    assert both["published_change"] == pytest.approx(55.3 - 55.8)
    # Average over these two benchmarks, measured and published.
    mean = by["size", "average"]
    assert (mean["measured"], mean["published"]) == (70, pytest.approx((55.8 + 94.3) / 2))
    # What did not run has its published figures, and the reason.
    typical = by["typical", "voc-20"]
    assert (typical["measured"], typical["published"]) == (None, 94.8)
    assert typical["status"] == "not asked for"


def test_the_whole_table_has_the_published_average() -> None:
    recipe = read_recipe("table3")
    plan = plan_of(recipe, *recipe.benchmarks)
    found = {"size": {name: counts(5) for name in recipe.benchmarks}}
    rows = results.result_rows(plan, results.scores_of(plan, found, 5, 0), {})
    assert [r["benchmark"] for r in rows if r["variant"] == "size"][-1] == "average"
    assert rows[6]["published"] == 47.4  # as printed; the parts' mean is 47.4 too
    # What nothing was published for stands beside nothing, MiniStuff beside the average.
    variant = recipe.variant("size")
    assert results.published(plan_of(recipe, "camvid"), variant, "camvid", "miou") is None
    plan = plan_of(recipe, "ministuff")
    assert results.published(plan, variant, "ministuff", "miou") == 47.4
    table5 = read_recipe("table5")  # prints no average
    variant = table5.variant("with SAM-L")
    beside = results.published(plan_of(table5, "ministuff"), variant, "ministuff", "miou")
    assert beside == pytest.approx((13.1 + 20.3 + 33.2 + 59.7 + 95.4 + 81.1) / 6, abs=0.005)


def test_rows_of_classes() -> None:
    recipe = read_recipe("thesis-5.2")
    plan = plan_of(recipe, "voc-21")
    # camvid's first two classes are none of VOC's: seen and unseen remain.
    rows = results.result_rows(
        plan, results.scores_of(plan, {"CAT-Seg": {"voc-21": counts(8)}}, 5, 0), {}
    )
    seen = [(r["metric"], r["measured"], r["published"]) for r in rows if r["variant"] == "CAT-Seg"]
    assert seen == [("seen", 80, 83.9), ("unseen", 80, 78.8)]
    # Without a label of an unseen class their IoU is undefined, not 0.
    none = counts(8)
    none[:, 1] = 0
    rows = results.result_rows(
        plan, results.scores_of(plan, {"CAT-Seg": {"voc-21": none}}, 5, 0), {}
    )
    assert [r["measured"] for r in rows[:2]] == [80, None]
    assert rows[1]["difference"] is None and rows[1]["published"] == 78.8


def test_numbers_stand_beside_theirs() -> None:
    recipe = read_recipe("table7")
    numbers = {
        "CAT-Seg": {"latency_ms": 500.0, "training_minutes": 0.5, "extrapolated_minutes": 800.0},
        "LSMSeg with SAM-L": {"latency_ms": 400.0},
    }
    plan = plan_of(recipe, "ministuff")
    rows = results.result_rows(plan, {}, numbers)
    by = {(r["variant"], r["metric"]): r for r in rows}
    latency = by["LSMSeg with SAM-L", "latency_ms"]
    assert (latency["change"], latency["published_change"]) == (-100, pytest.approx(-109.2))
    assert by["CAT-Seg", "training_minutes"]["measured"] == 0.5
    named = by["CAT-Seg", "training_minutes, extrapolated to 80,000 steps"]
    assert (named["measured"], named["published"]) == (800, 693.7)
    assert by["ZegFormer", "latency_ms"]["published"] == 2700
    assert ("OVSeg", "training_minutes") not in by  # neither measured nor published


def test_tables_as_text() -> None:
    rows = [
        {**dict.fromkeys(results.COLUMNS), "variant": "a_b", "metric": "miou",
         "benchmark": "x|y", "measured": 50.0, "low": 40.0, "high": 60.0, "published": 1234.5,
         "difference": -1184.5, "status": "measured"}
    ]  # fmt: skip
    sheet = tables.sheet_of(rows, "ref")
    assert sheet.columns == (
        "variant", "benchmark", "metric", "measured", "published", "difference"
    )  # fmt: skip
    assert sheet.lines[0].cells[3:] == ("50.0 [40.0, 60.0]", "1234", "-1184")
    assert r"x\|y" in tables.as_markdown(rows, "ref")
    assert r"a\_b & x|y & miou" in tables.formatted(rows, "ref", "latex", "t")
    text = tables.formatted(rows, "ref", "csv", "t")
    assert next(csv.DictReader(io.StringIO(text)))["low"] == "40.0"


# -- prompts -----------------------------------------------------------------------------


@pytest.mark.slow
def test_table2_at_small_scale(call) -> None:
    done = call("recipes", "run", "table2", "--limit", "4", "--samples", "200")
    assert done.code == 0, done.err
    assert "not comparable" in done.out and "published" in done.out
    folder = Path("runs/table2-small")
    rows = list(csv.DictReader((folder / "results.csv").open()))
    assert [r["variant"] for r in rows][:2] == ["baseline", "color"] and len(rows) == 10
    assert all(r["measured"] and r["published"] and r["difference"] for r in rows)
    assert rows[0]["published"] == "46.8" and rows[0]["benchmark"] == "ministuff"
    names = {p.name for p in folder.iterdir()}
    assert names == {"results.csv", "results.json", "results.md", "results.tex", "results.png",
                     "results.pdf"}  # fmt: skip
    assert json.loads((folder / "results.json").read_text())["small"]


@pytest.fixture
def camvid() -> list[str]:
    make_pictures(Path("data"))
    Path("data/groups.csv").write_text("picture,group\nx,street\ny,square\n")
    return ["--data", "camvid", "--data-root", "data", "--llm", "bundled", "--samples", "200"]


@pytest.mark.slow
def test_prompts_on_data_of_ones_own_and_again(camvid: list[str], weights: Path) -> None:
    request = RecipeRequest(
        "table3", data=["camvid"], data_root=["data"], llm="bundled", samples=200,
        pretrained=str(weights), model="lsmseg-tiny",
    )  # fmt: skip
    first = run_recipe(request, progress=False)
    assert (first.made, first.reused) == (6, 0) and not first.small
    assert first.directory == Path("runs/table3")
    assert {r["benchmark"] for r in first.rows} == {"camvid"}
    assert [r["published"] for r in first.rows] == [None] * 6  # nothing was published for it
    with open_store(request.store_path) as store:
        store.execute("DELETE FROM counts WHERE rowid = (SELECT max(rowid) FROM counts)")
    again = run_recipe(request, progress=False)
    assert (again.made, again.reused) == (1, 5)
    assert again.rows == first.rows
    from lsmseg_prompts.store.sqlite import working_store_path
    from lsmseg_prompts.store.store import open_store_readonly

    with open_store_readonly(working_store_path(None)) as file:
        entered = file.evaluations("table3")
    assert [e["prompt_set"] for e in entered] == [r["variant"] for r in first.rows]  # once
    other = run_recipe(replace(request, limit=1, variants=["size", "typical"]), progress=False)
    assert (other.made, other.reused) == (2, 0)  # of other pictures


# -- networks ----------------------------------------------------------------------------


@pytest.fixture
def networks(camvid: list[str], drawn_plainly: None) -> list[str]:
    settings = copy.deepcopy(NETWORK)
    settings["train"]["clip"] = "freeze"
    Path("small.json").write_text(json.dumps(settings))
    return [
        *camvid, "--config", "small.json", "--train-data", "camvid", "--train-root", "data",
        "--pretrained", "random", "--iterations", "2", "--batch-size", "2", "--workers", "0",
        "--precision", "fp32",
    ]  # fmt: skip


def test_networks_trained_and_kept(networks: list[str], call) -> None:
    arguments = [
        "recipes",
        "run",
        "table4",
        *networks,
        "--variant",
        "k = 16",
        "--variant",
        "k = 32",
    ]
    done = call(*arguments, "--json")
    assert done.code == 0, done.err
    said = json.loads(done.out)
    rows = {(r["variant"], r["metric"]): r for r in said["rows"]}
    assert rows["k = 16", "miou"]["measured"] is not None
    assert rows["k = 16", "latency_ms"]["published"] == 339.5
    assert rows["k = 96", "miou"]["status"] == "not asked for"
    folders = sorted(Path("runs/table4/networks").iterdir())
    assert len(folders) == 2 and all((f / "small.safetensors").is_file() for f in folders)
    assert not list(Path("runs/table4").rglob("last.pt"))
    times = {p: p.stat().st_mtime_ns for p in Path("runs/table4/networks").rglob("*.safetensors")}
    again = call(*arguments, "--format", "csv")
    assert again.code == 0 and again.out.startswith("variant,benchmark")
    assert times == {p: p.stat().st_mtime_ns for p in times}  # nothing was trained again


def test_what_is_kept_is_measured_once(networks: list[str], monkeypatch) -> None:
    """Trainings, counts and latencies; what earlier versions left in the folder is no harm."""
    request = RecipeRequest(
        "table4", variants=["k = 16"], data=["camvid"], data_root=["data"], llm="bundled",
        samples=200, config="small.json", train_data=["camvid"], train_root=["data"],
        pretrained="random", iterations=1, batch_size=2, workers=0, precision="fp32",
    )  # fmt: skip
    for name in ("variants/k-16/camvid.npz", "variants/k-16/latency.json",
                 "networks/0123456789abcdef/finished.json"):  # fmt: skip
        Path("runs/table4", name).parent.mkdir(parents=True, exist_ok=True)
        Path("runs/table4", name).write_text("{")
    first = run_recipe(request, progress=False)
    assert (first.made, first.reused) == (1, 0)
    with monkeypatch.context() as patch:
        patch.setattr(TrainingJob, "train", lambda *_: pytest.fail("trained again"))
        patch.setattr(NetworkScorer, "count_with", lambda *_: pytest.fail("counted again"))
        again = run_recipe(request, progress=False)
    assert (again.made, again.reused) == (0, 1)
    assert again.rows == first.rows
    (latency,) = Path("runs/table4/networks").glob("*/latency-*.json")
    latency.write_text('{"latency_ms": 12')  # half a file: measured again
    run_recipe(request, progress=False)
    assert json.loads(latency.read_text())["latency_ms"] > 0


def test_one_network_for_rows_that_are_the_same(networks: list[str], call) -> None:
    chosen = ["--variant", "with FRM", "--variant", "with SAM-L"]
    values = json.loads(call("recipes", "show", "table5").out)
    values["full"]["network"]["encoder"] = "sam-tiny"
    for variant in values["variants"]:
        if variant["name"] == "with SAM-L":
            variant["network"] = {"encoder": "sam-tiny"}
    Path("mine.json").write_text(json.dumps(values))
    done = call("recipes", "run", "mine.json", *networks, *chosen, "--out", "o", "--json")
    assert done.code == 0, done.err
    assert "1 networks to train" in done.err and len(list(Path("o/networks").iterdir())) == 1
    measured = [r["measured"] for r in json.loads(done.out)["rows"] if r["status"] == "measured"]
    assert len(measured) == 2 and measured[0] == measured[1]


def test_prompts_of_a_trained_network_and_networks_of_prompts(networks: list[str], call) -> None:
    chosen = ["--variant", "size", "--variant", "typical"]
    train = ["recipes", "run", "table3", *networks, *chosen]
    values = json.loads(call("recipes", "show", "table3").out)
    values["full"]["network"] = {"encoder": "none", "fusion": "none", "refinement": "none"}
    Path("mine.json").write_text(json.dumps(values))
    train[2] = "mine.json"
    done = call(*train, "--scorer", "retrain", "--json", "--out", "o")
    assert done.code == 0, done.err
    folders = list(Path("o/networks").iterdir())
    assert len(folders) == 2  # other texts, other networks
    (weights,) = folders[0].glob("small.safetensors")
    again = call("recipes", "run", "table3", *networks[:8], *chosen, "--scorer", "trained",
                 "--checkpoint", str(weights), "--json")  # fmt: skip
    assert again.code == 0, again.err
    measured = [r["measured"] for r in json.loads(again.out)["rows"] if r["status"] == "measured"]
    assert len(measured) == 2 and all(m is not None for m in measured)

    from lsmseg_prompts.store.sqlite import working_store_path
    from lsmseg_prompts.store.store import open_store_readonly

    with open_store_readonly(working_store_path(None)) as file:
        rows = [(r["run"], r["stage"], r["prompt_set"]) for r in file.evaluations()]
    assert rows == [("o", "recipe table3", "size"), ("o", "recipe table3", "typical"),
                    ("table3", "recipe table3", "size"),
                    ("table3", "recipe table3", "typical")]  # fmt: skip


@pytest.mark.slow
@pytest.mark.process
def test_killed_and_gone_on_with(networks: list[str]) -> None:
    chosen = ["--variant", "k = 16", "--variant", "k = 32", "--iterations", "3", "--json"]
    arguments = ["recipes", "run", "table4", *networks, *chosen]
    whole = process(*arguments, "--out", "whole")
    assert whole.code == 0, whole.err
    # Five steps on: in the middle of the second network's training.
    step = "lsmseg_model.train:NetworkRun.learn"
    assert struck(step, 5, "SIGKILL", *arguments, "--out", "o").code == -signal.SIGKILL
    kept = {p: p.stat().st_mtime_ns for p in Path("o").rglob("small.safetensors")}
    assert len(kept) == 1
    done = process(*arguments, "--out", "o")
    assert done.code == 0, done.err
    assert kept == {p: p.stat().st_mtime_ns for p in kept}

    def scores(said: str) -> list[Any]:
        return [r for r in json.loads(said)["rows"] if r["metric"] == "miou"]

    assert scores(done.out) == scores(whole.out)


# -- wrong requests: a sentence, the exit code, nothing done -----------------------------


def test_wrong_requests_of_prompts(camvid: list[str], weights: Path, call) -> None:
    own = ["--pretrained", str(weights), "--model", "lsmseg-tiny"]
    for more, code, says in (
        (["tabel3"], 2, "did you mean table3"),
        (["table3", "--variant", "siz"], 2, "did you mean size"),
        (["table3", "--iterations", "3"], 2, "trains no network"),
        (["table3", *camvid[:2]], 2, "0 folders are given with --data-root"),
        (["table3", "--data", "camvit"], 2, "camvid"),
        (["table3", *camvid, *own, "--model", "lsmseg-tinny"], 2, "lsmseg-tinny"),
        (["table3", *camvid, "--pretrained", "none.pt"], 4, "no weights"),
        (["table3", *camvid, *own, "--dense", "sclipp"], 2, "sclip"),
        (["table3", *camvid, *own, "--scorer", "trained"], 2, "--checkpoint"),
        (["table3", *camvid[:4], *own], 4, "generate --llm gpt-4 --vocab camvid"),
        (["table3", *camvid, *own, "--llm", "gtp"], 2, "no LLM"),
        (["table3", "--out", "/dev/null/x"], 4, "Cannot write"),
    ):
        refused(call("recipes", "run", *more), code, says)
    assert not Path("runs").exists()


def test_wrong_requests_of_networks(networks: list[str], call) -> None:
    for more, code, says in (
        (["table4", "--checkpoint", "x"], 2, "trains networks"),
        (["table4", "--scorer", "frozen"], 2, "leave --scorer out"),
        (["table4", *networks[:6]], 2, "(coco-stuff)"),
        (["table4", *networks, "--config", "lsmseg-bb"], 2, "did you mean lsmseg-b"),
        (["table4", *networks, "--pretrained", "none.pt"], 4, "of small at none.pt: give"),
        (["table5", *networks], 4, "--encoder sam-l, which fetches them"),
        (["table5", *networks, "--encoder", "small.json"], 2, "several encoders"),
        (["table5", *networks, "--encoder", "sam-bb=small.json"], 2, "did you mean sam-b"),
        (["table5", *networks, "--encoder", "sam-l=none"], 4, "no file none"),
        (["thesis-5.11", *networks, "--train-data", "pc-59", "--train-root", "data"], 2,
         "--train-data coco-stuff"),
        (["thesis-5.9", "--variant", "GPT-4"], 2, "no descriptions by gpt-4"),
    ):  # fmt: skip
        refused(call("recipes", "run", *more), code, says)
    Path("mine.json").write_text(
        json.dumps(_changed(call("recipes", "show", "table4").out, {"kk": 3}))
    )
    refused(call("recipes", "run", "mine.json", *networks), 4, "k = 16: ")
    network = {"encoder": "dinov2-tiny", "encoder_size": 100}
    Path("mine.json").write_text(
        json.dumps(_changed(call("recipes", "show", "table4").out, network))
    )
    own = ["--encoder", "dinov2-tiny=random"]
    refused(call("recipes", "run", "mine.json", *networks, *own), 4, "multiples of 14")
    assert not Path("runs").exists()


def test_settings_that_are_not_given(call) -> None:
    values = json.loads(call("recipes", "show", "table4").out)
    del values["small"]["attributes"], values["small"]["llm"]
    Path("mine.json").write_text(json.dumps(values))
    refused(call("recipes", "run", "mine.json"), 4, "nor small says attributes and llm")
    assert not Path("runs").exists()


def test_two_runs_in_one_folder(call) -> None:
    with run_directory("o", command="recipes run"):
        refused(call("recipes", "run", "table3", "--out", "o"), 4, "Another run is writing into o")
    with run_directory("o"):  # free again
        pass


def _changed(recipe: str, network: dict[str, Any]) -> dict[str, Any]:
    values = json.loads(recipe)
    values["variants"][0]["network"] = network
    return values


def test_list_and_show(call) -> None:
    listed = json.loads(call("recipes", "list", "--json").out)
    assert {r["name"] for r in listed} >= {"table2", "table8", "thesis-5.11"}
    shown = call("recipes", "show", "table4", "-o", "t.json")
    assert shown.out == "t.json\n"
    assert json.loads(Path("t.json").read_text())["reference"] == "k = 32"
    refused(call("recipes", "show", "tabel4"), 2, "did you mean table4")
