"""Files and folders that the user names: nothing is overwritten unasked, nothing that is read ever.

What holds a result folder for one run is in tests/model/test_result_folder.py.
"""

from __future__ import annotations

import os
import shutil
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.command_line import arguments_for, listing, refused

from lsmseg_model.inference.prediction import Prediction

OLD = "precious\n"
EXPORT = "export --attributes color --vocab camvid -o"
# Commands that write a file, and what they would do at a cost once the file is found to be free.
WRITERS = {
    EXPORT: "lsmseg_prompts.files.write_whole",
    "export --attributes color --vocab camvid --format cat-seg -o": (
        "lsmseg_prompts.export.formats.fitted"
    ),
    "export --attributes color --vocab camvid --format embeddings -o": (
        "lsmseg_model.networks.backbones.load.load_backbone"
    ),
    "vocab check mine.txt -o": "lsmseg_prompts.generation.vocab_check.vocab_check",
    "recipes show table3 -o": "lsmseg_prompts.files.write_whole",
    "leaderboard --csv": "ablations.runs.leaderboard.leaderboard",
    "predict p.png --classes sky -o": "lsmseg_model.segmenter.load_model",
    "evaluate --attributes name --csv": "lsmseg_model.evaluate.load_model",
}


@pytest.fixture(autouse=True)
def files() -> None:
    Image.new("RGB", (24, 16), (90, 120, 200)).save("p.png")
    Path("mine.txt").write_text("sky\nzebra\n")


def never(*_: Any, **__: Any) -> None:
    raise AssertionError("this costs something, and was to be looked at before")


def forbid(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    module, _, function = name.rpartition(".")  # a call may hide its module: export.export
    monkeypatch.setattr(import_module(module), function, never)


@pytest.mark.parametrize("command", WRITERS)
def test_a_file_that_is_there_is_kept(command: str, call, monkeypatch) -> None:
    for name in ("there.npz", "there.png"):
        Path(name).write_text(OLD)
    name = "there.npz" if "embeddings" in command else "there.png"
    before = listing()
    forbid(monkeypatch, WRITERS[command])
    refused(call("-q", *command.split(), name), 4, f"{name} exists", "--force")
    refused(call("-q", *command.split(), "p.png/x.png"), 4, "p.png is a file, not a folder")
    assert listing() == before


def test_force_replaces_and_a_missing_folder_is_made(call) -> None:
    for command in (EXPORT, "vocab check mine.txt -o", "recipes show table3 -o"):
        Path("there").write_text(OLD)
        assert call(*command.split(), "there", "--force").code == 0
        assert Path("there").read_text() != OLD
        assert call(*command.split(), "new/er/file").code == 0
        assert Path("new/er/file").read_text() == Path("there").read_text()
        shutil.rmtree("new")
    assert call("store", "backup", "new/s", "--store", "none").code == 8
    assert not Path("new").exists()


def spelled(path: str) -> list[str]:
    """The same file by other names."""
    Path("link").symlink_to(path)
    Path("folder").symlink_to(".")
    os.link(path, "hard")
    return [path, f"./{path}", f"folder/{path}", str(Path(path).absolute()), "link", "hard"]


@pytest.mark.parametrize("force", [[], ["--force"]])
@pytest.mark.parametrize(
    ("command", "read"),
    [
        ("predict p.png --classes sky -o", "p.png"),
        ("predict p.png --classes-file mine.txt -o", "mine.txt"),
        ("vocab check mine.txt -o", "mine.txt"),
        ("export --attributes name --vocab mine.txt -o", "mine.txt"),
        ("export --attributes color --store s.sqlite -o", "s.sqlite"),
        ("evaluate --attributes name --data camvid --data-root data --csv",
         "data/images/val/a.png"),
        ("leaderboard --store s.sqlite --csv", "s.sqlite"),
        ("store datasette --store s.sqlite -o", "s.sqlite"),
    ],
)  # fmt: skip
def test_what_is_read_is_never_replaced(
    command: str, read: str, force: list[str], call, data: Path
) -> None:
    from lsmseg_prompts.store.store import open_store

    open_store("s.sqlite").close()
    names = spelled(read)
    before = listing()
    for name in names:
        done = call("-q", *command.split(), name, *force)
        refused(done, 4, "the same command reads it, and --force never")
    assert listing() == before


def test_a_recipe_of_ones_own_is_not_written_over_itself(call) -> None:
    assert call("recipes", "show", "table3", "-o", "own.json").code == 0
    Path("link.json").symlink_to("own.json")
    for name in ("own.json", "link.json"):
        shown = call("recipes", "show", "own.json", "-o", name, "--force")
        refused(shown, 4, "the same command reads it")


def test_a_full_disk_or_ctrl_c_leaves_the_old_file(call, monkeypatch) -> None:
    Path("p.json").write_text(OLD)
    for error in (OSError(28, "No space left on device"), KeyboardInterrupt()):

        def fails(*_: Any, error: BaseException = error) -> None:
            raise error

        monkeypatch.setattr(os, "replace", fails)
        before = listing()
        for name in ("p.json", "new/p.json"):
            assert call(*EXPORT.split(), name, "--force").code in (4, 130)
            assert listing() == before


def test_what_stdout_is_sent_to_gets_the_file_and_nothing_else(call) -> None:
    from lsmseg_prompts.export import load_export
    from lsmseg_prompts.vocabularies import load_vocabulary

    done = call(*EXPORT.split(), "/dev/stdout")
    Path("p.json").write_text(done.out)
    assert done.code == 0
    assert len(load_export("p.json", "native", load_vocabulary("camvid")).texts) == 11


# -- folders -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "command",
    [
        "ablate --out", "run --out", "recipes run table3 --out", "train --out", "pretrain --out",
        "predict p.png p.png p2.png --classes sky -o", "evaluate --save-predictions",
    ],
)  # fmt: skip
def test_a_folder_with_other_files_is_kept(command: str, call, monkeypatch) -> None:
    for place in (
        "lsmseg_model.segmenter.load_model", "lsmseg_model.evaluate.load_model",
        "ablations.runs.ablate.make_llm", "ablations.runs.ablate.open_benches",
        "ablations.recipes.trials.open_scorers", "lsmseg_model.train.NetworkRun",
        "lsmseg_model.pretrain.ClipRun",
    ):  # fmt: skip
        forbid(monkeypatch, place)
    Image.new("RGB", (24, 16)).save("p2.png")
    Path("results").mkdir()
    Path("results/notes.txt").write_text(OLD)
    before = listing()
    refused(call("-q", *command.split(), "results"), 4, "results holds notes.txt", "--force")
    assert listing() == before
    Path("results/notes.txt").rename("results/.hidden")  # as the system leaves them
    assert "notes.txt" not in call("-q", *command.split(), "results").err


