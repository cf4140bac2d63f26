"""Where each benchmark lies on disk and what its label maps mean, from layouts.json.

Checked against the folder trees of CAT-Seg (detectron2's roots) and of mmsegmentation, and the
numbers of pictures that the data sets' own pages give. docs/benchmarks.md shows the trees.
Copies of PASCAL-Context's lists in use differ by a few names. The unseen classes of PASCAL VOC
are aeroplane, diningtable, motorbike, sofa and tvmonitor.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from lsmseg_model.errors import DataError, UsageError, nearest
from lsmseg_model.files import is_path


@dataclass(frozen=True)
class Place:
    """One way in which a benchmark lies on disk, below its folder; {split} is filled in.

    ``values`` names the meaning of label values (label_maps.py); ``names`` is a file with the
    pictures of the split, a name a line, where folders do not tell; ``nested``: the files lie in
    folders below, one for each city. A picture and its label map have the same name before their
    ``picture_endings`` (none: any of a picture) and ``endings``.
    """

    pictures: str
    labels: str
    values: str = "index"
    names: str | None = None
    endings: Sequence[str] = (".png",)
    picture_endings: Sequence[str] = ()
    nested: bool = False


@dataclass(frozen=True)
class Layout:
    """A named benchmark.

    ``folders``: what its folder may be called below --data-root; ``splits``: the names on disk of
    each split, the default split first; ``published``: how many pictures a split has (the first
    number where copies in use differ by a few); ``void``: values that mean "no class" beside 255;
    ``seen``: the seen classes of the thesis's Table 5.2; ``original``: files that show
    that a folder is the original download, of which `data prepare` makes label maps;
    ``owners``: for every prompt its class, where classes have several: one for each class, then
    the further ones (``more_prompts`` of layouts.json, [class, how many]); background is last.
    ``source``: where the download comes from; ``group``: a regular expression of pictures' names,
    whose first bracket names the video that a picture is of.
    """

    vocabulary: str
    classes: int
    places: tuple[Place, ...]
    folders: Sequence[str] = ()
    splits: Mapping[str, Sequence[str]] = field(default_factory=dict)
    published: Mapping[str, Sequence[int]] = field(default_factory=dict)
    void: Sequence[int] = ()
    seen: frozenset[int] | None = None
    owners: tuple[int, ...] | None = None
    original: str | None = None
    source: str = ""
    group: str | None = None

    @property
    def prompts(self) -> int:
        """How many prompts the vocabulary has; with owners more than classes."""
        return self.classes if self.owners is None else len(self.owners)

    @property
    def class_indices(self) -> tuple[int, ...]:
        """The scored classes."""
        return tuple(range(self.classes))

    def on_disk(self, split: str | None = None) -> list[str]:
        """The names that a split may have on disk, or all splits."""
        if split is None:
            return [name for names in self.splits.values() for name in names]
        return list(self.splits.get(split, (split,)))


OWN = Layout(
    "",
    0,
    (Place("images/{split}", "annotations/{split}", endings=(".png", ".tif", ".tiff")),),
    splits={split: (split,) for split in ("val", "test", "train")},
)
"""A folder of one's own."""


def _layouts() -> dict[str, Layout]:
    """All layouts; one that is ``like`` another has the same folders and other words."""
    raw = json.loads((files(__package__) / "layouts.json").read_text("utf-8"))
    return {
        name: _layout(**raw.get(fields.pop("like", ""), {}) | fields)
        for name, fields in raw.items()
    }


def _layout(
    places: list[dict[str, Any]],
    seen: list[int] | None = None,
    more_prompts: list[list[int]] | None = None,
    **fields: Any,
) -> Layout:
    """A layout as it stands in layouts.json."""
    owners = None
    if more_prompts is not None:
        more = (index for index, count in more_prompts for _ in range(count))
        owners = (*range(fields["classes"]), *more)
    return Layout(
        places=tuple(Place(**place) for place in places),
        seen=None if seen is None else frozenset(seen),
        owners=owners,
        **fields,
    )


LAYOUTS = _layouts()


def check_root(data: str, root: str | Path | None) -> None:
    """Raise UsageError for a root that would be ignored: of MiniStuff, and of a folder as data."""
    if root is None or data in LAYOUTS:
        return
    if data == "ministuff":
        raise UsageError("MiniStuff is drawn, not read from disk: leave out --data-root.")
    if Path(data).is_dir():
        raise UsageError(
            f"{data} is the folder itself: leave out --data-root, or name a benchmark with --data."
        )


def must_be_folder(data: str) -> None:
    """Raise UsageError for an unknown benchmark, DataError for a path that is not a folder."""
    if Path(data).is_dir():
        return
    if is_path(data):
        raise DataError(f"{data} is not a folder: --data takes one, or a name.")
    raise _unknown(data, ["ministuff", *LAYOUTS], ", or a folder with images/ and annotations/")


def must_be_named(data: str) -> None:
    """Raise UsageError for what is not a benchmark of LAYOUTS."""
    if data not in LAYOUTS:
        raise _unknown(data, LAYOUTS)


def _unknown(data: str, names: Iterable[str], more: str = "") -> UsageError:
    names = list(names)
    among = f"there are {', '.join(names)}{more}."
    return UsageError(f"There is no benchmark {data!r}; {nearest(data, names, 1, among)}")


def background_prompts(name: str) -> tuple[int, ...]:
    """The prompts of a benchmark's vocabulary that stand for background; none of most."""
    if name not in LAYOUTS or LAYOUTS[name].owners is None:
        return ()
    background = LAYOUTS[name].classes - 1
    return tuple(i for i, owner in enumerate(LAYOUTS[name].owners or ()) if owner == background)
