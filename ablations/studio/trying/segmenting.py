"""A picture segmented by phrases, quickly again after each edit."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ablations.studio.trying.kept import Kept
from ablations.studio.trying.labelled import Labelled
from ablations.studio.trying.phrases import Phrase, read_phrases
from ablations.studio.trying.pictures import Pictures, Shown
from lsmseg_prompts.errors import UsageError

if TYPE_CHECKING:
    from ablations.studio.state import Studio
    from lsmseg_model.inference.class_prompts import ClassPrompts, Encoded, Pointable
    from lsmseg_model.inference.text_cache import TextCache

ENCODED, DECODED = 12, 6  # pictures whose features, and prompt sets whose scores are kept
BEST = 5  # phrases told of a pixel
LETTERS = (0.017, 0.05)  # of the longer side: the smallest and the largest names in regions
LETTER = 0.64  # ems, of a bold one and its halo


@dataclass(frozen=True)
class TryRequest:
    """What the page shows.

    Args:
        picture: Its name.
        lines: A phrase each, see `read_phrases`.
        attributes: What words are described by.
        llm: Who described them.
        background: Names whose pixels are background.
        threshold: Pixels of lower scores are background too.
    """

    picture: str
    lines: tuple[str, ...]
    attributes: tuple[str, ...] = ()
    llm: str = "bundled"
    background: tuple[str, ...] = ()
    threshold: float | None = None


class Trial:
    """Segments pictures; features, embeddings and scores of the last ones are kept."""

    def __init__(self, studio: Studio, pictures: Pictures) -> None:
        self.studio, self.pictures = studio, pictures
        self._texts: TextCache | None = None
        self._encoded: Kept[str, Encoded] = Kept(ENCODED)
        self._decoded: Kept[tuple[Any, ...], Pointable] = Kept(DECODED)

    @property
    def model(self) -> TextCache:
        """The studio's, with the embeddings of the last texts."""
        from lsmseg_model.inference.text_cache import TextCache

        if self._texts is None:
            self._texts = TextCache(self.studio.model)
        return self._texts

    def segment(self, request: TryRequest) -> dict[str, Any]:
        """What the page draws, see `drawn`, and what is known of each phrase.

        Without a phrase that competes there is no map.
        """
        shown = self.pictures.get(request.picture)
        with self.studio.lock:
            phrases = self._phrases(request)
            told: dict[str, Any] = {"phrases": phrases, "score": self.model.score}
            if not _competing(phrases):
                return _plain(told)
            prompts = self._prompts(request, phrases)
            decoded = self._decode(shown, prompts)
            with self._light():
                prediction = prompts.predict(shown.image, decoded)
                low, high = decoded.range
        told |= {"low": low, "high": high, "mean": float(prediction.scores.mean())}
        colours = list(prediction.classes)
        if shown.labels is not None:
            labelled = Labelled(self.studio, shown.labels)
            told["labelled"] = labelled.compared(prediction)
            colours += [row["name"] for row in told["labelled"]["classes"] if row["phrase"] is None]
        return _plain(told | drawn(prediction.masks, prediction.classes, colours))

    def cost_map(self, request: TryRequest, place: int) -> dict[str, Any]:
        """The scores of one competing phrase everywhere: `low` to `high` as bytes 0 to 255."""
        decoded, names, shown = self._scores(request)
        if not 0 <= place < len(names):
            raise UsageError("There is no such phrase on the page: try again.")
        with self.studio.lock, self._light():
            scores = decoded.scores([place])[0]
        low, high = float(scores.min()), float(scores.max())
        steps = np.rint((scores - low) * (255 / max(high - low, 1e-12))).astype(np.uint8)
        return {
            "name": names[place],
            "low": low,
            "high": high,
            "size": shown.image.shape[:2],
            "map": packed(steps),
        }

    def best_at(self, request: TryRequest, x: int, y: int) -> list[dict[str, Any]]:
        """The phrases with the highest scores at a pixel, the best first."""
        decoded, names, shown = self._scores(request)
        height, width = shown.image.shape[:2]
        if not (0 <= x < width and 0 <= y < height):
            raise UsageError(f"The picture has {width} x {height} pixels: choose one in it.")
        with self.studio.lock, self._light():
            scores = decoded.at(range(len(names)), (y, x))
        best = np.argsort(-scores, kind="stable")[:BEST]
        return [{"name": names[one], "score": float(scores[one])} for one in best]

    def _phrases(self, request: TryRequest) -> list[Phrase]:
        return read_phrases(self.studio, request.lines, request.attributes, request.llm)

    def _prompts(self, request: TryRequest, phrases: Sequence[Phrase]) -> ClassPrompts:
        from lsmseg_model.inference.class_prompts import ClassPrompts

        some = _competing(phrases)
        names, texts = [one.name for one in some], [one.texts for one in some]
        with self._light():
            return ClassPrompts(
                self.model, names, texts, request.background or None, request.threshold
            )

    def _decode(self, shown: Shown, prompts: ClassPrompts) -> Pointable:
        key = (shown.name, *map(tuple, prompts.texts))
        decoded = self._decoded.get(key)
        if decoded is None:
            encoded = self._encoded.get(shown.name)
            if encoded is None:
                encoded = self.model.encode(shown.image, shown.name)
                self._encoded.put(shown.name, encoded)
            with self._light():
                decoded = self._decoded.put(key, encoded.decode(prompts.text))
        return decoded

    def _light(self) -> AbstractContextManager[None]:
        """Around steps of a CLIP that take milliseconds, see `one_thread`."""
        if self.studio.options.runtime == "onnx" or self.model.score != "cosine":
            return nullcontext()
        from lsmseg_model.kernels.threads import one_thread

        return one_thread()

    def _scores(self, request: TryRequest) -> tuple[Pointable, tuple[str, ...], Shown]:
        """The scores of all prompts, with their names. Raises UsageError where none competes."""
        shown = self.pictures.get(request.picture)
        with self.studio.lock:
            phrases = self._phrases(request)
            if not _competing(phrases):
                raise UsageError("Name at least one class.")
            prompts = self._prompts(request, phrases)
            return self._decode(shown, prompts), prompts.names, shown


