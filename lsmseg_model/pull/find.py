"""From the names that open_clip's users write to files on this machine.

    --model ViT-B-16 --pretrained openai | laion2b_s34b_b88k | FILE
    --pretrained hf-hub:org/model | hf-hub:org/model/file.bin | local-dir:FOLDER   (or as --model)

Such a name is a request: what is not here is fetched, unless HF_HUB_OFFLINE is set.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lsmseg_model.errors import CheckpointError, UsageError, nearest
from lsmseg_model.files import is_path
from lsmseg_model.pull import catalogue
from lsmseg_model.pull.notes import is_offline, readable, say
from lsmseg_model.pull.places import HubFile, Place, WebFile

HUB, FOLDER = "hf-hub:", "local-dir:"
CONFIG = "open_clip_config.json"
WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
IN_FOLDER = (
    "open_clip_model.safetensors", "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin", "open_clip_pytorch_model.pth", "model.safetensors",
    "pytorch_model.bin", "pytorch_model.pth", "model.pth",
)  # fmt: skip
VOCABULARY = ("tokenizer.json", "spiece.model", "tokenizer.model", "sentencepiece.bpe.model")
BESIDE = ("tokenizer_config.json", "special_tokens_map.json", "config.json")
CLIP_CACHE = Path("~/.cache/clip")  # open_clip's and OpenAI's own


@dataclass(frozen=True)
class Found:
    """What `find` found.

    weights: their file. model: open_clip's name of the network, "" where ``config`` alone says it.
    config: open_clip's configuration of a repository or folder. preprocess: mean, std and resizing.
    quick_gelu: the activation that the weights were trained with, where it is known. tokenizer: the
    folder with the files of a tokenizer that is not CLIP's own, None where they are not here.
    """

    weights: Path
    model: str
    config: Mapping[str, Any] | None = None
    preprocess: Mapping[str, Any] = field(default_factory=dict)
    quick_gelu: bool | None = None
    tokenizer: Path | None = None


def is_repository(name: object) -> bool:
    """Whether a name says where a whole model lies, with its configuration."""
    return str(name).startswith((HUB, FOLDER))


def is_file(model: str, pretrained: str) -> bool:
    """Whether --pretrained is meant as a file, not as a name."""
    if is_repository(pretrained) or catalogue.clean(pretrained) in catalogue.tags_of(model):
        return False
    return is_path(pretrained) or Path(pretrained).exists()


def find(model: str, pretrained: str | Path | None = None) -> Found:
    """The files of a model, fetched where a name asks for them and they are not here.

    Args:
        model: A name of open_clip, or hf-hub: or local-dir: with a place; "" for the one in the
            configuration of `pretrained`.
        pretrained: A tag of the model, a place, or a file; None for the weights that lie in the
            place which `model` is.

    Raises:
        UsageError: For a name that nothing has.
        CheckpointError: For what is not there, cannot be had, or is not allowed to be fetched.
        DataError: For a transfer that breaks off, a full disk, or a file other than published.
    """
    named = str(pretrained or "")
    if is_repository(named):
        found = _place(named)
        return found if model == "" or is_repository(model) else _as(found, model)
    if is_repository(model):
        return _place(model, Path(named) if named else None)
    if named and is_file(model, named):
        return _file(model, Path(named))
    return _tag(model, named)


def _as(found: Found, model: str) -> Found:
    """The weights of a place for a model of open_clip's that is named beside it."""
    folder = tokenizer_folder(catalogue.configuration(model))
    return Found(found.weights, model, None, found.preprocess, None, found.tokenizer or folder)


def _file(model: str, path: Path) -> Found:
    """A file of the user's: nothing is fetched, also no tokenizer."""
    beside = _with_vocabulary(path.parent)
    folder = beside or tokenizer_folder(catalogue.configuration(model), fetch=False)
    return Found(path, model, None, catalogue.preprocessing(model), None, folder)


def _tag(model: str, tag: str) -> Found:
    """The weights that open_clip has under a tag of a model."""
    listed = catalogue.tags().get(model, {}).get(catalogue.clean(tag))
    if listed is None:
        raise UsageError(no_tag(model, tag))
    weights = obtain(f"{model} {tag}", tag_places(model, tag), "--pretrained FILE")
    names = ("mean", "std", "interpolation", "resize_mode")
    preprocess = {name: listed[name] for name in names if name in listed}
    folder = tokenizer_folder(catalogue.configuration(model))
    return Found(weights, model, None, preprocess, bool(listed.get("quick_gelu")), folder)


