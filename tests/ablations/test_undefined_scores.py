"""What is undefined stays undefined, and an average stands beside what it is the average of."""

import math

import numpy as np
import pytest
from support.ablation_fakes import ATTRIBUTES, board, by_table

from ablations.report.classwise import per_class
from ablations.report.sheet import score
from ablations.report.tables import candidate_sheet, single_sheet
from ablations.search import scoreboard
from ablations.search.combine import path_rows, search
from ablations.search.options import SearchOptions
from ablations.search.scoreboard import NAME, Bench, Candidate, Scoreboard
from ablations.search.single import singles
from ablations.search.statistics import Subset
from benchmarks.planted import DESCRIPTIONS, VOCABULARY, PlantedScorer, World
from lsmseg_model.metrics import iou, miou

SKILL = {"name": 0.3, "color": 0.5, "shape": 0.6, "action": 0.2, "shape+color": 0.7}
GONE = 4  # the class that no label of the report split holds


class Lacking(PlantedScorer):
    """No label of class GONE, which is predicted all the same; picture 1 has no label at all."""

    def features(self, progress=None):
        fresh = self._features is None
        features = super().features()
        if fresh:
            for labels in features.labels:
                labels[labels == GONE] = -1
            features.labels[1][:] = -1
        return features


@pytest.fixture(scope="module")
def lacking() -> Scoreboard:
    world = World(5500, pictures=30)
    scorers = {
        "selection": PlantedScorer(world, "selection", 30),
        "report": Lacking(world, "report", 30),
    }
    return Scoreboard([Bench("planted", VOCABULARY, DESCRIPTIONS, scorers)], samples=200)


def test_a_class_absent_from_a_split_is_left_out_of_the_mean(lacking: Scoreboard) -> None:
    (bench,) = lacking.benches
    counts = bench.scorers["report"].score([lacking.prompt_set(bench, NAME)])[0]
    total = counts.sum(axis=0)
    assert total[GONE, 2] == 0 < total[GONE, 1]  # predicted, never labelled
    others = [c for c in range(len(total)) if c != GONE]
    (found,) = lacking.score("report", [NAME])
    assert found.miou.value == pytest.approx(iou(total)[others].mean())
    assert found.mean["union"].value == pytest.approx(iou(total)[others].sum() / len(total))
    rows = {r["prompts"]: r for r in singles(lacking, ["color", "shape"]).rows[-6:]}
    assert rows["imagenet"]["miou"] > 0


def test_its_own_score_is_undefined_and_never_0(lacking: Scoreboard) -> None:
    (bench,) = lacking.benches
    rows = per_class(lacking, bench, Candidate(("color",)))
    assert [r["index"] for r in rows if r["best"] is None] == [GONE]
    row = rows[GONE]
    assert row["labelled"] == 0 and row["baseline"] is row["difference"] is None
    assert miou(bench.scorers["report"].score([lacking.prompt_set(bench, NAME)])[0], [GONE]) != 0
    assert score({"miou": None}, "miou") == "-"


def test_a_subset_of_absent_classes_is_undefined_in_every_table(lacking: Scoreboard) -> None:
    bench = lacking.benches[0]
    one = Scoreboard([bench], samples=100)
    one.benches[0].__dict__["subsets"] = {
        "miou": Subset(),
        "union": Subset(definition="union"),
        "unseen": Subset((GONE,)),
    }
    try:
        alone = singles(one, ["color", "shape"])
        found = search(one, ["color", "shape"])
        for row in [*alone.rows, *path_rows(one, found)]:
            if row["split"] == "report":
                assert row["unseen"] is row["unseen_low"] is row["unseen_difference"] is None
                assert row["miou"] > 0
            else:
                assert row["unseen"] is not None
        assert all(line.cells[1] != "0.0" for line in single_sheet(alone.rows).lines)
    finally:
        del bench.__dict__["subsets"]


def test_a_picture_without_any_label_changes_nothing(lacking: Scoreboard) -> None:
    (bench,) = lacking.benches
    counts = bench.scorers["report"].score([lacking.prompt_set(bench, NAME)])[0]
    assert not counts[1].any() and counts[0].any()
    assert miou(counts) == miou(np.delete(counts, 1, axis=0))


def test_every_average_has_its_parts_beside_it() -> None:
    one = board(by_table(SKILL), names=("one", "two", "three"))
    alone = singles(one, ATTRIBUTES)
    found = search(one, ATTRIBUTES, SearchOptions(strategy="exhaustive", orders=True))
    path = path_rows(one, found)
    for table in (alone.rows, path):
        for at, row in enumerate(table):
            if row["benchmark"] != "average":
                continue
            parts = table[at - 3 : at]
            assert [p["benchmark"] for p in parts] == ["one", "two", "three"]
            assert {p["prompts"] for p in parts} == {row["prompts"]}
            for column in ("miou", "seen", "unseen", "difference", "miou_union"):
                mean = np.mean([p[column] for p in parts])
                assert row[column] == pytest.approx(mean), column
    assert sum(row["benchmark"] == "average" for row in path) >= 8
    for row in found.candidates:
        parts = [row[f"miou ({name})"] for name in ("one", "two", "three")]
        assert row["miou"] == pytest.approx(np.mean(parts))
    for name in ("one", "two", "three"):
        assert name in candidate_sheet(found.candidates).columns


def test_an_average_with_an_undefined_part_is_undefined() -> None:
    from ablations.search.statistics import Draws, average

    nothing = Draws(math.nan, np.full(3, math.nan), 20)
    mean = average([Draws(0.4, np.full(3, 0.4), 20), nothing])
    assert math.isnan(mean.value) and math.isnan(mean.interval().low)


def test_many_candidates_are_scored_in_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = board(by_table(SKILL))
    expected = [s.miou.value for s in usual.score("report", [NAME, *_singles()])]
    monkeypatch.setattr(scoreboard, "AT_ONCE", 2 * 20 * 4 * 24)
    one = board(by_table(SKILL))
    calls = []
    scorer = one.benches[0].scorers["report"]
    original = scorer.score
    monkeypatch.setattr(
        scorer, "score", lambda sets, progress=None: calls.append(len(sets)) or original(sets)
    )
    found = one.score("report", [NAME, *_singles()])
    assert [s.miou.value for s in found] == expected and calls == [2, 2]


def _singles() -> list[Candidate]:
    return [Candidate((a,)) for a in ATTRIBUTES]


def test_only_what_competes_is_composed_and_the_scores_are_the_same(lacking: Scoreboard) -> None:
    (bench,) = lacking.benches
    scorer = bench.scorers["selection"]
    wanted = Candidate(("shape", "color"), "shuffled")
    part = lacking._build(bench, wanted, {0, 3})
    whole = lacking.prompt_set(bench, wanted)
    assert part.texts[0] == whole.texts[0] and part.texts[3] == whole.texts[3]
    assert part.texts[1] == () and len(part) == len(whole)
    assert scorer.needs == tuple(range(len(VOCABULARY)))
    (found,) = lacking.score("selection", [wanted])
    assert found.miou.value == miou(scorer.score([whole])[0])
