"""Backbones by name: their configurations as data, building and loading them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import torch
from torch import Tensor, nn

from lsmseg_model.encoders.base import FrozenEncoder
from lsmseg_model.encoders.checkpoints import differences, file_hash, read_metadata, read_state_dict
from lsmseg_model.encoders.sources import no_clip
from lsmseg_model.errors import CheckpointError, ConfigError, UsageError, nearest
from lsmseg_model.files import is_path, named_file, read_json
from lsmseg_model.networks.backbones.base import Backbone, View
from lsmseg_model.networks.backbones.clip import Clip
from lsmseg_model.networks.backbones.dense import DENSE, NEEDS_PROXY, SAM_PROXY, check_dense
from lsmseg_model.networks.fields import Fields, OneOf, Text, read_fields

CONFIGS = Path(__file__).parent
WEIGHTS = Path(__file__).parents[2] / "weights"
FAMILIES: Sequence[type[Backbone]] = (Clip,)


@dataclass(frozen=True)
class BackboneFile:
    """The file of a backbone of our own.

    clip: open_clip's fields. view: see `View`. train: see `PretrainOptions`. dense: the variant.
    """

    name: Text
    clip: Fields
    view: Fields
    train: Fields
    dense: Annotated[str, OneOf(*DENSE)] = "catseg"


# Training-free protocol of NACLIP and its neighbours for models that no configuration names.
DEFAULT_VIEW = View(short_side=336, window=224, stride=112)


def check_device(device: str) -> None:
    """Raise UsageError for a device that torch does not know or cannot reach here."""
    try:
        torch.zeros(1, device=device).item()  # "meta" has no numbers
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise UsageError(
            f"The device {device!r} cannot be used here; choose --device cpu, or cuda on a machine "
            "with an NVIDIA GPU and its driver."
        ) from error


def read_config(name: str) -> dict[str, Any]:
    """The configuration of that name beside this file, or a JSON file of the same form."""
    path = CONFIGS / f"{name}.json"
    if is_path(name):
        path = named_file(Path(name), "configuration")
    elif not path.is_file():
        names = sorted(p.stem for p in CONFIGS.glob("*.json"))
        among = f"there are {', '.join(names)}, or a path to a .json file."
        raise UsageError(f"There is no configuration {name!r}; {nearest(name, names, 1, among)}")
    try:
        config = read_json(path)
    except ValueError as error:
        raise ConfigError(f"{path} is not valid JSON ({error}).") from error
    if not isinstance(config, dict):
        raise ConfigError(f"{path} is not a configuration; see {CONFIGS}/lsmseg-tiny.json for one.")
    own = {f.name: config[f.name] for f in fields(BackboneFile) if f.name in config}
    read_fields(BackboneFile, own, str(path), "the file")
    return config


def family_of(model: Any, name: str) -> type[Backbone]:
    """The family of an open_clip model; UsageError where there is none for it."""
    for family in FAMILIES:
        if family.fits(model):
            return family
    raise UsageError(
        f"{name} has no dense features here; try ViT-B-16, ViT-L-14 or another model of theirs."
    )


def build_backbone(config: dict[str, Any], weights_hash: str = "random") -> Backbone:
    """A backbone of the configuration's size with freshly drawn weights."""
    from open_clip.model import CLIP, CLIPTextCfg, CLIPVisionCfg

    sizes = config["clip"]
    try:
        model = CLIP(
            embed_dim=sizes["embed_dim"],
            vision_cfg=CLIPVisionCfg(**sizes["vision_cfg"]),
            text_cfg=CLIPTextCfg(**sizes["text_cfg"]),
            quick_gelu=sizes.get("quick_gelu", False),
            init_logit_bias=0.0,
        )
    except (TypeError, KeyError) as error:
        raise ConfigError(f"{config['name']}: the field clip does not fit: {error}.") from error
    view = read_fields(View, config["view"], config["name"], "the view")
    family = family_of(model, config["name"])
    return family(model, config["name"], config.get("dense", family.TRAINED), view, weights_hash)


