"""Hosts: dense features of our backbones, of torchvision's segmenters and of timm's models.

A name in the field "clip" of a network's settings: "lsmseg-tiny" or another backbone of ours,
"torchvision/fcn_resnet50", "timm/resnet50". A host also stands where other networks have a text
tower: its "embedding" of a class is the row of the classifier that was trained on that sentence.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from lsmseg_model.encoders.checkpoints import differences, file_hash, read_state_dict
from lsmseg_model.errors import CheckpointError, UsageError, nearest
from lsmseg_model.networks.backbones.base import Backbone, View
from lsmseg_model.networks.backbones.weights import fill, read_weights

TORCHVISION = ("fcn_resnet50", "fcn_resnet101", "deeplabv3_resnet50", "deeplabv3_resnet101")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, RGB in 0..1
STRIDE = 8  # pixels a position, where a model can have it


class Host(nn.Module):
    """What sees pictures in a closed-set network, and knows its classes by their sentences.

    ``channels``: D of the features. ``stride``: pixels a position. ``view``, ``name``,
    ``weights_hash``: as of a `Backbone`. ``classes``: the first sentence of each class trained on,
    in the order of the classifier's rows. A host that does not learn stays in evaluation mode.
    """

    dense, precision, compiled = "plain", "fp32", False
    mean: Tensor
    std: Tensor
    channels: int
    stride = STRIDE

    def __init__(
        self, name: str, view: View, mean: Sequence[float] = MEAN, std: Sequence[float] = STD
    ) -> None:
        super().__init__()
        self.name, self.view, self.weights_hash = name, view, "random"
        self.classes: tuple[str, ...] = ()
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """images: [B, 3, H, W] RGB in 0..1 -> [B, D, h, w]."""
        return self._features((images - self.mean) / self.std)

    def _features(self, images: Tensor) -> Tensor:
        raise NotImplementedError

    def fill(self, path: Path) -> None:
        """Load a file of weights. Raises CheckpointError where it does not fit."""
        state, _ = read_state_dict(path)
        model, state = self._translated(state)
        expected = model.state_dict()
        counters = {k: v for k, v in expected.items() if k.endswith("num_batches_tracked")}
        state = {**counters, **state}  # files of before 2018 have none
        if odd := differences(state, expected):
            raise CheckpointError(
                f"{path} does not hold the weights of {self.name}: {len(odd)} keys are missing, "
                f"unexpected or of another shape (for example {odd[0]}); take a state dict of it."
            )
        model.load_state_dict({k: v.to(expected[k].dtype) for k, v in state.items()})
        self.weights_hash = file_hash(path)

    def _translated(self, state: dict[str, Tensor]) -> tuple[nn.Module, dict[str, Tensor]]:
        """What a published state dict fills, and the dict under that module's names."""
        raise NotImplementedError

    @property
    def device(self) -> torch.device:
        return self.mean.device

    @property
    def embed_dim(self) -> int:
        return len(self.classes)

    def train(self, mode: bool = True) -> Self:
        """The mode of training, but of a host that does not learn: its statistics stay."""
        return super().train(mode and any(p.requires_grad for p in self.parameters()))

    def learning_rows(self, parts: str) -> list[tuple[nn.Parameter, Tensor]]:
        """See `Backbone.learning_rows`. Raises UsageError where there are none."""
        raise UsageError(
            f"{self.name} has no queries and values to train: choose --clip freeze or full."
        )

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[Sequence[str]], batch_size: int | None = None) -> Tensor:
        """texts: K classes of one or more sentences -> [K, N], 1 at the class trained on.

        A class is known by its first sentence, as it was written in training; the row of another
        is zero. batch_size: not used. Raises UsageError for a class without text, and where no
        class was trained on.
        """
        if not texts or any(not group for group in texts):
            raise UsageError("Every class needs at least one text.")
        first = [self.classes.index(t[0]) if t[0] in self.classes else -1 for t in texts]
        if max(first) < 0:
            hint = nearest(texts[0][0], self.classes, 1, f"{self.classes[0]!r} is one of them.")
            raise UsageError(
                f"A closed-set network on {self.name} knows only the {len(self.classes)} classes "
                f"that it was trained on, as they were written then, not {texts[0][0]!r}: try "
                f"--attributes name; {hint}"
            )
        rows = torch.tensor(first, device=self.device)[:, None]
        return (rows == torch.arange(len(self.classes), device=self.device)).float()


