"""ECAC (chapter 4 of the thesis): each equation by hand, its switches, its bank, no leak."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from lsmseg_model.networks.closed_set import complete, ecac_losses
from lsmseg_model.networks.closed_set.config import ClosedSetOptions
from lsmseg_model.networks.closed_set.ecac import ECAC, Classifier
from lsmseg_model.processes import Processes

ALONE = Processes(0, 1, "cpu")
PLAIN = ClosedSetOptions(addon="ecac", calibration=False, momentum=0.5)
LN3 = 1.0986123


def maps(*positions: tuple[float, ...]) -> Tensor:
    """[1, channels, 1, positions] from the channels of each position."""
    return torch.tensor(positions).T[None, :, None]


def labelled(*labels: int) -> Tensor:
    return torch.tensor(labels)[None, None]


def adding(classifier: Classifier) -> None:
    """Layers whose row of a class is the centre plus the bank's row (of positive numbers)."""
    first, last = classifier.layers[0], classifier.layers[2]
    eye = torch.eye(2)
    for layer, weight in ((first, torch.cat([eye, eye], dim=1)), (last, eye)):
        layer.weight.data.copy_(weight)
        layer.bias.data.zero_()


def small(options: ClosedSetOptions = PLAIN, classes: int = 2) -> ECAC:
    made = ECAC(2, classes, options)
    adding(made.student)
    adding(made.teacher)
    return made


# -- classifiers -------------------------------------------------------------------------

FEATURES = maps((1.0, 0.0), (0.0, 2.0))
COARSE = maps((LN3, 0.0), (0.0, 0.0))  # shares 3/4, 1/4 and 1/2, 1/2


def test_the_student_by_hand() -> None:
    """Centres (0.6, 0.8) and (1/3, 4/3): Eq. 4.6 to 4.8; cosines times 15, or products."""
    logits, losses = small()(FEATURES, COARSE)
    expected = torch.tensor([[9.0, 12.0], [3.63803, 14.55214]])
    torch.testing.assert_close(logits[0, :, 0], expected, atol=1e-4, rtol=0)
    assert losses == {}
    logits, _ = small(replace(PLAIN, scores="dot"))(FEATURES, COARSE)
    expected = torch.tensor([[0.6, 1.6], [0.33333, 2.66667]])
    torch.testing.assert_close(logits[0, :, 0], expected, atol=1e-4, rtol=0)


def test_the_bank_joins_the_centres() -> None:
    model = small(replace(PLAIN, scores="dot"))
    model.bank.copy_(torch.tensor([[1.0, 0.0], [0.0, 3.0]]))
    logits, _ = model(FEATURES, COARSE)  # rows (1.6, 0.8) and (1/3, 13/3)
    expected = torch.tensor([[1.6, 1.6], [0.33333, 8.66667]])
    torch.testing.assert_close(logits[0, :, 0], expected, atol=1e-4, rtol=0)


def test_the_teacher_by_hand() -> None:
    """Its centres are means by the labels; a class that is not there has its row of the bank."""
    model = small(replace(PLAIN, scores="dot"))
    model.bank.copy_(torch.tensor([[0.0, 0.5], [0.0, 3.0]]))
    features = maps((1.0, 0.0), (3.0, 0.0), (7.0, 7.0))
    logits = model.teach(features, labelled(0, 0, -1))  # rows (2, 0.5) and (0, 6)
    assert logits[0, :, 0].tolist() == [[2.0, 6.0, 17.5], [0.0, 0.0, 42.0]]


def test_calibration_by_hand() -> None:
    """Eq. 4.9 and 4.10: a gain and a shift for each class; 1 and 0 at the start."""
    model = small(replace(PLAIN, scores="dot", calibration=True))
    plain = small(replace(PLAIN, scores="dot"))
    assert torch.equal(model(FEATURES, COARSE)[0], plain(FEATURES, COARSE)[0])
    model.student.gain.data.view(2).copy_(torch.tensor([2.0, 1.0]))
    model.student.shift.data.view(2).copy_(torch.tensor([0.0, -1.0]))
    expected = torch.tensor([[1.2, 3.2], [-0.66667, 1.66667]])
    torch.testing.assert_close(model(FEATURES, COARSE)[0][0, :, 0], expected, atol=1e-4, rtol=0)
    taught = model.teach(FEATURES, labelled(0, 1))
    assert torch.equal(taught, plain.teach(FEATURES, labelled(0, 1)))  # it has its own


@cache
def filled() -> ECAC:
    torch.manual_seed(0)
    model = ECAC(3, 5, ClosedSetOptions(addon="ecac", memory_from=0))
    model.bank.normal_()
    model.filled.fill_(True)
    return model


