"""Networks by name: their configurations as data, and building them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..clip import Clip, View, open_clip_model
from ..errors import ConfigError, UsageError
from ..lsmseg import LsmSeg, NetworkConfig

HERE = Path(__file__).parent
FIELDS = {"name", "title", "clip", "crop", "network"}


def available() -> list[str]:
    """The names of the networks."""
    return sorted(path.stem for path in HERE.glob("*.json"))


def read_network(name: str, **changes: Any) -> dict[str, Any]:
    """A configuration by name, or of a JSON file; `changes` replace fields of its network.

    Raises UsageError for an unknown name, ConfigError for a file that is none.
    """
    from difflib import get_close_matches

    path = Path(name) if name.endswith(".json") else HERE / f"{name}.json"
    if not path.is_file():
        near = get_close_matches(name, available(), 1)
        hint = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(available())}."
        raise UsageError(f"There is no network {name!r}{hint}")
    try:
        settings = json.loads(path.read_text("utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path} is not valid JSON: {error}.") from error
    if not isinstance(settings, dict) or settings.keys() != FIELDS:
        raise ConfigError(f"{path} must have exactly the fields {', '.join(sorted(FIELDS))}.")
    settings["network"] = {**settings["network"], **changes}
    NetworkConfig.read(settings["network"], settings["name"])
    return settings


def build_network(name: str, **changes: Any) -> LsmSeg:
    """A network by name with random weights; `changes` as in `read_network`."""
    settings = read_network(name, **changes)
    model = open_clip_model(settings["clip"], openai_layout=False)
    crop = settings["crop"]
    clip = Clip(model, settings["clip"], "catseg", View(crop, crop, crop), "random")
    return LsmSeg(clip, NetworkConfig.read(settings["network"], settings["name"]))
