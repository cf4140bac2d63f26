"""The JSON files beside this code: how things look and what is said of them."""

import json
from importlib.resources import files
from typing import Any


def read_table(name: str) -> Any:
    """What NAME.json holds."""
    return json.loads((files(__package__) / f"{name}.json").read_text("utf-8"))