def test_an_earlier_result_is_replaced(call, data: Path, weights: Path) -> None:
    predict = ["-q", "predict", "p.png", "--classes", "sky", "--pretrained", str(weights)]
    for arguments in (
        [*predict, "-o", "found/"],
        [*arguments_for("evaluate", weights), "--save-predictions", "maps"],
    ):
        for _ in range(2):
            assert call(*arguments).code == 0
    refused(call(*predict, "-o", "maps/"), 4, "no result of `predict`")
    refused(call(*predict, "-o", "maps"), 4, "with the slash")
    assert call(*predict, "-o", "maps/", "--force").code == 0
    assert Path("maps/a.png").is_file() and Path("maps/overlays/p.png").is_file()
    # The overlays and label maps of a prediction as pictures of the next, into the same folder:
    for force in ([], ["--force"]):
        again = [*predict, "-o", "found/", *force]
        again[2] = "found/overlays"
        refused(call(*again), 4, "found/overlays/p.png", "the same command reads it")


def test_label_maps_are_not_written_over_the_datas_own(call, data: Path, weights: Path) -> None:
    before = listing()
    for folder in ("data/images/val", "data/annotations/val"):
        arguments = [*arguments_for("evaluate", weights), "--save-predictions", folder]
        refused(call(*arguments), 4, f"{folder} holds a.png")
        refused(call(*arguments, "--force"), 4, f"{folder}/a.png", "the same command reads it")
    assert listing() == before


def test_weights_that_a_training_starts_from_are_kept(call, data: Path, weights: Path) -> None:
    pretrain = arguments_for("pretrain", weights)
    assert call(*pretrain, "--iterations", "1").code == 0
    Path("o/last.pt").unlink()
    (left,) = Path("o").glob("*.safetensors")
    Path("o/loss.csv").unlink()
    Path("o/loss.png").unlink()
    for more, says in (
        ([], f"o holds {left.name}"), (["--init", str(left), "--force"], "command reads it")
    ):  # fmt: skip
        before = listing()
        refused(call(*pretrain, *more), 4, says)
        assert listing() == before
    assert call(*pretrain, "--iterations", "2", "--force").code == 0
    refused(call(*pretrain, "--force"), 4, "o/last.pt exists", "--resume")


def test_label_maps_are_not_prepared_over_their_originals(tmp_path: Path) -> None:
    from lsmseg_model.data.prepare import Job, _keep_originals
    from lsmseg_model.errors import DataError

    labels = tmp_path / "a.png"
    labels.write_text(OLD)
    (tmp_path / "link").symlink_to(tmp_path)
    job = Job(tmp_path / "a.jpg", labels, tmp_path / "b.jpg", tmp_path / "link/a.png", never)
    with pytest.raises(DataError, match="the same command reads it"):
        _keep_originals([job])


# -- from Python -------------------------------------------------------------------------


def small() -> Prediction:
    image = np.zeros((4, 6, 3), np.uint8)
    return Prediction(("sky",), np.zeros((4, 6), int), np.ones((4, 6)), {"sky": 1.0}, image)


@pytest.mark.parametrize("name", ["o.png", "o.npz", "folder"])
def test_a_prediction_is_saved_once(name: str) -> None:
    from lsmseg_model.errors import DataError

    small().save(name)
    with pytest.raises(DataError, match="exists: name another file, or add --force"):
        small().save(name)
    small().save(name, force=True)


def test_calls_take_force() -> None:
    from lsmseg_prompts import export, load_vocabulary, prompt_set
    from lsmseg_prompts.errors import ConfigurationError

    vocabulary = load_vocabulary("camvid")
    prompts = prompt_set(vocabulary, ["color"])
    for format in ("native", "mmseg"):
        export(prompts, vocabulary, format, format)
        with pytest.raises(ConfigurationError, match="exists"):
            export(prompts, vocabulary, format, format)
        export(prompts, vocabulary, format, format, force=True)
