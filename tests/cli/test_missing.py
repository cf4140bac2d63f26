"""What is not there: the same exit code in every command, one sentence that names it, no files.

A path that does not exist, or is a folder where a file belongs: 4. A name that is not known: 2. The
store: 8. What may be either is a path where it looks like one (docs/cli.md).
"""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from support.command_line import listing, refused

ROOT = "--data camvid --data-root no/dir"
FOLDER = "--data no/dir --vocab camvid"
PREDICT = "predict pic.png --classes sky"
GPT = "--llm gpt-4"

PATHS = {
    "a folder of data": (
        "no/dir",
        *(f"{command} {which}" for which in (ROOT, FOLDER)
          for command in ("evaluate", "ablate", "train --out o", "pretrain --out o", "data check",
                          "recipes run table5")),
        "data prepare --data pc-59 --from no/dir",
        "recipes run table4 --scorer retrain --data ministuff --train-data camvid "
        "--train-root no/dir",
    ),
    "a picture": ("no/dir", "predict no/dir --classes sky"),
    "weights": (
        "no/w.pth",
        *(f"{command} {option} no/w.pth" for command in (PREDICT, "evaluate")
          for option in ("--pretrained", "--checkpoint", "--dense sam-proxy --sam")),
        "ablate --pretrained no/w.pth",
        "ablate --scorer trained --checkpoint no/w.pth",
        "ablate --dense sam-proxy --sam no/w.pth",
        "export --attributes name --format embeddings -o e.npz --pretrained no/w.pth",
        "train --out o --pretrained no/w.pth",
        "pretrain --out o --init no/w.pth",
        "recipes run table5 --pretrained no/w.pth",
    ),
    "a prompt set": (
        "no.json",
        *(f"{command} --prompts no.json" for command in
          (PREDICT, "evaluate", "train --out o", "pretrain --out o")),
    ),
    "a class list": (
        "no.txt",
        "vocab show no.txt", "vocab check no.txt", "predict pic.png --classes-file no.txt",
        *(f"{command} --vocab no.txt" for command in
          ("generate", "export --attributes name -o p.json", "evaluate", "ablate", "run",
           "train --out o", "pretrain --out o", "data check --data camvid --data-root folder",
           "store show zebra", "store edit zebra color --text x", "store lock zebra",
           "store diff --llm a --llm b", "store import f.json --llm x", "store lint",
           "recipes run table5")),
    ),
    "a configuration": (
        "no.json",
        *(f"{command} no.json" for command in
          ("train --out o --config", "pretrain --out o --config", "model describe",
           "ablate --scorer retrain --config", "recipes run", "recipes show", "recipes cost",
           "recipes run table4 --config", "evaluate --model")),
    ),
    "a run": ("no/dir", "report no/dir"),
    "a checkpoint": ("o/last.pt", "train --out o --resume", "pretrain --out o --resume"),
    "a key": (
        "no.key",
        *(f"{command} --llm gpt-4 --key-file no.key" for command in
          ("generate --vocab camvid", "attributes")),
    ),
    "another file": (
        "no.file",
        "generate --llm gpt-4 --template no.file", "store edit zebra color --file no.file",
        "store import no.file --llm x",
    ),
}  # fmt: skip


@pytest.fixture(autouse=True)
def _a_picture_and_a_folder() -> None:
    Image.new("RGB", (32, 24)).save("pic.png")
    Path("folder").mkdir()
    Path("f.json").write_text("{}")
    Path("key").write_text("sk-not-a-key")


@pytest.mark.parametrize(
    ("what", "command"), [(what, command) for what in PATHS for command in PATHS[what][1:]]
)
def test_a_path_that_does_not_exist(what: str, command: str, call) -> None:
    before = listing()
    refused(call("-q", *command.split()), 4, PATHS[what][0])
    assert listing() == before


