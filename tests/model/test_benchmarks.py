"""The named benchmarks in the folder trees of CAT-Seg and of mmsegmentation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.benchmark_trees import CONTEXT_NAMES, VOC_NAMES, names, tree

from lsmseg_model.data import IGNORE, load_benchmark, scored_names
from lsmseg_model.data.folders import UNFINISHED
from lsmseg_model.data.label_maps import (
    COCO_UNUSED_IDS,
    OUTSIDE,
    VALUES,
    label_table,
    read_label_map,
    to_classes,
    write_label_map,
)
from lsmseg_model.data.layouts import LAYOUTS, background_prompts
from lsmseg_model.errors import DataError, UsageError
from lsmseg_prompts.vocabularies import benchmark_vocabulary, load_vocabulary

# A benchmark, its folder, pictures, label maps, their kind and ending, values, and the classes.
TREES = [
    # CAT-Seg and detectron2
    ("coco-stuff", "coco-stuff", "images/val2017", "annotations/val2017", np.uint8, ".png",
     [0, 12, 181, 255], [0, 11, 170, IGNORE]),
    ("coco-stuff", "coco-stuff", "images/val2017", "annotations_detectron2/val2017", np.uint8,
     ".png", [0, 11, 170, 255], [0, 11, 170, IGNORE]),
    ("ade20k-150", "ADEChallengeData2016", "images/validation", "annotations_detectron2/validation",
     np.uint8, ".png", [0, 149, 255], [0, 149, IGNORE]),
    ("ade20k-847", "ADE20K_2021_17_01", "images_detectron2/validation",
     "annotations_detectron2/validation", np.uint16, ".tif", [0, 255, 846, 65535],
     [0, 255, 846, IGNORE]),
    ("pc-59", "VOCdevkit/VOC2010", "JPEGImages", "annotations_detectron2/pc59_val", np.uint8,
     ".png", [0, 58, 255], [0, 58, IGNORE]),
    ("pc-459", "VOCdevkit/VOC2010", "JPEGImages", "annotations_detectron2/pc459_val", np.uint16,
     ".tif", [0, 255, 458, 459, 65535], [0, 255, 458, IGNORE, IGNORE]),
    ("voc-20", "VOCdevkit/VOC2012", "JPEGImages", "annotations_detectron2/val", np.uint8, ".png",
     [0, 19, 255], [0, 19, IGNORE]),
    ("voc-21", "VOCdevkit/VOC2012", "JPEGImages", "annotations_detectron2_bg/val", np.uint8,
     ".png", [0, 19, 20, 255], [0, 19, 20, IGNORE]),
    ("voc-20", "VOCdevkit/VOC2012", "JPEGImages", "SegmentationClassAug", np.uint8, ".png",
     [0, 1, 20, 255], [IGNORE, 0, 19, IGNORE]),
    # mmsegmentation
    ("coco-stuff", "coco_stuff164k", "images/val2017", "annotations/val2017", np.uint8,
     "_labelTrainIds.png", [0, 11, 170, 255], [0, 11, 170, IGNORE]),
    ("ade20k-150", "ADEChallengeData2016", "images/validation", "annotations/validation", np.uint8,
     ".png", [0, 1, 150, 255], [IGNORE, 0, 149, IGNORE]),
    ("ade20k-150", "ade/ADEChallengeData2016", "images/validation", "annotations/validation",
     np.uint8, ".png", [0, 1], [IGNORE, 0]),
    ("pc-59", "VOCdevkit/VOC2010", "JPEGImages", "SegmentationClassContext", np.uint8, ".png",
     [0, 1, 59, 255], [IGNORE, 0, 58, IGNORE]),
    ("voc-20", "VOCdevkit/VOC2012", "JPEGImages", "SegmentationClass", np.uint8, ".png",
     [0, 1, 20, 255], [IGNORE, 0, 19, IGNORE]),
    ("voc-21", "VOCdevkit/VOC2012", "JPEGImages", "SegmentationClass", np.uint8, ".png",
     [0, 1, 20, 255], [20, 0, 19, IGNORE]),
    ("pc-60", "VOCdevkit/VOC2010", "JPEGImages", "SegmentationClassContext", np.uint8, ".png",
     [0, 1, 59, 255], [59, 0, 58, IGNORE]),
    ("coco-stuff10k", "coco_stuff10k", "images/test2014", "annotations/test2014", np.uint8,
     "_labelTrainIds.png", [0, 1, 171], [IGNORE, 0, 170]),
    # COCO-Object: converted by GroupViT's script, or straight from COCO-Stuff's label maps
    ("coco-object-81", "coco_object", "images/val2017", "annotations/val2017", np.uint8,
     "_instanceTrainIds.png", [0, 1, 80], [80, 0, 79]),
    ("coco-object-81", "coco_stuff164k", "images/val2017", "annotations/val2017", np.uint8, ".png",
     [0, 89, 91, 181, 255], [0, 79, 80, 80, 80]),
    ("coco-object-81", "coco-stuff", "images/val2017", "annotations_detectron2/val2017", np.uint8,
     ".png", [0, 79, 80, 170, 255], [0, 79, 80, 80, 80]),
    ("mapillary-65", "mapillary_vistas", "validation/images", "validation/v1.2/labels", np.uint8,
     ".png", [0, 64, 65], [0, 64, IGNORE]),
]  # fmt: skip


@pytest.mark.parametrize("given_root", ["the folder", "the one above"])
@pytest.mark.parametrize(
    ("name", "folder", "pictures", "labels", "kind", "ending", "values", "classes"), TREES,
    ids=[f"{t[0]}-{t[3]}{t[5]}-{n}" for n, t in enumerate(TREES)],
)  # fmt: skip
def test_trees(tmp_path, given_root, name, folder, pictures, labels, kind, ending, values, classes):
    base = tmp_path / folder
    tree(base, pictures, labels, {"a": [values]}, kind, ending)
    names(base, VOC_NAMES, val="a")
    names(base, CONTEXT_NAMES, val="a")
    words = benchmark_vocabulary(name)
    root = tmp_path if given_root == "the one above" else base
    benchmark = load_benchmark(name, root, class_count=len(words), vocabulary=words.name)
    assert len(benchmark) == 1 and benchmark.key(0) == "a" and benchmark.vocabulary == words.name
    assert benchmark.labels(0).tolist() == [classes]
    assert benchmark.picture(0).shape == (1, len(values), 3)


@pytest.mark.parametrize(
    ("name", "pictures", "labels", "split"),
    [
        ("coco-stuff", "images/train2017", "annotations/train2017", "train2017"),
        ("ade20k-150", "images/training", "annotations/training", "training"),
        ("ade20k-847", "images_detectron2/training", "annotations_detectron2/training", "training"),
        ("pc-59", "JPEGImages", "annotations_detectron2/pc59_train", "train"),
        ("pc-459", "JPEGImages", "annotations_detectron2/pc459_train", "train"),
        ("voc-20", "JPEGImages", "annotations_detectron2/train", "train"),
    ],
)
def test_training_splits(tmp_path, name, pictures, labels, split):
    tree(tmp_path, pictures, labels, {"a": [[1, 0]]}, np.uint16)
    assert load_benchmark(name, tmp_path, "train").split == split
    assert load_benchmark(name, tmp_path, split).split == split
    assert load_benchmark(name, tmp_path).split == split  # nothing else is there
    with pytest.raises(UsageError, match=f"no split 'val' of {name}; it has {split}"):
        load_benchmark(name, tmp_path, "val")


def test_validation_comes_first(tmp_path):
    for split in ("training", "validation"):
        tree(tmp_path, f"images/{split}", f"annotations/{split}", {split: [[1]]})
    assert load_benchmark("ade20k-150", tmp_path).key(0) == "validation"
    assert load_benchmark("ade20k-150", tmp_path, "val").key(0) == "validation"


def test_lists_of_voc_are_respected_in_their_order(tmp_path):
    maps = {name: [[1]] for name in "abcd"}
    tree(tmp_path, "JPEGImages", "SegmentationClass", maps)
    names(tmp_path, VOC_NAMES, val="c a", train="b", trainaug="b d")
    found = {
        split: [b.key(i) for i in range(len(b))]
        for split in ("val", "train", "trainaug")
        for b in [load_benchmark("voc-21", tmp_path, split)]
    }
    assert found == {"val": ["c", "a"], "train": ["b"], "trainaug": ["b", "d"]}
    (tmp_path / "SegmentationClass/a.png").unlink()
    with pytest.raises(DataError, match=r"1 name\(s\) of ImageSets.*no label map.*example a;"):
        load_benchmark("voc-20", tmp_path)


def test_segmentationclassaug_is_passed_over_where_it_lacks_the_split(tmp_path):
    """mmsegmentation's has the pictures of SBD, CAT-Seg's has all."""
    tree(tmp_path, "JPEGImages", "SegmentationClassAug", {"a": [[5]]})
    tree(tmp_path, "JPEGImages", "SegmentationClass", {"a": [[1]], "b": [[2]]})
    names(tmp_path, VOC_NAMES, val="a b")
    benchmark = load_benchmark("voc-20", tmp_path)
    assert [benchmark.labels(i).tolist() for i in range(2)] == [[[0]], [[1]]]


def test_voc_without_its_lists_is_refused(tmp_path):
    """All of SegmentationClass would be validation and training pictures together."""
    tree(tmp_path, "JPEGImages", "SegmentationClass", {"a": [[1]]})
    with pytest.raises(DataError, match=r"does not hold voc-20: .*ImageSets/Segmentation/val\.txt"):
        load_benchmark("voc-20", tmp_path)


def test_voc_21_scores_21_classes_with_59_prompts(tmp_path):
    tree(tmp_path, "JPEGImages", "annotations_detectron2_bg/val", {"a": [[0]]})
    vocabulary = load_vocabulary("voc-21")
    benchmark = load_benchmark("voc-21", tmp_path, class_count=59)
    assert benchmark.class_indices == tuple(range(21))
    assert benchmark.owners == (*range(20), *[20] * 39)
    scored = scored_names(benchmark, [entry.name for entry in vocabulary])
    assert scored == [*(e.name for e in load_vocabulary("voc-20")), "background"]
    with pytest.raises(DataError, match="59 classes but the vocabulary has 21"):
        load_benchmark("voc-21", tmp_path, class_count=21)


def test_cityscapes_lies_in_folders_of_cities(tmp_path):
    for city, stem, value in (("bonn", "bonn_000000_000019", 26), ("ulm", "ulm_000001_000019", 7)):
        tree(
            tmp_path,
            f"leftImg8bit/val/{city}",
            f"gtFine/val/{city}",
            {stem: [[value, 4, 255]]},
            ending="_gtFine_labelIds.png",
            picture="_leftImg8bit.png",
        )
    benchmark = load_benchmark("cityscapes-19", tmp_path, class_count=19)
    assert [benchmark.key(i) for i in range(2)] == [
        "bonn_000000_000019_leftImg8bit", "ulm_000001_000019_leftImg8bit"
    ]  # fmt: skip
    assert benchmark.labels(0).tolist() == [[13, IGNORE, IGNORE]]
    tree(tmp_path, "leftImg8bit/val/bonn", "gtFine/val/bonn", {"bonn_000000_000019": [[18, 255]]},
         ending="_gtFine_labelTrainIds.png", picture="_leftImg8bit.png")  # fmt: skip
    converted = load_benchmark("cityscapes-19", tmp_path, "val", class_count=19)
    assert len(converted) == 1 and converted.labels(0).tolist() == [[18, IGNORE]]


def test_word_lists_of_published_systems_are_benchmarks_with_several_prompts_a_class(tmp_path):
    tree(tmp_path, "JPEGImages", "SegmentationClass", {"a": [[0, 15]]})
    names(tmp_path, VOC_NAMES, val="a")
    words = [entry.name for entry in load_vocabulary("voc-21-sclip")]
    benchmark = load_benchmark("voc-21-sclip", tmp_path, class_count=56)
    of = {c: [words[i] for i, o in enumerate(benchmark.owners) if o == c] for c in range(21)}
    assert len(of[20]) == 26 and of[20][0] == "sky"
    assert (of[14][:2], len(of[14])) == (["person", "person in shirt"], 7)
    assert of[19] == ["television monitor", "tv monitor", "monitor", "television", "screen"]
    assert scored_names(benchmark, words)[-2:] == ["television monitor", "background"]
    assert benchmark.labels(0).tolist() == [[20, 14]] and len(background_prompts("voc-21")) == 39
    assert background_prompts("voc-21-sclip") == tuple(range(20, 46))


@pytest.mark.parametrize("name", ["voc-20", "voc-21"])
def test_seen_and_unseen_as_the_thesis_divides_them(root, name):
    table = root.parent / "shared/tables/thesis_5.2_vocb_seen_unseen.csv"
    if not table.exists():
        pytest.skip("the thesis's table is not on this machine")
    rows = [line.split(",") for line in table.read_text().splitlines()[1:]]
    seen = {row[2] for row in rows if row[1] == "seen"}
    names = [entry.name for entry in load_vocabulary("voc-20")]
    assert {names[i] for i in LAYOUTS[name].seen} == seen


@pytest.mark.parametrize("name", LAYOUTS)
def test_layouts_fit_their_vocabularies(name):
    assert benchmark_vocabulary(name).name == LAYOUTS[name].vocabulary
    assert LAYOUTS[name].prompts == len(benchmark_vocabulary(name))
    owners = LAYOUTS[name].owners
    assert owners is None or set(owners) == set(range(LAYOUTS[name].classes))


# -- labels ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["ade20k-847", "pc-459"])
def test_8_bits_are_too_few_for_more_than_255_classes(tmp_path, name):
    place = LAYOUTS[name].places[0]
    split = LAYOUTS[name].on_disk()[0]
    tree(tmp_path, place.pictures.format(split=split), place.labels.format(split=split),
         {"a": [[0, 3]]})  # fmt: skip
    with pytest.raises(DataError) as caught:
        load_benchmark(name, tmp_path).labels(0)
    assert "8 bits a pixel" in str(caught.value)
    assert f"data prepare --data {name} --from DIR" in str(caught.value)


def test_a_folder_of_ones_own_with_300_classes(tmp_path):
    tree(tmp_path, "images", "annotations", {"a": [[0, 255, 299, 65535]]}, np.uint16)
    benchmark = load_benchmark(str(tmp_path), class_count=300, vocabulary="mine")
    assert benchmark.labels(0).tolist() == [[0, 255, 299, IGNORE]]
    tree(tmp_path, "images", "annotations", {"a": [[0]]})
    with pytest.raises(DataError, match=r"8 bits a pixel.*write label maps as PNG or TIFF"):
        load_benchmark(str(tmp_path), class_count=300, vocabulary="mine").labels(0)


@pytest.mark.parametrize(
    ("name", "labels", "value", "says"),
    [
        ("ade20k-150", "annotations/validation", 151, "150 classes (1 to 150)"),
        ("ade20k-150", "annotations_detectron2/validation", 150, "150 classes (0 to 149)"),
    ],
)
def test_labels_outside_the_vocabulary(tmp_path, name, labels, value, says):
    tree(tmp_path, "images/validation", labels, {"a": [[value, 1]]})
    with pytest.raises(DataError) as caught:
        load_benchmark(name, tmp_path).labels(0)
    assert f"holds label {value}, outside" in str(caught.value) and says in str(caught.value)


def test_an_original_download_says_how_to_prepare_it(tmp_path):
    (tmp_path / "ADE20K_2021_17_01/images/ADE/validation").mkdir(parents=True)
    with pytest.raises(
        DataError, match=r"original download.*data prepare --data ade20k-847 --from"
    ):
        load_benchmark("ade20k-847", tmp_path)


def test_unfinished_label_maps_are_refused(tmp_path):
    tree(tmp_path, "JPEGImages", "annotations_detectron2/pc459_val", {"a": [[0]]}, np.uint16)
    (tmp_path / "annotations_detectron2/pc459_val" / UNFINISHED).touch()
    with pytest.raises(DataError, match="interrupted; run it again"):
        load_benchmark("pc-459", tmp_path)


# -- tables ------------------------------------------------------------------------------

CLASSES = {
    "index": 150, "from 1": 150, "background 0": 21, "coco 182": 171,
    "objects": 81, "coco 182 objects": 81, "cityscapes 34": 19,
}  # fmt: skip
# The ids of Cityscapes' classes from its page, road to bicycle -> their order among those scored.
CITYSCAPES = {7: 0, 8: 1, 11: 2, 12: 3, 13: 4, 17: 5, 19: 6, 20: 7, 21: 8, 22: 9, 23: 10, 24: 11,
              25: 12, 26: 13, 27: 14, 28: 15, 31: 16, 32: 17, 33: 18}  # fmt: skip


@pytest.mark.parametrize("values", VALUES)
def test_every_class_has_exactly_one_label_value(values):
    table = label_table(values, CLASSES[values])
    one_each = list(range(CLASSES[values]))
    background = one_each.pop() if values.endswith("objects") else IGNORE  # all stuff, and 255
    assert sorted(table[(table >= 0) & (table != background)]) == one_each
    assert table[65535] == IGNORE and table[255] == background


@given(st.sampled_from(sorted(VALUES)), st.integers(0, 65535))
def test_a_value_means_what_its_name_says(values, value):
    found = label_table(values, CLASSES[values])[value]
    if value == 255 and values.endswith("objects"):
        expected = 80
    elif value in (255, 65535):
        expected = IGNORE
    elif values == "cityscapes 34":
        expected = CITYSCAPES.get(value, IGNORE if value < 34 else OUTSIDE)
    elif values == "objects":
        expected = min(value, 80) if value < 171 else OUTSIDE
    elif values == "index":
        expected = value if value < 150 else OUTSIDE
    elif values == "from 1":
        expected = IGNORE if value == 0 else value - 1 if value <= 150 else OUTSIDE
    elif values == "background 0":
        expected = 20 if value == 0 else value - 1 if value <= 20 else OUTSIDE
    elif value >= 182:
        expected = OUTSIDE
    elif value + 1 in COCO_UNUSED_IDS:
        expected = 80 if values.endswith("objects") else IGNORE
    else:
        expected = value - sum(unused <= value for unused in COCO_UNUSED_IDS)
        if values.endswith("objects"):
            expected = min(expected, 80)
    assert found == expected


@given(st.integers(1, 900), st.lists(st.integers(-1, 899), min_size=1, max_size=40))
def test_what_is_written_is_read_again(tmp_path_factory, classes, labels):
    labels = np.array([[min(label, classes - 1) for label in labels]])
    for ending in (".png", ".tif"):
        path = tmp_path_factory.mktemp("maps") / f"a{ending}"
        write_label_map(path, labels, classes)
        raw = read_label_map(path)
        assert raw.dtype == (np.uint16 if classes > 255 else np.uint8)
        np.testing.assert_array_equal(to_classes(raw, label_table("index", classes)), labels)


def test_negative_and_huge_values_are_outside():
    table = label_table("index", 3)
    raw = np.array([[-1, 2, 70000]], np.int32)
    assert to_classes(raw, table).tolist() == [[OUTSIDE, 2, OUTSIDE]]