def named_backbone(name: str, view: View, openai_layout: bool = False) -> Backbone:
    """An open_clip model by name, for a network to be trained on it, with random weights."""
    model = open_clip_model(name, openai_layout)
    family = family_of(model, name)
    return family(model, name, family.TRAINED, view, "random")


def load_backbone(
    name: str = "lsmseg-tiny",
    pretrained: str | Path | None = None,
    device: str = "cpu",
    dense: str | None = None,
    proxy: FrozenEncoder | None = None,
) -> Backbone:
    """Load a backbone by name; nothing is downloaded.

    Args:
        name: A configuration of ours, or a model that open_clip has.
        pretrained: A local file: safetensors, an open_clip or OpenAI state dict, or OpenAI's
            TorchScript archive. Our own configurations find their shipped weights by themselves.
        device: Where it computes.
        dense: The variant of dense features (default: that of the configuration, else the family's
            for models that are used as they are).
        proxy: The encoder of the variant "sam-proxy", see `load_second_encoder`.

    Raises:
        UsageError: For an unknown name, variant or device.
        ConfigError: For a configuration that is not there.
        CheckpointError: For weights that are missing, damaged or of another model.
    """
    ours = is_path(name) or (CONFIGS / f"{name}.json").is_file()
    if not ours:
        _check_name(name)
    elif is_path(name):
        named_file(Path(name), "configuration")
    if dense is not None:
        check_dense(dense)
    if (dense == SAM_PROXY) != (proxy is not None):
        raise UsageError(NEEDS_PROXY)
    check_device(device)
    path = Path(pretrained) if pretrained else WEIGHTS / f"{name}.safetensors"
    if not path.is_file():
        raise CheckpointError(no_clip(name, path))
    state, openai_layout = read_state_dict(path)
    weights_hash = file_hash(path)
    if ours:
        # Weights of ours carry the configuration that they were trained with.
        config = read_metadata(path).get("config") or read_config(name)
        backbone = build_backbone(config, weights_hash)
        check_dense(dense or backbone.dense, backbone.VARIANTS, name)
        backbone.dense = dense or backbone.dense
    else:
        model = open_clip_model(name, openai_layout)
        family = family_of(model, name)
        backbone = family(model, name, dense or family.TRAINING_FREE, DEFAULT_VIEW, weights_hash)
    fill(backbone.model, state, path, name)
    if proxy is not None:
        backbone.proxy = proxy
        backbone.weights_hash += f"-{proxy.fingerprint()}"
    return backbone.to(device).eval()


def _check_name(name: str) -> None:
    """Raise UsageError, with the nearest names, for a model that open_clip does not know."""
    import open_clip

    models = open_clip.list_models()
    if name not in models:
        names = [*(path.stem for path in CONFIGS.glob("*.json")), *models]
        hint = nearest(name, names, 3, "try lsmseg-tiny or ViT-B-16.")
        raise UsageError(f"There is no model {name!r}; {hint}")


def open_clip_model(name: str, openai_layout: bool) -> Any:
    """An empty open_clip model. OpenAI's own files were trained with QuickGELU."""
    import logging

    import open_clip

    _check_name(name)
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # it warns of random weights, which ours soon replace
    try:
        return open_clip.create_model(
            name,
            load_weights=False,
            force_quick_gelu=openai_layout,
            device=torch.get_default_device(),  # "meta" where only shapes are wanted
        )
    finally:
        logging.disable(before)


def fill(model: nn.Module, state: dict[str, Tensor], path: Path, name: str) -> None:
    """Load weights into a model; every key and shape must fit.

    Args:
        model: Takes them.
        state: The weights.
        path: Their file, for messages.
        name: The model's, for messages.

    Raises:
        CheckpointError: Where they do not fit.
    """
    expected = model.state_dict()
    if "logit_bias" in expected and "logit_bias" not in state:
        state["logit_bias"] = torch.zeros(())
    if odd := differences(state, expected):
        raise CheckpointError(
            f"{path} does not hold the weights of {name}: {len(odd)} keys are missing, unexpected "
            f"or of another shape (for example {odd[0]}); name the model that they belong to with "
            "--model."
        )
    model.load_state_dict({k: v.to(expected[k].dtype) for k, v in state.items()})
