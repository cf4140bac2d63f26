"""`evaluate --without-classes`: what pixels were called, beside the classes that they are of."""

import numpy as np
import pytest

from ablations.commands.open_words import classes_first
from lsmseg_model.metrics import open_iou
from lsmseg_prompts.vocabularies import ClassEntry


def test_words_are_counted_for_the_classes_that_they_are() -> None:
    """Words in another order than the classes, and fewer: 'car' is class 1, 'qwerty' is none."""
    classes = [ClassEntry(at, name, name) for at, name in enumerate(("road", "car", "sky"))]
    counts = np.array([[2, 6], [3, 1], [0, 4]])
    confusion, similarity = classes_first(classes, ("car", "qwerty"), counts)
    assert confusion[:, :3].tolist() == [[0, 2, 0], [0, 3, 0], [0, 0, 0]]
    assert confusion.sum() == 16 and confusion[:, 4].tolist() == [6, 1, 4]
    assert similarity[1, 1] == 1 and not similarity[:, 4].any()
    near = similarity[0, 1]  # a road that is called a car counts a little
    expected = [2 * near / 8, 3 / (4 + 2 * (1 - near)), 0]
    assert open_iou(confusion, similarity) == pytest.approx(expected)
