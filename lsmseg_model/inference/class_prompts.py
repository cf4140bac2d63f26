"""Named classes and their texts, embedded once, then used for any number of pictures.

What computes is a `Segmenter` or an exported model: here nothing needs torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from lsmseg_model.errors import UsageError
from lsmseg_model.inference.prediction import BACKGROUND, Prediction
from lsmseg_model.inference.reading import MEAN, Groups, Reading, check_groups, some_texts


@runtime_checkable
class Prompts(Protocol):
    """A prompt set as `lsmseg_prompts` makes it, or anything else with names and texts."""

    @property
    def class_names(self) -> Sequence[str]:
        """The classes."""

    @property
    def texts(self) -> Sequence[Sequence[str]]:
        """One or more sentences for each."""


Texts = Sequence[Sequence[str]] | Prompts


class Decoded(Protocol):
    """The scores of texts in a picture."""

    @property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest score that there may be."""

    def label(self, owners: Sequence[int] | None = None) -> tuple[np.ndarray, np.ndarray]:
        """The best text of every pixel and its score: int64 [H, W] and float32 [H, W].

        owners: for each text the class that it stands for; the classes are returned then.
        """

    def scores(self, wanted: Sequence[int]) -> np.ndarray:
        """float32 [W, H, W]: the scores of some of the texts."""


class Pointable(Decoded, Protocol):
    """The scores of a whole picture, of which single pixels can be looked at."""

    def at(self, wanted: Sequence[int], pixel: tuple[int, int]) -> np.ndarray:
        """float32 [W]: the scores of some of the texts at one pixel, a row and a column."""


class Encoded(Protocol):
    """The features of a picture."""

    def decode(self, text: Any) -> Pointable:
        """The scores of texts that the model has embedded."""


class Model(Protocol):
    """What embeds texts and encodes pictures: see `Segmenter`, whose methods these are."""

    @property
    def name(self) -> str: ...

    @property
    def score(self) -> str: ...

    def default_texts(self, classes: Sequence[str]) -> list[list[str]]: ...

    def embed(self, texts: Groups, reading: Reading = MEAN) -> Any: ...

    def encode(self, image: np.ndarray, name: str = "a picture") -> Encoded: ...


class ClassPrompts:
    """The prompts of classes, encoded once, then used for any number of pictures.

    Arguments as of `Segmenter.predict`. ``classes``: the names that predictions have; ``names``:
    those of the prompts that compete.
    """

    def __init__(
        self,
        model: Model,
        classes: Sequence[str] | None,
        texts: Texts | None = None,
        background: str | Sequence[str] | None = None,
        threshold: float | None = None,
    ) -> None:
        if classes is not None or not isinstance(texts, Prompts):
            _check_names(classes)
        reading = MEAN
        if isinstance(texts, Prompts):
            classes, texts, reading = _of_prompt_set(texts, classes)
        assert classes
        if threshold is not None:
            _check_threshold(threshold, model)
        if texts:
            check_groups(texts)
        texts = model.default_texts(classes) if texts is None else texts
        if len(texts) != len(classes):
            raise UsageError(f"There are {len(classes)} classes but texts for {len(texts)}.")
        apart = [background] if isinstance(background, str) else list(background or ())
        if apart == [BACKGROUND] and threshold is not None and BACKGROUND not in classes:
            apart = []  # only the name that it has anyway
        added = [name for name in apart if name not in classes]
        self.model, self.threshold = model, threshold
        self.names = (*classes, *added)
        kept = [name for name in classes if name not in apart]
        if not kept:
            raise UsageError("Every class is background: name at least one that is not.")
        with_background = bool(apart) or threshold is not None
        if with_background and BACKGROUND not in kept:
            kept.append(BACKGROUND)
        self.classes = tuple(kept)
        self._background = kept.index(BACKGROUND) if with_background else None
        place = {name: i for i, name in enumerate(kept)}
        self.owners = [place.get(name, place.get(BACKGROUND, 0)) for name in self.names]
        others = model.default_texts(added)
        self.texts = [*texts, *others]
        self.text = model.embed(self.texts, reading.followed_by(others))

    def decode(self, image: np.ndarray, name: str = "a picture") -> Decoded:
        """The scores of all prompts in a picture, uint8 [H, W, 3]."""
        return self.model.encode(image, name).decode(self.text)

    def predict(self, image: np.ndarray, decoded: Decoded | None = None) -> Prediction:
        """The prediction for a picture, uint8 [H, W, 3]. decoded: what `decode` gave of it."""
        masks, scores = (decoded or self.decode(image)).label(self.owners)
        if self.threshold is not None and self._background is not None:
            masks[scores < self.threshold] = self._background
        counts = np.bincount(masks.ravel(), minlength=len(self.classes)) / masks.size
        shares = {self.classes[i]: float(counts[i]) for i in np.argsort(-counts, kind="stable")}
        texts = tuple(map(tuple, self.texts))
        owners = tuple(self.owners)
        return Prediction(self.classes, masks, scores, shares, image, self.names, texts, owners)


def _check_names(classes: Sequence[str] | None) -> None:
    """Raise UsageError for names that would give other classes than was meant."""
    if not classes:
        raise UsageError("Name at least one class.")
    if isinstance(classes, str):
        raise UsageError(f"Classes are a list of names, not one string: give [{classes!r}].")
    for name in classes:
        if not isinstance(name, str) or not name.strip():
            raise UsageError(f"{name!r} is not the name of a class: give a word or words.")
        if classes.count(name) > 1:
            raise UsageError(f"The class {name!r} is named twice.")


def _check_threshold(threshold: float, model: Model) -> None:
    """Raise UsageError for one that all scores, or none, would reach."""
    low, scores = (-1, "cosines") if model.score == "cosine" else (0, "probabilities")
    if not low <= threshold <= 1:
        raise UsageError(
            f"The threshold {threshold:g} is out of range: the scores of {model.name} are "
            f"{scores}, between {low} and 1."
        )


def _of_prompt_set(
    prompts: Prompts, classes: Sequence[str] | None
) -> tuple[Sequence[str], Sequence[Sequence[str]], Reading]:
    """The classes, by default all, with their texts in a prompt set, and how these are read."""
    place = {name: index for index, name in enumerate(prompts.class_names)}
    classes = prompts.class_names if classes is None else classes
    if missing := [name for name in classes if name not in place]:
        raise UsageError(
            f"The prompt set has no texts for {missing[0]!r}; it has {', '.join(list(place)[:5])}"
            f"{' ...' if len(place) > 5 else ''}."
        )
    return classes, *some_texts(prompts, [place[name] for name in classes])


def sentence(name: str) -> str:
    """A class as a text: what has an article, or is a sentence, is left as it is.

    "zebra" -> "a photo of a zebra"; "a zebra with stripes" -> "a photo of a zebra with stripes".
    """
    name = " ".join(name.split())
    if name.endswith("."):
        return name
    first = name.partition(" ")[0].lower()
    return f"a photo of {'' if first in ('a', 'an', 'the', 'some') else 'a '}{name}"


def published_texts(names: Sequence[str]) -> list[list[str]]:
    """The text of each class as CAT-Seg was trained and tested: of synonyms the first."""
    return [[f"A photo of a {name.split(', ')[0]} in the scene"] for name in names]
