"""Two prompt sets on the same pictures: hand-computed numbers, and any model as the scorer."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.ablation_fakes import DESCRIPTIONS, VOCABULARY, FakeBenchmark, FakeScorer, by_table
from support.exported_model import write_exported
from support.whole_network import small_network

from ablations.runs.compare_prompts import PairedComparison, compare_prompts, holds
from ablations.scoring.loaded import ModelScorer, scorer_of
from ablations.scoring.networks import TrainedScorer
from ablations.scoring.own_model import CallableScorer
from lsmseg_model.deploy.runtime import OnnxModel
from lsmseg_model.segmenter import Segmenter
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.prompts.prompt_set import build_prompt_set
from lsmseg_prompts.tokens import token_ids

NAME = build_prompt_set({}, VOCABULARY, ("name",))
COLOR = build_prompt_set(DESCRIPTIONS, VOCABULARY, ("color",))
SHAPE = build_prompt_set(DESCRIPTIONS, VOCABULARY, ("shape",))


class Lines:
    """Encodes a picture as itself; of each row the first text, but for one that a set names."""

    name, score, weights_hash = "lines", "cosine", "w"
    encoded = 0

    def default_texts(self, classes: Any) -> Any:
        return [[name] for name in classes]

    def embed(self, texts: Any, reading: Any = None) -> Any:
        return texts

    def encode(self, image: np.ndarray, name: str = "") -> Any:
        self.encoded += 1
        self.shape = image.shape[:2]
        return self

    def decode(self, text: Any) -> Any:
        self.text = text
        return self

    def label(self, owners: Any) -> Any:
        labels = np.zeros(self.shape, np.int64)
        if "color" in self.text[0][0]:
            labels[8:] = 1
        return np.asarray(owners)[labels], labels.astype(np.float32)

    def scores(self, wanted: Any) -> np.ndarray:
        return np.full((len(wanted), *self.shape), 0.5, np.float32)


def fake(pictures: int = 20, noise: float = 0.02, **of: Any) -> FakeScorer:
    benchmark = FakeBenchmark(pictures=pictures, **of)
    return FakeScorer(benchmark, by_table({"name": 0.2, "color": 0.5, "shape": 0.5}), noise)


def compared(*sets: Any, scorer: FakeScorer) -> PairedComparison:
    return compare_prompts(*sets, scorer, samples=200)  # type: ignore[misc]


def test_differences_by_hand() -> None:
    found = compared(NAME, COLOR, scorer=fake(noise=0))
    gap = 500 / 1500 - 200 / 1800
    assert found.means.keys() == {"miou", "seen", "unseen"}
    for row in (*found.means.values(), *found.classes):
        assert row["difference"] == pytest.approx(gap)
        assert row["first"] == pytest.approx(200 / 1800)
        assert row["difference_low"] is None and holds(row) == ""  # all resamples are alike
    assert (found.classes_labelled, found.classes_scored, found.pictures) == (4, 4, 20)
    assert [found.means[key]["classes"] for key in found.means] == [4, 2, 2]
    assert found.classes[0]["texts_first"] == ["a photo of a zebra"]
    assert {row["changed"] for row in found.shown} == {0.3}
    assert found.shown[3] == {
        "place": 3, "key": "report-3", "first": 0.2, "second": 0.5, "difference": 0.3,
        "changed": 0.3,
    }  # fmt: skip


def test_what_holds_and_what_does_not() -> None:
    found = compared(NAME, COLOR, scorer=fake())
    assert holds(found.means["miou"]) == "above" and found.no_interval is None
    assert "leaves out 0" in found.summary and "color against name: +" in found.summary
    back = compared(COLOR, NAME, scorer=fake())
    assert holds(back.means["seen"]) == "below"
    sizes = [abs(row["difference"]) for row in found.classes]
    assert sizes == sorted(sizes, reverse=True)
    same = compared(COLOR, SHAPE, scorer=fake())
    assert same.means["miou"]["difference"] == 0 and holds(same.means["miou"]) == ""


def test_too_few_pictures_have_no_interval() -> None:
    found = compared(NAME, COLOR, scorer=fake(pictures=19))
    assert found.no_interval == "too few pictures (19, at least 20 are needed)"
    assert found.no_interval in found.summary
    for row in (*found.means.values(), *found.classes):
        assert row["difference"] and row["difference_low"] is None and row["no_interval"]
    grouped = compared(NAME, COLOR, scorer=fake(groups=("a", "b") * 10))
    assert grouped.groups == 2 and "2 groups" in str(grouped.no_interval)


def test_other_pictures_and_samples_are_refused() -> None:
    with pytest.raises(UsageError, match="samples must be at least 200"):
        compare_prompts(NAME, COLOR, fake(), samples=10)
    other: Any = FakeBenchmark()
    other.vocabulary = "another"
    with pytest.raises(UsageError, match="is for the vocabulary four"):
        compare_prompts(NAME, COLOR, ModelScorer(Lines(), other))


def test_any_model_scores() -> None:
    """The upper half is class p % 4: a set of names calls all zebra, one of colours half sky."""
    benchmark: Any = FakeBenchmark(pictures=4)
    done: list[tuple[int, int]] = []
    model = Lines()
    scorer = scorer_of(model, benchmark)
    assert isinstance(scorer, ModelScorer)
    counts = scorer.score([NAME, COLOR], lambda *now: done.append(now))
    assert model.encoded == 4 and done == [(1, 4), (2, 4), (3, 4), (4, 4)]
    half, rest = 8 * 24, 8 * 24 - 1  # a pixel of the upper half is not labelled
    assert counts[0, 0, 0].tolist() == [rest, rest + half, rest]
    assert counts[1, 0, 0].tolist() == [rest, rest, rest]
    assert counts[1, 0, 1].tolist() == [half, half, half]
    assert (scorer.segment(COLOR, 0)[8:] == 1).all()
    assert (scorer.cost_map(COLOR, 0, 2) == 0.5).all()
    scorer.score([COLOR])
    assert model.encoded == 6  # two for the maps, none for counts that are there


def test_a_turn_is_held_while_the_model_computes() -> None:
    held: list[bool] = []

    class Turn:
        inside = False

        def __enter__(self) -> None:
            self.inside = True

        def __exit__(self, *_: object) -> None:
            self.inside = False

    class Asked(Lines):
        def encode(self, image: np.ndarray, name: str = "") -> Any:
            held.append(turn.inside)
            return super().encode(image, name)

    turn = Turn()
    benchmark: Any = FakeBenchmark(pictures=3)
    progress: list[bool] = []
    scorer = scorer_of(Asked(), benchmark, turn=turn)
    scorer.score([NAME, COLOR], lambda *_: progress.append(turn.inside))
    assert held == [True] * 3 and progress == [False] * 3


def test_an_exported_model_scores(tmp_path: Path) -> None:
    write_exported(tmp_path / "exported")
    model = OnnxModel(tmp_path / "exported", token_ids)
    benchmark: Any = FakeBenchmark(pictures=20)
    scorer = scorer_of(model, benchmark)
    found = compare_prompts(NAME, COLOR, scorer, samples=200)
    assert found.means["miou"]["first"] is not None
    assert scorer.by_cosine and scorer.segment(NAME, 0).shape == (16, 24)
    own = CallableScorer(lambda image, texts: model.encode(image).decode(
        model.embed(texts)).label()[0], benchmark)  # fmt: skip
    assert (own.score([COLOR]) == scorer.score([COLOR])).all()


def test_a_whole_network_scores() -> None:
    segmenter = Segmenter.of(small_network())
    benchmark: Any = FakeBenchmark(pictures=1)
    scorer, other = scorer_of(segmenter, benchmark), TrainedScorer(segmenter, benchmark)
    assert isinstance(scorer, ModelScorer) and scorer.key != other.key
    difference = np.abs(scorer.score([NAME, COLOR]) - other.score([NAME, COLOR]))
    assert difference.sum() <= 8  # of 768 pixels: equal scores may be rounded apart
    assert (scorer.segment(COLOR, 0) == other.segment(COLOR, 0)).mean() > 0.99
