"""A small world in which ablations run in seconds."""

from pathlib import Path
from typing import Any

CLASSES = ("zebra", "grass", "stop sign", "sky")


FILES = {
    "best_prompts.json",
    "single.csv",
    "combinations.csv",
    "candidates.csv",
    "confusions.csv",
    "per_class.csv",
    "lengths.csv",
    "run.json",
    "report.html",
    *(
        f"{figure}.{kind}"
        for figure in (
            *("single", "combinations", "per_class", "lengths", "cost_maps", "segmentations"),
        )
        for kind in ("png", "pdf")
    ),
    *(f"{t}.tex" for t in ("single", "combinations", "per_class", "confusions", "lengths")),
}


def options(world: Path, **more: Any) -> dict[str, Any]:
    return {
        "data": [str(world / "pictures")],
        "vocab": str(world / "four.txt"),
        "model": str(world / "atom.json"),
        "pretrained": str(world / "atom.safetensors"),
        "attributes": ["color", "shape", "size"],
        "samples": 60,
        **more,
    }