@given(st.lists(st.integers(-1, 4), min_size=12, max_size=12), st.booleans())
def test_labels_do_not_change_the_student(labels: list[int], training: bool) -> None:
    model = filled().train(training)
    features, coarse = torch.randn(2, 3, 2, 3), torch.randn(2, 5, 2, 3)
    bank = model.bank.clone()
    logits, losses = model(features, coarse, torch.tensor(labels).view(2, 2, 3))
    assert torch.equal(logits, model(features, coarse)[0])
    assert torch.equal(model.bank, bank)
    assert all(bool(loss.isfinite()) for loss in losses.values())


# -- losses ------------------------------------------------------------------------------


def test_class_weights_by_hand() -> None:
    weights = ecac_losses.class_weights([0.64, 0.16, 0.04, 0.16], 0.5)  # 1.25, 2.5, 5, 2.5
    assert weights.tolist() == pytest.approx([0.444444, 0.888889, 1.777778, 0.888889], abs=1e-5)
    assert ecac_losses.class_weights([0.9, 0.1], 0.0).tolist() == [1.0, 1.0]
    weights = ecac_losses.class_weights([0.8, 0.2, 0.0], 1.0)  # 1.25, 5, 5
    assert weights.tolist() == pytest.approx([0.333333, 1.333333, 1.333333], abs=1e-5)
    assert ecac_losses.class_weights([0.0, 0.0], 0.5).tolist() == [1.0, 1.0]


def test_weighted_cross_entropy_by_hand() -> None:
    """ln 4 times 0.5 and ln 4/3 times 1.5, over two labelled positions."""
    logits = maps((0.0, LN3), (0.0, LN3), (5.0, 9.0))
    weights = torch.tensor([0.5, 1.5])
    loss = ecac_losses.weighted_cross_entropy(logits, labelled(0, 1, -1), weights)
    assert loss.item() == pytest.approx(0.562335, abs=1e-5)


@pytest.mark.parametrize(("smoothing", "expected"), [(0.0, 0.804775), (0.5, 1.017919)])
def test_distillation_by_hand(smoothing: float, expected: float) -> None:
    """Eq. 4.12. Entropies of the teacher 0.693147, 0.562335 (class 0) and 0.693147 (class 1).

    Without smoothing class 0 has (0.693147 * 0.836988 + 0.562335 * 0.693147) / 1.255482 = 0.772562
    and class 1 has 0.836988; with 0.5 they have 0.924196 and 1.111641. Class 2 is not there.
    """
    teacher = maps((0.0, 0.0, -99.0), (0.0, LN3, -99.0), (0.0, 0.0, -99.0), (3.0, 1.0, 0.0))
    student = maps((0.0, LN3, -99.0), (0.0, 0.0, -99.0), (LN3, 0.0, -99.0), (1.0, 2.0, 3.0))
    loss = ecac_losses.distillation(student, teacher, labelled(0, 0, 1, -1), smoothing)
    assert loss.item() == pytest.approx(expected, abs=1e-5)


def test_variation_by_hand() -> None:
    """Eq. 4.15 to 4.19: cosines 0.707107 of the student, 1 of the teacher; class 1 is alone."""
    student = maps((1.0, 0.0), (0.0, 1.0), (2.0, 1.0), (9.0, 1.0))
    teacher = maps((1.0, 0.0), (1.0, 0.0), (0.0, 1.0), (0.0, 7.0))
    labels = labelled(0, 0, 1, -1)
    loss = ecac_losses.variation(student, teacher, labels)
    assert loss.item() == pytest.approx(2 * 0.0857864 / 3, abs=1e-6)
    two = ecac_losses.variation(  # means are of each picture
        torch.cat([student, teacher]), torch.cat([teacher, teacher]), torch.cat([labels, labels])
    )
    assert two.item() == pytest.approx(2 * 0.0857864 / 6, abs=1e-6)


def test_the_memory_loss_by_hand() -> None:
    """ln(1 + 1/e) of two rows that are filled; a label whose row is not is passed over."""
    model = small(replace(PLAIN, scores="dot", memory_from=1, memory_loss=2.0), classes=3)
    model.bank.copy_(torch.tensor([[0.0, 1.0], [5.0, 5.0], [1.0, 0.0]]))
    features = maps((1.0, 0.0), (1.0, 1.0), (3.0, 3.0)).requires_grad_()
    coarse, labels = torch.zeros(1, 3, 1, 3), labelled(2, 1, -1)
    assert "memory" not in model(features, coarse, labels)[1]
    model.iterations.fill_(1)
    assert "memory" not in model(features, coarse, labels)[1]  # no row is filled
    model.filled.copy_(torch.tensor([True, False, True]))
    loss = model(features, coarse, labels)[1]["memory"]
    assert loss.item() == pytest.approx(2 * 0.313262, abs=1e-5)
    loss.backward()
    assert float(features.grad[0, :, 0, 0].abs().sum()) > 0
    assert all(p.grad is None for p in model.parameters())


