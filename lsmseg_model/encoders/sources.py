"""Published weights: second encoders by name, and what is said of weights that are missing."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from lsmseg_model.errors import CheckpointError, UsageError, nearest
from lsmseg_model.pull.catalogue import tags, tags_of
from lsmseg_model.pull.find import Found, find, is_repository
from lsmseg_model.pull.hub import HubFile
from lsmseg_model.pull.listing import row
from lsmseg_model.pull.places import Place, obtain
from lsmseg_model.pull.web import WebFile, torch_hub

TIMM_FILES = ("model.safetensors", "pytorch_model.bin")
CHECKPOINTS = {  # format: whose it is and where
    "cat-seg": "CAT-Seg's from github.com/KU-CVLAB/CAT-Seg",
    "sed": "SED's from github.com/xb534/SED",
    "fc-clip": "FC-CLIP's from github.com/bytedance/fc-clip",
}


@cache
def _read(name: str) -> dict[str, Any]:
    path = Path(__file__).parent / name
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return found


def encoder_names() -> list[str]:
    """The second encoders of ours whose weights are published."""
    timm = [name for name, sizes in _read("timm.json").items() if "options" not in sizes]
    return [*_read("published.json"), *timm]


def encoder_places(name: str) -> list[Place]:
    """Where the weights of a second encoder may be had; [] of one that nobody publishes.

    name: one of ours, or timm's own.
    """
    if published := _read("published.json").get(name):
        return [WebFile(published["url"], torch_hub(), published["size"], published["md5"])]
    sizes = _read("timm.json").get(name, {"timm": name})
    if "options" in sizes or "_" not in sizes["timm"]:
        return []
    return _timm_places(sizes["timm"])


def _timm_places(name: str) -> list[Place]:
    """Where timm looks for the weights of a model of its own: the hub, else the address."""
    if name in (sizes["timm"] for sizes in _read("timm.json").values()):
        return [HubFile(f"timm/{name}", TIMM_FILES, hint=True)]  # timm itself need not be loaded
    from timm.models import get_pretrained_cfg, is_model

    about = get_pretrained_cfg(name) if is_model(name.partition(".")[0]) else None
    places: list[Place] = []
    if about and about.hf_hub_id:
        repo, _, revision = about.hf_hub_id.partition("@")
        files = (about.hf_hub_filename,) if about.hf_hub_filename else TIMM_FILES
        places.append(HubFile(repo, files, revision or "main", hint=True))
    if about and isinstance(about.url, str) and about.url:
        places.append(WebFile(about.url, torch_hub()))
    return places


def encoder_weights(name: str | None, weights: str | Path) -> tuple[str | None, Path]:
    """The name of a second encoder and the file of its weights, fetched where a name asks for it.

    name: the encoder that is wanted (None: any). weights: a name, or a file. Raises UsageError for
    the name of another encoder, CheckpointError for weights that are not there.
    """
    path = Path(weights)
    places = [] if path.is_file() or "/" in str(weights) else encoder_places(str(weights))
    if not places:
        if not path.is_file():
            raise CheckpointError(no_encoder(name or "sam-b", path))
        return name, path
    if name is not None and places != encoder_places(name):
        raise UsageError(f"The second encoder is {name}, not {weights}: give --encoder {name}.")
    return name or str(weights), obtain(str(weights), places, "--encoder FILE (or --sam FILE)")


def encoder_rows(wanted: str = "") -> list[dict[str, Any]]:
    """The published second encoders as `tag_rows` has models; those with `wanted` in the name."""
    names = [name for name in encoder_names() if wanted.lower() in name]
    licences = _read("licences.json")
    return [row(name, "", encoder_places(name), licences[name.partition("-")[0]]) for name in names]


def pull(name: str) -> Found:
    """Fetch published weights, and what goes with them, if they are not here.

    name: MODEL:TAG, MODEL that has one tag alone, hf-hub:org/model, or a second encoder. Raises
    UsageError for a name that nothing has, and what `find` raises.
    """
    if is_repository(name):
        return find(name)
    model, colon, tag = name.partition(":")
    if several := tags_of(model):
        if not tag and len(several) > 1:
            raise UsageError(
                f"{model} has several weights: name one, as in {model}:{several[0]}; there are "
                f"{', '.join(several)}."
            )
        return find(model, tag or several[0])
    if not colon and (places := encoder_places(name)):
        return Found(obtain(name, places, "--encoder FILE (or --sam FILE)"), name)
    near = nearest(model, [*tags(), *encoder_names()], 3, "see `model list --pretrained`.")
    raise UsageError(f"There are no published weights of {name!r}; {near}")


def no_clip(name: str, path: Path | None = None) -> str:
    """The message about weights of a CLIP that are not there, or not named."""
    tags = tags_of(name)
    more = " ..." if len(tags) > 3 else ""
    fetched = f"{', '.join(tags[:3])}{more} (fetched by that name), " if tags else ""
    return (
        f"There are no weights of {name}{'' if path is None else f' at {path}'}: give --pretrained "
        f"{fetched}hf-hub:org/model or a FILE."
    )


def no_encoder(name: str, path: Path | None = None) -> str:
    """The same of a second encoder."""
    named = f"{name} (fetched by that name) or " if encoder_places(name) else ""
    return (
        f"There are no weights of {name}{'' if path is None else f' at {path}'}: give --encoder "
        f"{named}FILE (of --dense sam-proxy: --sam)."
    )


def no_checkpoint(path: Path, format: str) -> str:
    """The same of a whole network."""
    fetch = (
        f"fetch {CHECKPOINTS[format]}"
        if format in CHECKPOINTS
        else "`lsmseg-prompts train` leaves one, a .safetensors file, in its --out"
    )
    return f"There is no checkpoint at {path}: {fetch}, and name it with --checkpoint FILE."
