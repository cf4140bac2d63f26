"""Bad input and bad luck, from the outside: exit codes, one sentence, nothing half-written.

Nearly all of it runs in this process, where torch is loaded once.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image
from support.command_line import (
    COMMAND,
    ROOT,
    arguments_for,
    environment,
    listing,
    process,
    refused,
)

GENERATE = ("generate", "--vocab", "camvid", "--store", "s.sqlite")
EXPORT = ("export", "--vocab", "camvid", "--attributes", "color", "-o", "p.json")
# -- names and files ------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ("vocab show coco-stof", 2, "did you mean coco-stuff"),
        ("store show zebrra", 2, "did you mean zebra"),
        ("export --attributes colr -o p.json", 2, "did you mean color"),
        ("export --attributes , -o p.json", 2, "No attribute is named"),
        ("generate --attributes shuffled", 2, "pseudo-attribute"),
        ("export --attributes color -o p.json --format nativ", 2, "'native'"),
        ("export --attributes color -o p.json --composition concatt", 2, "'concat', 'ensemble'"),
        ("genrate", 2, "Did you mean 'generate'"),
        ("generate --vocb camvid", 2, "--vocab"),
        ("generate --llm bundeld", 2, "did you mean bundled"),
        ("ablate --llm qwen-max", 4, "generate --llm qwen-max"),
        ("run --llm gpt-4", 4, "OPENAI_API_KEY"),
        ("attributes --llm qwen", 4, "DASHSCOPE_API_KEY"),
        ("generate --llm gtp-4", 2, "did you mean gpt-4"),
        ("generate --llm qwen-max --base-url http://localhost:1/v1", 2, "openai/qwen-max"),
        ("generate --llm gpt-4 --price-in 1", 2, "--price-out"),
        ("generate --llm gpt-4 --rpm 0", 2, "rpm"),
        ("generate --llm gpt-4 --template none.j2", 4, "none.j2"),
        ("generate --batch", 2, "Batch API"),
        ("evaluate --data camvit", 2, "did you mean camvid"),
        ("ablate --data camvit --vocab camvid", 2, "did you mean camvid"),
        ("pretrain --data minstuff --out o", 2, "did you mean ministuff"),
        ("ablate --data camvid", 2, "--data-root"),
        ("ablate --split val", 2, "MiniStuff has no split 'val'; choose one of train, selection"),
        ("ablate --split train,train", 2, "SELECTION,REPORT"),
        ("recipes run table3 --split test", 2, "MiniStuff has no split 'test'"),
        ("report nowhere", 4, "nowhere is not a run"),
        ("evaluate --prompts missing.json", 4, "no file missing.json"),
        ("generate --vocab missing.txt", 4, "no file missing.txt"),
        ("store status --store missing.sqlite", 8, "no attribute store at missing.sqlite"),
        ("generate --vocab camvid --store .", 8, "it is a folder"),
        ("store status --store .", 8, "it is a folder"),
    ],
)
def test_names_that_are_not_there(arguments: str, code: int, says: str, call) -> None:
    refused(call(*arguments.split()), code, says)
    assert listing() == {}


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.txt", b"\n# only a remark\n", "names no class"),
        ("a.txt", b"", "names no class"),
        ("a.txt", b"cat\ndog\nCat\n", "'Cat' twice"),
        ("a.txt", bytes(range(256)), "not text in UTF-8"),
        ("a.json", b'{"classes": [', "not valid JSON"),
        ("a.json", b"{}", "no class list"),
    ],
)
def test_a_class_list_that_is_none(name: str, content: bytes, says: str, call) -> None:
    Path(name).write_bytes(content)
    before = listing()
    for command in (["generate", "--vocab", name], ["vocab", "show", name]):
        refused(call(*command), 2, name, says)
    assert listing() == before


@pytest.mark.parametrize(
    ("text", "code", "says"),
    [
        ("not json", 2, "not valid JSON"),
        ("[]", 2, "not a prompt set"),
        ('{"format": "lsmseg-prompts/native", "version": 99}', 2, "update lsmseg-prompts"),
        ('{"format": "lsmseg-prompts/native", "version": 1}', 2, "damaged prompt set"),
    ],
)
def test_a_prompts_file_that_is_none(text: str, code: int, says: str, call) -> None:
    Path("p.json").write_text(text)
    for command in ("evaluate", "pretrain --out o", "predict x.png --classes sky"):
        refused(call(*command.split(), "--prompts", "p.json"), code, "p.json", says)
    assert list(listing()) == ["p.json"]


def test_prompts_of_another_vocabulary(call, weights: Path) -> None:
    assert call(*EXPORT).code == 0
    before = listing()
    for command in (["evaluate", "--pretrained", str(weights)], ["pretrain", "--out", "o"]):
        refused(call(*command, "--prompts", "p.json"), 4, "coco-stuff", "camvid")
    assert listing() == before


def test_over_77_tokens_is_refused(call) -> None:
    Path("a.txt").write_text("cat\n" + "very " * 90 + "long dog\n")
    long = ["export", "--attributes", "name", "--vocab", "a.txt", "-o", "p.json"]
    refused(call(*long), 6, "of CLIP's 77 tokens", "shorten it")
    assert list(listing()) == ["a.txt"]
    assert call(*EXPORT).code == 0
    raw = json.loads(Path("p.json").read_text())
    raw["classes"][0]["texts"] = ["very " * 90 + "blue sky"]
    Path("p.json").write_text(json.dumps(raw))
    refused(call("evaluate", "--prompts", "p.json"), 6, "of CLIP's 77 tokens")


def test_a_traceback_only_with_debug(call) -> None:
    wrong = ("export", "--attributes", "colr", "-o", "p.json")
    refused(call(*wrong), 2, "colr")
    loud = call("--debug", *wrong)
    assert (loud.code, loud.out) == (2, "")
    assert loud.err.startswith("Traceback") and "UsageError: There is no attribute" in loud.err


# -- the store ---------------------------------------------------------------------------


def a_store(path: str = "s.sqlite") -> None:
    from lsmseg_prompts.store.store import open_store

    open_store(path).close()


def text_file() -> None:
    Path("s.sqlite").write_text("no database, only words, but a good many of them " * 50)


def newer_schema() -> None:
    a_store()
    with sqlite3.connect("s.sqlite") as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()


def other_database() -> None:
    with sqlite3.connect("s.sqlite") as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()


def cut_short() -> None:
    a_store()
    content = Path("s.sqlite").read_bytes()
    Path("s.sqlite").write_bytes(content[: len(content) // 2])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (text_file, "not a SQLite database"),
        (newer_schema, "upgrade lsmseg-prompts"),
        (other_database, "not an attribute store"),
        (cut_short, "is damaged"),
    ],
)
def test_a_store_that_is_none(make: Callable[[], None], says: str, call) -> None:
    make()
    before = listing()
    refused(call(*GENERATE), 8, "s.sqlite", says)
    refused(call("store", "status", "--store", "s.sqlite"), 8, "s.sqlite", says)
    refused(call(*EXPORT, "--store", "s.sqlite"), 8, "s.sqlite", says)
    assert listing() == before


def test_the_shipped_store_is_never_written(call) -> None:
    Path("link").symlink_to(ROOT / "attribute_store.sqlite")
    for path in (str(ROOT / "attribute_store.sqlite"), "link"):
        outcome = call("generate", "--redo", "--store", path)
        refused(outcome, 8, "shipped store")


def succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture(params=["below a file", "/proc", "immutable"])
def unwritable(request: pytest.FixtureRequest) -> Iterator[str]:
    """A folder that takes no files, also from root, for whom chmod is no obstacle."""
    if request.param == "below a file":
        Path("file").write_text("")
        yield "file"
    elif request.param == "/proc":
        if not Path("/proc/self").exists():
            pytest.skip("there is no /proc here")
        yield "/proc"
    else:
        Path("fixed").mkdir()
        chattr = shutil.which("chattr")
        if not chattr or not succeeds(chattr, "+i", "fixed"):
            pytest.skip("no folder can be made immutable here (chattr +i)")
        yield "fixed"
        assert succeeds(chattr, "-i", "fixed")


def test_a_place_that_cannot_be_written(unwritable: str, call, data: Path, weights: Path) -> None:
    before = listing()
    refused(call(*GENERATE[:-1], f"{unwritable}/s.sqlite"), 8, unwritable, "--store")
    refused(call(*EXPORT[:-1], f"{unwritable}/p.json"), 4, unwritable)
    picture = ("predict", "data/images/val/a.png", "--classes", "sky", "--pretrained", str(weights))
    refused(call("-q", *picture, "-o", f"{unwritable}/o.png"), 4, unwritable, "writable place")
    for command in ("ablate", "pretrain"):
        arguments = arguments_for(command, weights)
        arguments[arguments.index("o")] = f"{unwritable}/o"
        refused(call(*arguments), 4, unwritable)
    assert listing() == before


def test_a_locked_store(call, monkeypatch: pytest.MonkeyPatch) -> None:
    from lsmseg_prompts.store import store

    a_store()
    monkeypatch.setattr(store.open_store, "__defaults__", (True, 0.1))  # not 30 seconds
    connection = sqlite3.connect("s.sqlite", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    refused(call(*GENERATE), 8, "locked by another program", "try again")
    connection.execute("ROLLBACK")
    connection.close()
    assert call(*GENERATE).code == 0


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A file system of 5 MB: a store's log alone grows to 4."""
    folder = Path("disk")
    folder.mkdir()
    mount = ("mount", "-t", "tmpfs", "-o", "size=5m", "tmpfs", str(folder))
    if not shutil.which("mount") or not succeeds(*mount):
        pytest.skip("no small file system can be mounted here")
    yield folder
    assert succeeds("umount", str(folder))


