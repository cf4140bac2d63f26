"""MiniStuff: the drawn benchmark that ships inside. Scenes of 128 x 128 pixels, drawn by code.

A scene depends on nothing but (split, index). It has two to four regions in a layout that makes
sense (sky over ground, a wall over a floor, a table from above) and two to five objects from 40
COCO-Stuff classes under their COCO-Stuff indices. Twelve classes are unseen: the `train` split
draws them but labels them IGNORE, as COCO-Stuff's unseen classes are void in training.

It is drawing, not photography. What objects stand next to is chosen loosely, so that colour,
shape, size, texture and pattern tell classes apart better than company does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lsmseg_model.data.ministuff import invented
from lsmseg_model.data.ministuff.captions import Sentence, Thing, caption_of, values_of
from lsmseg_model.data.ministuff.drawing import Rng, Sprite, camera, noise, one, paste, shadow
from lsmseg_model.data.ministuff.looks import EMPTY, Gallery
from lsmseg_model.data.ministuff.objects import OBJECTS
from lsmseg_model.data.ministuff.regions import SURFACES, tree
from lsmseg_model.data.ministuff.shown import CLASS_VALUES, shown
from lsmseg_model.data.ministuff.tables import read_table

IGNORE = -1
SIDE = 128
FIRST_INVENTED = 1000

CLASSES: list[tuple[int, str, bool]] = [
    (row["index"], row["name"], row["seen"]) for row in read_table("classes")
]
"""COCO-Stuff index, COCO-Stuff name, whether it is seen in training."""
CLASS_INDICES: tuple[int, ...] = tuple(index for index, _, _ in CLASSES)
SEEN: frozenset[int] = frozenset(index for index, _, seen in CLASSES if seen)
UNSEEN: frozenset[int] = frozenset(CLASS_INDICES) - SEEN
TREE, MOUNTAIN, BOAT, BIRD, KITE, CLOCK = 157, 123, 8, 14, 33, 74


@dataclass(frozen=True)
class Split:
    """Where a split's scenes come from (seed) and how many it has unless told otherwise."""

    seed: int
    size: int


SPLITS: dict[str, Split] = {
    "train": Split(11, 4000),
    "selection": Split(22, 200),
    "report": Split(33, 200),
}
_TRAINING_SEED = 44
TREE_SIZES = (56.0, 92.0)