def _competing(phrases: Sequence[Phrase]) -> list[Phrase]:
    return [one for one in phrases if one.said is None]


def _plain(told: dict[str, Any]) -> dict[str, Any]:
    return told | {"phrases": [vars(one) for one in told["phrases"]]}


def drawn(
    masks: np.ndarray, classes: Sequence[str], coloured: Sequence[str] | None = None
) -> dict[str, Any]:
    """A label map, int [H, W] places in ``classes``, as the page draws it.

    Args:
        masks: The map; negative where nothing is said.
        classes: The names.
        coloured: These and further names, which have colours that go with them.

    Returns:
        The map (`packed` uint16, 65535 where nothing is said), its size, the names, colours as
        #rrggbb, each class's part of the picture, and where to write its name.
    """
    from lsmseg_model.data.palette import palette
    from lsmseg_model.data.region_names import region_names

    longest = max(masks.shape)
    sizes = LETTERS[0] * longest, LETTERS[1] * longest
    names = dict(enumerate(classes))
    written = region_names(masks, names, lambda text: LETTER * len(text), sizes)
    colours = palette([*(coloured or classes)])
    counts = np.bincount(masks[masks >= 0].ravel(), minlength=len(classes))
    return {
        "map": packed(np.where(masks < 0, 65535, masks).astype("<u2")),
        "size": masks.shape,
        "classes": list(classes),
        "colours": [f"#{bytes(colour).hex()}" for colour in colours],
        "shares": (counts / masks.size).tolist(),
        "names": [one._asdict() for one in written],
    }


def packed(array: np.ndarray) -> str:
    """The bytes of an array, deflated, as base64."""
    return base64.b64encode(zlib.compress(array.tobytes(), 1)).decode()
