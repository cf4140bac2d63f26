"""Where published weights come from, for the messages about files that are not there."""

import json
from importlib.resources import files
from pathlib import Path

from lsmseg_model.pull.catalogue import tags_of

CATSEG = "github.com/KU-CVLAB/CAT-Seg"


def encoder_source(name: str) -> str:
    """The published file of a second encoder and its place; "" for one that nobody publishes."""
    published = json.loads((files(__package__) / "published.json").read_text("utf-8"))
    return " of ".join(published.get(name, ()))


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
