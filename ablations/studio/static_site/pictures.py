"""Pictures under the prompt sets of a run, as files: labels, segmentations, cost maps by class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ablations.studio.state import Studio
from lsmseg_model.errors import UsageError
from lsmseg_model.files import write_whole
from lsmseg_model.inference.class_prompts import ClassPrompts, Decoded
from lsmseg_model.inference.prediction import BACKGROUND, Prediction
from lsmseg_model.predict import slug, write_heat_maps
from lsmseg_prompts.export.native import load_native
from lsmseg_prompts.prompts.from_store import prompt_set
from lsmseg_prompts.prompts.prompt_set import PromptSet

SHOWN = 8  # classes of a picture that have cost maps
SETS = {"best_prompts.json": "best", "one_set_prompts.json": "before refinement"}
NAME = "the name"


@dataclass(frozen=True)
class Some:
    """The scores of some of the texts, by their places in ``wanted``."""

    all: Decoded
    wanted: Sequence[int]

    @property
    def range(self) -> tuple[float, float]:
        return self.all.range

    def label(self, owners: Sequence[int] | None = None) -> tuple[np.ndarray, np.ndarray]:
        return self.all.label(owners)

    def scores(self, wanted: Sequence[int]) -> np.ndarray:
        return self.all.scores([self.wanted[at] for at in wanted])


def sets_of(run: Path, studio: Studio) -> dict[str, PromptSet]:
    """The plain name, and the prompt sets that a run left, by what they are."""
    sets = {NAME: prompt_set(studio.vocabulary, ("name",))}
    for file, what in reversed(SETS.items()):
        if (run / file).is_file():
            sets[what] = load_native(run / file, budget=None)
    return sets


def chosen(studio: Studio, keys: Sequence[str] | None, count: int = 6) -> list[int]:
    """The pictures of these keys; the first ones if None. Raises UsageError for one not there."""
    benchmark = studio.benchmark
    if keys is None:
        return list(range(min(count, len(benchmark))))
    place = {benchmark.key(picture): picture for picture in range(len(benchmark))}
    if lacking := [key for key in keys if key not in place]:
        raise UsageError(
            f"No picture of {studio.options.data} is called {lacking[0]}: there are "
            f"{', '.join(list(place)[:3])}, ..."
        )
    return [place[key] for key in keys]


class PictureWriter:
    """Writes the pictures of one run; ``names``: the scored classes' readable names."""

    def __init__(self, studio: Studio, sets: dict[str, PromptSet]) -> None:
        self.studio = studio
        readable = tuple(entry.readable for entry in studio.vocabulary)
        self.names = [readable[index] for index in studio.benchmark.class_indices]
        with studio.lock:
            self.prompts = {
                what: ClassPrompts(studio.model, self.names, replace(one, class_names=readable))
                for what, one in sets.items()
            }

    def write(self, folder: Path, picture: int) -> dict[str, Any]:
        """The files of one picture into ``folder``; what they are, for the page."""
        benchmark = self.studio.benchmark
        image, labels = benchmark.picture(picture), benchmark.labels(picture)
        save(folder / "picture.png", Image.fromarray(image))
        truth = self._truth(image, labels)
        save(folder / "labels.png", truth.overlay(legend=False))
        with self.studio.lock:
            encoded = self.studio.model.encode(image)
            decoded = {what: encoded.decode(one.text) for what, one in self.prompts.items()}
            found = {what: one.predict(image, decoded[what]) for what, one in self.prompts.items()}
        area = sum(
            np.bincount(one.masks.ravel(), minlength=len(self.names)) for one in found.values()
        )
        area = area + np.bincount(truth.masks.ravel(), minlength=len(self.names))[: len(self.names)]
        wanted = [int(at) for at in np.argsort(-area, kind="stable")[:SHOWN] if area[at]]
        shown = [self.names[at] for at in wanted]
        sets = []
        for at, (what, prediction) in enumerate(found.items()):
            save(folder / f"set{at}.png", prediction.overlay(legend=False))
            write_heat_maps(folder / f"set{at}", shown, Some(decoded[what], wanted))
            low, high = decoded[what].range
            right = float((prediction.masks == truth.masks)[truth.masks < len(self.names)].mean())
            scale = f"{low:.2f} to {high:.2f}"
            sets.append({"what": what, "folder": f"set{at}", "right": right, "scale": scale})
        digits = len(str(len(shown) - 1))
        files = [f"{at:0{digits}}-{slug(name)}.png" for at, name in enumerate(shown)]
        classes = list(zip(shown, files, strict=True))
        return {"key": benchmark.key(picture), "sets": sets, "classes": classes}

    def _truth(self, image: np.ndarray, labels: np.ndarray) -> Prediction:
        """The label map as a prediction; what has no label is background."""
        place = np.full(max(int(labels.max()), len(self.studio.vocabulary)) + 1, len(self.names))
        place[list(self.studio.benchmark.class_indices)] = range(len(self.names))
        masks = np.where(labels < 0, len(self.names), place[labels])
        names = (*self.names, BACKGROUND) if (masks == len(self.names)).any() else self.names
        counts = np.bincount(masks.ravel(), minlength=len(names)) / masks.size
        shares = {name: float(share) for name, share in zip(names, counts, strict=True)}
        return Prediction(tuple(names), masks, np.ones(masks.shape, np.float32), shares, image)


def save(path: Path, image: Image.Image) -> None:
    """A PNG, whole or not at all."""
    write_whole(path, lambda temporary: image.save(temporary, "PNG"))
