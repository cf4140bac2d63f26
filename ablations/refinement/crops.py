"""Parts of pictures in which a class was missed or wrongly taken, outlined, as JPEG.

Only of the pictures that a feedback was counted on.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from PIL import Image as Pictures

from ablations.refinement.feedback import Feedback, Views
from lsmseg_prompts.llm.base import Image

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


def crops(feedback: Feedback, index: int) -> list[Crop]:
    """Two or three parts: where most of the class was missed, and where most was taken for it."""
    views = feedback.views
    assert views is not None
    place = feedback.scored.index(index)
    wrong = views.wrong()[:, place]  # [pictures, 2]
    order = np.argsort(-wrong, axis=0, kind="stable")  # the pictures, the worst first
    missed, taken = order[:, 0].tolist(), order[:, 1].tolist()
    chosen = [(True, missed[0]), (False, taken[0])]
    if len(order) > 1:
        more = wrong[:, 0].sum() >= wrong[:, 1].sum()
        chosen.append((True, missed[1]) if more else (False, taken[1]))
    found = []
    for is_missed, at in chosen:
        if wrong[at, 0 if is_missed else 1] >= FEWEST:
            found.append(_crop(views, at, index, is_missed))
    return found


def _crop(views: Views, at: int, index: int, missed: bool) -> Crop:
    picture, labels, predicted = views.view(at)
    scored = np.isin(labels, views.scorer.benchmark.class_indices)
    mine, theirs = (labels, predicted) if missed else (predicted, labels)
    wrong = scored & (mine == index) & (theirs != index)
    others, counts = np.unique(theirs[wrong], return_counts=True)
    other = int(others[counts.argmax()])
    wrong &= theirs == other
    window = densest(wrong)
    return Crop(missed, other, outlined(picture[window], wrong[window]))


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
