"""Where each benchmark lies on disk and what its label maps mean, from layouts.json.

Checked against the folder trees of CAT-Seg (detectron2's roots) and of mmsegmentation, and the
numbers of pictures that the data sets' own pages give. docs/benchmarks.md shows the trees.
Copies of PASCAL-Context's lists in use differ by a few names. The unseen classes of PASCAL VOC
are aeroplane, diningtable, motorbike, sofa and tvmonitor.
"""

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any


@dataclass(frozen=True)
class Place:
    """One way in which a benchmark lies on disk, below its folder; {split} is filled in.

    ``values`` names the meaning of label values (label_maps.py); ``names`` is a file with the
    pictures of the split, a name a line, where folders do not tell.
    """

    pictures: str
    labels: str
    values: str = "index"
    names: str | None = None
    endings: tuple[str, ...] = (".png",)


@dataclass(frozen=True)
class Layout:
    """A named benchmark.

    ``folders``: what its folder may be called below --data-root; ``splits``: the names on disk of
    each split, the default split first; ``published``: how many pictures a split has (the first
    number where copies in use differ by a few); ``void``: values that mean "no class" beside 255;
    ``seen``: the seen classes of the thesis's Table 5.2; ``original``: files that show
    that a folder is the original download, of which `data prepare` makes label maps.
    """

    vocabulary: str
    classes: int
    places: tuple[Place, ...]
    folders: tuple[str, ...] = ()
    splits: tuple[tuple[str, tuple[str, ...]], ...] = ()
    published: tuple[tuple[str, tuple[int, ...]], ...] = ()
    void: tuple[int, ...] = ()
    seen: frozenset[int] | None = None
    owners: tuple[int, ...] | None = None
    original: str | None = None

    @property
    def prompts(self) -> int:
        """How many prompts the vocabulary has; with owners more than classes."""
        return self.classes if self.owners is None else len(self.owners)

    @property
    def class_indices(self) -> tuple[int, ...]:
        """The scored classes."""
        return tuple(range(self.classes))

    def on_disk(self, split: str) -> tuple[str, ...]:
        """The names that a split may have on disk."""
        return dict(self.splits).get(split, (split,))

    def pictures_of(self, split: str) -> tuple[int, ...]:
        """The published numbers of pictures of a split, by its name on disk; () if unknown."""
        return dict(self.published).get(split, ())


OWN = Layout(
    "",
    0,
    (Place("images/{split}", "annotations/{split}", endings=(".png", ".tif", ".tiff")),),
    splits=(("val", ("val",)), ("test", ("test",)), ("train", ("train",))),
)
"""A folder of one's own."""


def _layout(fields: dict[str, Any]) -> Layout:
    """A layout as it stands in layouts.json: lists for tuples, objects for pairs."""
    places = [{n: _tuple(v) for n, v in place.items()} for place in fields.pop("places")]
    seen = fields.pop("seen", None)
    return Layout(
        places=tuple(Place(**place) for place in places),
        seen=None if seen is None else frozenset(seen),
        **{name: _tuple(value) for name, value in fields.items()},
    )


def _tuple(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple((key, tuple(item)) for key, item in value.items())
    return tuple(value) if isinstance(value, list) else value


LAYOUTS: dict[str, Layout] = {
    name: _layout(fields)
    for name, fields in json.loads((files(__package__) / "layouts.json").read_text("utf-8")).items()
}
