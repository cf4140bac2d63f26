"""One's own model on a benchmark: any callable from a picture and texts to scores or labels."""

from typing import Any

import numpy as np
import pytest
import torch
from support.ablation_fakes import DESCRIPTIONS, VOCABULARY, FakeBenchmark

from ablations.scoring.frozen import Texts
from ablations.scoring.own_model import CallableScorer, score_callable
from lsmseg_model.errors import DataError
from lsmseg_model.metrics import miou
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.prompts.prompt_set import build_prompt_set
from lsmseg_prompts.vocabularies import Vocabulary

BENCHMARK: Any = FakeBenchmark(pictures=6)
NAME = build_prompt_set({}, VOCABULARY, ("name",))
COLOR = build_prompt_set(DESCRIPTIONS, VOCABULARY, ("color",))
TRUTH = {BENCHMARK.picture(i).tobytes(): BENCHMARK.labels(i) for i in range(len(BENCHMARK))}


def oracle(picture: np.ndarray, texts: Texts) -> np.ndarray:
    """Right with descriptions; with names alone it says the first class everywhere."""
    labels = np.maximum(TRUTH[picture.tobytes()], 0)
    return labels if "has the color" in texts[0][0] else np.zeros_like(labels)


def one_hot(picture: np.ndarray, texts: Texts) -> np.ndarray:
    return np.eye(len(texts), dtype=np.float32)[oracle(picture, texts)].transpose(2, 0, 1)


@pytest.mark.parametrize(
    "model", [oracle, one_hot, lambda *given: torch.from_numpy(one_hot(*given)).requires_grad_()]
)
def test_labels_scores_and_tensors_are_counted_alike(model: Any) -> None:
    done: list[tuple[int, int]] = []
    counts = score_callable(model, [NAME, COLOR], BENCHMARK, lambda *now: done.append(now))
    assert counts.shape == (2, 6, 4, 3) and counts.dtype == np.int64
    assert done[-1] == (6, 6)
    assert miou(counts[1]) == 1
    assert miou(counts[0]) < 0.5
    assert counts[0, :, 0, 1].sum() == counts[0, ..., 2].sum()  # all is taken for the first


def test_several_prompts_of_a_class_and_some_classes() -> None:
    owned: Any = FakeBenchmark(pictures=4, class_indices=(1, 3), owners=(1, 1, 3, 3))
    seen: list[int] = []

    def third(picture: np.ndarray, texts: Texts) -> np.ndarray:
        seen.append(len(texts))
        return np.full(picture.shape[:2], 2)

    counts = score_callable(third, [COLOR], owned)
    assert set(seen) == {4}
    assert (counts[0, :, 0, 1] == 0).all() and (counts[0, :, 1, 1] > 0).all()
    assert (CallableScorer(third, owned).segment(COLOR, 0) == 3).all()


def test_cost_maps_are_the_scores() -> None:
    scorer = CallableScorer(one_hot, BENCHMARK)
    assert np.array_equal(scorer.cost_map(COLOR, 0, 1), BENCHMARK.labels(0) == 1)
    assert scorer.needs == (0, 1, 2, 3)
    with pytest.raises(UsageError, match="labels, not scores"):
        CallableScorer(oracle, BENCHMARK).cost_map(COLOR, 0, 1)


def test_the_same_texts_are_scored_once() -> None:
    calls: list[int] = []

    def model(picture: np.ndarray, texts: Texts) -> np.ndarray:
        calls.append(1)
        return oracle(picture, texts)

    scorer = CallableScorer(model, BENCHMARK, name="mine")
    scorer.score([NAME, NAME])
    scorer.score([NAME])
    assert len(calls) == 6
    assert scorer.key != CallableScorer(model, BENCHMARK, name="other").key


@pytest.mark.parametrize(
    ("output", "says"),
    [
        (np.zeros((4, 8, 8)), r"float64 \[4, 8, 8\] for a picture of \[16, 24\] and 4 texts"),
        (np.zeros((16, 24)), r"give scores \[4, 16, 24\], or labels \[16, 24\] as whole"),
        (np.full((16, 24), 4), "labels from 4 to 4 for 4 texts"),
        (np.full((16, 24), -1), "labels from -1 to -1"),
    ],
)
def test_other_outputs_are_refused(output: np.ndarray, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        score_callable(lambda picture, texts: output, [NAME], BENCHMARK)


def test_another_vocabulary_is_refused() -> None:
    other = build_prompt_set({}, Vocabulary("other", "Other", VOCABULARY.classes), ("name",))
    with pytest.raises(UsageError, match="for the vocabulary other"):
        score_callable(oracle, [other], BENCHMARK)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_scores_that_are_no_numbers_are_refused(wrong: float) -> None:
    def broken(picture: np.ndarray, texts: Texts) -> np.ndarray:
        scores = one_hot(picture, texts)
        if np.array_equal(picture, BENCHMARK.picture(2)):
            scores[0, 0, 0] = wrong
        return scores

    with pytest.raises(DataError, match=r"own model gives NaN or infinite .* picture report-2: "):
        score_callable(broken, [NAME], BENCHMARK)
