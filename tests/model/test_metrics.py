"""mIoU in both published definitions: by hand, against a set-based count and torchmetrics."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lsmseg_model.metrics import (
    accuracy,
    boundary_counts,
    confusion_counts,
    confusion_matrix,
    frequency_weighted_iou,
    iou,
    miou,
    open_iou,
    open_miou,
)

PREDICTION = np.array([[0, 0, 1, 1], [0, 2, 1, 1]])
LABEL = np.array([[0, 0, 1, -1], [1, 1, 1, -1]])


def test_counts_by_hand() -> None:
    counts = confusion_counts(PREDICTION, LABEL, 4)
    # class 0: predicted 3, labelled 2, both 2; class 1: predicted 2 (two more are ignored),
    # labelled 4, both 2; class 2: predicted once, never labelled; class 3: never met.
    assert counts.tolist() == [[2, 3, 2], [2, 2, 4], [0, 1, 0], [0, 0, 0]]
    assert counts.dtype == np.int64


def test_iou_and_both_means_by_hand() -> None:
    counts = confusion_counts(PREDICTION, LABEL, 4)
    np.testing.assert_allclose(iou(counts), [2 / 3, 1 / 2, 0, np.nan])
    assert miou(counts) == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert miou(counts, definition="union") == pytest.approx((2 / 3 + 1 / 2 + 0) / 3)


def test_accuracy_by_hand() -> None:
    counts = confusion_counts(PREDICTION, LABEL, 4)
    np.testing.assert_allclose(accuracy(counts), [1, 1 / 2, np.nan, np.nan])


def test_pictures_are_added_up_before_the_quotient() -> None:
    """mIoU is not a mean over pictures: 1/1 and 1/9 give 2/10, not 5/9."""
    first = confusion_counts(np.array([[0]]), np.array([[0]]), 1)
    second = np.array([[1, 1, 9]])
    assert miou(np.stack([first, second])) == pytest.approx(2 / 10)


def test_subsets_of_classes() -> None:
    counts = confusion_counts(PREDICTION, LABEL, 4)
    assert miou(counts, [1]) == pytest.approx(0.5)
    assert math.isnan(miou(counts, [2]))  # predicted only
    assert miou(counts, [2], "union") == 0.0
    assert math.isnan(miou(counts, [3], "union"))
    assert math.isnan(miou(counts, []))


def test_an_unknown_definition_is_refused() -> None:
    with pytest.raises(ValueError, match="labelled"):
        miou(np.zeros((2, 3)), definition="mean")


maps = st.integers(1, 5).flatmap(
    lambda classes: st.tuples(
        st.just(classes),
        arrays(np.int64, (5, 6), elements=st.integers(0, classes - 1)),
        arrays(np.int64, (5, 6), elements=st.integers(-1, classes - 1)),
    )
)


@given(maps)
def test_agrees_with_sets_of_pixels(case: tuple[int, np.ndarray, np.ndarray]) -> None:
    classes, prediction, label = case
    counts = confusion_counts(prediction, label, classes)
    kept = [(y, x) for y, x in np.ndindex(*label.shape) if label[y, x] >= 0]
    ious, union_ious = [], []
    for c in range(classes):
        predicted = {at for at in kept if prediction[at] == c}
        labelled = {at for at in kept if label[at] == c}
        if predicted | labelled:
            value = len(predicted & labelled) / len(predicted | labelled)
            union_ious.append(value)
            if labelled:
                ious.append(value)
            assert iou(counts)[c] == pytest.approx(value)
        else:
            assert math.isnan(iou(counts)[c])
    assert counts[:, 2].sum() == counts[:, 1].sum() == len(kept)
    for definition, values in (("labelled", ious), ("union", union_ious)):
        expected = sum(values) / len(values) if values else float("nan")
        assert miou(counts, definition=definition) == pytest.approx(expected, nan_ok=True)


@given(maps)
def test_agrees_with_torchmetrics(case: tuple[int, np.ndarray, np.ndarray]) -> None:
    functional = pytest.importorskip("torchmetrics.functional.classification")
    import torch

    classes, prediction, label = case
    if classes < 2 or not (label >= 0).any():
        return
    per_class = functional.multiclass_jaccard_index(
        torch.from_numpy(prediction),
        torch.from_numpy(label),
        num_classes=classes,
        ignore_index=-1,
        average="none",
    )
    counts = confusion_counts(prediction, label, classes)
    np.testing.assert_allclose(np.nan_to_num(iou(counts)), per_class.numpy(), atol=1e-6)
    macro = functional.multiclass_jaccard_index(
        torch.from_numpy(prediction),
        torch.from_numpy(label),
        num_classes=classes,
        ignore_index=-1,
        average="macro",  # over classes in labels or predictions
    )
    assert miou(counts, definition="union") == pytest.approx(float(macro), abs=1e-6)
    labelled = per_class[np.unique(label[label >= 0])]
    assert miou(counts) == pytest.approx(float(labelled.mean()), abs=1e-6)
    recall = functional.multiclass_accuracy(
        torch.from_numpy(prediction),
        torch.from_numpy(label),
        num_classes=classes,
        ignore_index=-1,
        average="none",
    )
    np.testing.assert_allclose(np.nan_to_num(accuracy(counts)), recall.numpy(), atol=1e-6)


CONFUSION = np.array([[6, 4, 0], [0, 5, 0], [1, 0, 0]])  # by label (row) and prediction (column)


def test_confusions_by_label_and_prediction() -> None:
    found = confusion_matrix(PREDICTION, LABEL, 3)
    assert found.tolist() == [[2, 0, 0], [1, 2, 1], [0, 0, 0]]
    counts = confusion_counts(PREDICTION, LABEL, 3)
    assert found.diagonal().tolist() == counts[:, 0].tolist()
    assert found.sum(axis=0).tolist() == counts[:, 1].tolist()


def test_open_iou_by_hand() -> None:
    similarity = np.array([[1, 0.5, 0], [0.5, 1, 0], [0, 0, 1]])
    # Class 0: hits 6 + 4 / 2 = 8, union 10 labelled + 1 of class 2 that is wholly wrong.
    # Class 1: hits 5, union 5 labelled + the wrong half of 4. Class 2: nothing of 1.
    np.testing.assert_allclose(open_iou(CONFUSION, similarity), [8 / 11, 5 / 7, 0])
    assert open_miou(CONFUSION, similarity) == pytest.approx((8 / 11 + 5 / 7) / 3)
    # Where the words mean the same, a class that labels do not use is not wrong and not counted.
    same = open_iou(np.array([[6, 4], [0, 0]]), np.ones((2, 2)))
    np.testing.assert_array_equal(same, [1, np.nan])
    assert math.isnan(open_miou(np.zeros((2, 2), int), np.eye(2)))


def test_open_iou_of_words_that_are_no_class() -> None:
    """Two classes and the words couch, a synonym of class 0, and fog, of none."""
    found = confusion_matrix(np.array([[0, 2, 2, 3, 0, 3]]), np.array([[0, 0, 0, 0, 1, -1]]), 2, 4)
    assert found.tolist() == [[1, 0, 2, 1], [1, 0, 0, 0]]
    similarity = np.array([[1, 0, 1, 0], [0, 1, 0, 0]])
    # Class 0: hits 1 + 2, union 4 labelled + 1 of class 1. Class 1: nothing of 1.
    np.testing.assert_allclose(open_iou(found, similarity), [3 / 5, 0])


@given(arrays(np.int64, (4, 4), elements=st.integers(0, 9)), st.integers(0, 3))
def test_open_iou_of_words_never_predicted_is_that_of_the_classes(
    confusion: np.ndarray, words: int
) -> None:
    similarity = np.eye(4) / 2 + 0.5
    wider = [np.pad(x, ((0, 0), (0, words))) for x in (confusion, similarity)]
    np.testing.assert_array_equal(open_iou(*wider), open_iou(confusion, similarity))


@given(arrays(np.int64, (4, 4), elements=st.integers(0, 9)))
def test_open_iou_without_near_words_is_iou(confusion: np.ndarray) -> None:
    total = np.stack([confusion.diagonal(), confusion.sum(axis=0), confusion.sum(axis=1)], axis=-1)
    np.testing.assert_allclose(open_iou(confusion, np.eye(4)), iou(total))
    np.testing.assert_allclose(open_miou(confusion, np.eye(4)), miou(total, definition="union"))


# -- Boundary IoU and frequency-weighted IoU -------------------------------------------------


def published_boundary(mask: np.ndarray, ratio: float) -> np.ndarray:
    """The pixels of a mask that erosions by 3 x 3, as many as the ratio says, take away."""
    from scipy.ndimage import binary_erosion

    times = max(1, round(ratio * math.sqrt(mask.shape[0] ** 2 + mask.shape[1] ** 2)))
    return mask & ~binary_erosion(mask, np.ones((3, 3)), iterations=times, border_value=0)


@pytest.mark.parametrize("ratio", [0.02, 0.05, 0.2, 0.5])
def test_boundaries_are_those_of_the_published_erosion(ratio: float) -> None:
    pytest.importorskip("scipy", reason="erodes the masks for comparison")
    rng = np.random.default_rng(0)
    for shape in ((30, 41), (12, 50), (7, 7)):
        label = np.kron(rng.integers(-1, 4, shape), np.ones((4, 3), int))
        moved = np.roll(label, (1, 2), (0, 1))
        prediction = np.where(moved < 0, 0, moved)
        expected = []
        for position in range(5):
            mine, theirs = (
                published_boundary((one == position) & (label >= 0), ratio)
                for one in (prediction, label)
            )
            expected.append([(mine & theirs).sum(), mine.sum(), theirs.sum()])
        assert boundary_counts(prediction, label, 5, ratio).tolist() == np.array(expected).tolist()


def test_boundary_iou_by_hand() -> None:
    """A square of 4 x 4 in 8 x 8, found one column to the right: its frame is one pixel wide."""
    label, prediction = np.zeros((8, 8), int), np.zeros((8, 8), int)
    label[2:6, 2:6] = prediction[2:6, 3:7] = 1
    counts = boundary_counts(prediction, label, 2)
    # Of class 1 two frames of 12 pixels: top and bottom rows share 3 pixels each, and label's
    # right column (x = 5) lies inside the prediction, whose left one (x = 3) lies inside the label.
    assert counts[1].tolist() == [6, 12, 12]
    assert iou(counts)[1] == pytest.approx(6 / 18)
    assert boundary_counts(label, label, 2)[:, 0].tolist() == [28 + 20, 12]


def test_frequency_weighted_iou_by_hand() -> None:
    counts = confusion_counts(PREDICTION, LABEL, 4)
    # IoU 2/3 of the class of 2 of the 6 labelled pixels, 1/2 of that of 4.
    assert frequency_weighted_iou(counts) == pytest.approx(2 / 6 * 2 / 3 + 4 / 6 * 1 / 2)
    assert math.isnan(frequency_weighted_iou(np.zeros((2, 3), np.int64)))


def test_frequency_weighted_iou_is_that_of_torchmetrics() -> None:
    torchmetrics = pytest.importorskip("torchmetrics", reason="an independent count")
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    prediction, label = rng.integers(0, 6, (20, 30)), rng.integers(0, 5, (20, 30))
    theirs = torchmetrics.JaccardIndex("multiclass", num_classes=6, average="weighted")
    expected = theirs(torch.from_numpy(prediction), torch.from_numpy(label))
    ours = frequency_weighted_iou(confusion_counts(prediction, label, 6))
    assert ours == pytest.approx(float(expected), abs=1e-6)
