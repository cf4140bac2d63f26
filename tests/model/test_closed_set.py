"""Closed-set networks: hosts of every kind, reading classes, logits and losses of every add-on."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from support.small_backbones import KINDS, small_backbone
from torch import Tensor, nn

from lsmseg_model.errors import CheckpointError, ConfigError, UsageError
from lsmseg_model.networks.backbones.base import View
from lsmseg_model.networks.base import Batch
from lsmseg_model.networks.closed_set.caa import affinity_loss
from lsmseg_model.networks.closed_set.config import ADDONS, ClosedSetOptions
from lsmseg_model.networks.closed_set.hosts import (
    TORCHVISION,
    BackboneHost,
    Host,
    build_host,
    is_host,
)
from lsmseg_model.networks.closed_set.segmenter import ClosedSet
from lsmseg_model.processes import Processes

CLASSES = ["The sky is blue.", "The sea is wet.", "A zebra has stripes."]
VIEW = View(64, 64, 64)


class Flat(Host):
    """Each position's features are the mean colour of 8 x 8 pixels, and twice that."""

    def __init__(self) -> None:
        super().__init__("flat", VIEW, (0.0,) * 3, (1.0,) * 3)
        self.channels, self.gain = 6, nn.Parameter(torch.ones(()))

    def _features(self, images: Tensor) -> Tensor:
        cells = nn.functional.avg_pool2d(images, 8)
        return self.gain * torch.cat([cells, 2 * cells], dim=1)


def network(addon: str = "none", **changes: object) -> ClosedSet:
    torch.manual_seed(0)
    options = ClosedSetOptions(addon=addon, **changes)  # type: ignore[arg-type]
    return ClosedSet(Flat(), options, CLASSES)


def seen() -> tuple[Tensor, Tensor]:
    torch.manual_seed(1)
    return torch.rand(2, 3, 32, 24), torch.randint(-1, 3, (2, 32, 24))


def loss_of(net: ClosedSet, images: Tensor, labels: Tensor) -> Tensor:
    return net.training_loss(Batch(images, labels, torch.eye(3)))


# -- hosts -------------------------------------------------------------------------------


def test_a_backbone_is_a_host() -> None:
    backbone = copy.deepcopy(small_backbone(KINDS[0]))
    host, side = BackboneHost(backbone), 4 * backbone.patch_size
    images = torch.rand(1, 3, side, side)
    features = host(images)
    assert features.shape == (1, host.channels, 4, 4)
    assert torch.equal(features, backbone.encode_layers(images, ())[0])
    assert (host.stride, host.view) == (backbone.patch_size, backbone.view)