def tag_places(model: str, tag: str) -> list[Place]:
    """Where the weights of a tag may be had, in the order in which open_clip looks."""
    listed = catalogue.tags()[model][catalogue.clean(tag)]
    places: list[Place] = []
    if repository := str(listed.get("hf_hub", "")):
        repo, _, name = repository.rpartition("/")
        places.append(HubFile(repo, _names(name), size=catalogue.size(model)))
    if url := str(listed.get("url", "")):
        folder = CLIP_CACHE.expanduser()
        places.append(WebFile(url, folder, catalogue.size(model, url)))
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


def _place(name: str, weights: Path | None = None) -> Found:
    """What lies in a repository or folder; `weights`: a file in place of its own."""
    if name.startswith(FOLDER):
        return _folder(Path(name.removeprefix(FOLDER)), weights)
    repo, inside, revision = split_hub(name)
    described = HubFile(repo, (CONFIG,), revision)
    path = obtain(name, [described], "--pretrained FILE")
    model_cfg, preprocess = read_config(path)
    file = HubFile(repo, _names(inside), revision)
    weights = weights or obtain(name, [file], "--pretrained FILE")
    folder = tokenizer_folder(model_cfg)
    return Found(weights, "", model_cfg, preprocess, None, folder)


def split_hub(name: str) -> tuple[str, str, str]:
    """hf-hub:org/model[@revision][/file] as repository, file and revision."""
    found = re.fullmatch(
        r"([\w.-]+(?:/[\w.-]+)?)(?:@([\w./-]+?))?(?:/([\w./-]+\.\w+))?", name.removeprefix(HUB)
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
    model_cfg, preprocess = read_config(path / CONFIG)
    if weights is None:
        weights = next((path / name for name in IN_FOLDER if (path / name).is_file()), None)
    if weights is None:
        raise CheckpointError(
            f"{path} holds no weights: there is none of {', '.join(IN_FOLDER[:3])} in it."
        )
    folder = path if _with_vocabulary(path) else tokenizer_folder(model_cfg, fetch=False)
    return Found(weights, "", model_cfg, preprocess, None, folder)


def read_config(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The network and the preprocessing that an open_clip_config.json describes.

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
    return network, dict(described.get("preprocess_cfg") or {})


# -- tokenizers ------------------------------------------------------------------------------


def tokenizer_folder(config: Mapping[str, Any], fetch: bool = True) -> Path | None:
    """The folder with the files of a model's tokenizer.

    None for a model that reads with CLIP's own, and without `fetch` where they are not here.
    """
    repo = str(config.get("text_cfg", {}).get("hf_tokenizer_name") or "")
    if not repo:
        return None
    vocabulary = HubFile(repo, (*VOCABULARY, "vocab.txt"))
    path = vocabulary.local()
    if path is None and not fetch:
        return None
    if path is None:
        path = obtain(f"The tokenizer {repo}", [vocabulary], "local-dir:FOLDER")
    for name in BESIDE:
        beside = HubFile(repo, (name,))
        if fetch and not is_offline() and beside.local() is None:
            _if_there(beside)
    return path.parent


def _if_there(place: HubFile) -> None:
    """Fetch a small file that not every repository has."""
    try:
        offered = place.look()
    except CheckpointError:
        return
    place.take(offered)


def _with_vocabulary(folder: Path) -> Path | None:
    there = any((folder / name).is_file() for name in (*VOCABULARY, "vocab.txt"))
    return folder if there else None


# -- fetching --------------------------------------------------------------------------------


def obtain(what: str, places: Sequence[Place], option: str) -> Path:
    """A file from the first of its places that has it.

    Args:
        what: What it is called, for the message.
        places: In the order in which they are asked.
        option: How a file on this machine is named instead.

    Raises:
        CheckpointError: Where it is not here and nothing may be fetched, or no place has it.
        DataError: Where it does not come whole.
    """
    for place in places:
        if path := place.local():
            return path
    if is_offline():
        expected = places[0].expected
        about = f"about {readable(expected.size)}, " if expected.size else ""
        raise CheckpointError(
            f"{what} is not on this machine, and offline nothing is fetched: put "
            f"{expected.name} ({about}{expected.address}) into {places[0].folder}, or name the "
            f"file with {option}."
        )
    *others, last = places
    for place in others:
        try:
            offered = place.look()
        except CheckpointError as error:
            say(f"{error} Asking elsewhere.")
        else:
            return place.take(offered)
    return last.take(last.look())
