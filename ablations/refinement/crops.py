"""Parts of pictures in which a class was missed or wrongly taken, outlined, as JPEG.

Only of the pictures that a feedback was counted on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image as Pictures

from ablations.refinement.feedback import Views
from lsmseg_model.data.label_maps import IGNORE
from lsmseg_prompts.llm.base import Image

MISSED, TAKEN = KINDS = (0, 1)
PART = 2  # a part has so many-th of the height and of the width
FEWEST = 16  # wrong pixels that are worth showing
SMALLEST, LARGEST = 256, 512  # pixels of the longer side
LINE = 2  # pixels
MAGENTA = (255, 0, 255)
JPEG_QUALITY = 90


@dataclass(frozen=True)
class Crop:
    """A part of a picture, in which pixels of a class were missed, or wrongly taken for it.

    other: what they were taken for, or what they are.
    """

    missed: bool
    other: int
    image: Image


def crops(views: Views, classes: Sequence[int]) -> dict[int, list[Crop]]:
    """Two or three parts for each class: where most was missed, and where most was taken for it."""
    wrong = np.zeros((len(views.pictures), len(classes), 2), dtype=np.int64)
    for place in range(len(views.pictures)):
        labels, predicted = views.segmented(place)
        for at, index in enumerate(classes):
            for kind in KINDS:
                wrong[place, at, kind] = _wrong(labels, predicted, index, kind).sum()
    return {index: _of_class(views, index, wrong[:, at]) for at, index in enumerate(classes)}


def _of_class(views: Views, index: int, wrong: np.ndarray) -> list[Crop]:
    """By the wrong pixels of each picture and kind: the worst picture of each, and a second one."""
    order = np.argsort(-wrong, axis=0, kind="stable")
    chosen = [(kind, int(order[0, kind])) for kind in KINDS]
    worse = int(wrong.sum(axis=0).argmax())
    chosen += [(worse, int(place)) for place in order[1:2, worse]]
    return [
        _crop(views, place, index, kind) for kind, place in chosen if wrong[place, kind] >= FEWEST
    ]


def _wrong(labels: np.ndarray, predicted: np.ndarray, index: int, kind: int) -> np.ndarray:
    """Bool [H, W]: where the class was missed, or taken for it what is labelled otherwise."""
    mine, theirs = (labels, predicted) if kind == MISSED else (predicted, labels)
    wrong: np.ndarray = (mine == index) & (theirs != index) & (labels != IGNORE)
    return wrong


def _crop(views: Views, place: int, index: int, kind: int) -> Crop:
    """Of the class that it is most often confused with in a picture."""
    labels, predicted = views.segmented(place)
    wrong = _wrong(labels, predicted, index, kind)
    theirs = predicted if kind == MISSED else labels
    others, counts = np.unique(theirs[wrong], return_counts=True)
    other = int(others[counts.argmax()])
    wrong &= theirs == other
    window = densest(wrong)
    return Crop(kind == MISSED, other, outlined(views.picture(place)[window], wrong[window]))


def densest(wrong: np.ndarray) -> tuple[slice, slice]:
    """The window of half the height and width with most wrong pixels; of equals, their middle."""
    height, width = (max(1, -(-side // PART)) for side in wrong.shape)
    sums = np.pad(wrong.astype(np.int64).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    inside = (
        sums[height:, width:] - sums[:-height, width:] - sums[height:, :-width]
        + sums[:-height, :-width]
    )  # fmt: skip
    rows, columns = np.nonzero(inside == inside.max())
    place = np.argmin(np.abs(rows - rows.mean()) + np.abs(columns - columns.mean()))
    top, left = int(rows[place]), int(columns[place])
    return slice(top, top + height), slice(left, left + width)


def outlined(picture: np.ndarray, wrong: np.ndarray) -> Image:
    """A part of a picture with a line around the wrong pixels: JPEG that holds nothing else."""
    height, width = wrong.shape
    longest = max(height, width)
    scale = min(max(1.0, SMALLEST / longest), LARGEST / longest)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    shown = np.array(Pictures.fromarray(picture).convert("RGB").resize(size))
    inside = np.array(Pictures.fromarray(wrong).resize(size, Pictures.Resampling.NEAREST))
    shown = np.pad(shown, ((LINE, LINE), (LINE, LINE), (0, 0)), "edge")  # where a line may run
    inside = np.pad(inside, LINE)
    grown = inside.copy()
    for _ in range(LINE):
        more = grown.copy()
        more[1:] |= grown[:-1]
        more[:-1] |= grown[1:]
        more[:, 1:] |= grown[:, :-1]
        more[:, :-1] |= grown[:, 1:]
        grown = more
    shown[grown & ~inside] = MAGENTA
    stream = BytesIO()
    Pictures.fromarray(shown).save(stream, "JPEG", quality=JPEG_QUALITY)
    return Image("image/jpeg", stream.getvalue())