@dataclass(frozen=True)
class Scene:
    """image uint8 [128, 128, 3]; labels int64 [128, 128], COCO-Stuff indices or IGNORE.

    drawn: the indices of all regions and objects in the order of drawing, hidden ones too.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.int64]
    drawn: tuple[int, ...]


@dataclass(frozen=True)
class TrainingScene:
    """A scene for training: invented things have labels 1000 + j, and a caption that is true.

    shown: the values of all that is there, or nearly (`shown.shown`). values: by label, those that
    each thing and class has.
    """

    image: NDArray[np.uint8]
    labels: NDArray[np.int64]
    captions: dict[int, Sentence]
    shown: frozenset[str]
    values: dict[int, frozenset[str]]


_INDEX = {name: index for index, name, _ in CLASSES}
_KINDS = {
    kind: (
        [[_INDEX[name] for name in choices] for choices in row["regions"]],
        [_INDEX[name] for name in row["objects"]],
    )
    for kind, row in read_table("scenes").items()
}
"""Kind of scene -> the choices of regions from the top to the bottom; the objects."""
_RARE = (2, 9, 11, 18, 19, 21, 49)  # the kinds of scene give these too seldom


def draw(split: str, index: int) -> Scene:
    """Scene `index` (from 0) of a split; the same arguments always give the same pixels.

    Raises KeyError for a split that is not in SPLITS.
    """
    rng = np.random.default_rng([SPLITS[split].seed, index])
    builder = _Builder(rng, frozenset(CLASS_INDICES))
    builder.scene(index)
    image, labels = builder.develop()
    if split == "train":
        labels[np.isin(labels, list(UNSEEN))] = IGNORE
    return Scene(image, labels, tuple(builder.drawn))


def draw_training(index: int, seed: int = 0, gallery: Gallery = EMPTY) -> TrainingScene:
    """Training scene `index`: seen classes, seen classes with invented things, or all invented.

    gallery: looks that some of the invented things have.
    """
    rng = np.random.default_rng([_TRAINING_SEED, seed, index])
    flavour = rng.random()
    builder = _Builder(rng, SEEN)
    builder.gallery = gallery
    if flavour < 0.25:
        builder.scene(index)
    elif flavour < 0.7:
        builder.invented_share = 0.3
        builder.scene(index)
        builder.invented_objects(int(rng.integers(1, 5)))
    else:
        builder.invented_share = 1.0
        builder.invented_scene()
    image, labels = builder.develop()
    present = set(np.unique(labels).tolist())
    things = {k: v for k, v in builder.things.items() if k in present}
    captions = {k: caption_of(rng, thing) for k, thing in things.items()}
    drawn = {label for label in builder.drawn if label < FIRST_INVENTED}
    values = {label: CLASS_VALUES[label] for label in drawn}
    values |= {label: values_of(thing) for label, thing in things.items()}
    return TrainingScene(image, labels, captions, shown(things.values(), drawn), values)


class _Builder:
    """Paints one scene from back to front, keeping labels and what was drawn."""

    def __init__(self, rng: Rng, allowed: frozenset[int]) -> None:
        self.rng = rng
        self.allowed = allowed
        self.picture = np.zeros((SIDE, SIDE, 3), np.float32)
        self.labels = np.full((SIDE, SIDE), IGNORE, np.int64)
        self.drawn: list[int] = []
        self.things: dict[int, Thing] = {}
        self.invented_share = 0.0
        self.gallery = EMPTY
        self.boxes: list[tuple[float, float, float]] = []

    # -- finishing -------------------------------------------------------------------------

    def develop(self) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
        """The picture as the camera sees it, and its labels."""
        return camera(self.rng, self.picture), self.labels

    # -- regions ---------------------------------------------------------------------------

    def region(self, label: int, edge: NDArray[np.float64] | None = None) -> None:
        """Fills everything below `edge` (a height per column; None: all) with a region."""
        if self.invented_share and self.rng.random() < self.invented_share:
            label = FIRST_INVENTED + len(self.things)
            thing, field = invented.region(self.rng, SIDE, SIDE, self.gallery)
            self.things[label] = thing
        else:
            field = SURFACES[label](self.rng, SIDE, SIDE)
        if edge is None:
            self.picture[:] = field
            self.labels[:] = label
        else:
            cover = np.clip(np.arange(SIDE)[:, None] - edge[None] + 0.5, 0, 1).astype(np.float32)
            self.picture += (field - self.picture) * cover[..., None]
            self.labels[cover > 0.5] = label
        self.drawn.append(label)

    def line(self, y: float, rough: float, lumps: float = 20) -> NDArray[np.float64]:
        """A height for every column about y, uneven by `rough` pixels."""
        slope = self.rng.uniform(-0.03, 0.03) * (np.arange(SIDE) - SIDE / 2) * (rough > 0)
        height: NDArray[np.float64] = y + slope + rough * noise(self.rng, 1, SIDE, lumps, 1)[0]
        return height

    def _choose(self, options: Sequence[int]) -> int:
        usable = [o for o in options if o in self.allowed] or [112]
        return one(self.rng, usable)

    # -- scenes ----------------------------------------------------------------------------

    def scene(self, index: int) -> None:
        """A scene whose first object follows a shuffled round of all classes, for balance."""
        rng = self.rng
        objects = [o for o in OBJECTS if o in self.allowed]
        lead = objects[_turn(index, len(objects))]
        kinds = [k for k, (_, can) in _KINDS.items() if lead in can]
        weights = np.array([_KINDS[k][1].count(lead) / len(_KINDS[k][1]) for k in kinds])
        kind = str(rng.choice(kinds, p=weights / weights.sum()))
        horizon = self._ground(kind)
        others = [o for o in _KINDS[kind][1] if o in self.allowed and o != lead]
        count = int(rng.choice([1, 2, 3, 4], p=[0.22, 0.34, 0.28, 0.16]))
        rare = [o for o in _RARE if o in self.allowed] * 3
        chosen = [lead]
        for _ in range(count):  # now and then something that does not belong there
            pool = [*objects, *rare] if rng.random() < 0.25 else others
            chosen.append(one(rng, pool))
        if kind in ("field", "hills", "beach") and rng.random() < 0.4:
            chosen.append(TREE)
        self.objects(chosen, kind, horizon)

    def _ground(self, kind: str) -> float:
        """Paints the regions of a kind of scene; returns the height where the ground begins."""
        rng, bands = self.rng, _KINDS[kind][0]
        self.region(self._choose(bands[0]))
        horizon = {"room": 74.0, "street": 62.0, "water": 52.0}.get(kind, 54.0)
        horizon += float(rng.uniform(-14, 10))
        if kind == "table":
            if rng.random() < 0.45:  # a second surface beside or below
                self.region(self._choose(bands[0]), self.line(rng.uniform(30, 96), 0))
            return 0.0
        if kind == "hills":
            peaks = self.line(horizon - rng.uniform(12, 30), 9, 26)
            peaks -= 6 * np.abs(noise(rng, 1, SIDE, 11, 1)[0])
            self.region(self._choose(bands[1]), peaks)
            if rng.random() < 0.35 and self.drawn[-1] == MOUNTAIN:
                self._snow_caps(peaks)
        elif kind == "beach":
            self.region(self._choose(bands[1]), self.line(horizon - rng.uniform(14, 24), 0))
            horizon += 12
        elif kind == "field" and rng.random() < 0.35:
            behind = self._choose((157, 157, 157, 159, 160))
            uneven = 3.0 if behind == TREE else 0.0
            self.region(behind, self.line(horizon - rng.uniform(10, 24), uneven, 7))
        rough = 0.0 if kind in ("room", "water", "street") else 1.5
        self.region(self._choose(bands[-1]), self.line(horizon, rough))
        return horizon

    def _snow_caps(self, peaks: NDArray[np.float64]) -> None:
        """Whitens the highest tops of a mountain range, in place."""
        rows = np.arange(SIDE)[:, None]
        reach = np.minimum(peaks + 5, np.median(peaks)) + 1.5 * noise(self.rng, 1, SIDE, 4, 1)[0]
        cap = (np.clip(reach[None] - rows, 0, 1) * (self.labels == MOUNTAIN)).astype(np.float32)
        self.picture += (np.float32(238) - self.picture) * 0.85 * cap[..., None]

    def objects(self, chosen: list[int], kind: str, horizon: float) -> None:
        """Draws the objects, the farthest first."""
        rng = self.rng
        placed: list[tuple[float, float, float, int]] = []
        for label in chosen:
            size = float(rng.uniform(*(TREE_SIZES if label == TREE else OBJECTS[label][1:])))
            if kind == "table":
                foot = float(rng.uniform(size * 0.6, SIDE + size * 0.15))
            elif label == KITE:
                foot = float(rng.uniform(size, max(size + 4, horizon + 10)))
            elif label == CLOCK and kind in ("room", "street"):
                foot = float(rng.uniform(size + 2, max(size + 4, horizon - 4)))
            elif label == BOAT:
                foot = float(rng.uniform(horizon - 6, horizon + 14))
                if kind == "water":
                    foot = float(rng.uniform(horizon + 6, SIDE - 8))
            elif label == TREE:
                foot = float(rng.uniform(horizon + 2, horizon + 26))
            elif label == BIRD and rng.random() < 0.3:
                foot = float(rng.uniform(size, SIDE))
            else:
                foot = float(rng.uniform(horizon + 8, SIDE + 4))
            if kind != "table" and label != KITE:
                depth = np.clip((foot - horizon) / max(1.0, SIDE - horizon), 0, 1)
                size *= 0.72 + 0.28 * float(depth)
            placed.append((foot, size, self._free(size, foot), label))
        for foot, size, x, label in sorted(placed):
            maker = tree if label == TREE else OBJECTS[label][0]
            sprite = maker(rng, size)
            dark = rng.uniform(0.1, 0.3) if label not in (KITE, CLOCK) or kind == "table" else 0.0
            self._stand(sprite, x, foot, dark, label)

    def _stand(self, sprite: Sprite, x: float, foot: float, dark: float, label: int) -> None:
        """Lays an object with its foot at (x, foot), on a shadow of depth `dark`."""
        h, w = sprite.alpha.shape
        if dark:
            shadow(self.picture, x, foot - 1, 0.42 * w, max(2.5, 0.07 * h), dark)
        paste(self.picture, self.labels, sprite, int(x - w / 2), int(foot - h), label)
        self.drawn.append(label)

    def _free(self, size: float, foot: float) -> float:
        """A column for an object: of a few drawn ones the one that covers the others least."""
        best, most = 64.0, -1e9
        for _ in range(6):
            x = float(self.rng.uniform(0.3 * size, SIDE - 0.3 * size))
            gaps = [
                np.hypot(x - bx, (foot - size / 2) - by) - 0.55 * (size + bs)
                for bx, by, bs in self.boxes
            ]
            room = min([*gaps, 0.0])
            if room > most:
                best, most = x, room
        self.boxes.append((best, foot - size / 2, size))
        return best

    # -- invented --------------------------------------------------------------------------

    def invented_objects(self, count: int) -> None:
        """Lays `count` invented objects anywhere on top."""
        for _ in range(count):
            label = FIRST_INVENTED + len(self.things)
            thing, sprite = invented.thing(self.rng, self.gallery)
            foot = float(self.rng.uniform(0.55 * thing.size, SIDE + 0.2 * thing.size))
            self.things[label] = thing
            self._stand(
                sprite, self._free(thing.size, foot), foot, self.rng.uniform(0, 0.25), label
            )

    def invented_scene(self) -> None:
        """One to three invented regions, one above the other, and two to five invented objects."""
        rng = self.rng
        self.region(0)
        for y in np.sort(rng.uniform(24, 108, int(rng.integers(0, 3)))):
            self.region(0, self.line(float(y), float(rng.choice([0.0, 1.5, 5.0]))))
        self.invented_objects(int(rng.integers(2, 6)))


def _turn(index: int, count: int) -> int:
    """Which of `count` classes leads scene `index`: every run of `count` scenes has each once."""
    block = index // count
    order = np.random.default_rng([99, block]).permutation(count)
    return int(order[index % count])
