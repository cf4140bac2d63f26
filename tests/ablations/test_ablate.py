"""A run from the first stage to the last: what it leaves, what it checks, what it never does."""

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from support.ablation_runs import CLASSES, FILES, options

from ablations.report.tables import print_result
from ablations.runs.ablate import ablate, run
from ablations.runs.compare_prompts import compare_prompts
from ablations.runs.leaderboard import leaderboard
from ablations.runs.request import AblationRequest
from ablations.runs.result import RunResult
from ablations.scoring.loaded import scorer_of
from ablations.scoring.splits import BenchmarkSource
from lsmseg_model.errors import CheckpointError, DataError
from lsmseg_model.errors import UsageError as ModelUsageError
from lsmseg_model.segmenter import Segmenter
from lsmseg_prompts import prompt_set
from lsmseg_prompts.errors import ConfigurationError, StoreError, UsageError
from lsmseg_prompts.export.native import load_native
from lsmseg_prompts.store.store import open_store_readonly


@pytest.fixture(scope="module")
def finished(world: Path, tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    top = tmp_path_factory.mktemp("finished")
    return run(
        AblationRequest(**options(world, out=top / "run", store=str(top / "store.sqlite"))),
        progress=False,
    )


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_folder_holds_every_file_and_no_other(finished: RunResult) -> None:
    assert {p.name for p in finished.directory.iterdir()} == FILES == set(finished.files)
    for path in finished.directory.glob("*.png"):
        with Image.open(path) as picture:
            assert min(picture.size) > 150, path


def test_tables_hold_both_splits_and_the_path(finished: RunResult) -> None:
    single = read_csv(finished.directory / "single.csv")
    assert {row["split"] for row in single} == {"selection", "report"}
    best = finished.best["best_single"]
    assert {row["prompts"] for row in single} == {
        *("name", "color", "shape", "size", "typical"),
        *("cat-seg", "imagenet", f"random({best})", f"shuffled({best})"),
    }
    assert len(single) == len(finished.single) == 18
    for row, same in zip(single, finished.single, strict=True):
        assert float(row["miou"]) == pytest.approx(same["miou"], abs=1e-6)
        assert float(row["miou_low"]) <= float(row["miou"]) + 1e-6
    shown = {row["prompts"] for row in finished.single if row["open_iou"] is not None}
    assert shown == {"name", finished.best["prompts"]} & {row["prompts"] for row in single}
    path = read_csv(finished.directory / "combinations.csv")
    # No two of the four classes are alike, so Open IoU is mIoU over labels and predictions.
    assert path[0]["open_iou"] == path[0]["miou_union"] != ""
    assert {row["prompts"] for row in path if row["open_iou"]} == {"name", finished.best["prompts"]}
    page = (finished.directory / "report.html").read_text(encoding="utf-8")
    assert page.count("(Open IoU)") == 1
    assert path[0]["prompts"] == "name" and path[1]["step"] == "0"
    assert {row["split"] for row in path} == {"report"}
    candidates = read_csv(finished.directory / "candidates.csv")
    assert len(candidates) == finished.best["tried"]


def test_best_prompts_can_be_read_back_with_scores_and_origin(finished: RunResult) -> None:
    path = finished.directory / "best_prompts.json"
    prompts = load_native(path)
    assert prompts.name == finished.best["prompts"] and prompts.class_names == CLASSES
    raw = json.loads(path.read_text())
    score = raw["scores"]["report"]["all"]
    assert score["low"] <= score["value"] <= score["high"]
    assert raw["provenance"]["model"]["name"] == "atom"
    assert raw["provenance"]["benchmarks"][0]["report"]["pictures"] == 20
    assert "not GPT-4" in raw["provenance"]["llm"]["provenance"]


def test_scores_are_in_the_store(finished: RunResult) -> None:
    with open_store_readonly(finished.directory.parent / "store.sqlite") as store:
        rows = store.evaluations("run")
        cells = store.descriptions("four")
    assert len(cells) == 4 * 4  # three attributes and typical
    keys = [(r["prompt_set"], r["split"], r["subset"]) for r in rows]
    assert len(keys) == len(set(keys))
    report = next(row for row in finished.single if row["split"] == "report")
    stored = next(r for r in rows if r["prompt_set"] == "name" and "report" in r["split"])
    assert stored["miou"] == pytest.approx(report["miou"])
    assert (stored["pictures"], stored["model"], stored["llm"]) == (20, "atom", "bundled")


def test_record_says_how_the_pictures_were_split(finished: RunResult) -> None:
    record = json.loads((finished.directory / "run.json").read_text())
    (benchmark,) = record["benchmarks"]
    half = {"split": "val: selection half (seed 0)", "pictures": 20, "groups": None}
    assert benchmark["selection"] == half and benchmark["shared_groups"] == []
    assert benchmark["report"]["split"] == "val: report half (seed 0)"
    assert record["best"] == finished.best
    assert len(record["prompts"][0]["classes"]) == 4


def test_two_sets_compared_have_the_numbers_of_the_record(
    world: Path, finished: RunResult, tmp_path: Path
) -> None:
    """With a model that is loaded already, one picture at a time."""
    turns: list[str] = []

    class Turn:
        def __enter__(self) -> None:
            turns.append("in")

        def __exit__(self, *_: object) -> None:
            turns.append("out")

    given = options(world)
    part = BenchmarkSource(given["data"][0], None, "four", 4).splits()["report"]
    model = Segmenter(given["model"], given["pretrained"])
    scorer = scorer_of(model, part, cache=tmp_path / "cache", turn=Turn())
    best = load_native(finished.directory / "best_prompts.json")
    name = prompt_set(str(world / "four.txt"), ["name"])
    compared = compare_prompts(name, best, scorer, samples=200)
    record = json.loads((finished.directory / "run.json").read_text())
    of_run = {row["name"]: row for row in record["per_class"]}
    assert len(compared.classes) == len(of_run) == 4
    for row in compared.classes:
        same = of_run[row["name"]]
        assert (row["first"], row["second"]) == (same["baseline"], same["best"])
        for key in ("difference", "difference_low", "difference_high", "no_interval", "labelled"):
            assert row[key] == same[key], key
    (chosen,) = [r for r in record["combinations"] if r["prompts"] == best.name and r["chosen"]]
    mean = compared.means["miou"]
    assert mean["second"] == chosen["miou"] and mean["second_low"] == chosen["miou_low"]
    for end in ("", "_low", "_high"):
        assert mean[f"difference{end}"] == chosen[f"difference{end}"]
    assert (compared.pictures, compared.groups) == (20, None)
    assert turns == ["in", "out"] * 20
    again = scorer_of(model, part, cache=tmp_path / "cache", turn=Turn())
    assert (again.score([name]) == scorer.score([name])).all() and again.key == scorer.key
    assert len(turns) == 40  # features are read from their files


def test_the_same_call_gives_the_same_tables(
    world: Path, finished: RunResult, drawn_plainly: None
) -> None:
    again = ablate(
        AblationRequest(**options(world, out="again", store="again.sqlite")), progress=False
    )
    for name in ("single.csv", "combinations.csv", "candidates.csv"):
        assert (again.directory / name).read_bytes() == (finished.directory / name).read_bytes()


def test_terminal_shows_both_tables_and_the_place(
    finished: RunResult, capsys: pytest.CaptureFixture[str]
) -> None:
    print_result(finished)
    shown = capsys.readouterr().out
    assert "Table 2" in shown and "Table 3" in shown and str(finished.directory) in shown
    assert f"shuffled({finished.best['prompts']})" in shown
    lines = shown.splitlines()
    assert lines[-1] == f"Report: {finished.directory / 'report.html'}"
    assert [line for line in lines if len(line) > 80 and str(finished.directory) not in line] == []
    assert "best_prompts.json" not in shown and "-v shows all" in shown
    print_result(finished, verbose=True)
    assert "best_prompts.json" in capsys.readouterr().out


def test_stages_are_told_on_stderr_only(
    world: Path, drawn_plainly: None, capsys: pytest.CaptureFixture[str]
) -> None:
    run(
        AblationRequest(**options(world, attributes=["color"], out="told", samples=200)),
        progress=True,
    )
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[0] == "Results go to told/report.html"
    for stage in range(1, 5):
        assert f"Stage {stage}" in err


def test_default_folder_is_new_and_below_runs(world: Path, drawn_plainly: None) -> None:
    one = ablate(
        AblationRequest(**options(world, attributes=["color"], samples=200)), progress=False
    )
    two = ablate(
        AblationRequest(**options(world, attributes=["color"], samples=200, again=True)),
        progress=False,
    )
    assert one.directory.parent == two.directory.parent == Path("runs")
    assert one.directory != two.directory
    assert Path("runs/attribute_store.sqlite").exists()


def test_several_benchmarks_are_averaged(world: Path, drawn_plainly: None) -> None:
    folder = str(world / "pictures")
    result = ablate(
        AblationRequest(**options(world, data=[folder, folder], attributes=["color"], out="two")),
        progress=False,
    )
    names = list(dict.fromkeys(row["benchmark"] for row in result.single))
    assert names == ["pictures", "pictures#2", "average"]
    assert (result.directory / "per_class-2.png").exists()
    assert (result.directory / "report.html").exists()


def test_ministuff_reports_seen_and_unseen(world: Path, drawn_plainly: None) -> None:
    """Descriptions of 171 classes, of which only the benchmark's are scored."""
    given = options(world, data=["ministuff"], vocab=None, attributes=["color"], limit=3, out="m")
    result = ablate(AblationRequest(**given), progress=False)
    row = next(r for r in result.single if r["split"] == "report" and r["prompts"] == "color")
    assert {"seen", "unseen_low", "unseen_difference_high"} <= row.keys()
    assert len(load_native(result.directory / "best_prompts.json").texts) == 171
    assert "unseen" in result.best["scores"]["report"]


@pytest.mark.parametrize(
    ("change", "error", "says"),
    [
        ({"rule": "luck"}, UsageError, "interval or paper"),
        ({"composition": "poem"}, UsageError, "choose concat, ensemble"),
        ({"samples": 199}, UsageError, "samples must be at least 200, not 199"),
        ({"data": []}, UsageError, "No data is named"),
        ({"samples": 100_001}, UsageError, "samples must be at most 100000, not 100001"),
        ({"attributes": ["colr"]}, UsageError, "color"),
        ({"attributes": ["color", "colour"]}, UsageError, "color is named twice"),
        ({"device": "meta"}, ModelUsageError, "The device 'meta' cannot be used"),
        ({"cache": "atom.txt"}, DataError, "atom.txt is a file, not a folder"),
        ({"picture": ["none"]}, UsageError, "No picture to report on is called none"),
        ({"vocab": None}, UsageError, "--vocab"),
        ({"vocab": "coco-stufff"}, UsageError, "coco-stuff"),
        ({"data_root": ["a", "b"]}, UsageError, "same order"),
        ({"data": ["nowhere"]}, UsageError, "no benchmark"),
        ({"data": ["nowhere"], "data_root": ["x"]}, UsageError, "no benchmark"),
        ({"data": ["ministuff"]}, UsageError, "MiniStuff"),
        ({"limit": 1}, UsageError, "at least 2"),
        ({"pretrained": "none.pt"}, CheckpointError, "none.pt"),
        ({"dense": "sclop"}, ModelUsageError, "no dense variant 'sclop'"),
        (
            {"dense": "sam-proxy", "sam": "none.pth"},
            CheckpointError,
            "sam-b at none.pth",
        ),
        ({"llm": "gpt-4"}, ConfigurationError, "generate --llm gpt-4 --vocab FILE"),
        ({"store": "atom.txt"}, StoreError, "atom.txt"),
    ],
)
def test_bad_calls_are_one_sentence_and_leave_no_results(
    world: Path,
    change: dict[str, Any],
    error: type[Exception],
    says: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    Path("atom.txt").write_text("no database, only words, but enough of them")
    with pytest.raises(error, match=says):
        ablate(AblationRequest(**options(world, out="out", **change)))
    assert not Path("out").exists() and capsys.readouterr().err == ""


def test_a_class_that_nobody_described_is_named(world: Path) -> None:
    Path("odd.txt").write_text("zebra\ngrass\nstop sign\nflux capacitor\n")
    with pytest.raises(ConfigurationError, match="flux capacitor"):
        ablate(AblationRequest(**options(world, vocab="odd.txt")), progress=False)


def test_a_label_outside_the_vocabulary_is_an_error(world: Path) -> None:
    Path("three.txt").write_text("zebra\ngrass\nsky\n")
    with pytest.raises(DataError, match="outside the vocabulary"):
        ablate(AblationRequest(**options(world, vocab="three.txt", out="out")), progress=False)
    assert not Path("out").exists()


def test_an_unwritable_place_is_found_out_first(
    world: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "lsmseg_model.networks.backbones.load.load_backbone", lambda *a: pytest.fail("too late")
    )
    Path("file").write_text("")
    with pytest.raises(DataError, match="Cannot write into file/run: file is a file, not a folder"):
        ablate(AblationRequest(**options(world, out=Path("file") / "run")), progress=False)


@pytest.fixture
def scenes(world: Path) -> Path:
    """The pictures again: in `val` two of each scene, in `train` some of a scene of each kind."""
    folder = world / "scenes"
    if not folder.exists():
        shutil.copytree(world / "pictures", folder)
        for kind in ("images", "annotations"):
            (folder / kind / "train").mkdir()
            for number in range(25):
                shutil.copy(folder / kind / f"val/p{number}.png", folder / kind / "train")
        lines = [f"val/p{number},scene {number // 2}" for number in range(40)]
        lines += [f"train/p{number},scene {19 + number}" for number in range(25)]
        (folder / "groups.csv").write_text("\n".join(["picture,group", *lines, ""]))
    return folder


def test_halves_and_intervals_are_of_whole_groups(
    world: Path, scenes: Path, drawn_plainly: None, capsys: pytest.CaptureFixture[str]
) -> None:
    few = options(world, data=str(scenes), attributes=["color"], out="g", store="g.sqlite")
    result = ablate(AblationRequest(**few), progress=False)
    record = json.loads((result.directory / "run.json").read_text())
    (benchmark,) = record["benchmarks"]
    for split in ("selection", "report"):
        name = f"val: {split} half by group (seed 0)"
        assert benchmark[split] == {"split": name, "pictures": 20, "groups": 10}
    few_groups = "too few pictures that are independent (10 groups, at least 20 are needed)"
    assert few_groups in result.best["summary"] and few_groups in record["search_note"]
    row = next(r for r in result.single if r["split"] == "report")
    assert (row["pictures"], row["groups"], row["no_interval"]) == (20, 10, few_groups)
    assert row["miou_low"] is None
    provenance = json.loads((result.directory / "best_prompts.json").read_text())["provenance"]
    assert provenance["benchmarks"] == record["benchmarks"]
    print_result(result)
    shown = " ".join(capsys.readouterr().out.split())
    assert "on the report split (20 pictures in 10 groups)" in shown
    page = (result.directory / "report.html").read_text()
    assert "reported on 20 pictures in 10 groups" in page and "of whole groups where" in page
    (board, *_) = leaderboard(store="g.sqlite")
    assert board["no_interval"] == few_groups
    assert board["split"] == "val: report half by group (seed 0)"


def test_chosen_on_one_split_and_reported_on_another(
    world: Path, scenes: Path, drawn_plainly: None
) -> None:
    few = options(world, data=str(scenes), attributes=["color"], out="t", store="t.sqlite")
    result = ablate(AblationRequest(**few, split="val,train"), progress=False)
    record = json.loads((result.directory / "run.json").read_text())
    (benchmark,) = record["benchmarks"]
    assert benchmark["selection"] == {"split": "val: selection", "pictures": 40, "groups": 20}
    assert benchmark["report"] == {"split": "train: report", "pictures": 25, "groups": 25}
    assert benchmark["shared_groups"] == ["scene 19"]
    assert record["settings"]["split"] == ["val,train"]
    says = "split of scenes both have pictures of scene 19: the report is not independent of the"
    assert says in record["summary"]
    row = next(r for r in result.single if r["split"] == "report")
    assert row["no_interval"] is None and row["miou_low"] < row["miou_high"]
    step = next(s["command"] for s in record["commands"] if " ablate " in s["command"])
    assert "--split val,train" in step
    assert leaderboard(store="t.sqlite")[0]["split"] == "train: report"
    with pytest.raises(ModelUsageError, match="no split 'test' of scenes; it has train, val"):
        ablate(AblationRequest(**few | {"out": "no"}, split="val,test"), progress=False)
    assert not Path("no").exists()


def test_named_pictures_are_shown_in_their_order(world: Path, finished: RunResult) -> None:
    halves = {split: [] for split in ("selection", "report")}  # type: ignore[var-annotated]
    source = BenchmarkSource(str(world / "pictures"), None, "four", 4)
    for split, part in source.splits().items():
        halves[split] = [part.key(picture) for picture in range(len(part))]
    few = options(world, attributes=["color"], samples=200, out="o", store="s.sqlite")
    result = ablate(
        AblationRequest(**few, picture=[halves["report"][3], halves["report"][1]]), progress=False
    )
    record = json.loads((result.directory / "run.json").read_text())
    captions = [f["caption"] for f in record["figures"] if f["section"] == "pictures"]
    assert len(captions) == 2 and all("named with --picture" in c for c in captions)
    step = next(s["command"] for s in record["commands"] if " ablate " in s["command"])
    assert step.count("--picture") == 2
    sizes = []
    for directory in (result.directory, finished.directory):
        with Image.open(directory / "segmentations.png") as picture:
            sizes.append(picture.height)
    assert sizes[0] < sizes[1]  # two rows, four rows
    with pytest.raises(UsageError, match="--picture"):
        ablate(
            AblationRequest(**few | {"out": "p"}, picture=[halves["selection"][0]]), progress=False
        )
    assert not Path("p").exists()
