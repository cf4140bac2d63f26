"""Memory counted from tensors: by hand."""

from __future__ import annotations

import torch
from torch import nn

from lsmseg_model.networks.memory import kept_for_backward, peak


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(10, 20), nn.ReLU(), nn.Linear(20, 5))


def test_the_most_that_is_alive_at_once() -> None:
    """[7, 20] twice at the ReLU: 1120 bytes; [7, 20] and [7, 5] after it are fewer."""
    made, x = net(), torch.ones(7, 10)
    assert peak(lambda: made(x)) == 2 * 7 * 20 * 4
    with torch.device("meta"):  # shapes alone are enough
        made, x = net(), torch.empty(7, 10)
        assert peak(lambda: made(x)) == 2 * 7 * 20 * 4


def test_views_and_changes_in_place_take_nothing() -> None:
    x = torch.ones(100)
    assert peak(lambda: x.view(10, 10).T.add_(1).relu_()) == 0
    assert peak(lambda: (x + 1).view(10, 10).relu_()) == 400


def test_what_is_let_go_is_not_counted() -> None:
    x = torch.ones(100)

    def several() -> None:
        for _ in range(5):
            x.clone()

    assert peak(several) in (400, 800)  # the last one may live until the next is there
    assert peak(lambda: [x.clone() for _ in range(5)]) == 2000


def test_what_the_gradients_need() -> None:
    """The input [7, 10] of the first layer, and the ReLU's result, which the last one shares."""
    made, x = net(), torch.ones(7, 10)
    assert kept_for_backward(lambda: made(x), made) == 7 * 10 * 4 + 7 * 20 * 4
    made.requires_grad_(False)
    assert kept_for_backward(lambda: made(x), made) == 0
