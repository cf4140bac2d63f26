"""Backbones by name: their configurations as data, building and loading them."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any

import torch

from lsmseg_model.encoders.base import FrozenEncoder
from lsmseg_model.encoders.checkpoints import file_hash, read_metadata
from lsmseg_model.encoders.sources import no_clip
from lsmseg_model.errors import CheckpointError, ConfigError, UsageError, nearest
from lsmseg_model.files import is_path, named_file, read_json
from lsmseg_model.networks.backbones.base import Backbone, View
from lsmseg_model.networks.backbones.clip import Clip, Coca
from lsmseg_model.networks.backbones.convolutional import ResNet, TimmStages
from lsmseg_model.networks.backbones.dense import (
    DENSE,
    NEEDS_PROXY,
    PLAIN,
    SAM_PROXY,
    VALUES,
    check_dense,
)
from lsmseg_model.networks.backbones.eva import Eva
from lsmseg_model.networks.backbones.hf_tokenizer import tokenizer_of
from lsmseg_model.networks.backbones.open_clip_models import (
    create,
    local_text,
    stretch,
    text_settings,
)
from lsmseg_model.networks.backbones.siglip import Siglip
from lsmseg_model.networks.backbones.vitamin import Vitamin
from lsmseg_model.networks.backbones.weights import fill, read_weights
from lsmseg_model.networks.fields import Fields, OneOf, Text, read_fields
from lsmseg_model.pull import catalogue
from lsmseg_model.pull.find import Found, find, is_repository

CONFIGS = Path(__file__).parent
WEIGHTS = Path(__file__).parents[2] / "weights"
DEFAULT = "lsmseg-tiny"
FAMILIES: Sequence[type[Backbone]] = (Clip, Coca, Eva, Siglip, Vitamin, TimmStages, ResNet)


@dataclass(frozen=True)
class BackboneFile:
    """The file of a backbone of our own.

    clip: open_clip's fields. view: see `View`. train: see `PretrainOptions`. dense: the variant.
    """

    name: Text
    clip: Fields
    view: Fields
    train: Fields
    dense: Annotated[str, OneOf(*DENSE, VALUES, PLAIN)] = "catseg"


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
        f"{name} has no dense features here; try ViT-B-16, EVA02-B-16, PE-Core-B-16 or another "
        "model of their kind."
    )


def build_backbone(config: dict[str, Any], weights_hash: str = "random") -> Backbone:
    """A backbone of the configuration's size with freshly drawn weights."""
    sizes = config["clip"]
    try:
        model = create(sizes)
    except (TypeError, KeyError) as error:
        raise ConfigError(f"{config['name']}: the field clip does not fit: {error}.") from error
    view = read_fields(View, config["view"], config["name"], "the view")
    family = family_of(model, config["name"])
    tokenizer = tokenizer_of(model, config["name"], sizes["text_cfg"])
    dense = config.get("dense", family.TRAINED)
    return family(model, config["name"], dense, view, weights_hash, tokenizer)


def named_backbone(name: str, view: View) -> Backbone:
    """An open_clip model by name, for a network to be trained on it, with random weights."""
    model = open_clip_model(name, catalogue.preprocessing(name))
    family = family_of(model, name)
    tokenizer = tokenizer_of(model, name, text_settings(name))
    return family(model, name, family.TRAINED, view, "random", tokenizer)