@pytest.mark.parametrize(
    "command",
    [
        f"{PREDICT} --pretrained folder", f"{PREDICT} --checkpoint folder",
        "evaluate --prompts folder", "vocab show ./folder", "model describe ./folder",
        "train --out o --config ./folder", "pretrain --out o --config ./folder",
        "recipes show ./folder", "generate --llm gpt-4 --key-file folder",
        "generate --llm gpt-4 --template folder", "store edit zebra color --file folder",
        "store import folder --llm x", "report folder", "report f.json",
        "evaluate --data camvid --data-root f.json", "evaluate --data f.json --vocab camvid",
    ],
)  # fmt: skip
def test_a_folder_where_a_file_belongs_and_the_other_way_round(command: str, call) -> None:
    before = listing()
    wrong = "f.json" if "f.json" in command else "folder"
    refused(call("-q", *command.split()), 4, wrong)
    assert listing() == before


@pytest.mark.parametrize(
    "command",
    [
        *(f"{command} --data foo" for command in
          ("evaluate", "ablate", "train --out o", "pretrain --out o", "data check",
           "data prepare --from folder", "recipes run table5")),
        *(f"{command} --data camvid" for command in  # its folder is not named
          ("evaluate", "ablate", "train --out o", "pretrain --out o", "data check",
           "recipes run table5")),
        "vocab show foo", "vocab check foo", "evaluate --vocab foo", "generate --vocab foo",
        "predict pic.png --classes-file foo", "train --out o --config foo",
        "pretrain --out o --config foo", "model describe foo", "recipes run foo",
        "recipes show foo", "recipes cost foo", "evaluate --model foo", "evaluate --dense foo",
    ],
)  # fmt: skip
def test_a_name_that_is_not_known(command: str, call) -> None:
    before = listing()
    refused(call("-q", *command.split()), 2)
    assert listing() == before


def test_a_picture_for_a_vision_model(call) -> None:
    words = "attributes --check-images no/dir --llm gpt-4o --key-file key"
    refused(call("-q", *words.split()), 4, "There is no picture no/dir")


STORE = "--store no.sqlite"


@pytest.mark.parametrize(
    "command",
    [
        "store status", "store show zebra", "store show zebra --edits",
        "store show zebra --attempts", "store lint", "store check", "store costs",
        "store diff --llm bundled --llm gpt-4", "store backup b.sqlite", "store lock zebra",
        "store unlock zebra", "leaderboard",
        *(f"{command} {llm}" for llm in ("--llm bundled", GPT) for command in
          ("store show zebra", "store lint", "store lock zebra", "store unlock zebra",
           "export --attributes color -o p.json", "evaluate --limit 1", PREDICT,
           "train --out o", "pretrain --out o")),
        "export --attributes name -o p.json",
        f"ablate {GPT}", f"recipes run table5 {GPT}",
    ],
)  # fmt: skip
def test_a_store_that_is_named_and_not_there_is_not_made_for_reading(command: str, call) -> None:
    before = listing()
    refused(call("-q", *command.split(), *STORE.split()), 8, "no attribute store at no.sqlite")
    assert listing() == before


def test_an_edit_of_a_store_that_is_not_there(call) -> None:
    before = listing()
    edit = ("store", "edit", "zebra", "color", "--text", "A zebra is black and white.")
    refused(call(*edit, *STORE.split()), 8, "no attribute store at no.sqlite")
    assert listing() == before
    assert call(*edit).code == 0  # the usual one is made where it is not there yet


def test_what_to_run_instead_names_a_vocabulary_as_the_option_takes_it(call) -> None:
    Path("mine.txt").write_text("sofa\n", "utf-8")
    assert call("generate", "--vocab", "mine.txt", "--attributes", "color").code == 0
    for vocab, named in (("mine.txt", "FILE"), ("camvid", "camvid")):
        word = "sofa" if named == "FILE" else "road"
        done = call("store", "show", word, "--llm", "gpt-4", "--vocab", vocab)
        refused(done, 4, f"generate --llm gpt-4 --vocab {named}`")
