"""Folder benchmarks: layouts, label conventions, and every kind of bad input."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ablations.scoring.splits import BenchmarkSource
from lsmseg_model.data import IGNORE, load_benchmark
from lsmseg_model.data.benchmark import group_count, must_be_labelled
from lsmseg_model.data.check import DataCheckRequest, Report, data_check
from lsmseg_model.data.images import as_picture
from lsmseg_model.data.label_maps import COCO_UNUSED_IDS, label_table
from lsmseg_model.errors import DataError, UsageError
from lsmseg_model.training.dataset import Augment, FolderTraining

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


@pytest.fixture
def turned(tmp_path: Path) -> Path:
    """A picture that its EXIF orientation turns by a quarter: stored 6 x 4, shown 4 x 6."""
    root = make(tmp_path, {"a": np.zeros((6, 4)), "b": np.zeros((6, 4))})
    noise = np.random.default_rng(0).integers(0, 255, (4, 6, 3), dtype=np.uint8)
    for name in ("a", "b"):
        picture = Image.fromarray(noise)
        exif = picture.getexif()
        exif[0x0112] = 6
        picture.save(root / f"images/val/{name}.jpg", exif=exif)
    shutil.copytree(root / "images/val", root / "images/train")
    shutil.copytree(root / "annotations/val", root / "annotations/train")
    return root


def test_exif_turns_pictures_alike_everywhere(turned: Path) -> None:
    """In `predict`, `evaluate`, both halves of `ablate`, and training."""
    benchmark = load_benchmark("camvid", turned)
    shown = as_picture(turned / "images/val/a.jpg")
    stored = np.asarray(Image.open(turned / "images/val/a.jpg"))
    assert (shown == np.rot90(stored, -1)).all()
    assert (benchmark.picture(0) == shown).all() and benchmark.labels(0).shape == (6, 4)
    (turned / "groups.csv").write_text("picture,group\nval/a,here\nval/b,there\n")
    halves = BenchmarkSource("camvid", str(turned), prompts=11).splits()
    assert all((part.picture(0) == shown).all() for part in halves.values())
    training = load_benchmark("camvid", turned, "train")
    image, labels = FolderTraining(training, Augment(4, 4), 0)._read(0)
    assert (image.permute(1, 2, 0).numpy() == shown).all() and labels.shape == (1, 6, 4)


def test_a_label_map_that_was_not_turned_with_its_picture(turned: Path) -> None:
    Image.new("L", (6, 4)).save(turned / "annotations/val/a.png")
    says = "a.png is 6x4 but its picture is 4x6, turned upright by its EXIF orientation, and the"
    with pytest.raises(DataError, match=says):
        load_benchmark("camvid", turned).labels(0)
    names = [str(i) for i in range(11)]
    report = data_check(DataCheckRequest(data="camvid", data_root=turned, class_names=names))
    (finding,) = [f for f in report.findings if f.kind == "size"]
    assert finding.file == "a.png" and says in finding.what


def test_nothing_is_labelled(tmp_path: Path) -> None:
    root = make(tmp_path, {"a": np.full((2, 2), 255), "b": np.full((2, 2), 11)})
    says = r"camvid \(val\) is labelled with a class that is scored: its 2 label map\(s\) hold "
    with pytest.raises(DataError, match=says + r"only 11 \(ignored\), 255 \(ignored\)\."):
        load_benchmark("camvid", root)
    names = [str(i) for i in range(11)]
    report = data_check(DataCheckRequest(data="camvid", data_root=root, class_names=names))
    (finding,) = [f for f in report.findings if f.kind == "labels"]
    assert finding.what.endswith("hold only 11 (ignored), 255 (ignored)") and finding.stops
    make(tmp_path, {"c": np.array([[255, 3]])})
    benchmark = load_benchmark("camvid", root)
    must_be_labelled(benchmark, [3, 4])
    with pytest.raises(DataError, match=r"is trained on: .* hold only 3, 11 \(ignored\), 255"):
        must_be_labelled(benchmark, [4])
    (root / "groups.csv").write_text("picture,group\na,1\nb,2\nc,3\n")
    halves = BenchmarkSource("camvid", str(root), prompts=11).splits()
    (empty,) = [p for p in halves.values() if "c" not in map(p.key, range(len(p)))]
    with pytest.raises(DataError, match=r"its [12] label map\(s\) hold none\."):
        must_be_labelled(empty)


def test_two_files_of_one_name(tmp_path: Path) -> None:
    root = make(tmp_path, {"a": np.zeros((2, 2))})
    Image.new("RGB", (2, 2)).save(root / "images/val/a.png")
    with pytest.raises(DataError, match=r"has both a\.jpg and a\.png; remove one"):
        load_benchmark("camvid", root)


def test_pictures_of_a_format_that_is_not_read_are_counted(tmp_path: Path) -> None:
    root = make(tmp_path, {"a": np.zeros((2, 2)), "b": np.zeros((2, 2))})
    (root / "images/val/b.jpg").rename(root / "images/val/b.heic")
    with pytest.raises(DataError, match=r"for example b\.png; .*\. Not read there: 1 \.heic\."):
        load_benchmark("camvid", root)
    names = [str(i) for i in range(11)]
    report = data_check(DataCheckRequest(data="camvid", data_root=root, class_names=names))
    (finding,) = [f for f in report.findings if f.kind == "skipped"]
    assert finding.what.endswith("1 .heic") and not finding.stops


def test_sixteen_bit_and_transparent_pictures_are_seen_as_predict_sees_them(tmp_path: Path) -> None:
    root = make(tmp_path, {"a": np.zeros((2, 2)), "b": np.zeros((2, 2))})
    for name, picture in (
        ("a", Image.fromarray(np.full((2, 2), 300, np.uint16))),
        ("b", Image.new("RGBA", (2, 2), (0, 0, 0, 0))),
    ):
        (root / f"images/val/{name}.jpg").unlink()
        picture.save(root / f"images/val/{name}.png")
    benchmark = load_benchmark("camvid", root)
    assert benchmark.picture(0).max() == 1 and benchmark.picture(1).min() == 255


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
    with pytest.raises(UsageError, match="--data-root"):
        load_benchmark("camvid")
    with pytest.raises(DataError, match="is not a folder"):
        load_benchmark("camvid", tmp_path / "nowhere")
    with pytest.raises(
        DataError, match="does not hold camvid: it needs images/val with annotations/val"
    ):
        load_benchmark("camvid", tmp_path)
    root = make(tmp_path, {"a": np.zeros((2, 2))})
    with pytest.raises(UsageError, match="no split 'test' of camvid; it has val"):
        load_benchmark("camvid", root, split="test")
    with pytest.raises(DataError, match="11 classes but the vocabulary has 171"):
        load_benchmark("camvid", root, class_count=171)
    with pytest.raises(DataError, match="--vocab"):
        load_benchmark(str(root))


def test_groups_of_camvid_are_its_sequences(tmp_path: Path) -> None:
    names = ("0001TP_006690", "0006R0_f00930", "0016E5_00390", "Seq05VD_f00210", "0001TP_006720")
    root = make(tmp_path, {name: np.zeros((2, 2)) for name in names})
    benchmark = load_benchmark("camvid", root)
    assert benchmark.groups == ("0001TP", "0001TP", "0006R0", "0016E5", "Seq05VD")
    assert group_count(benchmark) == 4
    assert load_benchmark("camvid", root, limit=2).groups == ("0001TP", "0001TP")
    own = load_benchmark(str(root), class_count=2, vocabulary="mine")
    assert own.groups is None and group_count(own) is None
    (root / "images/val/0001TP_006690.jpg").rename(root / "images/val/first.jpg")
    (root / "annotations/val/0001TP_006690.png").rename(root / "annotations/val/first.png")
    renamed = load_benchmark("camvid", root)
    with pytest.raises(DataError, match=r"which video they are of: first.jpg; .*groups\.csv"):
        _ = renamed.groups
    (root / "groups.csv").write_text("picture,group\nfirst,a\n" + "".join(
        f"{name},b\n" for name in names[1:]
    ))  # fmt: skip
    assert load_benchmark("camvid", root).groups == ("b", "b", "b", "b", "a")


LISTED = """\ufeffpicture,group\r
a.jpg,"street, at night"\r
\r
 val/b , square \r
