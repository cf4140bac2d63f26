"""Pictures to be told of by a vision model, and the check of what it tells."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image as Pictures

from lsmseg_model.data.benchmark import load_benchmark
from lsmseg_model.data.descriptions import from_json
from lsmseg_model.data.images import as_picture
from lsmseg_model.errors import DataError
from lsmseg_model.predict import find_pictures
from lsmseg_prompts.generation.captions import Picture
from lsmseg_prompts.generation.picture_check import as_sent


def caption_pictures(data: str, root: str | None = None, split: str | None = None) -> list[Picture]:
    """The pictures of a benchmark, or of a folder without label maps; each is read once here.

    Raises UsageError and DataError for data that there is not.
    """
    folder = Path(data)
    if root is None and split is None and folder.is_dir() and not (folder / "annotations").is_dir():
        files, _ = find_pictures([folder])
        return [_picture(file.name, partial(as_picture, file)) for file in files]
    pictures = load_benchmark(data, root, split)
    return [_picture(pictures.key(n), partial(pictures.picture, n)) for n in range(len(pictures))]


def _picture(key: str, read: Callable[[], np.ndarray]) -> Picture:
    pixels = sha256(np.ascontiguousarray(read()).tobytes()).hexdigest()
    return Picture(key, pixels, lambda: as_sent(Pictures.fromarray(read())))


def checked(value: Any) -> dict[str, Any]:
    """Objects and relations of a reply, cleaned and merged; ValueError with what is wrong."""
    try:
        told = from_json(value, "it")
    except DataError as error:
        raise ValueError(str(error).partition(". Its form is")[0]) from None
    objects = [{"name": one.name, "attributes": [*one.attributes]} for one in told.objects]
    return {"objects": objects, "relations": [[*triple] for triple in told.relations]}