@pytest.mark.parametrize(
    ("name", "channels", "stride"), [("timm/test_resnet", 96, 8), ("timm/test_vit", 64, 16)]
)
def test_timm_is_a_host(name: str, channels: int, stride: int) -> None:
    host = build_host(name, VIEW).eval()
    assert (host.channels, host.stride) == (channels, stride)
    images = torch.rand(1, 3, 64, 64)
    assert host(images).shape == (1, channels, 64 // stride, 64 // stride)
    shown = (images - 0.5) / 0.5  # of these two timm says so
    assert torch.equal(host(images), host._features(shown))


@pytest.mark.parametrize("kind", TORCHVISION[::2])
def test_torchvision_is_a_host(kind: str) -> None:
    with torch.device("meta"):
        host = build_host(f"torchvision/{kind}", VIEW).eval()
        features = host(torch.empty(1, 3, 64, 64))
    channels = 512 if kind.startswith("fcn") else 256
    assert (host.channels, host.stride) == (channels, 8)
    assert features.shape == (1, channels, 8, 8)


def test_timms_weights_fill_a_host(tmp_path: Path) -> None:
    from timm import create_model

    path = tmp_path / "weights.pth"
    state = create_model("test_resnet", num_classes=7).state_dict()
    state = {k: v for k, v in state.items() if not k.endswith("tracked")}  # as old files
    torch.save(state, path)
    host = build_host("timm/test_resnet", VIEW)
    host.fill(path)
    assert torch.equal(host.state_dict()["net.conv1.0.weight"], state["conv1.0.weight"])
    assert len(host.weights_hash) == 16
    del state["conv1.0.weight"]
    torch.save(state, path)
    with pytest.raises(CheckpointError, match=r"of timm/test_resnet: 1 keys .* take a state dict"):
        host.fill(path)


def test_torchvisions_files_have_other_layers_too() -> None:
    """A segmenter's classifier and auxiliary classifier are left out, of a ResNet its own."""
    from torchvision.models import resnet50
    from torchvision.models.segmentation import fcn_resnet50

    with torch.device("meta"):
        host = build_host("torchvision/fcn_resnet50", VIEW)
        whole = fcn_resnet50(weights_backbone=None, aux_loss=True).state_dict()
        resnet = resnet50().state_dict()
    for state in (whole, resnet):
        model, kept = host._translated(state)
        assert kept.keys() == model.state_dict().keys()
    assert model is not host.net


@pytest.mark.parametrize("name", ["torchvision/fcn_resnet5", "timm/resnet5o", "timm/no/such"])
def test_unknown_hosts_are_refused(name: str) -> None:
    assert is_host(name)
    with pytest.raises(UsageError, match=f"There is no host '{name}'"):
        build_host(name, VIEW)


def test_names_of_backbones_are_not_hosts() -> None:
    assert not any(is_host(n) for n in ("lsmseg-tiny", "hf-hub:timm/x", "./timm/a.json", {"a": 1}))


def test_a_frozen_host_keeps_its_statistics() -> None:
    host = build_host("timm/test_resnet", VIEW)
    host.requires_grad_(False)
    assert not any(m.training for m in host.train().modules())
    host.requires_grad_(True)
    assert all(m.training for m in host.train().modules())


def test_only_backbones_have_queries() -> None:
    assert BackboneHost(small_backbone(KINDS[0])).learning_rows("qv")
    with pytest.raises(UsageError, match="choose --clip freeze or full"):
        network().trainable("qv")


# -- reading -----------------------------------------------------------------------------


def test_classes_are_known_by_their_first_sentence() -> None:
    rows = network().clip.encode_texts([[CLASSES[2], "?"], ["A horse.", CLASSES[0]], [CLASSES[0]]])
    assert rows.tolist() == [[0, 0, 1], [0, 0, 0], [1, 0, 0]]


def test_no_class_that_was_trained_on_is_an_error() -> None:
    says = r"only the 3 classes .* not 'The sky is red.': .*; did you m"
    with pytest.raises(UsageError, match=says):
        network().clip.encode_texts([["The sky is red."], ["x"]])
    with pytest.raises(UsageError, match=r"'The sky is blue\.' is one of them"):
        network().clip.encode_texts([["x"]])
    with pytest.raises(UsageError, match="needs at least one text"):
        network().clip.encode_texts([[CLASSES[0]], []])


@pytest.mark.parametrize("addon", ADDONS)
def test_texts_choose_the_classifiers_rows(addon: str) -> None:
    net, (images, _) = network(addon).eval(), seen()
    texts = net.clip.encode_texts([[CLASSES[1]], ["A horse."], [CLASSES[0]]])
    logits, kept = net(images, texts.clone())
    own = net.classify(net.clip(images))[0]
    assert kept is None
    assert logits.shape == (2, 3, 4, 3)
    assert torch.allclose(logits[:, [0, 2]], own[:, [1, 0]])
    assert torch.equal(logits[:, 1], torch.full((2, 4, 3), -1e4))


def test_a_network_without_classes_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs the sentences of its classes"):
        ClosedSet(Flat(), ClosedSetOptions(), [])


# -- learning ----------------------------------------------------------------------------


def test_the_loss_is_summed_over_labelled_pixels() -> None:
    """Logits of (1, 0, 0) everywhere: ln(e + 2) - 1 for class 0, ln(e + 2) for another."""
    net = network()
    with torch.no_grad():
        net.coarse.weight.zero_()
        net.coarse.bias.copy_(torch.tensor([1.0, 0.0, 0.0]))
    labels = torch.full((1, 8, 8), -1)
    labels[0, 0, :3] = torch.tensor([0, 0, 2])
    expected = 3 * 1.5514447 - 2
    assert loss_of(net, torch.rand(1, 3, 8, 8), labels).item() == pytest.approx(expected, abs=1e-4)


def test_a_reweighted_loss_by_hand() -> None:
    """All logits equal, ln 3 a pixel; shares of 64, 16, 4 % weigh 3, 6 and 12 sevenths."""
    net = ClosedSet(Flat(), ClosedSetOptions(reweighted=True), CLASSES, [0.64, 0.16, 0.04])
    nn.init.zeros_(net.coarse.weight)
    nn.init.zeros_(net.coarse.bias)  # type: ignore[arg-type]
    labels = torch.full((1, 8, 8), -1)
    labels[0, 0, :3] = torch.tensor([0, 0, 2])
    expected = (3 + 3 + 12) / 7 * 1.0986123
    assert loss_of(net, torch.rand(1, 3, 8, 8), labels).item() == pytest.approx(expected, abs=1e-5)
    assert "weights" not in net.state_dict()


@pytest.mark.parametrize("addon", ADDONS)
def test_shapes_alone_can_be_built(addon: str) -> None:
    with torch.device("meta"):
        net = ClosedSet(Flat(), ClosedSetOptions(addon=addon), CLASSES, [0.64, 0.16, 0.04])
        logits = net.classify(torch.empty(1, 6, 4, 4))[0]
    assert logits.shape == (1, 3, 4, 4)


def test_weights_of_the_losses() -> None:
    images, labels = seen()

    def loss(**changes: float) -> float:
        return loss_of(network("caa", **changes), images, labels).item()

    both, no_aux = loss(), loss(aux_loss=0.0)
    net = network("caa")
    features, grid = net.clip(images), labels[:, 4::8, 4::8]
    affinity = affinity_loss(net.addon.affinity(features), grid)  # type: ignore[union-attr, operator]
    count = (labels >= 0).flatten(1).sum(dim=1)
    assert both - loss(affinity_loss=0.0) == pytest.approx(
        (affinity * count).sum().item(), rel=1e-3
    )
    coarse = network()
    coarse.load_state_dict({k: v for k, v in net.state_dict().items() if k in coarse.state_dict()})
    expected = 0.4 * loss_of(coarse, images, labels).item()
    assert both - no_aux == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("addon", ["none", "caa"])
def test_pictures_add_up(addon: str) -> None:
    """In evaluation mode, where BatchNorm sees each picture alone."""
    net, (images, labels) = network(addon).eval(), seen()
    apart = sum(loss_of(net, images[i : i + 1], labels[i : i + 1]) for i in range(2))
    assert torch.allclose(loss_of(net, images, labels), torch.as_tensor(apart), rtol=1e-5)


@pytest.mark.parametrize("addon", ADDONS)
@pytest.mark.parametrize("learns", ["freeze", "full"])
def test_every_part_learns(addon: str, learns: str) -> None:
    net, (images, labels) = network(addon).train(), seen()
    net.trainable(learns)
    loss = loss_of(net, images, labels)
    loss.backward()
    lazy = {name for name, p in net.named_parameters() if p.grad is None}
    assert lazy == ({"clip.gain"} if learns == "freeze" else set())
    assert loss.isfinite()
    net.after_step(Processes(0, 1, "cpu"))
    if addon == "ecac":
        assert int(net.addon.iterations) == 1  # type: ignore[union-attr, arg-type]


@pytest.mark.parametrize("addon", ADDONS)
def test_no_label_at_all_is_no_loss(addon: str) -> None:
    net, (images, labels) = network(addon).train(), seen()
    loss = loss_of(net, images, torch.full_like(labels, -1))
    loss.backward()
    assert loss.item() == 0
