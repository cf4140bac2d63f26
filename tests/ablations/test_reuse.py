"""A second identical `ablate` is answered by the first one's folder, a changed one is not."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.ablation_runs import options

from ablations.runs import ablate as ablate_module
from ablations.runs import reuse
from ablations.runs.ablate import ablate
from ablations.runs.request import AblationRequest
from ablations.runs.result import RunResult
from lsmseg_prompts.store.descriptions import Description
from lsmseg_prompts.store.store import open_store

ROOT = Path(__file__).resolve().parents[2]


pytestmark = pytest.mark.usefixtures("plain_figures")


def given(world: Path, **more: Any) -> dict[str, Any]:
    return options(world, attributes=["color"], samples=200, store="s.sqlite", **more)


@pytest.fixture(scope="module")
def code() -> list[str]:
    """What the program is now: someone may be at work on it."""
    return reuse._code()


@pytest.fixture
def computed(code: list[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A name for every time that the model is asked."""
    asked: list[str] = []
    open_benches = ablate_module.open_benches
    monkeypatch.setattr(reuse, "_code", lambda: code)
    monkeypatch.setattr(
        ablate_module, "open_benches", lambda *a: asked.append("look") or open_benches(*a)
    )
    return asked


@pytest.fixture(scope="module")
def first(
    world: Path, code: list[str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, RunResult]:
    """A folder in which a run was made, and its result. What is on file names the folder."""
    folder = tmp_path_factory.mktemp("first") / "cwd"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        patched.setattr(reuse, "_code", lambda: code)
        result = ablate(AblationRequest(**given(world)), progress=False)
    shutil.copytree(folder, folder.with_name("kept"))
    return folder, result


@pytest.fixture
def done(first: tuple[Path, RunResult], monkeypatch: pytest.MonkeyPatch) -> RunResult:
    """That run, just made in the working folder."""
    folder, result = first
    shutil.rmtree(folder)
    shutil.copytree(folder.with_name("kept"), folder)
    monkeypatch.chdir(folder)
    return result


class Computed(Exception):
    """Raised in place of computing."""


def stop(*_: Any) -> None:
    raise Computed


@pytest.fixture
def refuses(computed: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ablate_module, "open_benches", stop)


def test_answered_by_the_folder(world: Path, done: RunResult, computed: list[str]) -> None:
    again = ablate(AblationRequest(**given(world)), progress=False)
    assert computed == []
    assert again.directory == done.directory and again.files == done.files
    for part in ("single", "combinations", "best"):
        assert json.dumps(getattr(again, part)) == json.dumps(getattr(done, part))
    with open_store("s.sqlite") as store:
        runs = store.rows("SELECT DISTINCT run FROM evaluations")
    assert len(runs) == 1


def test_it_says_which_run_and_anew_on_request(
    world: Path, done: RunResult, computed: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    ablate(AblationRequest(**given(world, out=done.directory)), progress=True)
    assert f"Answered by the run {done.directory}; --again" in capsys.readouterr().err
    other = ablate(AblationRequest(**given(world, again=True)), progress=False)
    assert computed == ["look"] and other.directory != done.directory
    assert (
        ablate(AblationRequest(**given(world)), progress=False).directory == other.directory
    )  # the last one answers


@pytest.mark.parametrize(
    "change",
    [
        {"samples": 201},
        {"seed": 1},
        {"limit": 6},
        {"composition": "ensemble"},
        {"rule": "paper"},
        {"attributes": ["shape"]},
        {"out": "elsewhere"},
        {"dense": "sclip"},
    ],
    ids=str,
)
def test_another_request_is_computed(
    world: Path, done: RunResult, refuses: None, change: dict[str, Any]
) -> None:
    with pytest.raises(Computed):
        ablate(AblationRequest(**{**given(world), **change}), progress=False)


def test_changed_files_are_noticed(
    world: Path, computed: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights, pictures, their groups, the code and a description."""
    own = tmp_path / "world"
    shutil.copytree(world, own)

    def run() -> None:
        ablate(AblationRequest(**given(own)), progress=False)

    run()
    assert computed == ["look"]
    monkeypatch.setattr(ablate_module, "open_benches", stop)
    keys: list[str] = []
    request_key = reuse.request_key
    monkeypatch.setattr(reuse, "request_key", lambda *a: keys.append(request_key(*a)) or keys[-1])
    run()

    def noticed() -> bool:
        """Computed anew, and to be found again under a key of its own."""
        for _ in range(2):
            with pytest.raises(Computed):
                run()
        return keys[-1] == keys[-2] and keys[-1] not in keys[:-2]

    weights = own / "atom.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x07")
    assert noticed()
    picture = next((own / "pictures" / "images" / "val").iterdir())
    os.utime(picture, (1, 1))
    assert noticed()
    names = [path.name for path in picture.parent.iterdir()]
    lines = [f"{name},{number // 2}" for number, name in enumerate(names)]
    (own / "pictures" / "groups.csv").write_text("\n".join(["picture,group", *lines, ""]))
    assert noticed()
    monkeypatch.setattr(reuse, "_code", lambda: ["other"])
    assert noticed()
    with open_store("s.sqlite") as store:
        store.put_description(Description("four", 1, "color", "bundled", "Grass is bluish.", 6))
    assert noticed()


@pytest.mark.parametrize("damage", ["changed", "gone", "folder"])
def test_a_folder_that_is_not_whole_answers_nothing(
    world: Path, done: RunResult, refuses: None, damage: str
) -> None:
    if damage == "folder":
        shutil.rmtree(done.directory)
    elif damage == "gone":
        (done.directory / "single.png").unlink()
    else:
        (done.directory / "single.csv").write_text("else")
    with pytest.raises(Computed):
        ablate(AblationRequest(**given(world)), progress=False)


def test_the_code_and_its_libraries_count() -> None:
    first, *libraries = reuse._code()
    assert len(first) == 64 and any(name.startswith("torch ") for name in libraries)


@pytest.mark.process
def test_no_torch_is_loaded_for_an_answer(world: Path, done: RunResult) -> None:
    code = (
        "import json, sys; from ablations.runs.ablate import ablate; "
        "from ablations.runs.request import AblationRequest; "
        "from ablations.report.tables import print_result; "
        "print_result(ablate(AblationRequest(**json.loads(sys.argv[1])), progress=False));"
        "print(sorted({'torch', 'open_clip', 'pandas', 'matplotlib'} & set(sys.modules)),"
        "file=sys.stderr)"
    )
    answer = subprocess.run(
        [sys.executable, "-c", code, json.dumps(given(world))],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "Table 2" in answer.stdout and answer.stderr.strip() == "[]"