def test_nothing_labelled_costs_nothing() -> None:
    model = ECAC(3, 4, ClosedSetOptions(addon="ecac", memory_from=0))
    model.filled.fill_(True)
    losses = model(torch.randn(1, 3, 2, 2), torch.randn(1, 4, 2, 2), labelled(-1).expand(1, 2, 2))
    assert {name: loss.item() for name, loss in losses[1].items()} == dict.fromkeys(
        ("student", "teacher", "kl", "iv", "memory"), 0.0
    )


def test_the_student_teaches_the_teacher_nothing() -> None:
    model = ECAC(3, 4, ClosedSetOptions(addon="ecac"))
    labels = torch.randint(0, 4, (2, 3, 3))
    losses = model(torch.randn(2, 3, 3, 3), torch.randn(2, 4, 3, 3), labels)[1]
    (losses["kl"] + losses["iv"]).backward(retain_graph=True)
    assert all(p.grad is None for p in model.teacher.parameters())
    sum(losses.values()).backward()
    assert all(p.grad is not None for p in model.parameters())


# -- the bank ----------------------------------------------------------------------------


def test_the_bank_by_hand() -> None:
    """First sight sets a row; then half of it moves (momentum 0.5). Two parts, one update."""
    model = ECAC(2, 3, PLAIN)
    model.collect(maps((1.0, 0.0), (4.0, 4.0)), labelled(0, -1))
    model.collect(maps((3.0, 2.0), (8.0, 8.0)), labelled(0, 1))
    assert model.bank.tolist() == [[0, 0]] * 3
    model.update(ALONE)
    assert model.bank.tolist() == [[2, 1], [8, 8], [0, 0]]
    assert model.filled.tolist() == [True, True, False]
    model.collect(maps((4.0, 5.0), (6.0, 6.0)), labelled(0, 2))
    model.update(ALONE)
    assert model.bank.tolist() == [[3, 3], [8, 8], [6, 6]]
    model.update(ALONE)  # nothing was met
    assert model.bank.tolist() == [[3, 3], [8, 8], [6, 6]]
    assert int(model.iterations) == 3


def test_the_bank_is_of_all_processes() -> None:
    class Two:
        """Another process met class 0 three times, with a sum of (5, 0), and class 1 once."""

        def sum(self, value: Tensor) -> Tensor:
            return value + torch.tensor([[5.0, 0.0, 3.0], [7.0, 7.0, 1.0]])

    model: Any = ECAC(2, 2, PLAIN)
    model.collect(maps((3.0, 4.0)), labelled(0))
    model.update(Two())
    assert model.bank.tolist() == [[2, 1], [7, 7]]


def test_only_training_moves_the_bank() -> None:
    model = ECAC(2, 2, PLAIN)
    model.eval()(FEATURES, COARSE, labelled(0, 1))
    model.update(ALONE)
    assert not model.filled.any()
    model.train()(FEATURES, COARSE, labelled(0, 1))
    model.update(ALONE)
    assert model.bank.tolist() == [[1, 0], [0, 2]]


def test_a_resumed_bank_equals_an_unbroken_one() -> None:
    torch.manual_seed(0)
    steps = [(torch.randn(2, 3, 4, 4), torch.randint(-1, 6, (2, 4, 4))) for _ in range(4)]
    first = ECAC(3, 6, PLAIN)
    saved: dict[str, Tensor] = {}
    for step, (features, labels) in enumerate(steps):
        if step == 2:
            saved = {name: value.clone() for name, value in first.state_dict().items()}
        first.collect(features, labels)
        first.update(ALONE)
    second = ECAC(3, 6, PLAIN)
    second.load_state_dict(saved)
    for features, labels in steps[2:]:
        second.collect(features, labels)
        second.update(ALONE)
    after = second.state_dict()
    assert {"bank", "filled", "iterations"} < set(after)
    assert all(torch.equal(value, after[name]) for name, value in first.state_dict().items())


# -- switches ----------------------------------------------------------------------------

BASE = ClosedSetOptions(addon="ecac", memory_from=1)


