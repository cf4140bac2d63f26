"""Per class and per pair of classes: hand-computed counts, and what prompts' lengths are."""

from collections.abc import Callable

import numpy as np
import pytest
from support.ablation_fakes import (
    DESCRIPTIONS,
    VOCABULARY,
    FakeBenchmark,
    FakeScorer,
    board,
    by_table,
)

from ablations.report.classwise import (
    class_intervals,
    most_changed,
    open_ious,
    pair_rows,
    per_class,
)
from ablations.report.lengths import length_rows
from ablations.scoring.confusions import confusion
from ablations.search.scoreboard import Candidate
from lsmseg_model.data.benchmark import scored_similarity
from lsmseg_prompts.prompts.prompt_set import PromptSet, build_prompt_set


def test_per_class_rows_hold_both_ious_the_paired_difference_and_both_texts() -> None:
    one = board(by_table({"name": 0.2, "color": 0.5}), noise=0)
    rows = per_class(one, one.benches[0], Candidate(("color",)))
    assert [row["name"] for row in rows] == ["zebra", "sky", "orange", "fire hydrant"]
    for row in rows:  # intersection / (1000 + 1000 - intersection)
        assert row["baseline"] == pytest.approx(200 / 1800)
        assert row["best"] == pytest.approx(500 / 1500)
        assert row["difference"] == pytest.approx(500 / 1500 - 200 / 1800)
        # Without noise every resample has the same IoU: no interval of width 0.
        assert row["difference_low"] is row["difference_high"] is row["no_interval"] is None
        assert row["pictures"] == 20 and row["labelled"] == 20_000
    assert rows[0]["before"] == ["a photo of a zebra"]
    assert rows[0]["after"] == ["A zebra has the color of a zebra."]
    assert [row["seen"] for row in rows] == [True, True, False, False]


def test_few_pictures_give_no_interval_and_no_label_no_iou() -> None:
    one = board(by_table({"name": 0.2, "color": 0.5}))
    scorer = one.benches[0].scorers["report"]
    whole = scorer.score

    def score(sets: list[PromptSet], progress: Callable[[int, int], None] | None = None):  # type: ignore[no-untyped-def]
        counts = whole(sets, progress).copy()
        counts[:, 4:, 0] = 0  # zebra is in four pictures
        counts[:, :, 1, [0, 2]] = 0  # sky in none
        return counts

    scorer.score = score  # type: ignore[method-assign]
    zebra, sky, orange, _ = per_class(one, one.benches[0], Candidate(("color",)))
    assert zebra["pictures"] == 4 and zebra["difference"] > 0 and zebra["difference_low"] is None
    assert sky["baseline"] is None and sky["difference"] is None and sky["difference_low"] is None
    assert zebra["no_interval"] == "in too few pictures (4, at least 5 are needed)"
    assert orange["difference_low"] is not None and orange["no_interval"] is None


def test_class_intervals_are_paired_and_leave_out_resamples_without_the_class() -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(100, 900, (1, 30, 2, 1)).repeat(3, axis=-1).repeat(2, axis=0)
    counts[..., 1:] = 1000
    same = class_intervals(counts, 200)[0]  # the same set twice
    np.testing.assert_allclose([same.low, same.high], 0, atol=1e-12)
    counts[:, 1:, 1] = 0  # class 1 is in the first picture only
    counts[1, 0, 1, 0] = 1000
    one = class_intervals(counts, 200)[1]
    inter = counts[0, 0, 1, 0]
    np.testing.assert_allclose([one.low, one.high], 1 - inter / (2000 - inter))
    counts[:, :, 1] = 0
    assert np.isnan(class_intervals(counts, 200)[1].low)


class Painter(FakeScorer):
    """Says "sky" everywhere with the plain name, the truth with anything else."""

    def segment(self, prompt_set: PromptSet, picture: int) -> np.ndarray:
        labels = self.benchmark.labels(picture)
        return np.full_like(labels, 1) if prompt_set.name == "name" else np.maximum(labels, 0)


