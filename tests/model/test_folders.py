"""Folder benchmarks: layouts, label conventions, and every kind of bad input."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lsmseg_model.data import IGNORE, load_benchmark
from lsmseg_model.data.label_maps import COCO_UNUSED_IDS, label_table
from lsmseg_model.errors import DataError, UsageError

REAL = Path(__file__).resolve().parents[3] / "shared" / "real"


def make(root: Path, labels: dict[str, np.ndarray], split: str = "val") -> Path:
    """Pictures and label maps of the layout, one per name."""
    for folder in ("images", "annotations"):
        (root / folder / split).mkdir(parents=True, exist_ok=True)
    for name, label in labels.items():
        picture = np.zeros((*label.shape, 3), np.uint8)
        Image.fromarray(picture).save(root / "images" / split / f"{name}.jpg")
        Image.fromarray(label.astype(np.uint8)).save(root / "annotations" / split / f"{name}.png")
    return root


def test_own_folder_with_255_ignored(tmp_path: Path) -> None:
    root = make(tmp_path, {"b": np.array([[0, 2], [255, 1]]), "a": np.array([[1, 1]])})
    benchmark = load_benchmark(str(root), class_count=3, vocabulary="mine")
    assert [benchmark.key(i) for i in range(len(benchmark))] == ["a", "b"]
    assert benchmark.labels(1).tolist() == [[0, 2], [IGNORE, 1]]
    assert benchmark.picture(1).shape == (2, 2, 3)
    assert benchmark.class_indices == (0, 1, 2)


def test_folders_without_splits(tmp_path: Path) -> None:
    root = make(tmp_path, {"a": np.zeros((2, 2))}, split=".")
    assert len(load_benchmark(str(root), class_count=1, vocabulary="mine")) == 1


@pytest.mark.parametrize(("there", "found"), [("train2017", "train2017"), (".", "")])
def test_training_split_by_other_names(tmp_path: Path, there: str, found: str) -> None:
    root = make(tmp_path, {"a": np.zeros((2, 2))}, split=there)
    benchmark = load_benchmark("coco-stuff", root, split="train")
    assert (benchmark.split, len(benchmark)) == (found, 1)


def test_camvid_void_is_ignored(tmp_path: Path) -> None:
    root = make(tmp_path, {"a": np.array([[10, 11]])})
    assert load_benchmark("camvid", root).labels(0).tolist() == [[10, IGNORE]]


def test_coco_stuff_raw_ids_become_the_171_classes(tmp_path: Path) -> None:
    """person is id 1, stop sign id 13 (12 is unused), wood id 182; 255 is void."""
    root = make(tmp_path, {"a": np.array([[0, 12, 181, 255]])}, split="val2017")
    assert load_benchmark("coco-stuff", root).labels(0).tolist() == [[0, 11, 170, IGNORE]]


def test_coco_stuff_converted_ids_stay(tmp_path: Path) -> None:
    """25 (umbrella) is the raw value of an unused id: such maps are converted ones."""
    root = make(tmp_path, {"a": np.array([[25, 170, 255]])}, split="val2017")
    assert load_benchmark("coco-stuff", root).labels(0).tolist() == [[25, 170, IGNORE]]


def test_coco_table_is_a_bijection_onto_171() -> None:
    table = label_table("coco 182", 171)
    assert sorted(table[table >= 0]) == list(range(171))
    assert all(table[i - 1] == IGNORE for i in COCO_UNUSED_IDS)


@pytest.mark.skipif(not REAL.is_dir(), reason="../shared/real is not on this machine")
def test_real_coco_stuff_labels_name_what_is_in_the_pictures() -> None:
    """Every value of the first map, moved down by the unused ids below it, is its class."""
    benchmark = load_benchmark("coco-stuff", REAL / "coco-stuff", split="train2017")
    assert len(benchmark) == 13
    raw = np.asarray(
        Image.open(REAL / "coco-stuff/annotations/train2017" / f"{benchmark.key(0)}.png")
    )
    labels = benchmark.labels(0)
    assert labels.shape == raw.shape and labels.max() < 171
    for value in np.unique(raw[raw != 255]):
        skipped = sum(i - 1 < value for i in COCO_UNUSED_IDS)
        assert (labels[raw == value] == value - skipped).all()


def test_label_map_without_picture(tmp_path: Path) -> None:
    root = make(tmp_path, {"a": np.zeros((2, 2)), "b": np.zeros((2, 2))})
    (root / "images/val/b.jpg").unlink()
    with pytest.raises(DataError, match=r"1 label map\(s\).*no picture.*b.png"):
        load_benchmark("camvid", root)


def test_sizes_that_differ(tmp_path: Path) -> None:
    root = make(tmp_path, {"a": np.zeros((2, 3))})
    Image.new("RGB", (4, 4)).save(root / "images/val/a.jpg")
    with pytest.raises(DataError, match=r"3x2 but its picture is 4x4"):
        load_benchmark("camvid", root).labels(0)


def test_class_index_outside_the_vocabulary(tmp_path: Path) -> None:
    root = make(tmp_path, {"a": np.array([[0, 12]])})
    with pytest.raises(DataError, match="label 12, outside the vocabulary's 11 classes"):
        load_benchmark("camvid", root).labels(0)


def test_corrupt_picture_and_label_map(tmp_path: Path) -> None:
    root = make(tmp_path, {"a": np.zeros((40, 40))})
    picture = root / "images/val/a.jpg"
    picture.write_bytes(picture.read_bytes()[:80])
    with pytest.raises(DataError, match=r"a\.jpg cannot be read as a picture"):
        load_benchmark("camvid", root).picture(0)
    label = root / "annotations/val/a.png"
    label.write_bytes(b"not a png")
    with pytest.raises(DataError, match=r"a\.png cannot be read as a label map"):
        load_benchmark("camvid", root).labels(0)


def test_colour_label_map(tmp_path: Path) -> None:
    root = make(tmp_path, {"a": np.zeros((2, 2))})
    Image.new("RGB", (2, 2)).save(root / "annotations/val/a.png")
    with pytest.raises(DataError, match="colour picture, not a label map"):
        load_benchmark("camvid", root).labels(0)


def test_wrong_names_and_missing_folders(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="did you mean camvid"):
        load_benchmark("camvit")
    with pytest.raises(DataError, match="--data-root"):
        load_benchmark("camvid")
    with pytest.raises(DataError, match="is not a folder"):
        load_benchmark("camvid", tmp_path / "nowhere")
    with pytest.raises(
        DataError, match="does not hold camvid: it needs images/val with annotations/val"
    ):
        load_benchmark("camvid", tmp_path)
    root = make(tmp_path, {"a": np.zeros((2, 2))})
    with pytest.raises(DataError, match="no split 'test' of camvid; it has val"):
        load_benchmark("camvid", root, split="test")
    with pytest.raises(DataError, match="11 classes but the vocabulary has 171"):
        load_benchmark("camvid", root, class_count=171)
    with pytest.raises(DataError, match="--vocab"):
        load_benchmark(str(root))


def test_limit(tmp_path: Path) -> None:
    root = make(tmp_path, {name: np.zeros((2, 2)) for name in "abc"})
    assert len(load_benchmark("camvid", root, limit=2)) == 2
    with pytest.raises(UsageError, match="at least 1"):
        load_benchmark("camvid", root, limit=0)
