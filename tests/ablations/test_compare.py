"""Several LLMs compared: the numbers, the folders, what is checked first, the page."""

import csv
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.ablation_fakes import DESCRIPTIONS, VOCABULARY, FakeBenchmark, FakeScorer, by_table
from support.ablation_runs import FILES, options, plain_figures
from support.report_pages import Reader

import cli
from ablations.report.comparison import comparison_rows, comparison_summary, verdict
from ablations.report.html import report
from ablations.report.plots import llm_plot, short
from ablations.report.tables import llm_sheets, print_comparison
from ablations.runs.ablate import ablate
from ablations.runs.compare import compare, safe_names
from ablations.runs.request import AblationRequest
from ablations.runs.result import Comparison
from ablations.search.scoreboard import Bench, Candidate, Scoreboard
from lsmseg_model.networks.backbones.load import WEIGHTS
from lsmseg_prompts.descriptions.loading import load
from lsmseg_prompts.errors import ConfigurationError, UsageError
from lsmseg_prompts.prompts.controls import shuffle
from lsmseg_prompts.prompts.prompt_set import PromptSet
from lsmseg_prompts.store.descriptions import Description
from lsmseg_prompts.store.store import open_store, open_store_readonly
from lsmseg_prompts.tokens import count_tokens
from lsmseg_prompts.vocabularies import Vocabulary, load_vocabulary

EVIL = "openai/<script>alert('x')</script> & co"
TOP = {"llms.csv", "llms.png", "llms.pdf", "run.json", "report.html"}
COLOR, SHAPE = Candidate(("color",)), Candidate(("shape",))


# -- the numbers, by hand ----------------------------------------------------------------


class Exact:
    """Of 100 labelled pixels of the only class, so many are hit in each picture, none beside."""

    def __init__(self, benchmark: FakeBenchmark, hits: Mapping[tuple[str, str], list[int]]) -> None:
        self.benchmark, self.hits = benchmark, hits

    def score(self, prompt_sets: Sequence[PromptSet], progress: Any = None) -> np.ndarray:
        return np.array(
            [[[[hit, hit, 100]] for hit in self.hits[p.llm, p.name]] for p in prompt_sets]
        )


def toy(hits: Mapping[tuple[str, str], list[int]], *llms: str) -> dict[str, Scoreboard]:
    """A board for each LLM over the same two pictures."""
    boards = {}
    for llm in llms:
        benchmark = FakeBenchmark(pictures=2, class_indices=(0,), seen=None)
        scorers = {split: Exact(benchmark, hits) for split in ("selection", "report")}
        bench = Bench("toy", VOCABULARY, DESCRIPTIONS, scorers)  # type: ignore[arg-type]
        boards[llm] = Scoreboard([bench], llm=llm, samples=300)
    return boards


HITS = {
    ("none", "name"): [40, 40],
    ("a", "color"): [80, 60],
    ("b", "color"): [50, 70],
    ("b", "shape"): [90, 90],
    ("copy", "color"): [80, 60],
}


def values(row: Mapping[str, Any], column: str) -> tuple[float | None, ...]:
    ends = (row[f"{column}{end}"] for end in ("", "_low", "_high"))
    return tuple(None if end is None else round(end, 9) for end in ends)


def test_scores_and_paired_differences_are_those_computed_by_hand(few_are_enough: None) -> None:
    """Of two pictures there are three resamples: the first twice, the second twice, both.

    A quarter, a quarter and a half of them: the ends of every interval are the two extremes.
    """
    rows = comparison_rows(toy(HITS, "a", "b"), {"a": COLOR, "b": SHAPE})
    assert [(r["set"], r["llm"], r["prompts"]) for r in rows] == [
        ("baseline", None, "name"),
        ("same", "a", "color"),
        ("same", "b", "color"),
        ("own", "a", "color"),
        ("own", "b", "shape"),
    ]
    name, a, b, own_a, own_b = rows
    assert values(name, "miou") == (0.4, None, None)  # a width of 0 is no interval
    assert values(name, "difference") == (-0.3, -0.4, -0.2)
    assert values(a, "miou") == (0.7, 0.6, 0.8)
    assert values(a, "difference") == (0, None, None)
    assert values(a, "over_name") == (0.3, 0.2, 0.4)
    assert values(b, "miou") == (0.6, 0.5, 0.7)
    # Unpaired it would reach from 50 - 80 to 70 - 60; paired: 50 - 80 and 70 - 60 by picture.
    assert values(b, "difference") == (-0.1, -0.3, 0.1)
    assert values(b, "over_name") == (0.2, 0.1, 0.3)
    assert values(own_a, "miou") == values(a, "miou")
    assert values(own_b, "difference") == (0.2, 0.1, 0.3)
    assert {row["split"] for row in rows} == {"report"}