def test_confusion_counts_pixels_by_label_and_prediction() -> None:
    benchmark = FakeBenchmark(pictures=2, class_indices=(0, 1, 3), size=(4, 4))
    scorer = Painter(benchmark, by_table({}))
    name = build_prompt_set(DESCRIPTIONS, VOCABULARY, ("name",))
    color = build_prompt_set(DESCRIPTIONS, VOCABULARY, ("color",))
    told = []
    before = confusion(scorer, name, lambda done, total: told.append((done, total)))  # type: ignore[arg-type]
    # Pictures: zebra over sky, sky over hydrant, 8 pixels each; one of the upper is unlabelled.
    assert before.tolist() == [[0, 7, 0], [0, 15, 0], [0, 8, 0]]
    assert told == [(1, 2), (2, 2)]
    after = confusion(scorer, color)  # type: ignore[arg-type]
    assert after.tolist() == [[7, 0, 0], [0, 15, 0], [0, 0, 8]]


def test_pairs_are_parts_of_the_labels_pixels_and_sorted_by_their_change() -> None:
    one = board(by_table({"name": 0.2, "color": 0.5}))
    bench = one.benches[0]
    classes = per_class(one, bench, Candidate(("color",)))
    before = np.array([[6, 4, 0, 0], [0, 10, 0, 0], [5, 0, 5, 0], [0, 0, 1, 9]])
    after = np.array([[10, 0, 0, 0], [0, 7, 3, 0], [4, 0, 6, 0], [0, 0, 1, 9]])
    rows = pair_rows(bench, before, after, classes)
    found = [(r["label"], r["predicted"], round(r["change"], 9)) for r in rows]
    assert found == [
        ("zebra", "sky", -0.4),
        ("sky", "orange", 0.3),
        ("orange", "zebra", -0.1),
        ("fire hydrant", "orange", 0.0),
    ]
    assert rows[0]["baseline"] == 0.4 and rows[0]["best"] == 0 and rows[0]["labelled"] == 10
    assert [r["label"] for r in most_changed(rows)] == ["zebra", "orange", "sky"]
    assert [r["label"] for r in most_changed(rows, 1)] == ["zebra", "sky"]
    rows[0]["pictures"] = 4
    assert [r["label"] for r in most_changed(rows)] == ["orange", "sky"]
    assert most_changed([{**row, "pictures": 1} for row in rows]) == most_changed(
        [{**row, "pictures": 1} for row in rows][:3]
    )


def test_lengths_are_clips_tokens_with_start_and_end() -> None:
    prompts = build_prompt_set(DESCRIPTIONS, VOCABULARY, ("name",))
    (row,) = length_rows([prompts])
    # "a photo of a zebra", "... a sky", "... a orange", "... a fire hydr|ant"
    assert row["lengths"] == [[7, 3], [9, 1]] and row["texts"] == 4
    assert (row["shortest"], row["quarter"], row["median"]) == (7, 7, 7)
    assert (row["three_quarters"], row["longest"]) == (7.5, 9)


def test_open_iou_of_scored_classes_and_without_words_for_background() -> None:
    bench = board(by_table({"name": 0.2})).benches[0]
    classes = len(bench.vocabulary)
    confusions = [10 * np.eye(classes, dtype=int), np.ones((classes, classes), int)]
    # No two of its classes are near each other: 1 / (4 + 4 - 1) of a uniform confusion.
    assert open_ious(bench, confusions) == pytest.approx([1, 1 / 7])
    similarity = np.full((4, 4), 0.5) + 0.5 * np.eye(4)

    class Owned(FakeBenchmark):
        class_indices = (0, 1)
        owners = (0, 1, 1, 1)  # 1 to 3 are background

    one = scored_similarity(Owned.__new__(Owned), similarity)
    assert one.tolist() == [[1, 0], [0, 1]]
    assert similarity[0, 1] == 0.5