train/b,street\r
c.d,square\r
unlabelled,square\r
"""


def own_groups(root: Path, listed: str | bytes) -> tuple[str, ...] | None:
    """Of a folder with a and c.d in val, b in both splits, and a picture without a label map."""
    make(root, {name: np.zeros((2, 2)) for name in ("a", "b", "c.d")})
    make(root, {"b": np.zeros((2, 2))}, "train")
    Image.new("RGB", (2, 2)).save(root / "images/train/unlabelled.png")
    text = listed.encode() if isinstance(listed, str) else listed
    (root / "groups.csv").write_bytes(text)
    benchmark = load_benchmark(str(root), class_count=1, vocabulary="mine")
    assert len(benchmark) == 3  # listed or not, the pictures are there
    return benchmark.groups


def test_groups_csv(tmp_path: Path) -> None:
    """A byte order mark, quotes, spaces, an empty line, endings, folders."""
    assert own_groups(tmp_path, LISTED) == ("street, at night", "square", "square")
    trained = load_benchmark(str(tmp_path), split="train", class_count=1, vocabulary="mine")
    assert trained.groups == ("street",)
    (tmp_path / "images/val").rename(tmp_path / "elsewhere")
    (tmp_path / "images/val").symlink_to(tmp_path / "elsewhere")
    linked = load_benchmark(str(tmp_path), class_count=1, vocabulary="mine")
    assert linked.groups == ("street, at night", "square", "square")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: text.replace("picture,group\r\n", ""), "must begin with the line picture,gr"),
        (lambda text: text.replace(",", ";"), "it begins with 'picture;group'"),
        (lambda text: "", "must begin with the line picture,group"),
        (lambda text: text.replace("val/b", "b"), "line 4: .*several pictures 'b'.*train/b"),
        (
            lambda text: text + "e,x\nf,x\ng,x\nh.png,x\n",
            "not in .*images: e, f, g and 1 more; cor",
        ),
        (lambda text: text + "a,street\n", "more than once: a; give each picture one line"),
        (lambda text: text.replace("c.d,square\r\n", ""), "lacks pictures: val/c.d; give each"),
        (lambda text: text.replace("c.d,square", "c.d,"), "line 6: each line holds a picture and"),
        (lambda text: text.replace("c.d,square", "c.d"), "this one holds 'c.d'"),
        (lambda text: text.replace("c.d,square", "c.d,square,2"), "holds 'c.d,square,2'"),
        (lambda text: text.encode("utf-16"), "cannot be read as CSV in UTF-8"),
        (lambda text: text + 'a,"open', "cannot be read as CSV in UTF-8"),
    ],
)
def test_wrong_groups_csv(tmp_path: Path, change: Callable[[str], str | bytes], says: str) -> None:
    with pytest.raises(DataError, match=says):
        own_groups(tmp_path, change(LISTED))
    (finding,) = (f for f in check_of(tmp_path).findings if f.kind == "groups")
    assert finding.stops and re.search(says, finding.what)


def test_a_groups_csv_that_is_a_folder(tmp_path: Path) -> None:
    make(tmp_path, {"a": np.zeros((2, 2))})
    (tmp_path / "groups.csv").mkdir()
    benchmark = load_benchmark(str(tmp_path), class_count=1, vocabulary="mine")
    with pytest.raises(DataError, match=r"groups\.csv cannot be read"):
        _ = benchmark.groups


def check_of(root: Path) -> Report:
    return data_check(DataCheckRequest(data=str(root), class_names=["one"]))


def test_data_check_counts_the_groups(tmp_path: Path) -> None:
    own_groups(tmp_path, LISTED)
    assert check_of(tmp_path).summary["groups"] == 2
    (tmp_path / "groups.csv").unlink()
    assert check_of(tmp_path).summary["groups"] is None


def test_limit(tmp_path: Path) -> None:
    root = make(tmp_path, {name: np.zeros((2, 2)) for name in "abc"})
    assert len(load_benchmark("camvid", root, limit=2)) == 2
    with pytest.raises(UsageError, match="at least 1"):
        load_benchmark("camvid", root, limit=0)
