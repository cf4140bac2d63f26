"""From the names that open_clip's users write to files on this machine.

    --model ViT-B-16 --pretrained openai | laion2b_s34b_b88k | FILE
    --pretrained hf-hub:org/model | hf-hub:org/model/file.bin | local-dir:FOLDER   (or as --model)

Such a name is a request: what is not here is fetched, unless HF_HUB_OFFLINE is set.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lsmseg_model.errors import CheckpointError, LsmsegModelError, UsageError, nearest
from lsmseg_model.files import is_path
from lsmseg_model.pull import catalogue
from lsmseg_model.pull.hub import HubFile
from lsmseg_model.pull.notes import nothing_fetched
from lsmseg_model.pull.places import Place, obtain
from lsmseg_model.pull.tokenizers import tokenizer_folder
from lsmseg_model.pull.web import OPEN_CLIP, WebFile

HUB, FOLDER = "hf-hub:", "local-dir:"
INSTEAD = "--pretrained FILE"
CONFIG = "open_clip_config.json"
WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
IN_FOLDER = (  # in open_clip's order
    "open_clip_model.safetensors", "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin", "open_clip_pytorch_model.pth", "model.safetensors",
    "pytorch_model.bin", "pytorch_model.pth", "model.pth",
)  # fmt: skip
PREPROCESS = ("mean", "std", "interpolation", "resize_mode")


@dataclass(frozen=True)
class Found:
    """What `find` found.

    weights: their file. architecture: what open_clip makes the network from, a name of its own or
    local-dir: with the folder of a configuration. preprocess: mean, std and resizing, as far as the
    architecture does not say them. quick_gelu: whether the weights are known to want it.
    tokenizer: the folder with the files of a tokenizer that is not CLIP's; None where it is CLIP's,
    or they are not here.
    """

    weights: Path
    architecture: str
    preprocess: Mapping[str, Any] = field(default_factory=dict)
    quick_gelu: bool = False
    tokenizer: Path | None = None


def is_repository(name: object) -> bool:
    """Whether a name says where a whole model lies, with its configuration."""
    return str(name).startswith((HUB, FOLDER))


def find(model: str, pretrained: str | Path | None = None) -> Found:
    """The files of a model, fetched where a name asks for them and they are not here.

    Args:
        model: A name of open_clip, or hf-hub: or local-dir: with a place.
        pretrained: A tag of the model, a file, or a place; None for the weights that lie in the
            place that `model` is.

    Raises:
        UsageError: For a name that nothing has.
        CheckpointError: For what is not there, cannot be had, or may not be fetched.
        DataError: For a transfer that breaks off, a full disk, or a file other than published.
    """
    named = str(pretrained or "")
    if is_repository(named):
        found = _place(named)
        return found if is_repository(model) else _as(found, model)
    if is_repository(model):
        return _place(model, Path(named) if named else None)
    if named and _is_file(model, named):
        return _file(model, Path(named))
    return _tag(model, named)


def here(model: str, pretrained: str | Path | None) -> Path | None:
    """The weights that `find` gives where they are on this machine; nothing is fetched."""
    with nothing_fetched(), suppress(LsmsegModelError):
        weights = find(model, pretrained).weights
        return weights if weights.is_file() else None
    return None


def _is_file(model: str, pretrained: str) -> bool:
    """Whether --pretrained is meant as a file, not as a tag; a tag comes first, as in open_clip."""
    if catalogue.clean(pretrained) in catalogue.tags_of(model):
        return False
    return is_path(pretrained) or Path(pretrained).exists()


def _as(found: Found, model: str) -> Found:
    """The weights of a place for the model of open_clip's that is named beside it."""
    folder = tokenizer_folder(catalogue.configuration(model), found.tokenizer)
    return Found(found.weights, model, catalogue.preprocessing(model), tokenizer=folder)


def _file(model: str, path: Path) -> Found:
    """A file of the user's: nothing is fetched, also no tokenizer."""
    folder = tokenizer_folder(catalogue.configuration(model), path.parent, fetch=False)
    return Found(path, model, catalogue.preprocessing(model), tokenizer=folder)


# -- tags ------------------------------------------------------------------------------------


def _tag(model: str, tag: str) -> Found:
    """The weights that open_clip has under a tag of a model."""
    listed = catalogue.tags().get(model, {}).get(catalogue.clean(tag))
    if listed is None:
        raise UsageError(no_tag(model, tag))
    weights = obtain(f"{model} {tag}", tag_places(model, tag), INSTEAD)
    preprocess = {name: listed[name] for name in PREPROCESS if name in listed}
    folder = tokenizer_folder(catalogue.configuration(model), weights.parent)
    return Found(weights, model, preprocess, bool(listed.get("quick_gelu")), folder)