def test_differences_are_paired(few_are_enough: None) -> None:
    """Both move together from picture to picture: the difference does not move at all."""
    hits = {**HITS, ("b", "color"): [70, 50]}
    row = comparison_rows(toy(hits, "a", "b"), {"a": COLOR, "b": COLOR})[2]
    assert values(row, "miou") == (0.6, 0.5, 0.7)
    assert values(row, "difference") == (-0.1, None, None)


def test_equal_scores_differ_by_exactly_nothing(few_are_enough: None) -> None:
    rows = comparison_rows(toy(HITS, "a", "copy"), {"a": COLOR, "copy": COLOR})
    for row in (r for r in rows if r["llm"] == "copy"):
        assert [row[f"difference{end}"] for end in ("", "_low", "_high")] == [0.0, None, None]


def test_the_first_llm_is_the_measure(few_are_enough: None) -> None:
    rows = comparison_rows(toy(HITS, "a", "b"), {"a": COLOR, "b": COLOR})
    swapped = comparison_rows(toy(HITS, "b", "a"), {"a": COLOR, "b": COLOR})
    b = next(r for r in rows if r["llm"] == "b")
    a = next(r for r in swapped if r["llm"] == "a")
    assert swapped[1]["llm"] == "b"
    low, high = -b["difference_high"], -b["difference_low"]
    assert values(a, "difference") == pytest.approx((-b["difference"], low, high))


def test_words_say_where_a_difference_may_be_none(few_are_enough: None) -> None:
    text = comparison_summary(comparison_rows(toy(HITS, "a", "b"), {"a": COLOR, "b": SHAPE}))
    assert "On color, the attributes chosen with a, a reaches an mIoU of 70.0 %" in text
    assert "of -10.0 [-30.0, +10.0] points, not distinguishable from 0." in text
    assert "On its own best attributes, shape, it reaches 90.0 %" in text
    assert "+20.0 [+10.0, +30.0] points, whose interval lies above 0." in text
    same = comparison_summary(comparison_rows(toy(HITS, "a", "copy"), {"a": COLOR, "copy": COLOR}))
    assert "+0.0 points, not distinguishable from 0." in same
    assert "Its own search chose the same attributes as that with a." in same


@pytest.mark.parametrize(
    ("low", "high", "says"),
    [
        (0.1, 0.2, "above 0"),
        (-0.2, -0.1, "below 0"),
        (-0.1, 0.1, "not distinguishable"),
        (0.0, 0.1, "not distinguishable"),
        (0.0, 0.0, "not distinguishable"),
        (None, None, "not distinguishable"),
    ],
)
def test_verdicts(low: float | None, high: float | None, says: str) -> None:
    assert says in verdict({"difference_low": low, "difference_high": high, "no_interval": None})


def test_too_few_pictures_give_no_verdict() -> None:
    rows = comparison_rows(toy(HITS, "a", "b"), {"a": COLOR, "b": SHAPE})
    assert all(values(row, "difference")[1:] == (None, None) for row in rows)
    few = "too few pictures (2, at least 20 are needed)"
    assert {row["no_interval"] for row in rows} == {few}
    text = comparison_summary(rows)
    assert text.count(f"on {few} to tell") == 2 and "[" not in text
    assert all(sheet.note.startswith("Too few pictures (2,") for sheet in llm_sheets(rows))


def several(*llms: str, names: Sequence[str] = ("x", "y")) -> list[dict[str, Any]]:
    """Rows over several noisy benchmarks, of which only the first tells seen from unseen."""
    boards = {}
    for place, llm in enumerate(llms):
        benches = [
            Bench(
                name,
                VOCABULARY,
                DESCRIPTIONS,
                {
                    split: FakeScorer(  # type: ignore[misc]
                        FakeBenchmark(name, split, seen=None if at else frozenset({0})),
                        by_table({"name": 0.3, "color": 0.5 - 0.1 * place}),
                    )
                    for split in ("selection", "report")
                },
                at,
            )
            for at, name in enumerate(names)
        ]
        boards[llm] = Scoreboard(benches, llm=llm, samples=50)
    return comparison_rows(boards, dict.fromkeys(llms, COLOR))


