"""Two label maps of a picture, and where they differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ablations.studio.trying.segmenting import packed
from lsmseg_model.data.palette import palette
from lsmseg_model.data.region_names import region_names

ALIKE, RIGHT, WRONG, TO_WRONG, TO_RIGHT, OTHER_WRONG, DIFFERENT = range(7)
"""What a pixel is in a map of differences. Where nothing is labelled: ALIKE or DIFFERENT."""
SAID = {
    RIGHT: "both right",
    WRONG: "both wrong, alike",
    TO_WRONG: "right, then wrong",
    TO_RIGHT: "wrong, then right",
    OTHER_WRONG: "both wrong, different",
    ALIKE: "alike",
    DIFFERENT: "different",
}
LETTERS = (0.022, 0.055)  # of the longer side: the smallest and the largest names in regions
LETTER = 0.56  # ems, about


def difference(first: np.ndarray, second: np.ndarray, truth: np.ndarray | None) -> np.ndarray:
    """uint8 [H, W]: what becomes of each pixel from the first map to the second.

    Args:
        first: int [H, W] classes.
        second: The same.
        truth: The labels, below 0 where there are none; None where there are none at all.
    """
    changed = first != second
    codes = np.where(changed, DIFFERENT, ALIKE).astype(np.uint8)
    if truth is None:
        return codes
    labelled = truth >= 0
    was, now = first == truth, second == truth
    codes[labelled & ~changed & was] = RIGHT
    codes[labelled & ~changed & ~was] = WRONG
    codes[labelled & changed & was] = TO_WRONG
    codes[labelled & changed & now] = TO_RIGHT
    codes[labelled & changed & ~was & ~now] = OTHER_WRONG
    return codes


def shares(codes: np.ndarray, truth: np.ndarray | None) -> list[dict[str, Any]]:
    """The parts of a map of differences: of the labelled pixels, without labels of all."""
    counted = codes if truth is None or not (truth >= 0).any() else codes[truth >= 0]
    counts = np.bincount(counted.ravel(), minlength=len(SAID))
    told = [ALIKE, DIFFERENT] if counted is codes else [TO_RIGHT, TO_WRONG, OTHER_WRONG]
    told += [] if counted is codes else [RIGHT, WRONG]
    return [{"code": c, "name": SAID[c], "share": float(counts[c] / counted.size)} for c in told]


def drawn(maps: dict[str, np.ndarray | None], names: Sequence[str]) -> dict[str, Any]:
    """Label maps as the page draws them, with the same colours in all.

    Args:
        maps: int [H, W] places in ``names``, below 0 where nothing is said; None where there is
            no such map. Names of regions that are wrong by the map "truth" are marked.
        names: The classes.

    Returns:
        Of each map its pixels (`packed` uint16, 65535 where nothing is said), where to write which
        name, and the part of the picture of each class that is in it, the largest first; the
        classes and their colours as #rrggbb.
    """
    told: dict[str, Any] = {
        "classes": list(names),
        "colours": [f"#{bytes(one).hex()}" for one in palette(tuple(names))],
    }
    for key, labels in maps.items():
        told[key] = None if labels is None else _one(labels, names, maps.get("truth"))
    return told


def _one(labels: np.ndarray, names: Sequence[str], truth: np.ndarray | None) -> dict[str, Any]:
    longest = max(labels.shape)
    sizes = LETTERS[0] * longest, LETTERS[1] * longest
    written = region_names(labels, dict(enumerate(names)), _wide, sizes, truth)
    counts = np.bincount(labels[labels >= 0].ravel(), minlength=len(names))
    order = [int(at) for at in np.argsort(-counts, kind="stable") if counts[at]]
    return {
        "map": packed(np.where(labels < 0, 65535, labels).astype("<u2")),
        "names": [one._asdict() for one in written],
        "shares": [[at, float(counts[at] / labels.size)] for at in order],
    }


def _wide(text: str) -> float:
    return LETTER * len(text)
