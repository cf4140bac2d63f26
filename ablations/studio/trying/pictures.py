"""The pictures that can be tried: those of the benchmark, and those that were sent."""

from __future__ import annotations

import hashlib
import re
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from ablations.studio.trying.kept import Kept
from ablations.studio.web.replies import png
from lsmseg_prompts.errors import UsageError

if TYPE_CHECKING:
    from ablations.studio.state import Studio

PAGE = 24  # pictures shown at once
THUMBNAIL = 128  # pixels of its longer side
SENT = re.compile(r"sent-[0-9a-f]{64}")  # what a picture that was sent is called
UPLOADS, OPENED = 24, 8  # pictures that are kept


class Shown(NamedTuple):
    """A picture, uint8 [H, W, 3]; ``labels``: vocabulary indices, int64 [H, W], if it has any."""

    name: str
    image: np.ndarray
    labels: np.ndarray | None = None


class Pictures:
    """Pictures by their names: keys of the benchmark, or what `add` called them."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self._sent: Kept[str, np.ndarray] = Kept(UPLOADS)
        self._opened: Kept[str, Shown] = Kept(OPENED)
        self._reading = Lock()  # one large picture in memory at a time

    def page(self, number: int) -> dict[str, Any]:
        """The names of one page of the benchmark's pictures, and how many there are."""
        benchmark = self.studio.benchmark
        start = number * PAGE
        some = range(start, min(start + PAGE, len(benchmark)))
        return {
            "benchmark": f"{benchmark.name}-{benchmark.split}",
            "total": len(benchmark),
            "page": number,
            "per_page": PAGE,
            "names": [benchmark.key(index) for index in some],
        }

    def get(self, name: str) -> Shown:
        """Raises UsageError for a name that there is not, and for one that is gone."""
        if SENT.fullmatch(name):
            image = self._sent.get(name)
            if image is None:
                gone = UsageError("The studio does not keep this picture any more: give it again.")
                gone.more = {"not_here": True}  # type: ignore[attr-defined]
                raise gone
            return Shown(name, image)
        shown = self._opened.get(name)
        if shown is None:
            index = self._place(name)
            benchmark = self.studio.benchmark
            shown = Shown(name, np.asarray(benchmark.picture(index)), benchmark.labels(index))
            self._opened.put(name, shown)
        return shown

    def add(self, data: bytes) -> dict[str, Any]:
        """Keep a picture that was sent; says what it is called, and how it was reduced.

        Raises DataError for what cannot be read, see `read_sent`.
        """
        from lsmseg_model.data.uploads import read_sent

        with self._reading:
            sent = read_sent(data)
        name = f"sent-{hashlib.sha256(data).hexdigest()}"
        self._sent.put(name, sent.image)
        size = sent.image.shape[:2]
        return {"name": name, "size": size, "of": None if size == sent.size else sent.size}

    def png(self, name: str) -> bytes:
        """A picture as a PNG file."""
        return png(self.get(name).image)

    def thumbnail(self, name: str) -> bytes:
        """A small PNG of a picture; of the benchmark's nothing is kept for it."""
        if SENT.fullmatch(name):
            return png(self.get(name).image, THUMBNAIL)
        return png(np.asarray(self.studio.benchmark.picture(self._place(name))), THUMBNAIL)

    def _place(self, name: str) -> int:
        index = self._places.get(name)
        if index is None:
            raise UsageError(f"{self.studio.benchmark.name} has no picture {name[:80]!r}.")
        return index

    @cached_property
    def _places(self) -> dict[str, int]:
        benchmark = self.studio.benchmark
        return {benchmark.key(index): index for index in range(len(benchmark))}