def test_benchmarks_are_columns_and_averaged() -> None:
    rows = several("a", "b")
    assert [r["benchmark"] for r in rows[:3]] == ["x", "y", "average"]
    same = {(r["llm"], r["benchmark"]): r for r in rows if r["set"] == "same"}
    mean = (same["b", "x"]["difference"] + same["b", "y"]["difference"]) / 2
    assert same["b", "average"]["difference"] == pytest.approx(mean)
    table, differences, own = llm_sheets(rows)
    assert table.columns == ("LLM", "x", "y", "average", "against a", "against name")
    assert [line.cells[0] for line in table.lines] == ["name", "a", "b"]
    assert [line.cells[0] for line in differences.lines] == ["name", "b"]
    assert differences.lines[1].cells[1] == "-8.3 [-8.3, -8.2]"  # 40 / 160 - 50 / 150
    assert own.columns[:3] == ("LLM", "attributes", "x") and own.lines[2].cells[1] == "color"
    assert all(len(line.cells) == len(s.columns) for s in llm_sheets(rows) for line in s.lines)


def test_one_benchmark_shows_its_subsets() -> None:
    table, differences, _ = llm_sheets(several("a", "b", names=("x",)))
    assert table.columns[1:4] == ("mIoU", "seen", "unseen") == differences.columns[1:]
    (b,) = (line.cells for line in table.lines if line.cells[0] == "b")
    assert b[4].startswith("-") and b[5].startswith("+")


@pytest.mark.parametrize("names", [("x",), ("x", "y", "z")])
def test_the_plot_takes_any_number_and_long_names(tmp_path: Path, names: tuple[str, ...]) -> None:
    rows = several("a", "$x_{$", "b" * 200, "c", names=names)
    with Image.open(llm_plot(rows, tmp_path / "llms.png")) as picture:
        assert 600 < picture.width < 2600 and 400 < picture.height < 1600
    assert short("b" * 200) == "b" * 17 + "…" + "b" * 16 and short("gpt-4") == "gpt-4"


# -- folders -----------------------------------------------------------------------------


def test_folders_have_readable_safe_names() -> None:
    assert safe_names(["gpt-4", "openai/llama3:8b", "GPT-4", "../..", "run.json", "通义"]) == {
        "gpt-4": "gpt-4",
        "openai/llama3:8b": "openai-llama3-8b",
        "GPT-4": "GPT-4-2",
        "../..": "llm",
        "run.json": "run.json-2",
        "通义": "llm-2",
    }


@given(st.lists(st.text(max_size=120), unique=True, max_size=12))
def test_folders_are_safe_whatever_the_names(llms: list[str]) -> None:
    found = safe_names(llms)
    assert list(found) == llms
    assert all(re.fullmatch(r"[A-Za-z0-9_+][A-Za-z0-9_.+-]{0,99}", n) for n in found.values())
    assert len({name.lower() for name in found.values()} | TOP) == len(llms) + len(TOP)


# -- a whole comparison ------------------------------------------------------------------


def file_under(path: Path, vocabulary: Vocabulary, llm: str, mixed: bool = False) -> None:
    """The bundled texts under another LLM's name; ``mixed``: of other classes."""
    cells = load(vocabulary)
    if mixed:
        cells = shuffle(cells, vocabulary, sorted({attribute for _, attribute in cells}), 1)
    with open_store(path) as store, store.transaction():
        store.add_vocabulary(vocabulary)
        store.add_llm(llm, None if llm == EVIL else f"Texts by {llm}.")
        for (index, attribute), text in cells.items():
            cell = (vocabulary.name, index, attribute, llm)
            store.put_description(Description(*cell, text, count_tokens(text), source="import"))


LLMS = ("me", "bundled", "copy/of me", EVIL)


