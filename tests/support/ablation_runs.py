"""A small world in which ablations run in seconds."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

CLASSES = ("zebra", "grass", "stop sign", "sky")


FILES = {
    "best_prompts.json",
    "single.csv",
    "combinations.csv",
    "candidates.csv",
    "confusions.csv",
    "per_class.csv",
    "differences.csv",
    "lengths.csv",
    "run.json",
    "report.html",
    *(
        f"{figure}.{kind}"
        for figure in (
            *("single", "combinations", "per_class", "lengths", "cost_maps", "segmentations"),
            *("differences", "single_differences", "combinations_differences"),
        )
        for kind in ("png", "pdf")
    ),
    *(f"{t}.tex" for t in ("single", "combinations", "per_class", "confusions", "lengths")),
    "differences.tex",
}


def _plain(figure: Any, file: Path, **options: Any) -> None:
    """An empty picture, or an empty page where the caller wants a PDF."""
    if "metadata" in options:
        Path(file).write_bytes(b"%PDF-1.4\n%%EOF\n")
    else:
        Image.new("RGB", (4, 4)).save(file, "png")


@contextmanager
def plain_figures() -> Iterator[None]:
    """Figures are made but not rendered, which is most of what a small run takes."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("matplotlib.figure.Figure.savefig", _plain)
        yield


def options(world: Path, **more: Any) -> dict[str, Any]:
    return {
        "data": [str(world / "pictures")],
        "vocab": str(world / "four.txt"),
        "model": str(world / "atom.json"),
        "pretrained": str(world / "atom.safetensors"),
        "attributes": ["color", "shape", "size"],
        "samples": 200,
        **more,
    }