@pytest.mark.process
def test_a_full_disk(call, small_disk: Path) -> None:
    store = str(small_disk / "s.sqlite")
    (small_disk / "p.json").write_text("a good file")
    assert call(*GENERATE[:-1], store, "--attributes", "color").code == 0
    # A process: the pid of a run that could not note its end tells the next that it is over.
    full = process("generate", "--vocab", "coco-stuff", "--store", store)
    assert full.code == 8 and "disk is full" in full.err and "Traceback" not in full.err
    rows = json.loads(call("store", "status", "--store", store, "--json").out)
    done = {r["vocabulary"]: r["done"] for r in rows if r["store"] != "shipped"}
    assert done["camvid"] == 11 and 0 < done["coco-stuff"] < 1710
    filler = small_disk / "filler"
    with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="space"):
        while file.write(b"x" * 4096):
            pass
    refused(call(*EXPORT[:-1], str(small_disk / "p.json"), "--force"), 4, "No space left")
    assert (small_disk / "p.json").read_text() == "a good file"
    _weights_on_a_full_disk(small_disk)
    assert not list(small_disk.glob("*.tmp"))
    filler.unlink()
    assert succeeds("mount", "-o", "remount,size=20m", str(small_disk))
    assert call("generate", "--vocab", "coco-stuff", "--store", store).code == 0


