"""A benchmark: pictures, label maps and the classes of a vocabulary that they are scored on."""

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from lsmseg_model.data.layouts import Layout
from lsmseg_model.errors import DataError, UsageError


class Benchmark(Protocol):
    """What scorers and training need of a data set.

    ``class_indices`` are the scored classes as indices into the vocabulary; ``seen`` those of
    them that a model may be trained on (None where the data set makes no such split). ``owners``
    has for every prompt of the vocabulary the scored class that it stands for, None where each
    prompt is its own class: the prompts 20 to 58 of voc-21 all stand for class 20, background.
    The first prompt of a class has its index.
    ``groups`` has the group of every picture: those of a group, such as the frames of one video,
    are alike and not independent. None where each picture stands for itself.
    """

    name: str
    split: str
    vocabulary: str
    class_indices: tuple[int, ...]
    seen: frozenset[int] | None
    owners: tuple[int, ...] | None

    @property
    def groups(self) -> tuple[str, ...] | None:
        """The group of every picture, or None."""

    def __len__(self) -> int:
        """How many pictures."""

    def key(self, index: int) -> str:
        """A name for the picture, for tables and file names."""

    def picture(self, index: int) -> np.ndarray:
        """uint8 [H, W, 3] RGB."""

    def labels(self, index: int) -> np.ndarray:
        """int64 [H, W]: vocabulary indices, or IGNORE."""


def competing(benchmark: Benchmark) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The prompts that compete, and for each the position in class_indices that it stands for."""
    if benchmark.owners is None:
        return benchmark.class_indices, tuple(range(len(benchmark.class_indices)))
    position = {index: at for at, index in enumerate(benchmark.class_indices)}
    return tuple(range(len(benchmark.owners))), tuple(position[o] for o in benchmark.owners)


def background_class(benchmark: "Benchmark | Layout") -> int | None:
    """The scored class that is background: the last, if several prompts stand for it."""
    last = max(benchmark.class_indices, default=None)
    return last if last is not None and (benchmark.owners or ()).count(last) > 1 else None


def group_count(benchmark: Benchmark) -> int | None:
    """How many groups of pictures there are; None where each picture stands for itself."""
    return None if benchmark.groups is None else len(set(benchmark.groups))


def training_classes(benchmark: Benchmark) -> list[int]:
    """The classes to train on, vocabulary indices.

    Raises DataError where several prompts stand for one of them: its pixels cannot be taught as
    any one of these.
    """
    owners = benchmark.owners or ()
    if any(owners.count(index) > 1 for index in benchmark.class_indices):
        raise DataError(
            f"{benchmark.name} labels background, which no text of its own stands for; train on "
            "data without it, such as voc-20 or pc-59."
        )
    seen = benchmark.seen
    return [c for c in benchmark.class_indices if seen is None or c in seen]


def must_be_labelled(benchmark: Benchmark, classes: Sequence[int] | None = None) -> None:
    """Refuse pictures of which no pixel has one of the classes: by default all that are scored.

    Label maps are read until one has a class; one that cannot be read is told in its turn.
    Raises DataError that says which values they hold, and which of them are ignored.
    """
    wanted = benchmark.class_indices if classes is None else classes
    try:
        if any(np.isin(benchmark.labels(i), wanted).any() for i in range(len(benchmark))):
            return
    except DataError:
        return
    found = f"only {benchmark.found()}" if isinstance(benchmark, ValuesKnown) else "none"
    raise DataError(
        f"No pixel of {benchmark.name} ({benchmark.split or 'all pictures'}) is labelled with a "
        f"class that is {'scored' if classes is None else 'trained on'}: its {len(benchmark)} "
        f"label map(s) hold {found}. Give pictures with labels, or another --vocab."
    )


@runtime_checkable
class ValuesKnown(Protocol):
    """A benchmark whose label maps are files."""

    def found(self) -> str:
        """The values in all label maps, such as "0, 255 (ignored)"."""


def scored_names(benchmark: Benchmark | Layout, names: Sequence[str]) -> list[str]:
    """The names of class_indices, of a vocabulary's ``names``.

    What stands for background has none of its prompts' names but "background".
    """
    background = background_class(benchmark)
    return [
        "background" if index == background else names[index] for index in benchmark.class_indices
    ]


def scored_similarity(benchmark: Benchmark, similarity: np.ndarray) -> np.ndarray:
    """How near the words of class_indices are, of a vocabulary's [V, V] ``similarity``.

    What several prompts stand for, background, has no word and is like nothing else.
    """
    background, scored = background_class(benchmark), benchmark.class_indices
    wordless = [at for at, index in enumerate(scored) if index == background]
    chosen = similarity[np.ix_(scored, scored)]
    chosen[wordless, :] = chosen[:, wordless] = 0.0
    chosen[wordless, wordless] = 1.0
    return chosen


class MiniStuff:
    """The drawn benchmark (ministuff/scenes.py). Scenes are drawn when asked for."""

    name = "ministuff"
    vocabulary = "coco-stuff"
    owners: tuple[int, ...] | None = None
    groups: tuple[str, ...] | None = None

    def __init__(self, split: str = "report", limit: int | None = None) -> None:
        from lsmseg_model.data.ministuff import scenes

        if split not in scenes.SPLITS:
            raise UsageError(
                f"MiniStuff has no split {split!r}; choose one of {', '.join(scenes.SPLITS)}."
            )
        self.split = split
        self.class_indices = tuple(scenes.CLASS_INDICES)
        self.seen: frozenset[int] | None = frozenset(scenes.SEEN)
        size = scenes.SPLITS[split].size
        self._count = min(size, limit) if limit else size

    def __len__(self) -> int:
        return self._count

    def key(self, index: int) -> str:
        return f"{self.split}-{index:04d}"

    def picture(self, index: int) -> np.ndarray:
        return _scene(self.split, index)[0]

    def labels(self, index: int) -> np.ndarray:
        return _scene(self.split, index)[1]


@lru_cache(maxsize=64)  # its labels are asked for next, in a thread among others
def _scene(split: str, index: int) -> tuple[np.ndarray, np.ndarray]:
    from lsmseg_model.data.ministuff.scenes import draw

    scene = draw(split, index)
    return scene.image, scene.labels


def load_benchmark(
    name: str,
    root: str | Path | None = None,
    split: str | None = None,
    limit: int | None = None,
    class_count: int | None = None,
    vocabulary: str | None = None,
) -> Benchmark:
    """Open a benchmark by name (ministuff, those of layouts.py) or by folder.

    A folder of one's own holds ``images/`` and ``annotations/`` (label maps, 255 ignored; for more
    than 255 classes of 16 bits, 65535 ignored), each with a sub-folder per split or none.

    Args:
        name: The benchmark's name, or a folder.
        root: The benchmark's folder or one above it.
        split: The part of the data; its validation part if None.
        limit: Keep the first pictures only.
        class_count: How many prompts the vocabulary has; a label outside it is an error.
        vocabulary: Its name; by default the one that the benchmark is labelled with.

    Raises:
        UsageError: For an unknown name, and a root that would be ignored.
        DataError: For folders that do not fit, and where no pixel has a class.
    """
    from lsmseg_model.data.folders import FolderBenchmark, open_split
    from lsmseg_model.data.layouts import check_root

    if limit is not None and limit < 1:
        raise UsageError("--limit must be at least 1.")
    if name == "ministuff":
        check_root(name, root)
        return MiniStuff(split or "report", limit)
    opened = open_split(name, root, split, class_count)
    benchmark = FolderBenchmark(opened, class_count, limit, vocabulary)
    must_be_labelled(benchmark)
    return benchmark
