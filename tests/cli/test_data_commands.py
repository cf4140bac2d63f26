"""From the original downloads to scores: data prepare, data check, load_benchmark."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.benchmark_trees import CONTEXT_NAMES, VOC_NAMES, names, tree
from support.command_line import listing, refused

from lsmseg_model.data import IGNORE, load_benchmark
from lsmseg_model.data.check import DataCheckRequest, Report, data_check
from lsmseg_model.data.folders import UNFINISHED
from lsmseg_model.data.label_maps import OUTSIDE
from lsmseg_model.data.originals import (
    merge_objects,
    read_ade_indices,
    save_small_picture,
    small_labels,
    small_size,
    table_by_name,
    through,
)
from lsmseg_model.data.prepare import DataPrepareRequest, Prepared, data_prepare
from lsmseg_model.errors import DataError, UsageError
from lsmseg_prompts.vocabularies import load_vocabulary


def classes(name: str) -> list[str]:
    return [entry.name for entry in load_vocabulary(name)]


def prepare(data: str, source: Path, on_progress: Any = None, **more: Any) -> list[Prepared]:
    request = DataPrepareRequest(data=data, source=source, **more)
    return data_prepare(request, on_progress=on_progress)


def check(data: str, root: Path) -> Report:
    return data_check(DataCheckRequest(data=data, data_root=root, class_names=classes(data)))


def at(name: str, *wanted: str) -> list[int]:
    return [classes(name).index(one) for one in wanted]


# -- originals ---------------------------------------------------------------------------

ADE = "images/ADE/validation/urban/street"
WALL, DOG, RARE = 2978, 3105, 700  # name_ndx; the last is no class of the 847
OBJECTS = {WALL: "wall", DOG: "dog, domestic dog, Canis familiaris", RARE: "customs house"}


def ade_picture(root: Path, stem: str, indices: Any, objects: dict[int, str]) -> None:
    """As ADE20K stores it: red holds index // 256 * 10, green index % 256, blue the instance."""
    indices = np.array(indices)
    folder = root / ADE
    folder.mkdir(parents=True, exist_ok=True)
    seg = np.stack([indices // 256 * 10 + 3, indices % 256, indices * 0 + 7], axis=-1)
    Image.fromarray(seg.astype(np.uint8)).save(folder / f"{stem}_seg.png")
    Image.fromarray(np.full((*indices.shape, 3), 90, np.uint8)).save(folder / f"{stem}.jpg")
    listed = [{"name_ndx": index, "name": name, "id": 0} for index, name in objects.items()]
    text = json.dumps({"annotation": {"object": listed, "source": "Größe"}}, ensure_ascii=False)
    (folder / f"{stem}.json").write_bytes(text.encode("latin-1"))


@pytest.fixture
def ade(tmp_path: Path) -> Path:
    root = tmp_path / "ADE20K_2021_17_01"
    ade_picture(root, "ADE_val_00000001", [[WALL, DOG, RARE, 0]], OBJECTS)
    ade_picture(root, "ADE_val_00000002", [[WALL, WALL]], {WALL: "wall"})
    return root


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """PASCAL-Context: .mat files, labels.txt with every name, the lists of VOC 2010."""
    from scipy.io import savemat

    root = tmp_path / "VOCdevkit/VOC2010"
    (root / "trainval").mkdir(parents=True)
    (root / "JPEGImages").mkdir()
    listed = [f"{i}: {name}" for i, name in enumerate(classes("pc-459"), 1)]
    (root / "labels.txt").write_text("\n".join(listed) + "\n")
    names(root, "ImageSets/Main", val="2008_000002", train="2008_000003")
    aeroplane, table, accordion, wood = (
        classes("pc-459").index(n) + 1 for n in ("aeroplane", "table", "accordion", "wood")
    )
    for stem, label in {
        "2008_000002": [[aeroplane, table, accordion, wood]],
        "2008_000003": [[wood, wood]],
    }.items():
        savemat(root / "trainval" / f"{stem}.mat", {"LabelMap": np.array(label, np.uint16)})
        Image.new("RGB", (len(label[0]), 1)).save(root / "JPEGImages" / f"{stem}.jpg")
    return root


# -- prepare, check, load ----------------------------------------------------------------


def test_ade20k_in_full(ade: Path, call) -> None:
    done = call("data", "prepare", "--data", "ade20k-847", "--from", str(ade.parent), "--json")
    assert done.code == 0, done.err
    labels_in = str(ade / "annotations_detectron2/validation")
    assert json.loads(done.out) == [
        {"split": "validation", "labels_in": labels_in, "label_maps": 2, "made": 2, "kept": 0}
    ]
    checked = call("data", "check", "--data", "ade20k-847", "--data-root", str(ade), "--json")
    assert checked.code == 0, checked.err
    report = json.loads(checked.out)
    assert (report["summary"]["pictures"], report["summary"]["published"]) == (2, 2000)
    assert report["summary"]["classes_labelled"] == 2
    assert {f["kind"] for f in report["findings"]} == {"count", "classes"}
    benchmark = load_benchmark("ade20k-847", ade.parent, class_count=847)
    wall, dog = at("ade20k-847", "wall", "dog, domestic dog, canis familiaris")
    assert benchmark.labels(0).tolist() == [[wall, dog, IGNORE, IGNORE]]
    assert Image.open(Path(labels_in) / "ADE_val_00000001.tif").mode == "I;16"


@pytest.mark.parametrize(("name", "ending"), [("pc-459", ".tif"), ("pc-59", ".png")])
def test_pascal_context(context: Path, call, name: str, ending: str) -> None:
    out = context.parent / "made"
    done = call("data", "prepare", "--data", name, "--from", str(context), "--out", str(out))
    assert done.code == 0, done.err
    for split, stem in (("val", "2008_000002"), ("train", "2008_000003")):
        folder = out / f"annotations_detectron2/{name.replace('-', '')}_{split}"
        assert [p.name for p in folder.iterdir()] == [f"{stem}{ending}"]
        checked = call("data", "check", "--data", name, "--data-root", str(out), "--split", split)
        assert checked.code == 0, checked.err
    labels = load_benchmark(name, out).labels(0).tolist()
    if name == "pc-459":
        assert labels == [at(name, "aeroplane", "table", "accordion", "wood")]
    else:  # "table" of labels.txt is diningtable; an accordion is none of the 59
        aeroplane, diningtable, wood = at(name, "aeroplane", "diningtable", "wood")
        assert labels == [[aeroplane, diningtable, IGNORE, wood]]
    linked = out / "JPEGImages/2008_000002.jpg"
    assert os.path.samefile(linked, context / "JPEGImages/2008_000002.jpg")


@pytest.mark.parametrize(
    ("name", "expected"), [("voc-20", [IGNORE, 0, 19, IGNORE]), ("voc-21", [20, 0, 19, IGNORE])]
)
@pytest.mark.parametrize("folder", ["SegmentationClassAug", "SegmentationClass"])
def test_voc(tmp_path: Path, call, folder: str, name: str, expected: list[int]) -> None:
    """Palette pictures: the indices count, not the colours."""
    root = tmp_path / "VOC2012"
    tree(root, "JPEGImages", folder, {"a": [[0, 1, 20, 255]], "b": [[3]]})
    for path in (root / folder).iterdir():
        picture = Image.open(path)
        picture.putpalette(list(range(256)) * 3)
        picture.save(path)
    names(root, VOC_NAMES, val="a", train="b")
    assert load_benchmark(name, tmp_path).labels(0).tolist() == [expected]
    assert call("data", "prepare", "--data", name, "--from", str(tmp_path)).code == 0
    prepared = load_benchmark(name, tmp_path)
    assert "annotations_detectron2" in str(prepared.pairs[0][1])
    assert prepared.labels(0).tolist() == [expected]
    assert load_benchmark(name, tmp_path, "train").labels(0).tolist() == [[2]]
    assert call("data", "check", "--data", name, "--data-root", str(tmp_path)).code == 0


@pytest.mark.parametrize(
    ("name", "folder", "splits", "raw", "expected"),
    [
        ("coco-stuff", "coco-stuff", ("val2017", "train2017"), [0, 12, 181, 255],
         [0, 11, 170, IGNORE]),
        ("ade20k-150", "ADEChallengeData2016", ("validation", "training"), [0, 1, 150, 255],
         [IGNORE, 0, 149, IGNORE]),
    ],
)  # fmt: skip
def test_label_maps_that_are_pictures_already(
    tmp_path: Path, call, name: str, folder: str, splits: tuple[str, str], raw: Any, expected: Any
) -> None:
    for split in splits:
        tree(tmp_path / folder, f"images/{split}", f"annotations/{split}", {"a": [raw]})
    out = tmp_path / "made"
    done = call("data", "prepare", "--data", name, "--from", str(tmp_path), "--out", str(out),
                "--json")  # fmt: skip
    assert [one["split"] for one in json.loads(done.out)] == list(splits)
    for split in ("val", "train"):
        assert load_benchmark(name, out, split).labels(0).tolist() == [expected]
    assert call("data", "check", "--data", name, "--data-root", str(out)).code == 0


def test_what_is_there_is_kept_and_redo_makes_it_anew(context: Path) -> None:
    wanted = classes("pc-459")
    assert [p.made for p in prepare("pc-459", context, class_names=wanted)] == [1, 1]
    label = context / "annotations_detectron2/pc459_val/2008_000002.tif"
    label.write_bytes(b"mine")
    assert [p.kept for p in prepare("pc-459", context, class_names=wanted)] == [1, 1]
    assert label.read_bytes() == b"mine"
    prepare("pc-459", context, class_names=wanted, split="val", redo=True, workers=3)
    assert load_benchmark("pc-459", context).labels(0).shape == (1, 4)


def test_what_was_cut_short_is_not_read_and_is_gone_on_with(context: Path, call) -> None:
    mat = context / "trainval/2008_000002.mat"
    whole = mat.read_bytes()
    mat.write_bytes(whole[:100])
    names(context, "ImageSets/Main", val="2008_000002 2008_000003")
    arguments = ("data", "prepare", "--data", "pc-459", "--from", str(context), "--split", "val")
    refused(call(*arguments), 4, "1 of 2 label maps could not be made", "cannot be read as a .mat")
    folder = context / "annotations_detectron2/pc459_val"
    assert {p.name for p in folder.iterdir()} == {UNFINISHED, "2008_000003.tif"}
    evaluating = call("evaluate", "--data", "pc-459", "--data-root", str(context),
                      "--attributes", "name")  # fmt: skip
    refused(evaluating, 4, "data prepare was interrupted; run it again")
    mat.write_bytes(whole)
    done = call(*arguments, "--json")
    assert [(p["made"], p["kept"]) for p in json.loads(done.out)] == [(1, 1)]
    assert len(load_benchmark("pc-459", context)) == 2


def test_interrupted_and_gone_on_with(context: Path) -> None:
    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    wanted = classes("pc-59")
    with pytest.raises(KeyboardInterrupt):
        prepare("pc-59", context, class_names=wanted, on_progress=stop)
    with pytest.raises(DataError, match="interrupted"):
        load_benchmark("pc-59", context)
    assert [p.label_maps for p in prepare("pc-59", context, class_names=wanted)] == [1, 1]
    assert len(load_benchmark("pc-59", context)) == 1
    assert not list(context.rglob(".*"))


def test_progress_reaches_the_total(context: Path) -> None:
    told: list[tuple[int, int]] = []
    prepare("pc-459", context, class_names=classes("pc-459"),
            on_progress=lambda *now: told.append(now))  # fmt: skip
    assert told == [(1, 2), (2, 2)]


# -- refused -----------------------------------------------------------------------------


def test_names_that_do_not_match_are_all_listed(context: Path, call) -> None:
    text = (context / "labels.txt").read_text()
    text = text.replace(": accordion\n", ": akkordeon\n").replace(": wood\n", ": woods\n")
    (context / "labels.txt").write_text(text)
    arguments = ("data", "prepare", "--data", "pc-459", "--from", str(context))
    before = listing()
    refused(call(*arguments), 4, "2 class(es) have no name there: accordion; wood.")
    assert listing() == before and not (context / "annotations_detectron2").exists()
    assert call(*arguments, "--missing-ok").code == 0
    assert load_benchmark("pc-459", context).labels(0).tolist() == [
        [*at("pc-459", "aeroplane", "table"), IGNORE, IGNORE]
    ]


def test_a_whole_split_of_ade20k_must_name_every_class(ade: Path, monkeypatch) -> None:
    from dataclasses import replace

    from lsmseg_model.data import prepare as preparing

    layout = replace(preparing.LAYOUTS["ade20k-847"], published={"validation": (2,)})
    monkeypatch.setitem(preparing.LAYOUTS, "ade20k-847", layout)
    with pytest.raises(DataError, match=r"845 class\(es\) have no name there: building, edifice;"):
        prepare("ade20k-847", ade, class_names=classes("ade20k-847"))
    prepare("ade20k-847", ade, class_names=classes("ade20k-847"), missing_ok=True)


def test_indices_of_ade20k_without_a_name(ade: Path) -> None:
    ade_picture(ade, "ADE_val_00000003", [[2500]], {WALL: "wall"})
    with pytest.raises(DataError, match=r"00003_seg.png holds indices .* names: 2500"):
        prepare("ade20k-847", ade, class_names=classes("ade20k-847"))


def test_two_releases_of_ade20k_are_not_mixed(ade: Path) -> None:
    ade_picture(ade, "ADE_val_00000003", [[WALL]], {WALL: "sky"})
    with pytest.raises(DataError, match=r"calls object 2978 'sky', another picture 'wall'"):
        prepare("ade20k-847", ade, class_names=classes("ade20k-847"))


@pytest.mark.parametrize("text", ["", "[]", '{"annotation": {}}', '{"annotation": {"object": 3}}'])
def test_a_damaged_list_of_objects(ade: Path, text: str) -> None:
    (ade / ADE / "ADE_val_00000002.json").write_text(text)
    with pytest.raises(DataError, match=r"0002\.json is not ADE20K's list of objects"):
        prepare("ade20k-847", ade, class_names=classes("ade20k-847"))


def test_missing_parts_of_a_download(context: Path, ade: Path, tmp_path: Path) -> None:
    def refuses(says: str, data: str, source: Path, kind: type = DataError) -> None:
        with pytest.raises(kind, match=says):
            prepare(data, source, class_names=classes(data))

    (context / "trainval/2008_000002.mat").unlink()
    refuses(r"1 of the 1 names of .*val\.txt have no \.mat", "pc-459", context)
    (context / "ImageSets/Main/val.txt").unlink()
    refuses("Nothing tells the val pictures of pc-59", "pc-59", context)
    (context / "labels.txt").unlink()
    refuses("comes with PASCAL-Context's trainval", "pc-59", context)
    refuses("does not hold the download of pc-59: it needs trainval", "pc-59", ade)
    refuses("does not hold the download of ade20k-847", "ade20k-847", context)
    refuses("does not hold voc-20: it needs .*SegmentationClass", "voc-20", context)
    refuses("is not a folder", "voc-20", tmp_path / "nowhere")
    refuses("not of camvid", "camvid", ade, UsageError)
    (ade / ADE / "ADE_val_00000002.jpg").unlink()
    refuses(r"00000002\.jpg is missing", "ade20k-847", ade)


# -- check -------------------------------------------------------------------------------


def test_check_lists_everything_not_only_the_first(tmp_path: Path, call) -> None:
    maps = {name: [[1, 2, 0]] for name in ("fine", "outside", "size", "colour", "torn", "lonely")}
    tree(tmp_path, "images/validation", "annotations/validation", maps)
    pictures, labels = tmp_path / "images/validation", tmp_path / "annotations/validation"
    (pictures / "lonely.jpg").unlink()
    Image.fromarray(np.array([[1, 200, 0]], np.uint8)).save(labels / "outside.png")
    Image.new("RGB", (9, 9)).save(pictures / "size.jpg")
    Image.new("RGB", (3, 1)).save(labels / "colour.png")
    Image.effect_noise((300, 200), 90).convert("RGB").save(pictures / "torn.jpg")
    (pictures / "torn.jpg").write_bytes((pictures / "torn.jpg").read_bytes()[:9000])
    Image.new("RGB", (3, 1)).save(pictures / "extra.jpg")
    arguments = ("data", "check", "--data", "ade20k-150", "--data-root", str(tmp_path))
    done = call(*arguments, "--json", "--workers", "2")
    assert done.code == 4 and "5 finding(s) would stop a run" in done.err
    report = json.loads(done.out)
    found = {(f["kind"], f["file"], f["stops"]) for f in report["findings"]}
    assert found == {
        ("no picture", "lonely.png", True), ("outside", "outside.png", True),
        ("size", "size.png", True), ("unreadable", "colour.png", True),
        ("unreadable", "torn.jpg", True), ("count", "", False), ("left out", "", False),
        ("classes", "", False),
    }  # fmt: skip
    never = next(f["what"] for f in report["findings"] if f["kind"] == "classes")
    assert "sky" in never and "wall" not in never and "building" not in never
    summary = report["summary"]
    assert (summary["pictures"], summary["published"], summary["checked"]) == (5, 2000, 5)
    assert summary["classes_labelled"] == 2 and summary["values"].startswith("1 is the first")
    table = call(*arguments)
    assert table.code == 4
    assert all(name in table.out for name in ("outside.png", "size.png", "torn.jpg", "lonely.png"))


def test_check_of_8_bit_label_maps(tmp_path: Path, call) -> None:
    tree(tmp_path, "JPEGImages", "annotations_detectron2/pc459_val", {"a": [[1]], "b": [[2]]})
    done = call("data", "check", "--data", "pc-459", "--data-root", str(tmp_path), "--json")
    kinds = [(f["kind"], f["file"]) for f in json.loads(done.out)["findings"]]
    assert done.code == 4 and kinds[1:3] == [("8 bits", "a.png"), ("8 bits", "b.png")]


def test_check_of_names_without_files(tmp_path: Path) -> None:
    tree(tmp_path, "JPEGImages", "SegmentationClassContext", {"a": [[1]], "b": [[1]]})
    names(tmp_path, CONTEXT_NAMES, val="a b c d")
    (tmp_path / "JPEGImages/b.jpg").unlink()
    report = check("pc-59", tmp_path)
    assert [(f.kind, f.file) for f in report.findings if f.stops] == [
        ("no picture", "b.png"), ("no picture", "c"), ("no picture", "d"),
        ("no labels", "c"), ("no labels", "d"),
    ]  # fmt: skip
    assert report.stops and report.pixels[classes("pc-59").index("aeroplane")] == 1


def test_check_of_limited_own_and_voc_21_folders(tmp_path: Path, call) -> None:
    tree(tmp_path / "mine", "images", "annotations", {"a": [[0, 255]], "b": [[9]]})
    (tmp_path / "classes.txt").write_text("sky\nsea\n")
    mine = ("data", "check", "--data", str(tmp_path / "mine"), "--vocab",
            str(tmp_path / "classes.txt"), "--json")  # fmt: skip
    limited = json.loads(call(*mine, "--limit", "1").out)
    assert limited["findings"] == [] and limited["summary"]["ignored"] == 0.5
    assert (limited["summary"]["pictures"], limited["summary"]["checked"]) == (2, 1)
    assert call(*mine).code == 4  # label 9
    said = call(*mine[:-1], "--limit", "1").out
    assert "\nsplit: -\n" in said and "\nwould stop a run: no\n" in said and "None" not in said
    tree(tmp_path / "voc", "JPEGImages", "annotations_detectron2_bg/val", {"a": [[3]]})
    report = check("voc-21", tmp_path / "voc")
    never = next(f.what for f in report.findings if f.kind == "classes")
    assert never.endswith("tvmonitor, background") and "bag" not in never and not report.stops


def test_check_of_coco_stuff_whose_first_label_map_is_torn(tmp_path: Path) -> None:
    tree(tmp_path, "images/val2017", "annotations/val2017", {"a": [[0]], "b": [[181]]})
    (tmp_path / "annotations/val2017/a.png").write_bytes(b"torn")
    report = check("coco-stuff", tmp_path)
    assert [(f.kind, f.file) for f in report.findings if f.stops] == [("unreadable", "a.png")]
    assert report.pixels[170] == 1 and "182 ids" in report.summary["values"]


def test_check_refuses_what_it_cannot_check(tmp_path: Path, call) -> None:
    refused(call("data", "check", "--data", "ministuff"), 2, "drawn, not read")
    refused(call("data", "check", "--data", "voc-20"), 2, "--data-root DIR")
    refused(call("data", "check", "--data", "voc-22"), 2, "voc-21")
    empty = ("data", "check", "--data", "voc-20", "--data-root", str(tmp_path))
    refused(call(*empty), 4, "does not hold voc-20")


# -- mappings ----------------------------------------------------------------------------

NAMES = st.lists(st.text("abc ,A", min_size=1, max_size=5), min_size=1, max_size=12,
                 unique_by=lambda name: "".join(name.casefold().split()))  # fmt: skip


@given(NAMES, st.data())
def test_every_class_gets_the_index_of_its_name(listed: list[str], data: st.DataObject) -> None:
    """Whatever the order, the case, and the names that no class has."""
    order = data.draw(st.permutations(listed))
    wanted = order[: data.draw(st.integers(1, len(order)))]
    change = data.draw(st.sampled_from([str, str.upper, str.swapcase, lambda s: f" {s}"]))
    there = {3 * i + 2: change(name) for i, name in enumerate(listed)}
    table = table_by_name(wanted, there, "labels.txt")
    for index, name in enumerate(listed):
        expected = wanted.index(name) if name in wanted else IGNORE
        assert table[3 * index + 2] == expected
    assert table[0] == IGNORE and table[1] == OUTSIDE


def test_the_same_name_to_the_letter_comes_first_and_two_alike_are_refused() -> None:
    there = {1: "Dog", 2: "dog", 3: "CAT", 4: "Cat"}
    assert table_by_name(["dog"], there, "x").tolist() == [-1, -1, 0, -1, -1]
    with pytest.raises(DataError, match=r"1 class\(es\) have several indices there: cat\."):
        table_by_name(["dog", "cat"], there, "x", missing_ok=True)


@given(st.integers(0, 25 * 256 + 255), st.integers(0, 9), st.integers(0, 255))
def test_indices_of_ade20k_are_read_as_they_are_written(
    tmp_path_factory, index: int, part: int, blue: int
) -> None:
    red = min(index // 256 * 10 + part, 255)
    path = tmp_path_factory.mktemp("seg") / "a_seg.png"
    Image.fromarray(np.array([[[red, index % 256, blue]]], np.uint8)).save(path)
    assert read_ade_indices(path).tolist() == [[index]]


def test_indices_of_ade20k_beyond_the_table() -> None:
    table = table_by_name(["wall"], {2: "wall"}, "x")
    raw = np.array([[2, 1, 9]])
    assert through(table, raw, Path("a"), unnamed_ok=True).tolist() == [[0, -1, -1]]
    with pytest.raises(DataError, match=r"names: 1, 9\."):
        through(table, raw, Path("a"))
    assert merge_objects([(Path("a"), {2: "wall"}), (Path("b"), {})]) == {2: "wall"}


@pytest.mark.parametrize(
    ("size", "small"),
    [((600, 512), (600, 512)), ((1024, 2048), (512, 1024)), ((768, 683), (576, 512)),
     ((513, 513), (512, 512)), ((100, 3000), (100, 3000))],
)  # fmt: skip
def test_large_pictures_of_ade20k_847_are_made_small(size, small, tmp_path: Path) -> None:
    """As published: the short side is 512 at most; labels are taken, not mixed."""
    assert small_size(*size) == small
    labels = np.arange(size[0] * size[1]).reshape(size)
    made = small_labels(labels)
    assert made.shape == small and made[0, 0] == 0
    row, column = small[0] - 1, small[1] // 2
    assert made[row, column] == labels[row * size[0] // small[0], column * size[1] // small[1]]
    ramp = np.linspace(0, 255, size[1]).astype(np.uint8)
    Image.fromarray(np.broadcast_to(ramp[None, :, None], (*size, 3)).copy()).save(
        tmp_path / "a.png"
    )
    save_small_picture(tmp_path / "a.png", tmp_path / "b.jpg")
    found = np.asarray(Image.open(tmp_path / "b.jpg")).astype(float)
    assert found.shape == (*small, 3)
    middles = np.linspace(0.5 / small[1], 1 - 0.5 / small[1], small[1])
    assert np.abs(found.mean(axis=(0, 2)) - 255 * middles).max() < 3