@pytest.fixture(scope="module")
def compared(
    world: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Comparison:
    top = tmp_path_factory.mktemp("compared")
    vocabulary = load_vocabulary(str(world / "four.txt"))
    for llm in ("me", "copy/of me", EVIL):
        file_under(top / "store.sqlite", vocabulary, llm, mixed=llm == EVIL)
    with plain_figures():
        return compare(
            AblationRequest(**options(world, out=top / "all", store=str(top / "store.sqlite"))),
            llms=LLMS,
            progress=False,
        )


def test_every_llm_leaves_a_whole_run_and_the_comparison_stands_above(compared: Comparison) -> None:
    folders = {path.name for path in compared.directories.values()}
    assert list(compared.directories) == list(LLMS)
    assert {p.name for p in compared.directory.iterdir()} == TOP | folders
    assert {name.rstrip("/") for name in compared.files} == TOP | folders
    assert "copy-of-me" in folders
    for path in compared.directories.values():
        assert {p.name for p in path.iterdir()} == FILES


def test_an_llms_own_run_is_that_of_a_single_ablation(
    world: Path,
    compared: Comparison,
    drawn_plainly: None,
) -> None:
    alone = ablate(
        AblationRequest(**options(world, llm="bundled", out="alone", store="s.sqlite")),
        progress=False,
    )
    for name in ("single.csv", "combinations.csv", "candidates.csv"):
        there = compared.directories["bundled"] / name
        assert there.read_bytes() == (alone.directory / name).read_bytes()
    assert compared.best["bundled"]["scores"] == alone.best["scores"]


def test_identical_texts_under_two_names_differ_by_exactly_nothing(compared: Comparison) -> None:
    with (compared.directory / "llms.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == len(compared.rows) == 1 + 2 * len(LLMS)
    for llm in ("bundled", "copy/of me"):
        for row in (r for r in rows if r["llm"] == llm):
            assert [row[f"difference{end}"] for end in ("", "_low", "_high")] == [
                "0.000000",
                "",
                "",
            ]
    other = next(r for r in rows if r["llm"] == EVIL)
    assert float(other["difference_low"]) < float(other["difference_high"])


def test_scores_are_in_the_store_for_each_llm(compared: Comparison) -> None:
    with open_store_readonly(compared.directory.parent / "store.sqlite") as store:
        rows = store.evaluations("all")
        own = {llm: store.evaluations(f"all/{p.name}") for llm, p in compared.directories.items()}
    assert {(row["llm"], row["stage"]) for row in rows} == {(llm, "llms") for llm in LLMS}
    for row in (r for r in compared.rows if r["llm"] is not None):
        (stored,) = (r for r in rows if (r["llm"], r["prompt_set"]) == (row["llm"], row["prompts"]))
        assert stored["miou"] == pytest.approx(row["miou"])
    for llm, found in own.items():
        assert found and {row["llm"] for row in found} == {llm}


def test_the_record_holds_everything(compared: Comparison) -> None:
    record = json.loads((compared.directory / "run.json").read_text())
    assert record["first"] == "me" and record["rows"] == compared.rows
    assert [one["name"] for one in record["llms"]] == list(LLMS)
    assert record["llms"][0]["provenance"] == "Texts by me."
    assert "not GPT-4" in record["llms"][1]["provenance"]
    assert record["llms"][3]["provenance"] is None  # nobody noted where these come from
    (group,) = record["classes"]
    assert len(group["classes"]) == 4
    gaps = [max(c["iou"].values()) - min(c["iou"].values()) for c in group["classes"]]
    assert gaps == sorted(gaps, reverse=True)
    assert group["classes"][0]["texts"]["me"] == group["classes"][0]["texts"]["bundled"]


def test_the_page_is_self_contained_escaped_and_links_the_runs(compared: Comparison) -> None:
    text = (compared.directory / "report.html").read_text(encoding="utf-8")
    reader = Reader()
    reader.feed(text)
    assert not reader.open and reader.seen.count("script") == 1  # ours
    links = [link for link in reader.links if not link.startswith("data:image/png;base64,")]
    assert links == [f"{path.name}/report.html" for path in compared.directories.values()]
    assert all((compared.directory / link).is_file() for link in links)
    assert len(reader.links) - len(links) == 1 + 4 * len(LLMS)  # scores and differences, twice
    assert "http:" not in re.sub(r"base64,[^\"]*", "", text)
    assert "&lt;script&gt;" in text and compared.summary.split(" reaches")[0] in text


def test_the_page_is_made_anew_also_without_the_runs(compared: Comparison, tmp_path: Path) -> None:
    page = compared.directory / "report.html"
    before = page.read_bytes()
    page.unlink()
    assert report(compared.directory).read_bytes() == before
    for name in ("run.json", "llms.png"):
        (tmp_path / name).write_bytes((compared.directory / name).read_bytes())
    text = report(tmp_path).read_text(encoding="utf-8")
    assert text.count("not beside this page") == len(LLMS) and text.count("<img") == 1


def test_the_terminal_shows_it(compared: Comparison, capsys: pytest.CaptureFixture[str]) -> None:
    print_comparison(compared, verbose=True)
    shown = capsys.readouterr().out
    assert "Table 5.9" in shown and "copy-of-me/" in shown
    assert " ".join(compared.summary.split()) in " ".join(shown.split())


def test_pictures_are_looked_at_once(
    world: Path,
    drawn_plainly: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from ablations.scoring import frozen

    seen: list[str] = []
    real = frozen.dense_features

    def look(clip: Any, benchmark: Any, *rest: Any) -> Any:
        seen.append(benchmark.split)
        return real(clip, benchmark, *rest)

    monkeypatch.setattr(frozen, "dense_features", look)
    file_under(Path("s.sqlite"), load_vocabulary(str(world / "four.txt")), "me")
    few = options(world, attributes=["color"], samples=200, out="o", store="s.sqlite")
    compare(AblationRequest(**few), llms=["bundled", "me"], progress=False)
    assert len(seen) == len(set(seen)) == 2


def command(*arguments: str) -> None:
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    assert stop.value.code == 0


# -- what is checked first ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("llms", "error", "says"),
    [
        (["bundled"], UsageError, "at least two"),
        (["bundled", "bundled"], UsageError, "named twice"),
        (["bundled", "oracle"], UsageError, "oracle"),
        (["bundled", "gpt-4"], ConfigurationError, "generate --llm gpt-4"),
        (["gpt-4", "qwen-max"], ConfigurationError, "--llm gpt-4 .*--llm qwen-max "),
    ],
)
def test_llms_are_checked_before_anything_runs(
    world: Path,
    monkeypatch: pytest.MonkeyPatch,
    llms: list[str],
    error: type[Exception],
    says: str,
) -> None:
    monkeypatch.setattr(
        "lsmseg_model.networks.backbones.load.load_backbone", lambda *a: pytest.fail("too late")
    )
    with pytest.raises(error, match=says):
        compare(AblationRequest(**options(world, out="out")), llms=llms, progress=False)
    assert not Path("out").exists()


def test_an_imported_llm_that_lacks_texts_is_not_one_to_ask(world: Path) -> None:
    vocabulary = load_vocabulary(str(world / "four.txt"))
    with open_store("s.sqlite") as store:
        store.add_vocabulary(vocabulary)
        store.put_description(
            Description(vocabulary.name, 0, "color", "cupl", "A zebra is striped.", 7)
        )
    llms = ["bundled", "cupl"]
    with pytest.raises(ConfigurationError, match=r"11 of 12 .*cupl cannot be asked.* import"):
        compare(
            AblationRequest(**options(world, out="out", store="s.sqlite")),
            llms=llms,
            progress=False,
        )
    other = options(world, out="out", store="s.sqlite", data=["ministuff"], vocab=None)
    with pytest.raises(ConfigurationError, match=r"513 of 513 .* for coco-stuff"):
        compare(AblationRequest(**other), llms=llms, progress=False)
    assert not Path("out").exists()


def test_options_that_do_not_exist_are_refused() -> None:
    with pytest.raises(TypeError, match="colour"):
        compare(AblationRequest(colour="red"), llms=["a", "b"], progress=False)


def test_the_command_compares_several_and_runs_one(
    compared: Comparison, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kept: list[tuple[str, AblationRequest, Any]] = []

    def keep(name: str) -> Any:
        def stand_in(request: AblationRequest, llms: Any = None, *, progress: bool) -> Comparison:
            kept.append((name, request, llms))
            return compared

        return stand_in

    monkeypatch.setattr("ablations.runs.compare.compare", keep("compare"))
    monkeypatch.setattr("ablations.runs.ablate.ablate", keep("ablate"))
    monkeypatch.setattr("ablations.commands.ablate.show_result", lambda result, json: None)
    for arguments in ([], ["--llm", "me"], ["--llm", "b", "--llm", "a", "--seed", "3", "--json"]):
        command("ablate", *arguments)
    assert [(name, llms) for name, _, llms in kept] == [
        ("ablate", None),
        ("ablate", None),
        ("compare", ["b", "a"]),
    ]
    assert [request.llm for _, request, _ in kept[:2]] == ["bundled", "me"]
    assert kept[2][1].seed == 3
    shown = json.loads(capsys.readouterr().out)
    assert shown["summary"] == compared.summary and list(shown["directories"]) == list(LLMS)


@pytest.mark.slow
@pytest.mark.skipif(not any(WEIGHTS.glob("*.safetensors")), reason="no weights of lsmseg-tiny")
def test_ministuff_tells_good_texts_from_mixed_ones(capsys: pytest.CaptureFixture[str]) -> None:
    file_under(Path("s.sqlite"), load_vocabulary("coco-stuff"), "mixed", mixed=True)
    command(
        "-q", "ablate", "--llm", "bundled", "--llm", "mixed", "--limit", "20", "--samples", "200",
         "--attributes", "color,texture", "--store", "s.sqlite", "--out", "out", "--json",
    )  # fmt: skip
    rows = json.loads(capsys.readouterr().out)["rows"]
    mixed = next(row for row in rows if (row["set"], row["llm"]) == ("same", "mixed"))
    assert mixed["difference_high"] < 0 and mixed["unseen"] is not None
    assert {p.name for p in Path("out").iterdir()} == TOP | {"bundled", "mixed"}
