"""Where published weights come from, for the messages about files that are not there."""

import json
from importlib.resources import files
from pathlib import Path

CATSEG = "github.com/KU-CVLAB/CAT-Seg"


def encoder_source(name: str) -> str:
    """The published file of a second encoder and its place; "" for one that nobody publishes."""
    published = json.loads((files(__package__) / "published.json").read_text("utf-8"))
    return " of ".join(published.get(name, ()))


def clip_source(name: str) -> str:
    """A published file of an open_clip model, by open_clip's own list; "" where it has none."""
    from open_clip.pretrained import get_pretrained_cfg, list_pretrained_tags_by_model

    for tag in list_pretrained_tags_by_model(name):
        published = get_pretrained_cfg(name, tag)
        if published.get("url"):
            return str(published["url"])
        if published.get("hf_hub"):
            return f"huggingface.co/{published['hf_hub'].strip('/')}"
    return ""


def no_clip(name: str, path: Path | None = None) -> str:
    """The message about weights of a CLIP that are not there, or not named."""
    source = clip_source(name)
    fetch = f"fetch them, for example from {source}, and name" if source else "name"
    return (
        f"There are no weights of {name}{'' if path is None else f' at {path}'}, and nothing is "
        f"downloaded: {fetch} the file with --pretrained FILE."
    )


def no_encoder(name: str, path: Path | None = None) -> str:
    """The same of a second encoder."""
    source = encoder_source(name)
    fetch = f"fetch {source} and name" if source else "name"
    return (
        f"There are no weights of {name}{'' if path is None else f' at {path}'}, and nothing is "
        f"downloaded: {fetch} the file with --encoder FILE (of --dense sam-proxy: --sam FILE)."
    )


def no_checkpoint(path: Path, format: str) -> str:
    """The same of a whole network."""
    fetch = (
        f"fetch CAT-Seg's from {CATSEG}"
        if format == "cat-seg"
        else "`lsmseg-prompts train` leaves one, a .safetensors file, in its --out"
    )
    return f"There is no checkpoint at {path}: {fetch}, and name it with --checkpoint FILE."