def _weights_on_a_full_disk(disk: Path) -> None:
    """torch and safetensors say it with errors of their own."""
    import torch

    from lsmseg_model.encoders.checkpoints import save_weights
    from lsmseg_model.errors import DataError
    from lsmseg_model.files import write_whole

    state = {"a": torch.zeros(2_000_000)}
    with pytest.raises(DataError, match="No space left"):
        write_whole(disk / "last.pt", lambda path: torch.save(state, path))
    with pytest.raises(DataError, match="No space left"):
        save_weights(disk / "w.safetensors", state, {})
    assert not list(disk.glob("*last*")) and not list(disk.glob("*.safetensors"))


@pytest.mark.process
def test_a_full_device(call, data: Path, weights: Path) -> None:
    if not Path("/dev/full").is_char_device():
        pytest.skip("there is no /dev/full here")
    refused(call(*EXPORT[:-1], "/dev/full"), 4, "No space left")
    device = ("-q", "predict", "data/images/val/a.png", "--classes", "sky", "-o", "/dev/full")
    refused(call(*device, "--pretrained", str(weights)), 4, "/dev/full", "device")
    assert Path("/dev/full").is_char_device()
    with open("/dev/full", "w") as full:
        done = subprocess.run([*COMMAND, "vocab", "list"], env=environment(), stdout=full,
                              stderr=subprocess.PIPE, text=True, check=False)  # fmt: skip
    assert done.returncode == 1 and done.stderr.count("\n") == 2 and "No space" in done.stderr


# -- pictures, label maps and weights ----------------------------------------------------


def change(kind: str, how: Callable[[Path], object]) -> Callable[[], object]:
    """Do something to the second file of `kind` in both splits."""
    return lambda: [how(Path("data", kind, split, "b.png")) for split in ("train", "val")]


def void(value: int) -> None:
    """Label maps without a class: of 255, and of another value."""
    change("annotations", lambda p: Image.new("L", (32, 24), value).save(p))()
    for split in ("train", "val"):
        Image.new("L", (32, 24), 255).save(f"data/annotations/{split}/a.png")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:120])


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda: shutil.rmtree("data"), "data is not a folder"),
        (lambda: shutil.rmtree("data/annotations"), "does not hold camvid: it needs images/"),
        (change("images", Path.unlink), "have no picture, for example b.png"),
        (change("images", truncate), "b.png cannot be read as a picture"),
        (change("annotations", truncate), "b.png cannot be read as a label map"),
        (change("annotations", lambda p: Image.new("L", (8, 8)).save(p)), "8x8 but its picture"),
        (change("annotations", lambda p: Image.new("RGB", (32, 24)).save(p)), "a colour picture"),
        (change("annotations", lambda p: Image.new("L", (32, 24), 77).save(p)), "holds label 77"),
        (lambda: void(11), "its 2 label map(s) hold only 11 (ignored), 255 (ignored). Give"),
    ],
    ids=["missing", "none", "lonely", "corrupt", "torn", "size", "colour", "index", "void"],
)
def test_pictures_and_label_maps(spoil, says: str, call, data: Path, weights: Path) -> None:
    spoil()
    before = listing()
    for command in ("evaluate", "ablate", "pretrain"):
        refused(call(*arguments_for(command, weights)), 4, says)
        # ablate opens its store, and keeps features, before it has looked at all pictures: whole,
        # and of use the next time.
        Path("s.sqlite").unlink(missing_ok=True)
        shutil.rmtree("runs", ignore_errors=True)
        assert listing() == before, command