class BackboneHost(Host):
    """A backbone of ours: its dense features, not normalised."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__(backbone.name, backbone.view, (0.0,) * 3, (1.0,) * 3)
        self.backbone = backbone
        self.weights_hash, self.dense = backbone.weights_hash, backbone.dense
        self.channels, self.stride = backbone.embed_dim, backbone.patch_size

    def _features(self, images: Tensor) -> Tensor:
        return self.backbone.encode_layers(images, ())[0]

    def learning_rows(self, parts: str) -> list[tuple[nn.Parameter, Tensor]]:
        return self.backbone.learning_rows(parts)

    def fill(self, path: Path) -> None:
        state, _ = read_weights(path)
        fill(self.backbone.model, state, path, self.name)
        self.weights_hash = file_hash(path)


class TorchvisionHost(Host):
    """torchvision's FCN or DeepLabV3: the features before the last layer of its classifier."""

    def __init__(self, name: str, view: View) -> None:
        from torchvision.models import segmentation

        kind = name.partition("/")[2]
        if kind not in TORCHVISION:
            raise UsageError(f"There is no host {name!r}; {nearest(kind, TORCHVISION)}")
        super().__init__(name, view)
        model = getattr(segmentation, kind)(weights=None, weights_backbone=None)
        *head, classifier = model.classifier
        self.net = nn.ModuleDict({"backbone": model.backbone, "classifier": nn.Sequential(*head)})
        self.channels = classifier.in_channels

    def _features(self, images: Tensor) -> Tensor:
        features: Tensor = self.net["classifier"](self.net["backbone"](images)["out"])
        return features

    def _translated(self, state: dict[str, Tensor]) -> tuple[nn.Module, dict[str, Tensor]]:
        """A file of the ResNet alone, such as ImageNet's, leaves the head as it is."""
        last = f"classifier.{len(self.net['classifier'])}."  # type: ignore[arg-type]
        state = {k: v for k, v in state.items() if not k.startswith((last, "aux_", "fc."))}
        return (self.net["backbone"] if "conv1.weight" in state else self.net), state


class TimmHost(Host):
    """The last features of a model of timm's, at 1/8 of the picture where it can."""

    def __init__(self, name: str, view: View) -> None:
        from timm import create_model
        from timm.models import is_model, list_models

        kind, side = name.partition("/")[2], view.window
        if not is_model(kind.partition(".")[0]):
            hint = nearest(kind, list_models(), 3, "timm.list_models() names them.")
            raise UsageError(f"There is no host {name!r}; {hint}")
        model: Any = None
        for options in ({"output_stride": STRIDE}, {"img_size": side}, {}):
            with suppress(TypeError, ValueError, NotImplementedError, AssertionError):
                given: dict[str, Any] = options  # a model refuses the sizes that it cannot have
                model = model or create_model(kind, pretrained=False, num_classes=0, **given)
        if not hasattr(model, "forward_intermediates"):
            raise UsageError(f"{name} gives no dense features; try timm/resnet50.")
        super().__init__(name, view, model.pretrained_cfg["mean"], model.pretrained_cfg["std"])
        self.net = model
        last = model.feature_info[-1]
        self.channels, self.stride = last["num_chs"], last["reduction"]

    def _features(self, images: Tensor) -> Tensor:
        (features,) = self.net.forward_intermediates(images, indices=1, intermediates_only=True)
        return features

    def _translated(self, state: dict[str, Tensor]) -> tuple[nn.Module, dict[str, Tensor]]:
        """As timm translates files of those who trained the model; without their classifier."""
        convert = getattr(sys.modules[type(self.net).__module__], "checkpoint_filter_fn", None)
        state = convert(state, self.net) if convert else state
        heads = self.net.pretrained_cfg.get("classifier") or ()
        heads = tuple(f"{head}." for head in ([heads] if isinstance(heads, str) else heads))
        return self.net, {k: v for k, v in state.items() if not k.startswith(heads)}


def is_host(name: object) -> bool:
    """Whether a network's "clip" is one of torchvision's or timm's, not a backbone of ours."""
    return isinstance(name, str) and name.startswith(tuple(KINDS))


def build_host(name: str, view: View) -> Host:
    """A host of torchvision's or timm's by name, with random weights.

    Raises UsageError for a name that they do not have.
    """
    return KINDS[f"{name.partition('/')[0]}/"](name, view)


KINDS: dict[str, Callable[[str, View], Host]] = {"torchvision/": TorchvisionHost, "timm/": TimmHost}
