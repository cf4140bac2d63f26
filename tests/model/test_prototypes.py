"""The loss on attribute prototypes, by hand."""

import math

import pytest
import torch

from lsmseg_model.training.prototypes import Prototypes, rows_of

VALUES = ("color red", "color blue", "shape ring", "shape star")


@pytest.fixture
def prototypes() -> Prototypes:
    made = Prototypes(VALUES, 2, scale=1.0)
    made.vectors.data = torch.tensor([[1.0, 0.0], [0.0, 2.0], [1.0, 0.0], [-3.0, 0.0]])
    return made


def test_cross_entropy_over_the_alternatives_of_each_attribute(prototypes: Prototypes) -> None:
    """Cosines with red 1, blue 0, ring 1, star -1; the second thing's shape is not known."""
    features = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    truths = prototypes.truths([{"color red", "shape ring"}, {"color blue", "size huge"}])
    assert truths.tolist() == [[1, 0, 1, 0], [0, 1, 0, 0]]
    red, blue = math.log1p(math.exp(-1)), math.log1p(math.exp(1))
    ring = math.log1p(math.exp(-2))
    for weight, root in ((1.0, 1.0), (4.0, 2.0)):  # values count by the roots of their shares
        loss = prototypes.loss(features, truths, torch.tensor([weight, 1.0])).item()
        colour = (root * red + blue) / (root + 1)
        assert loss == pytest.approx((colour + ring) / 2, rel=1e-5)


def test_several_true_ones_count_alike_and_nothing_known_is_zero(prototypes: Prototypes) -> None:
    both = prototypes.truths([{"color red", "color blue"}])
    loss = prototypes.loss(torch.tensor([[1.0, 0.0]]), both, torch.ones(1)).item()
    assert loss == pytest.approx((math.log1p(math.exp(-1)) + 0.5) / 2, rel=1e-5)
    nothing = prototypes.truths([()])
    assert prototypes.loss(torch.ones(1, 2), nothing, torch.ones(1)).item() == 0.0


def test_rows_of_labels() -> None:
    red, blue = frozenset({"color red"}), frozenset({"color blue"})
    labels = torch.tensor([[[3, 1000]], [[-1, 1000]]])
    rows, looks = rows_of(labels, [{1000: red, 7: blue}, {1000: blue}])
    assert [[looks[r] for r in row] for (row,) in rows.tolist()] == [
        [frozenset(), red],
        [frozenset(), blue],
    ]