def tag_places(model: str, tag: str) -> list[Place]:
    """Where the weights of a tag may be had, in the order in which open_clip looks."""
    listed = catalogue.tags()[model][catalogue.clean(tag)]
    places: list[Place] = []
    if repository := str(listed.get("hf_hub", "")):
        repo, _, name = repository.rpartition("/")
        places.append(HubFile(repo, _names(name), size=catalogue.size(model)))
    if url := str(listed.get("url", "")):
        places.append(WebFile(url, OPEN_CLIP.expanduser(), catalogue.published_size(url)))
    return places


def _names(name: str) -> tuple[str, ...]:
    """The names that weights may have where `name` is asked for: safetensors first."""
    if not name:
        return WEIGHTS
    stem, dot, ending = name.rpartition(".")
    return (f"{stem}.safetensors", name) if dot and ending in ("bin", "pth") else (name,)


def no_tag(model: str, tag: str) -> str:
    """The message about a tag that a model does not have."""
    tags, models = catalogue.tags_of(model), catalogue.models_with(tag)
    if tags:
        hint = nearest(tag, tags, 3, f"there are {', '.join(tags)}; or give a file.")
        return f"{model} has no weights called {tag!r}: {hint}"
    if models:
        return f"{tag!r} is a tag of {', '.join(models[:4])} ...: name one of them with --model."
    return (
        f"{model} has no weights called {tag!r}: give a file, hf-hub:org/model or local-dir:FOLDER "
        "with --pretrained; `lsmseg-prompts model list --pretrained` shows the tags of open_clip."
    )


# -- repositories and folders ----------------------------------------------------------------


def _place(name: str, weights: Path | None = None) -> Found:
    """What lies in a repository or folder; `weights`: a file in place of its own."""
    if name.startswith(FOLDER):
        return _folder(Path(name.removeprefix(FOLDER)), weights)
    repo, inside, revision = split_hub(name)
    config = obtain(name, [HubFile(repo, (CONFIG,), revision, hint=True)], INSTEAD)
    described = read_config(config)
    file = HubFile(repo, _names(inside), revision, hint=True)
    weights = weights or obtain(name, [file], INSTEAD)
    folder = tokenizer_folder(described, config.parent)
    return Found(weights, f"{FOLDER}{config.parent}", tokenizer=folder)


def split_hub(name: str) -> tuple[str, str, str]:
    """hf-hub:org/model[@revision][/file] as repository, file ("" if not named) and revision."""
    found = re.fullmatch(
        r"([\w.-]+(?:/[\w.-]+)?)(?:@([\w.-]+))?(?:/([\w./-]+\.\w+))?", name.removeprefix(HUB)
    )
    if not found:
        raise UsageError(f"{name!r} is not the name of a repository: write hf-hub:org/model.")
    return found[1], found[3] or "", found[2] or "main"


def _folder(path: Path, weights: Path | None) -> Found:
    if not path.is_dir():
        raise CheckpointError(f"There is no folder {path}: check the path after local-dir:.")
    if not (path / CONFIG).is_file():
        raise CheckpointError(
            f"{path} has no {CONFIG}: it is not a model as open_clip saves one; name its weights "
            "with --pretrained FILE and the network with --model."
        )
    described = read_config(path / CONFIG)
    if weights is None:
        weights = next((path / name for name in IN_FOLDER if (path / name).is_file()), None)
    if weights is None:
        raise CheckpointError(
            f"{path} holds no weights: there is none of {', '.join(IN_FOLDER[:3])} in it."
        )
    folder = tokenizer_folder(described, path, fetch=False)
    return Found(weights, f"{FOLDER}{path}", tokenizer=folder)


def read_config(path: Path) -> dict[str, Any]:
    """The network that an open_clip_config.json describes.

    Raises CheckpointError for a file of something else.
    """
    try:
        described = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError):
        described = None
    network = described.get("model_cfg") if isinstance(described, dict) else None
    if not isinstance(network, dict) or not {"embed_dim", "vision_cfg", "text_cfg"} <= set(network):
        raise CheckpointError(
            f"{path} does not describe a model of open_clip: it has no model_cfg with embed_dim, "
            "vision_cfg and text_cfg."
        )
    return network
