"""Where each benchmark lies on disk and what its label maps mean, as data.

Checked against the folder trees of CAT-Seg (detectron2's roots) and of mmsegmentation, and the
numbers of pictures that the data sets' own pages give. docs/benchmarks.md shows the trees.
"""

from dataclasses import dataclass

PNG = (".png",)
TIFF = (".tif", ".tiff", ".png")


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
    endings: tuple[str, ...] = PNG


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


VAL_TRAIN = (("val", ("val",)), ("train", ("train",)))
ADE_SPLITS = (("val", ("validation",)), ("train", ("training",)))
VOC_FOLDERS = ("VOC2012", "VOCdevkit/VOC2012")
CONTEXT_FOLDERS = ("VOC2010", "VOCdevkit/VOC2010")
VOC_PUBLISHED = (("val", (1449,)), ("train", (1464,)), ("trainaug", (10582,)))
# Copies of the validation list in use have 5104 or 5105 names, of the training list 4996 or 4998.
CONTEXT_PUBLISHED = (("val", (5105, 5104)), ("train", (4998, 4996)))
VOC_NAMES = "ImageSets/Segmentation/{split}.txt"
# aeroplane, diningtable, motorbike, sofa and tvmonitor are unseen.
VOC_SEEN = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 14, 15, 16, 18})
PLAIN = Place("images/{split}", "annotations/{split}", endings=(".png", ".tif", ".tiff"))
OWN = Layout("", 0, (PLAIN,), splits=(("val", ("val",)), ("test", ("test",)), VAL_TRAIN[1]))


def _voc(values: str, prepared: str) -> tuple[Place, ...]:
    return (
        Place("JPEGImages", prepared + "/{split}"),
        Place("JPEGImages", "SegmentationClassAug", values, VOC_NAMES),
        Place("JPEGImages", "SegmentationClass", values, VOC_NAMES),
    )


LAYOUTS = {
    "coco-stuff": Layout(
        "coco-stuff",
        171,
        (
            Place("images/{split}", "annotations_detectron2/{split}"),
            Place("images/{split}", "annotations/{split}", endings=("_labelTrainIds.png",)),
            Place("images/{split}", "annotations/{split}", "coco-stuff"),
        ),
        ("coco-stuff", "coco_stuff164k"),
        (("val", ("val2017", "val")), ("train", ("train2017", "train"))),
        (("val2017", (5000,)), ("train2017", (118287,))),
    ),
    "camvid": Layout(
        "camvid",
        11,
        (PLAIN,),
        ("camvid", "CamVid"),
        (("val", ("val",)), ("test", ("test",)), ("train", ("train",))),
        (("val", (101,)), ("test", (233,)), ("train", (367,))),
        void=(11,),
    ),
    "ade20k-150": Layout(
        "ade20k-150",
        150,
        (
            Place("images/{split}", "annotations_detectron2/{split}"),
            Place("images/{split}", "annotations/{split}", "from 1"),
        ),
        ("ADEChallengeData2016", "ade/ADEChallengeData2016"),
        ADE_SPLITS,
        (("validation", (2000,)), ("training", (20210,))),
    ),
    "ade20k-847": Layout(
        "ade20k-847",
        847,
        (Place("images_detectron2/{split}", "annotations_detectron2/{split}", endings=TIFF),),
        ("ADE20K_2021_17_01",),
        ADE_SPLITS,
        (("validation", (2000,)), ("training", (25574,))),
        original="images/ADE",
    ),
    "pc-59": Layout(
        "pc-59",
        59,
        (
            Place("JPEGImages", "annotations_detectron2/pc59_{split}"),
            Place(
                "JPEGImages",
                "SegmentationClassContext",
                "from 1",
                "ImageSets/SegmentationContext/{split}.txt",
            ),
        ),
        CONTEXT_FOLDERS,
        VAL_TRAIN,
        CONTEXT_PUBLISHED,
        original="trainval",
    ),
    "pc-459": Layout(
        "pc-459",
        459,
        (Place("JPEGImages", "annotations_detectron2/pc459_{split}", endings=TIFF),),
        CONTEXT_FOLDERS,
        VAL_TRAIN,
        CONTEXT_PUBLISHED,
        void=(459,),
        original="trainval",
    ),
    "voc-20": Layout(
        "voc-20",
        20,
        _voc("from 1", "annotations_detectron2"),
        VOC_FOLDERS,
        VAL_TRAIN,
        VOC_PUBLISHED,
        seen=VOC_SEEN,
    ),
    "voc-21": Layout(
        "voc-21",
        21,
        _voc("background 0", "annotations_detectron2_bg"),
        VOC_FOLDERS,
        VAL_TRAIN,
        VOC_PUBLISHED,
        seen=VOC_SEEN,
        owners=(*range(20), *[20] * 39),
    ),
}
