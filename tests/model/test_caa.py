"""CAA's equations by hand, and that every switch changes what it should and nothing else."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lsmseg_model.errors import ConfigError
from lsmseg_model.networks.closed_set.caa import (
    CAA,
    affinity_loss,
    associate,
    centres,
    same_class,
    split,
)
from lsmseg_model.networks.closed_set.config import ClosedSetOptions
from lsmseg_model.networks.closed_set.plain import Plain
from lsmseg_model.networks.fields import read_fields

OPTIONS = ClosedSetOptions(addon="caa")
LN3 = 1.0986123
"""Of two scores that differ by it the softmax is 3/4 and 1/4."""


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def small(**changes: object) -> CAA:
    torch.manual_seed(0)
    return CAA(8, 3, replace(OPTIONS, **changes)).eval()


@pytest.fixture
def seen() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.randn(2, 8, 3, 4), torch.randn(2, 3, 3, 4)


# -- equations ---------------------------------------------------------------------------


def test_centres_over_positions() -> None:
    """Two positions; class 0 weighs the first with 3/4, class 1 both alike."""
    x = torch.tensor([[[4.0, 0.0], [0.0, 8.0]]])
    coarse = torch.tensor([[[[LN3, 0.0]], [[2.0, 2.0]]]])
    assert torch.allclose(centres(x, coarse), torch.tensor([[[3.0, 2.0], [2.0, 4.0]]]))


def test_centres_over_classes() -> None:
    """The first position is class 0 by 3/4, the second by 1/2: masses 5/4 and 3/4."""
    x = torch.tensor([[[4.0, 0.0], [0.0, 8.0]]])
    coarse = torch.tensor([[[[LN3, 2.0]], [[0.0, 2.0]]]])
    expected = torch.tensor([[[2.4, 3.2], [1.3333333, 5.3333333]]])
    assert torch.allclose(centres(x, coarse, "classes"), expected)


M = torch.tensor([[[1.0, 0.5], [0.25, 0.75]]])
X = torch.tensor([[[4.0, 0.0], [0.0, 8.0]]])


def test_split_into_rows_of_mass_one() -> None:
    inside, outside = split(X, M, OPTIONS)
    assert torch.allclose(inside, torch.tensor([[[2.6666667, 2.6666667], [1.0, 6.0]]]), atol=1e-4)
    assert torch.allclose(outside, torch.tensor([[[0.0, 8.0], [3.0, 2.0]]]), atol=1e-4)


def test_split_as_it_is_printed() -> None:
    inside, outside = split(X, M, replace(OPTIONS, normalise="none"))
    assert torch.equal(inside, torch.tensor([[[4.0, 4.0], [1.0, 6.0]]]))
    assert torch.equal(outside, torch.tensor([[[0.0, 4.0], [3.0, 2.0]]]))


@pytest.mark.parametrize(
    ("scale", "expected"), [(False, [[1.5, 0.5]]), (True, [[1.369996, 0.630004]])]
)
def test_association(scale: bool, expected: list[list[float]]) -> None:
    """<x, c> are ln 3 and 0: relations 3/4 and 1/4; divided by sqrt 2, 0.685 and 0.315."""
    x = torch.tensor([[[LN3 / 2, 0.0]]])
    c = torch.tensor([[[2.0, 0.0], [0.0, 2.0]]])
    assert torch.allclose(associate(x, c, scale), torch.tensor([expected]), atol=1e-5)


def test_affinity_is_of_queries_and_keys() -> None:
    """Q = (4, 2), K = (2, 1) of one channel: Q K^T, over sqrt 1."""
    caa = CAA(1, 2, replace(OPTIONS, reduce=1))
    with torch.no_grad():
        for layer, weight, bias in ((caa.query, 2.0, 0.0), (caa.key, 1.0, 0.0)):
            layer.weight.fill_(weight)
            layer.bias.fill_(bias)
    found = caa.affinity(torch.tensor([[[[2.0, 1.0]]]]))
    assert torch.equal(found, torch.tensor([[[8.0, 4.0], [4.0, 2.0]]]))


def test_affinity_is_divided_by_the_width() -> None:
    """Four channels of 1 each: 4 / sqrt 4."""
    caa = CAA(1, 2, replace(OPTIONS, reduce=4))
    with torch.no_grad():
        for layer in (caa.query, caa.key):
            layer.weight.fill_(1.0)
            layer.bias.fill_(0.0)
    assert caa.affinity(torch.ones(1, 1, 1, 1)).item() == 2.0


def test_affinity_loss_leaves_out_unlabelled_ends() -> None:
    """Of labels 0, 0, 1, none nine pairs count: -ln sigmoid(ln 3) = ln 4/3, of others ln 4."""
    labels = torch.tensor([[[0, 0], [1, -1]]])
    logits = torch.full((1, 4, 4), LN3)
    logits[:, 3] = logits[:, :, 3] = 1e4  # must count nowhere
    expected = (5 * 0.2876821 + 4 * 1.3862944) / 9
    assert affinity_loss(logits, labels).item() == pytest.approx(expected, abs=1e-5)
    target, pairs = same_class(labels)
    assert target[0].int().tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]]
    assert pairs.sum() == 9


def test_affinity_loss_of_no_labels_is_nothing() -> None:
    logits = torch.zeros(2, 4, 4, requires_grad=True)
    loss = affinity_loss(logits, torch.full((2, 2, 2), -1))
    loss.sum().backward()
    assert loss.tolist() == [0, 0]
    assert logits.grad is not None
    assert not logits.grad.any()


# -- the whole ---------------------------------------------------------------------------


def test_the_whole_by_hand() -> None:
    """One channel, positions 1 and 2, M = 1/2: both parts are 1.5; centres 1.25 and 1.5.

    Relations are softmax(1.875, 2.25): 0.40733 and 0.59267, so both associations are 1.39817.
    The fusion adds x, twice the first and three times the second.
    """
    caa = CAA(1, 2, replace(OPTIONS, reduce=1, scale=False)).eval()
    with torch.no_grad():
        caa.reduction[0].weight.fill_(1.0)
        caa.reduction[1].eps = 0.0
        caa.query.weight.fill_(0.0)
        caa.query.bias.fill_(0.0)
        caa.fusion.weight.copy_(torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1))
        caa.fusion.bias.fill_(0.0)
        caa.classifier.weight.copy_(torch.tensor([1.0, -1.0]).view(2, 1, 1, 1))
        caa.classifier.bias.fill_(0.0)
    features = torch.tensor([[[[1.0, 2.0]]]])
    coarse = torch.tensor([[[[LN3, 0.0]], [[0.0, 0.0]]]])
    logits, losses = caa(features, coarse)
    assert losses == {}
    expected = torch.tensor([[[[7.99084, 8.99084]], [[-7.99084, -8.99084]]]])
    assert torch.allclose(logits, expected, atol=1e-4)


def test_labels_change_the_losses_alone(seen: tuple[Tensor, Tensor]) -> None:
    caa, labels = small(affinity_loss=2.0), torch.randint(-1, 3, (2, 3, 4))
    logits, losses = caa(*seen, labels)
    assert torch.equal(logits, caa(*seen)[0])
    assert list(losses) == ["affinity"]
    expected = 2.0 * affinity_loss(caa.affinity(seen[0]), labels)
    assert torch.allclose(losses["affinity"], expected)
    assert small(affinity_loss=0.0)(*seen, labels)[1] == {}


def test_an_affinity_from_outside(seen: tuple[Tensor, Tensor]) -> None:
    caa, labels = small(), torch.zeros(2, 3, 4, dtype=torch.int64)
    own = caa.affinity(seen[0]).sigmoid()
    assert torch.equal(caa(*seen, None, own)[0], caa(*seen)[0])
    oracle = same_class(torch.randint(0, 2, (2, 3, 4)))[0]
    logits, losses = caa(*seen, labels, oracle)
    assert losses == {}
    assert not torch.allclose(logits, caa(*seen)[0])


PARTS = [
    ({}, ["key", "query"], 3),
    ({"inter": False}, ["key", "query"], 2),
    ({"intra": False}, ["key", "query"], 2),
    ({"centres": False}, ["key", "query"], 3),
    ({"affinity": False}, list[str](), 2),
]


@pytest.mark.parametrize(("changes", "own", "joined"), PARTS, ids=str)
def test_switches_leave_out_their_part(
    changes: dict[str, bool], own: list[str], joined: int, seen: tuple[Tensor, Tensor]
) -> None:
    caa = small(**changes)
    names = {name.partition(".")[0] for name, _ in caa.named_parameters()}
    assert names == {"reduction", "fusion", "classifier"} | {*own}
    assert caa.fusion.in_channels == joined * 4
    features, coarse = seen
    logits, _ = caa(features, coarse)
    assert logits.shape == (2, 3, 3, 4)
    unlike = not torch.allclose(logits, caa(features, coarse.flip(1) * 2)[0])
    assert unlike is changes.get("centres", True)  # centres alone read the coarse logits


@pytest.mark.parametrize(
    ("field", "value"), [("centre", "classes"), ("normalise", "none"), ("scale", False)]
)
def test_alternatives_change_numbers_alone(
    field: str, value: object, seen: tuple[Tensor, Tensor]
) -> None:
    one, other = small(), small(**{field: value})
    assert count(one) == count(other)
    assert not torch.allclose(one(*seen)[0], other(*seen)[0])


@cache
def of_one_picture() -> tuple[Tensor, Tensor, CAA]:
    caa = small()
    return torch.randn(1, 8, 3, 4), torch.randn(1, 3, 3, 4), caa


@given(st.permutations(range(12)))
def test_positions_may_change_places(order: list[int]) -> None:
    features, coarse, caa = of_one_picture()

    def turned(x: Tensor) -> Tensor:
        return x.flatten(2)[..., order].unflatten(2, (3, 4))

    found = caa(turned(features), turned(coarse))[0]
    assert torch.allclose(found, turned(caa(features, coarse)[0]), atol=1e-5)


# -- the control, and what is refused -----------------------------------------------------


@pytest.mark.parametrize("changes", [changes for changes, _, _ in PARTS], ids=str)
@pytest.mark.parametrize(("channels", "classes", "reduce"), [(64, 28, 0), (512, 150, 256)])
def test_the_control_has_as_many_parameters(
    changes: dict[str, bool], channels: int, classes: int, reduce: int
) -> None:
    options = replace(OPTIONS, reduce=reduce, **changes)
    with torch.device("meta"):
        ours, control = CAA(channels, classes, options), Plain(channels, classes, options)
    assert abs(count(ours) / count(control) - 1) < 0.01


def test_the_control_sees_every_position_alone(seen: tuple[Tensor, Tensor]) -> None:
    plain, (features, coarse) = Plain(8, 3, OPTIONS).eval(), seen
    whole, losses = plain(features, coarse, torch.zeros(2, 3, 4))
    assert losses == {}
    assert torch.allclose(plain(features[:, :, 1:2], coarse)[0], whole[:, :, 1:2], atol=1e-6)


def test_sizes_are_those_of_the_docstring() -> None:
    with torch.device("meta"):
        sizes = [count(CAA(512, 150, replace(OPTIONS, reduce=width))) for width in (0, 512)]
    assert sizes == [629_654, 1_652_374]


@pytest.mark.parametrize(
    "switches", [{"centres": False, "affinity": False}, {"intra": False, "inter": False}]
)
def test_nothing_left_is_refused(switches: dict[str, bool]) -> None:
    with pytest.raises(ConfigError, match="switch one on"):
        ClosedSetOptions(**switches)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"centres": 1}, "centres must be true or false, not 1"),
        ({"addon": "cca"}, "addon is 'cca'; did you mean caa"),
        ({"momentum": 1.5}, "momentum must be a number from 0 to 1"),
    ],
)
def test_wrong_fields_are_named(fields: dict[str, object], words: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(words)):
        read_fields(ClosedSetOptions, fields, "test")
