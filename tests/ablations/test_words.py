"""`ablate --vary vocabulary`: lists are compared, names are chosen, and the folder tells."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from support.ablation_fakes import VOCABULARY, FakeBenchmark, board, by_table
from support.ablation_runs import options

from ablations.refinement.words import choose_names
from ablations.runs.ablate import ablate
from ablations.runs.request import AblationRequest
from ablations.scoring.frozen import OnProgress, Scorer, Texts
from ablations.scoring.threshold import ThresholdedSet, ThresholdScorer
from ablations.search.combine import path_rows
from ablations.search.words import CHOSEN, WordBoard, find_threshold, search_words
from lsmseg_model.metrics import confusion_counts
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.export.card import vocabulary_card
from lsmseg_prompts.export.native import export_native, load_native
from lsmseg_prompts.prompts.prompt_set import PromptSet
from lsmseg_prompts.prompts.word_lists import word_list, word_lists
from lsmseg_prompts.vocabularies import load_vocabulary

LISTS = {
    "name": word_list("name", VOCABULARY, {}),
    "words:a": word_list("words:a", VOCABULARY, {0: ("striped horse", "zebra")}),
    "words:b": word_list("words:b", VOCABULARY, {1: ("heaven",)}),
}


def words(table: dict[str, float], pictures: int = 30) -> WordBoard:
    benches = board(by_table(table), descriptions={}, pictures=pictures).benches
    return WordBoard(benches, LISTS, samples=300)


def test_a_list_is_taken_that_is_better_than_the_readable_names() -> None:
    one = words({"name": 0.4, "words:a": 0.6, "words:b": 0.41, "imagenet": 0.4, "cat-seg": 0.4})
    found = search_words(one, "interval")
    assert found.best.name == "words:a" and found.tried == 3
    assert [row["chosen"] for row in found.candidates] == [False, True, False]
    path = path_rows(one, found)
    assert [row["prompts"] for row in path] == ["name", "words:a", "cat-seg", "imagenet"]
    assert [row["chosen"] for row in path] == [False, True, False, False]
    assert path[1]["selection_gain_low"] > 0


def test_the_readable_names_stay_where_none_is_better() -> None:
    one = words({"name": 0.4, "words:a": 0.4, "words:b": 0.3, "imagenet": 0.4, "cat-seg": 0.4})
    found = search_words(one, "interval", lambda start: (None, 7, f"From {start.name}."))
    assert found.best.name == "name" and found.tried == 3 + 7
    assert [(row["prompts"], row["chosen"]) for row in path_rows(one, found)][:2] == [
        ("name", True), ("words:a", False),
    ]  # fmt: skip
    assert "From name." in found.note() and "interval" in found.note()


def test_words_chosen_class_by_class_are_the_last_step() -> None:
    one = words({"name": 0.4, "words:chosen": 0.5})
    made = word_list(CHOSEN.name, VOCABULARY, {0: ("striped horse",)})
    found = search_words(one, "paper", lambda start: (made, 5, ""))
    assert found.best == CHOSEN and found.tried == 3 + 1 + 5
    assert one.at_hand(one.benches[0], CHOSEN.name) is made


def test_too_few_pictures_choose_nothing() -> None:
    with pytest.raises(UsageError, match="which has too few pictures"):
        search_words(words({"name": 0.4}, pictures=10), "interval")


class NamesScorer(Scorer):
    """Each class is hit as often as its first text says, a little more or less by picture."""

    def __init__(self, skill: dict[str, float]) -> None:
        super().__init__(FakeBenchmark("fake", "selection", 60))  # type: ignore[arg-type]
        self.skill = skill

    def identity(self) -> dict[str, Any]:
        return {"skill": self.skill}

    def segment(self, prompt_set: PromptSet, picture: int) -> np.ndarray:
        return np.maximum(self.benchmark.labels(picture), 0)

    def count_texts(
        self, sets: Sequence[Texts], on_progress: OnProgress | None = None, readings: Any = None
    ) -> np.ndarray:
        wobble = 1 + 0.02 * np.random.default_rng(3).standard_normal((60, 4))
        counts = np.full((len(sets), 60, 4, 3), 1000)
        for at, texts in enumerate(sets):
            skills = [
                self.skill.get(group[0].removeprefix("a photo of a "), 0.4) for group in texts
            ]
            counts[at, :, :, 0] = (1000 * np.array(skills) * wobble).astype(int)
        return counts


@pytest.mark.parametrize("rule", ["interval", "paper"])
def test_a_class_takes_the_name_that_holds_on_the_other_half(rule: str) -> None:
    scorer = NamesScorer({"striped horse": 0.6, "heaven": 0.3})
    chosen, tried, how = choose_names(
        scorer, VOCABULARY, LISTS, LISTS["name"], rule=rule, samples=200
    )
    assert chosen is not None and chosen.name == "words:chosen"
    assert chosen.texts[0][0] == "a photo of a striped horse"
    assert chosen.texts[1:] == LISTS["name"].texts[1:]
    assert tried >= 3 and "1 class took another" in how


def test_no_name_is_taken_where_none_is_better() -> None:
    chosen, tried, how = choose_names(
        NamesScorer({}), VOCABULARY, LISTS, LISTS["name"], samples=200
    )
    assert chosen is None and tried == 3 and "no class took another" in how


def test_a_run_among_words(call, world: Path, tmp_path: Path, plain_figures: None) -> None:
    Path("mine.json").write_text(json.dumps({"zebra": ["zebra", "striped horse"]}))
    given = options(world, out=tmp_path / "run", store=str(tmp_path / "s.sqlite"))
    del given["attributes"]
    request = AblationRequest(vary="vocabulary", words=["mine.json"], **given)
    result = ablate(request, progress=False)
    assert {"name", "words:mine"} <= {row["prompts"] for row in result.single}
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (
        record["settings"]["vary"] == "vocabulary" and "half has too few" in record["search_note"]
    )
    page = (tmp_path / "run" / "report.html").read_text()
    assert "every word list alone" in page and "Single attributes" not in page
    repeat = record["commands"][0]["command"]
    assert "--vary vocabulary --words mine.json" in repeat and "--attributes" not in repeat
    # The same words are answered by the same run, other words under the same name are not.
    assert ablate(request, progress=False).directory == result.directory
    best = load_native(tmp_path / "run" / "best_prompts.json")
    assert best.name == result.best["prompts"]
    vocabulary = load_vocabulary(world / "four.txt")
    card = (tmp_path / "run" / "card.md").read_text()
    assert "# Vocabulary card: four" in card and "a photo of a zebra" in card
    lists = word_lists(vocabulary, ["mine.json"])
    card = vocabulary_card(lists["words:mine"], vocabulary, store=tmp_path / "s.sqlite")
    assert {score["split"] for score in card["scores"]} and card["scores"][0]["miou"] is not None
    Path("mine.json").write_text(json.dumps({"zebra": "horse"}))
    other = vocabulary_card(
        word_lists(vocabulary, ["mine.json"])["words:mine"], vocabulary, store=tmp_path / "s.sqlite"
    )
    assert other["scores"] == []


class Halves:
    """Every pixel is found to be class 0; where it is background its score is low."""

    def __init__(self, low: float) -> None:
        self.benchmark = FakeBenchmark("fake", "selection", 30, (0, 1), None, owners=(0, 1, 1, 1))
        self.labels = [self.benchmark.labels(picture) for picture in range(30)]
        self.low = low

    def features(self) -> Any:
        return SimpleNamespace(labels=self.labels)

    def label(self, prompt_set: PromptSet, picture: int) -> tuple[np.ndarray, np.ndarray]:
        spread = np.random.default_rng(picture).uniform(0, 0.1, self.labels[picture].shape)
        scores = np.where(self.labels[picture] == 1, self.low, 0.3) + spread
        return np.zeros(scores.shape, dtype=np.int64), scores

    def score(self, sets: Sequence[PromptSet], on_progress: OnProgress | None) -> np.ndarray:
        counts = [[confusion_counts(0 * one, one, 2) for one in self.labels] for _ in sets]
        return np.array(counts)


def test_a_threshold_is_found_and_scored() -> None:
    scorer = ThresholdScorer(Halves(0.1), 1)  # type: ignore[arg-type]
    how: dict[str, Any] = {"rule": "interval", "samples": 200, "seed": 0}
    found, tried, said = find_threshold(scorer, LISTS["name"], **how)
    assert isinstance(found, ThresholdedSet) and 0.15 < found.threshold < 0.31
    assert tried == 11 and "Of 11 thresholds" in said
    plain, better = scorer.score([LISTS["name"], found])
    # By itself everything is class 0; below the threshold nearly all that is background.
    assert plain[:, 1, 0].sum() == 0 and better[:, 1, 0].sum() > 0.7 * better[:, 1, 2].sum()
    assert better[:, 0, 0].sum() > 0.9 * better[:, 0, 2].sum()
    segmented = scorer.segment(found, 0)
    counts = confusion_counts(segmented, scorer.labels[0], 2)
    np.testing.assert_array_equal(counts, better[0])
    assert (scorer.segment(LISTS["name"], 0) == 0).all()
    export_native(found, VOCABULARY, "best.json")
    told: list[str] = []
    assert load_native("best.json", told.append).texts == found.texts
    assert f"the threshold {found.threshold:.4g} for background" in told[0]


def test_no_threshold_is_taken_where_none_helps() -> None:
    scorer = ThresholdScorer(Halves(0.3), 1)  # type: ignore[arg-type]
    scorer.labels[:] = [np.zeros_like(one) for one in scorer.labels]
    found, tried, said = find_threshold(scorer, LISTS["name"], rule="interval", samples=200, seed=0)
    assert found is None and tried == 11 and "none is better" in said


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("--words w.json", "--words has no effect without --vary vocabulary"),
        ("--vary vocabulary --attributes color", "--attributes has no effect with --vary"),
        ("--vary vocabulary --llm gpt-4", "--llm has no effect with --vary vocabulary"),
        ("--vary vocabulary --data camvid --data pc-59", "name only one with --data"),
        ("--vary vocabulary --scorer retrain", "Words are not trained anew"),
        ("--vary words", "'attributes', 'vocabulary'"),
        ("--calibrate", "--calibrate has no effect without --vary vocabulary"),
        ("--vary vocabulary --calibrate", "no label of ministuff is background"),
        ("--vary vocabulary --calibrate --executor ray", "for a CLIP on this machine"),
    ],
)
def test_what_is_refused(call, words: str, says: str) -> None:
    done = call("ablate", *words.split())
    assert done.code == 2 and says in " ".join(done.err.replace("│", " ").split())