def seen(options: ClosedSetOptions) -> dict[str, Any]:
    """All that comes out of two steps: parameters, logits, losses and the bank after each."""
    torch.manual_seed(0)
    model = ECAC(3, 4, options, [0.5, 0.3, 0.1, 0.1])
    found: dict[str, Any] = {"parameters": sorted(name for name, _ in model.named_parameters())}
    torch.manual_seed(1)
    for step in (1, 2):
        features, coarse = torch.randn(2, 3, 3, 3), torch.randn(2, 4, 3, 3)
        logits, losses = model(features, coarse, torch.randint(0, 4, (2, 3, 3)))
        model.update(ALONE)
        found |= {f"{name} {step}": value.item() for name, value in losses.items()}
        found |= {f"logits {step}": logits.tolist(), f"bank {step}": model.bank.tolist()}
    return found


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"kl": 0.0}, {"kl 1", "kl 2"}),
        ({"iv": 0.0}, {"iv 1", "iv 2"}),
        ({"smoothing": 0.0}, {"kl 1", "kl 2"}),
        ({"memory_loss": 0.0}, {"memory 2"}),
        ({"memory_from": 2}, {"memory 2"}),
        ({"momentum": 0.5}, {"bank 2"}),
        ({"rho": 0.0}, {"student 1", "student 2", "teacher 1", "teacher 2"}),
        ({"calibration": False}, {"parameters"}),
        (
            {"memory": False},
            {"bank 1", "bank 2", "logits 2", "student 2", "teacher 2", "kl 2", "iv 2", "memory 2"},
        ),
        ({"scores": "dot"}, None),
        ({"reduce": 7, "aux_loss": 3.0}, set()),
    ],
)
def test_every_switch_changes_what_it_should(
    change: dict[str, Any], expected: set[str] | None
) -> None:
    before, after = seen(BASE), seen(replace(BASE, **change))
    differ = {name for name in before | after if before.get(name) != after.get(name)}
    if expected is None:
        expected = set(before) - {"parameters", "bank 1", "bank 2"}
    assert differ == expected


def test_parameters_at_the_published_size() -> None:
    """d = 512, N = 150: 3 d^2 + 2 d of layers, 2 N of calibration, N d of the bank."""
    model = ECAC(512, 150, BASE)
    assert sum(p.numel() for p in model.student.parameters()) == 787_756
    assert model.bank.numel() == 76_800


# -- what training fills in --------------------------------------------------------------


class Maps:
    """A benchmark of label maps."""

    split = "train"

    def __init__(self, *found: list[int]) -> None:
        self.found = found

    def __len__(self) -> int:
        return len(self.found)

    def labels(self, index: int) -> np.ndarray:
        return np.array([self.found[index]])


def test_frequencies_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    some: Any = Maps([4, 4, 4, -1], [2, 0, 0, 1000], [9, 9, 9, 9], [4, 2, 2, 2])
    assert complete.pixel_frequencies(some, [4, 2]) == [0.5, 0.5]
    assert complete.pixel_frequencies(some, [0, 2, 7]) == [0.33333333, 0.66666667, 0.0]
    assert complete.pixel_frequencies(some, [7]) == [0.0]
    monkeypatch.setattr(complete, "MOST_MAPS", 2)  # the first and the last
    assert complete.pixel_frequencies(some, [4, 2]) == [0.57142857, 0.42857143]


def test_settings_are_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    some: Any = Maps([1, 1, 1, 0])
    texts = [["sky.", "the sky."], ["sea."], ["car."]]
    settings = {"name": "mine", "network": {"addon": "ecac"}}
    filled = complete.complete(settings, texts, some, [1, 0])
    assert filled == {**settings, "classes": ["sea.", "sky."], "frequencies": [0.75, 0.25]}
    assert "classes" not in settings
    other = complete.complete({"network": {"addon": "caa"}}, texts, some, [2])
    assert other == {"network": {"addon": "caa"}, "classes": ["car."]}
    weighed = complete.complete({"network": {"reweighted": True}}, texts, some, [1, 0])
    assert weighed["frequencies"] == [0.75, 0.25]


def test_frequencies_of_drawn_scenes(monkeypatch: pytest.MonkeyPatch) -> None:
    from lsmseg_model.data.benchmark import MiniStuff

    monkeypatch.setattr(complete, "MOST_SCENES", 4)
    train = MiniStuff("train")
    classes = sorted(train.seen or ())
    found = complete.pixel_frequencies(train, classes)
    assert sum(found) == pytest.approx(1, abs=1e-6)
    assert found == complete.pixel_frequencies(train, classes)
