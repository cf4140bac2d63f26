"""The frozen scorer against the plain definition."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from support.ablation_fakes import DESCRIPTIONS, VOCABULARY, FakeBenchmark
from support.small_clip import SMALL
from torch.nn import functional as F

from ablations.scoring import frozen
from ablations.scoring.count_store import key_of
from ablations.scoring.frozen import FrozenScorer
from ablations.scoring.splits import halves
from lsmseg_model.data import scored_names
from lsmseg_model.metrics import confusion_counts
from lsmseg_model.networks.backbones.clip import Clip
from lsmseg_model.networks.backbones.load import build_backbone
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.prompts.prompt_set import build_prompt_set

COLOR = build_prompt_set(DESCRIPTIONS, VOCABULARY, ["color"])
BOTH = build_prompt_set(DESCRIPTIONS, VOCABULARY, ["color", "shape"], "ensemble")


@pytest.fixture(scope="module")
def clip() -> Clip:
    torch.manual_seed(1)
    return build_backbone(SMALL).eval()


@pytest.mark.parametrize("indices", [(0, 1, 2, 3), (3, 1)])
def test_counts_follow_the_definition(clip: Clip, indices: tuple[int, ...]) -> None:
    """Cosine with every scored class, bilinear to full size, argmax, counted per picture."""
    benchmark = FakeBenchmark(pictures=3, class_indices=indices, size=(16, 16))
    counts = FrozenScorer(clip, benchmark).score([COLOR, BOTH])
    assert counts.shape == (2, 3, len(indices), 3)
    for s, prompt_set in enumerate((COLOR, BOTH)):
        text = clip.encode_texts([prompt_set.texts[i] for i in indices])
        for p in range(3):
            image = torch.from_numpy(benchmark.picture(p)).permute(2, 0, 1)[None] / 255
            with torch.inference_mode():
                cosine = torch.einsum("bhwd,nd->bnhw", clip.encode_dense(image), text)
                cosine = F.interpolate(cosine, size=(16, 16), mode="bilinear")
            labels = benchmark.labels(p)
            position = np.full(labels.shape, -1)
            for at, index in enumerate(indices):
                position[labels == index] = at
            expected = confusion_counts(cosine[0].argmax(0).numpy(), position, len(indices))
            np.testing.assert_array_equal(counts[s, p], expected)


def test_features_are_computed_once_and_equal_texts_are_scored_once(
    clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    benchmark = FakeBenchmark(pictures=2)
    scorer = FrozenScorer(clip, benchmark)
    calls: list[int] = []
    original = frozen.count_prompt_sets
    monkeypatch.setattr(
        frozen,
        "count_prompt_sets",
        lambda c, f, texts, *rest: calls.append(len(texts)) or original(c, f, texts, *rest),
    )
    twin = replace(COLOR, name="twin")
    first = scorer.score([COLOR, twin])
    again = scorer.score([BOTH, COLOR])
    assert calls == [1, 1]
    np.testing.assert_array_equal(first[0], first[1])
    np.testing.assert_array_equal(again[1], first[0])
    assert scorer.features() is scorer.features()


def test_counts_of_readings_are_kept_apart(clip: Clip) -> None:
    benchmark = FakeBenchmark(pictures=2)
    scorer = FrozenScorer(clip, benchmark)
    readings = [
        replace(BOTH, composition="max"),
        replace(BOTH, composition="mean-score"),
        replace(BOTH, composition="adaptive"),
        replace(BOTH, composition="adaptive", temperature=0.5),
        replace(BOTH, weights=((1.0, -0.5),) * 4),
    ]
    # The keys of stores made before readings were told apart.
    assert scorer.text_key(COLOR) == key_of(scorer.texts(COLOR))
    assert scorer.text_key(BOTH) == key_of(scorer.texts(BOTH))
    assert scorer.text_key(replace(BOTH, composition="refined")) == scorer.text_key(BOTH)
    keys = [scorer.text_key(one) for one in (BOTH, *readings)]
    assert len(set(keys)) == 6
    single = [replace(COLOR, composition=how) for how in ("max", "mean-score", "adaptive")]
    assert {scorer.text_key(one) for one in single} == {scorer.text_key(COLOR)}
    counts = scorer.score(readings)
    for one, counted in zip(readings, counts, strict=True):
        segmented = scorer.segment(one, 1)
        labels = benchmark.labels(1)
        expected = confusion_counts(segmented, labels, 4)
        np.testing.assert_array_equal(counted[1], expected)
        maps = np.stack([scorer.cost_map(one, 1, index) for index in range(4)])
        np.testing.assert_array_equal(maps.argmax(axis=0), segmented)


def test_texts_of_classes_that_are_not_scored_do_not_matter(clip: Clip) -> None:
    scorer = FrozenScorer(clip, FakeBenchmark(pictures=2, class_indices=(0, 2)))
    other = replace(COLOR, texts=(COLOR.texts[0], ("else",), COLOR.texts[2], ("other",)))
    np.testing.assert_array_equal(*scorer.score([COLOR, other]))


def test_segmentation_and_cost_map_agree_with_the_counts(clip: Clip) -> None:
    benchmark = FakeBenchmark(pictures=1, class_indices=(1, 3))
    scorer = FrozenScorer(clip, benchmark)
    segmented = scorer.segment(COLOR, 0)
    assert set(np.unique(segmented)) <= {1, 3} and segmented.shape == (16, 24)
    costs = np.stack([scorer.cost_map(COLOR, 0, index) for index in (1, 3)])
    assert np.abs(costs).max() <= 1 + 1e-5
    np.testing.assert_array_equal(np.array([1, 3])[costs.argmax(0)], segmented)


def test_prompts_that_stand_for_one_class_count_together(clip: Clip) -> None:
    """Classes 0 and 1, then background: 2 and 3 both stand for 2, whose own prompt is no more."""
    plain = FakeBenchmark(pictures=2, size=(16, 16))
    owned = FakeBenchmark(pictures=2, size=(16, 16), class_indices=(0, 1, 2), owners=(0, 1, 2, 2))
    owned.labels = lambda index: np.minimum(plain.labels(index), 2)  # type: ignore[method-assign]
    scorer, without = FrozenScorer(clip, owned), FrozenScorer(clip, plain)
    counts = scorer.score([COLOR])
    for p in range(2):
        found = np.minimum(without.segment(COLOR, p), 2)
        np.testing.assert_array_equal(scorer.segment(COLOR, p), found)
        np.testing.assert_array_equal(counts[0, p], confusion_counts(found, owned.labels(p), 3))
        costs = [without.cost_map(COLOR, p, index) for index in (2, 3)]
        np.testing.assert_allclose(scorer.cost_map(COLOR, p, 2), np.max(costs, axis=0), atol=1e-6)
    assert scored_names(owned, "abcd") == ["a", "b", "background"]
    assert scored_names(plain, "abcd") == ["a", "b", "c", "d"]
    assert halves(owned)["report"].owners == (0, 1, 2, 2)


def test_another_vocabularys_prompts_are_refused(clip: Clip) -> None:
    scorer = FrozenScorer(clip, FakeBenchmark(pictures=1))
    with pytest.raises(UsageError, match="coco"):
        scorer.score([replace(COLOR, vocabulary="coco")])