@pytest.mark.slow
@pytest.mark.process
def test_pictures_and_label_maps_in_processes(data: Path, weights: Path) -> None:
    change("images", truncate)()
    before = listing()
    for command in ("evaluate", "pretrain"):
        refused(process(*arguments_for(command, weights)), 4, "cannot be read as a picture")
    loud = process("--debug", *arguments_for("evaluate", weights))
    assert loud.code == 4 and loud.err.startswith("Traceback") and "DataError" in loud.err
    assert listing() == before


def test_a_class_list_of_another_length(call, data: Path, weights: Path) -> None:
    Path("two.txt").write_text("sky\nroad\n")
    before = listing()
    for command in ("evaluate", "ablate", "pretrain"):
        arguments = arguments_for(command, weights)
        refused(call(*arguments, "--vocab", "two.txt"), 4, "11 classes", "has 2")
    arguments = arguments_for("evaluate", weights)
    arguments[2:5] = ["data", "--vocab", "two.txt"]  # a folder has no length of its own
    refused(call(*arguments), 4, "outside the vocabulary's 2 classes")
    assert listing() == before


def test_weights(call, data: Path, weights: Path) -> None:

    predict = ("-q", "predict", "data/images/val/a.png", "--classes", "sky", "-o", "o.png")
    for name in ("cut.safetensors", "cut.pt"):
        Path(name).write_bytes(weights.read_bytes()[:5000])
    before = listing()
    for name in ("cut.safetensors", "cut.pt"):
        refused(call(*predict, "--pretrained", name), 4, name, "truncated")
    refused(
        call(*predict, "--pretrained", "none.pt"),
        4,
        "lsmseg-tiny at none.pt",
        "--pretrained",
    )
    other = ("--model", "ViT-B-16", "--pretrained", str(weights))
    refused(call(*predict, *other), 4, "does not hold the weights of ViT-B-16", "--model")
    refused(call(*predict, "--model", "ViT-B-17"), 2, "did you mean ViT-B-16")
    refused(call(*predict, "--model", "lsmseg-tyni"), 2, "did you mean lsmseg-tiny")
    refused(
        call(*predict, "--model", "ViT-B-16"),
        4,
        "no weights of ViT-B-16: give --pretrained openai",
    )
    assert listing() == before


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ("predict data/images/val/a.png --classes sky -o o.xyz", 2, ".xyz is not a picture format"),
        ("predict none.png --classes sky -o o.png", 4, "none.png does not exist"),
        ("predict data/images/val/a.png --classes sky -o data", 4, "a folder"),
        ("predict data/images/val/a.png --classes sky --device gpu", 2, "--device cpu"),
        ("evaluate --data camvid --data-root data --split tset", 2, "it has train, val"),
        ("evaluate --split tset --attributes name", 2, "train, selection, report"),
    ],
)
def test_other_options(arguments: str, code: int, says: str, call, data, weights: Path) -> None:
    before = listing()
    refused(call("-q", *arguments.split(), "--pretrained", str(weights)), code, says)
    assert listing() == before


def test_training_options(call, data: Path, weights: Path) -> None:
    Path("list.json").write_text("[]")
    Path("half.json").write_text('{"name": "half", "clip": {}, "view": {}, "train": {}}')
    Path("old").mkdir()
    Path("old/last.pt").write_bytes(b"no checkpoint")
    before = listing()
    pretrain = arguments_for("pretrain", weights)
    for config, code, says in (
        ("lsmseg-tyni", 2, "lsmseg-tiny"),
        ("list.json", 4, "not a configuration"),
        ("half.json", 4, "half"),
    ):
        refused(call(*pretrain, "--config", config), code, says)
    refused(call(*pretrain, "--device", "gpu"), 2, "--device cpu")
    refused(call(*pretrain, "--out", "old"), 4, "old/last.pt exists", "--resume")
    refused(call(*pretrain, "--out", "old", "--resume"), 4, "old/last.pt", "damaged")
    assert listing() == before