def load_backbone(
    name: str = DEFAULT,
    pretrained: str | Path | None = None,
    device: str = "cpu",
    dense: str | None = None,
    proxy: FrozenEncoder | None = None,
) -> Backbone:
    """Load a backbone by name. A tag or a repository is fetched, see `find`; nothing else is.

    Args:
        name: A configuration of ours, a model that open_clip has, hf-hub:org/model, or
            local-dir:FOLDER.
        pretrained: A tag of the model, hf-hub:org/model, local-dir:FOLDER, or a file: safetensors,
            an open_clip or OpenAI state dict, or OpenAI's TorchScript archive. Our own
            configurations find their shipped weights by themselves.
        device: Where it computes.
        dense: The variant of dense features (default: that of the configuration, else the family's
            for models that are used as they are).
        proxy: The encoder of the variant "sam-proxy", see `load_second_encoder`.

    Raises:
        UsageError: For an unknown name, variant or device.
        ConfigError: For a configuration that is not there.
        CheckpointError: For weights that are missing, cannot be had, or are of another model.
        DataError: For weights that could not be fetched whole.
    """
    if name == DEFAULT and is_repository(pretrained):
        name, pretrained = str(pretrained), None  # the repository says which network it is
    ours = not is_repository(name) and (is_path(name) or (CONFIGS / f"{name}.json").is_file())
    _check_name(name, ours)
    if dense is not None:
        check_dense(dense)
    if (dense == SAM_PROXY) != (proxy is not None):
        raise UsageError(NEEDS_PROXY)
    check_device(device)
    found = weights_of(name, pretrained)
    state, openai_layout = read_weights(found.weights)
    weights_hash = file_hash(found.weights)
    if ours:
        # Weights of ours carry the configuration that they were trained with.
        config = read_metadata(found.weights).get("config") or read_config(name)
        backbone = build_backbone(config, weights_hash)
        check_dense(dense or backbone.dense, backbone.VARIANTS, name)
        backbone.dense = dense or backbone.dense
    else:
        context_length, long_clip = stretch(state)
        quick_gelu = openai_layout or found.quick_gelu or long_clip
        model = open_clip_model(found.architecture, found.preprocess, quick_gelu, context_length)
        family = family_of(model, name)
        tokenizer = tokenizer_of(model, name, text_settings(found.architecture), found.tokenizer)
        dense = dense or family.TRAINING_FREE
        backbone = family(model, name, dense, None, weights_hash, tokenizer)
    fill(backbone.model, state, found.weights, name)
    if proxy is not None:
        backbone.proxy = proxy
        backbone.weights_hash += f"-{proxy.fingerprint()}"
    return backbone.to(device).eval()


def weights_of(name: str, pretrained: str | Path | None, otherwise: str = "") -> Found:
    """The weights that a model is loaded with, fetched where `pretrained` is a name.

    otherwise: what else may be done where there are none, a sentence. Raises CheckpointError there,
    and what `find` raises.
    """
    shipped = WEIGHTS / f"{name}.safetensors"
    if pretrained is None and not is_repository(name):
        if not shipped.is_file():
            raise CheckpointError(f"{no_clip(name)}{otherwise}")
        pretrained = shipped
    found = find(name, pretrained)
    if not found.weights.is_file():
        raise CheckpointError(no_clip(name, found.weights))
    return found


def _check_name(name: str, ours: bool) -> None:
    """Raise an error, with the nearest names, for a model that neither we nor open_clip know."""
    if ours and is_path(name):
        named_file(Path(name), "configuration")
    elif not ours and not is_repository(name) and name not in catalogue.models():
        names = [*(path.stem for path in CONFIGS.glob("*.json")), *catalogue.models()]
        hint = nearest(name, names, 3, "try lsmseg-tiny or ViT-B-16.")
        raise UsageError(f"There is no model {name!r}; {hint}")


_SHAPES: dict[tuple[object, ...], Any] = {}  # models without numbers: recipes ask for many


def open_clip_model(
    name: str,
    preprocess: Mapping[str, Any] | None = None,
    quick_gelu: bool = False,
    context_length: int | None = None,
) -> Any:
    """An empty open_clip model.

    Args:
        name: One of open_clip's, or local-dir: with the folder of a configuration.
        preprocess: Mean, std and resizing in place of the configuration's.
        quick_gelu: Use the activation that OpenAI's own files were trained with.
        context_length: Tokens that the text tower reads (default: the configuration's).

    Raises:
        CheckpointError: Where the sizes of a text tower of the transformers library are not here.
    """
    import logging

    import open_clip

    _check_name(name, ours=False)
    device = torch.get_default_device()  # "meta" where only shapes are wanted
    key = (name, str(preprocess), quick_gelu, context_length)
    if device.type == "meta" and key in _SHAPES:
        return copy.deepcopy(_SHAPES[key])
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)  # it warns of random weights, which ours soon replace
    try:
        made = open_clip.create_model(
            name,
            load_weights=False,
            pretrained_text=False,  # else it fetches those of a text tower of transformers
            force_quick_gelu=quick_gelu,
            force_preprocess_cfg=dict(preprocess or {}),
            force_context_length=context_length,
            device=device,
            **local_text(name),
        )
    finally:
        logging.disable(before)
    if device.type == "meta" and not is_repository(name):
        _SHAPES[key] = copy.deepcopy(made)
    return made
