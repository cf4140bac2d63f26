"""data pull: from an empty folder to one that is read, and everything that goes wrong between."""

import errno
import hashlib
import io
import json
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.command_line import refused
from support.file_server import FileServer, serving

from lsmseg_model.data import load_benchmark, pull
from lsmseg_model.data.layouts import LAYOUTS
from lsmseg_model.errors import DataError
from lsmseg_model.pull.unpack import opened

COCO = {"val2017": ("000000000139", "000000000285"), "train2017": ("000000000009",)}
VOC = "VOCdevkit/VOC2012"
Call = Callable[..., Any]


def picture(values: list[list[int]] | None = None) -> bytes:
    """A JPEG of 3 x 2, or a label map of these values."""
    file = io.BytesIO()
    if values is None:
        Image.new("RGB", (3, 2), (90, 60, 30)).save(file, "JPEG")
    else:
        Image.fromarray(np.array(values, np.uint8)).save(file, "PNG")
    return file.getvalue()


def zipped(members: Mapping[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return file.getvalue()


def tarred(members: Mapping[str, bytes], link: str | None = None) -> bytes:
    """A tar; the member ``link`` is a symbolic link to /etc/passwd."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            if name == link:
                info.type, info.linkname, info.size = tarfile.SYMTYPE, "/etc/passwd", 0
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    """COCO's val pictures with the pixel maps of both splits, ADE20K-150 and VOC, all tiny.

    What is published of each archive is what the server has when the command begins.
    """
    monkeypatch.setattr("lsmseg_model.pull.download.PAUSES", (0.0, 0.0))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    maps = picture([[0, 181, 255], [91, 91, 0]])
    files = {
        "/val2017.zip": zipped({"val2017/": b""} | {
            f"val2017/{stem}.jpg": picture() for stem in COCO["val2017"]
        }),
        "/stuffthingmaps_trainval2017.zip": zipped({
            f"{split}/{stem}.png": maps for split, stems in COCO.items() for stem in stems
        }),
        "/ADEChallengeData2016.zip": zipped({
            f"ADEChallengeData2016/{folder}/{split}/ADE_{split}_1{ending}": content
            for split in ("validation", "training")
            for folder, ending, content in (("images", ".jpg", picture()),
                                            ("annotations", ".png", picture([[1, 150, 0]] * 2)))
        } | {"ADEChallengeData2016/sceneCategories.txt": b"not needed"}),
        "/VOCtrainval_11-May-2012.tar": voc(),
    }  # fmt: skip
    with serving() as about:
        about.files.update(files)
        sums = {
            name[1:]: {"size": len(body), "md5": hashlib.md5(body).hexdigest(), "sha256": None}
            for name, body in files.items()
        }

        def known() -> dict[str, pull.Benchmark]:
            return {
                name: replace(one, archives=tuple(
                    replace(source, **sums.get(source.name, {})) for source in one.archives
                ))
                for name, one in shipped().items()
            }  # fmt: skip

        shipped = pull._benchmarks
        monkeypatch.setattr(pull, "_benchmarks", known)
        about.sums = sums  # type: ignore[attr-defined]
        yield about


def voc(**more: Any) -> bytes:
    members = {
        f"{VOC}/ImageSets/Segmentation/val.txt": b"2007_000033\n2007_000042\n",
        f"{VOC}/ImageSets/Segmentation/train.txt": b"2007_000032\n",
        **{f"{VOC}/JPEGImages/{stem}.jpg": picture()
           for stem in ("2007_000033", "2007_000042", "2007_000032", "2011_009999")},
        **{f"{VOC}/SegmentationClass/{stem}.png": picture([[0, 1, 20], [255, 0, 0]])
           for stem in ("2007_000033", "2007_000042", "2007_000032")},
    }  # fmt: skip
    return tarred(members, **more)


def unpacked(folder: str = "datasets") -> list[str]:
    """The pictures and label maps below a folder."""
    return [str(one) for one in sorted(Path(folder).rglob("*.[jp][pn]g"))]


def run(call: Call, server: FileServer, data: str, *more: str) -> Any:
    return call("data", "pull", "--data", data, "--mirror", server.address, *more)


# -- from nothing to a benchmark -----------------------------------------------------------


def test_coco_stuff(server: FileServer, call: Call) -> None:
    done = run(call, server, "coco-stuff", "--json")
    assert done.code == 0, done.err
    labels_in = "datasets/coco-stuff/annotations_detectron2/val2017"
    assert json.loads(done.out) == [
        {"split": "val2017", "labels_in": labels_in, "label_maps": 2, "made": 2, "kept": 0}
    ]
    said = done.err.splitlines()
    assert said[:2] == [
        "coco-stuff, split val2017, into datasets/coco-stuff",
        "Licence: COCO's pictures: the terms of use of Flickr; COCO-Stuff's label maps: CC BY 4.0 "
        "(cocodataset.org/#termsofuse and github.com/nightrome/cocostuff)",
    ]
    size = server.sums["val2017.zip"]["size"]  # type: ignore[attr-defined]
    assert said[2] == (
        f"{server.address}/val2017.zip: {size} bytes; checksum: md5; as "
        "datasets/downloads/val2017.zip"
    )
    assert "Fetched datasets/downloads/val2017.zip (its md5 is the published one)." in said
    assert said[-1] == (
        "Check it with: lsmseg-prompts data check --data coco-stuff --data-root datasets "
        "--split val2017"
    )
    checked = call(*said[-1].split()[4:])
    assert checked.code == 0, checked.err
    assert not any("train" in path for path in unpacked())
    assert load_benchmark("coco-stuff", "datasets").labels(0).tolist() == [
        [0, 170, -1],
        [80, 80, 0],
    ]


@pytest.mark.parametrize(
    ("data", "split", "pictures", "labels"),
    [
        ("ade20k-150", "train", ["ADE_training_1"], [[0, 149, -1]] * 2),
        ("voc-20", "val", ["2007_000033", "2007_000042"], [[-1, 0, 19], [-1, -1, -1]]),
        ("voc-21", "val", ["2007_000033", "2007_000042"], [[20, 0, 19], [-1, 20, 20]]),
        ("coco-object-81", "val", list(COCO["val2017"]), None),
    ],
)
def test_the_others(
    server: FileServer, call: Call, data: str, split: str, pictures: list[str], labels: Any
) -> None:
    done = run(call, server, data, "--split", split, "--out", "d")
    assert done.code == 0, done.err
    benchmark = load_benchmark(data, "d", split=split)
    assert [benchmark.key(i) for i in range(len(benchmark))] == pictures
    if labels is not None:
        assert benchmark.labels(0).tolist() == labels
    assert {Path(one).stem for one in unpacked("d") if one.endswith(".jpg")} == set(pictures)


def test_what_is_there_is_not_fetched_again(
    server: FileServer, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(LAYOUTS["voc-20"].published, "val", [2])
    assert run(call, server, "voc-20").code == 0
    shutil.rmtree("datasets/downloads")
    server.asked.clear()
    again = run(call, server, "voc-20")
    assert again.code == 0 and "has the val pictures of voc-20 already." in again.err
    dry = run(call, server, "voc-20", "--dry-run")
    assert dry.out.endswith("Nothing is to be fetched: it is there already.\n")
    assert server.asked == [] and not Path("datasets/downloads").exists()


def test_a_dry_run_writes_nothing_and_asks_nobody(server: FileServer, call: Call) -> None:
    done = call("data", "pull", "--data", "coco-stuff", "--split", "train", "--dry-run", "--json")
    plan = json.loads(done.out)
    assert [one["name"] for one in plan["files"]] == [
        "train2017.zip", "stuffthingmaps_trainval2017.zip",
    ]  # fmt: skip
    assert plan["files"][0] == {
        "name": "train2017.zip", "url": "http://images.cocodataset.org/zips/train2017.zip",
        "size": "19336861798 bytes", "there": 0, "verified": "sha256",
        "path": "datasets/downloads/train2017.zip",
    }  # fmt: skip
    assert not Path("datasets").exists() and server.asked == []


def test_what_is_published_of_every_archive() -> None:
    for name, benchmark in pull._benchmarks().items():
        assert name in LAYOUTS and benchmark.folder in LAYOUTS[name].folders
        for source in benchmark.archives:
            assert source.size or source.about, source.name
            assert set(source.splits) <= set(LAYOUTS[name].published)
            kind, value = source.sums.checksum or ("md5", "0" * 32)
            assert len(value) == {"md5": 32, "sha256": 64}[kind]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--data cityscapes-19", "register at www.cityscapes-dataset.com"),
        ("--data camvid", "fetch it yourself from github.com/alexgkendall"),
        ("--data ministuff", "MiniStuff is drawn: there is nothing to fetch."),
        ("--data voc-12", "There is no benchmark 'voc-12'; did you mean voc-21?"),
        (
            "--data voc-20 --split trainaug",
            "the split 'trainaug' of voc-20; it fetches val, train.",
        ),
    ],
)
def test_what_cannot_be_fetched(call: Call, words: str, said: str) -> None:
    refused(call("data", "pull", *words.split()), 2, said)
    assert list(Path.cwd().iterdir()) == []


def test_offline_what_was_put_there_by_hand_is_unpacked(server: FileServer, call: Call) -> None:
    refused(
        run(call, server, "voc-20", "--offline"), 4,
        f"put there by hand {server.address}/VOCtrainval_11-May-2012.tar (",
    )  # fmt: skip
    assert list(Path.cwd().iterdir()) == []
    Path("datasets/downloads").mkdir(parents=True)
    archive = Path("datasets/downloads/VOCtrainval_11-May-2012.tar")
    archive.write_bytes(server.files["/VOCtrainval_11-May-2012.tar"])
    assert run(call, server, "voc-20", "--offline").code == 0
    assert len(load_benchmark("voc-20", "datasets")) == 2
    assert server.asked == []


# -- and all that goes wrong -----------------------------------------------------------------


def publish(server: FileServer, name: str, body: bytes) -> None:
    """The server has another file under a name, and it is the published one."""
    server.files[f"/{name}"] = body
    server.sums[name] |= {  # type: ignore[attr-defined]
        "size": len(body), "md5": hashlib.md5(body).hexdigest(),
    }  # fmt: skip


def test_a_broken_transfer_goes_on_in_the_next_run(server: FileServer, call: Call) -> None:
    server.cuts = [300, 0, 0, 0]
    refused(run(call, server, "voc-20"), 4, "the connection broke off. 300 bytes of it are kept.")
    assert "of which 300 bytes are there" in run(call, server, "voc-20", "--dry-run").out
    done = run(call, server, "voc-20")
    assert done.code == 0, done.err
    assert server.asked_ranges()[-1] == "bytes=300-"


def test_another_file_than_the_published(server: FileServer, call: Call) -> None:
    body = server.files["/VOCtrainval_11-May-2012.tar"]
    server.files["/VOCtrainval_11-May-2012.tar"] = body[:-1] + b"x"
    refused(run(call, server, "voc-20"), 4, "is not the file that was published: its md5 is")
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda body: body[:600], "cannot be unpacked: unexpected end of data"),
        (lambda body: body[:2048], "has 0 of the files of VOCdevkit/VOC2012/JPEGImages/ that"),
        (lambda _: tarred({"x": b""}), "has no file VOCdevkit/VOC2012/ImageSets/Segmentation/val"),
        (lambda body: b"<html>" * 1000, "cannot be unpacked: "),
        (lambda _: voc(link=f"{VOC}/JPEGImages/2007_000042.jpg"), "is a link or a device"),
        (lambda _: tarred({"../evil.txt": b"x"}), "'../evil.txt', which would lie outside"),
        (lambda _: tarred({"/etc/evil": b"x"}), "'/etc/evil', which would lie outside"),
        (lambda _: tarred({"a\\..\\b": b"x"}), "which would lie outside"),
    ],
    ids=["cut short", "cut between", "another", "a page", "a link", "above", "root", "windows"],
)  # fmt: skip
def test_a_tar_that_is_not_right(
    server: FileServer, call: Call, spoil: Callable[[bytes], bytes], said: str
) -> None:
    name = "VOCtrainval_11-May-2012.tar"
    publish(server, name, spoil(server.files[f"/{name}"]))
    refused(run(call, server, "voc-20"), 4, said)
    assert unpacked() == []
    assert not (Path.cwd().parent / "evil.txt").exists()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda body: body[:-30], "cannot be unpacked: File is not a zip file"),
        (lambda _: zipped({"../evil.jpg": b"x"}), "'../evil.jpg', which would lie outside"),
        (
            lambda _: zipped({"val2016/a.jpg": b"x"}),
            "has 0 of the files of val2017/ that belong to",
        ),
        (lambda body: body.replace(b"\xff\xd8\xff", b"\xff\xd8\xfe", 1), "Bad CRC-32 for file"),
    ],
    ids=["cut short", "above", "another", "damaged"],
)
def test_a_zip_that_is_not_right(
    server: FileServer, call: Call, spoil: Callable[[bytes], bytes], said: str
) -> None:
    publish(server, "val2017.zip", spoil(server.files["/val2017.zip"]))
    refused(run(call, server, "coco-stuff"), 4, said)
    assert unpacked() == []
    with pytest.raises(DataError):
        load_benchmark("coco-stuff", "datasets")


def test_interrupted_while_unpacking(
    server: FileServer, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is unpacked is whole and stays; the split is not read before all is there."""
    copy, count = shutil.copyfileobj, iter(range(99))

    def stopped(*arguments: Any) -> None:
        if next(count) == 3:
            raise KeyboardInterrupt
        copy(*arguments)

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfileobj", stopped)
        assert run(call, server, "coco-stuff").code == 130
    assert len(unpacked()) == 3
    with pytest.raises(DataError, match="data pull or data prepare was interrupted; run it again"):
        load_benchmark("coco-stuff", "datasets")
    server.asked.clear()
    done = run(call, server, "coco-stuff")
    assert done.code == 0, done.err
    assert "Unpacked 0 file(s) of val2017.zip" in done.err and "Unpacked 1 file(s)" in done.err
    assert server.asked == []
    assert not list(Path("datasets").rglob(".*"))


def test_a_full_disk_while_unpacking(
    server: FileServer, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfileobj", full)
        refused(run(call, server, "voc-20"), 4, "No space left on device")
    assert unpacked() == []
    usage = shutil.disk_usage(".")
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100))
        refused(run(call, server, "voc-20"), 4, "There is no room in")
    assert run(call, server, "voc-20").code == 0


def test_what_is_in_the_way_is_not_overwritten(server: FileServer, call: Call) -> None:
    mine = Path("datasets/VOCdevkit/VOC2012/JPEGImages/2007_000033.jpg")
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    refused(run(call, server, "voc-20"), 4, "2007_000033.jpg is there and is not")
    assert mine.read_bytes() == b"mine"


def test_an_archive_is_opened_by_its_ending(tmp_path: Path) -> None:
    path = tmp_path / "a.tar"
    path.write_bytes(tarred({"a/b.txt": b"hello"}))
    with opened(path) as archive:
        assert archive.read("a/b.txt") == b"hello"
        assert archive.unpack({"a/b.txt": "c/d.txt"}, tmp_path / "new") == 1
    assert (tmp_path / "new/c/d.txt").read_bytes() == b"hello"
