"""The wheel and the sdist carry what the program needs and nothing else; the wheel works alone.

Built offline with the hatchling that the test extras install.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import pytest

from lsmseg_prompts.descriptions.bundled import read_bundled
from lsmseg_prompts.llm.bundled import DESCRIBED_VOCABULARIES

pytestmark = [pytest.mark.slow, pytest.mark.process]

PACKAGES = ("lsmseg_prompts", "lsmseg_model", "ablations")
STORE = "lsmseg_prompts/attribute_store.sqlite"  # taken in from the top of the checkout
ERRORS = "ablations/commands/errors.md"  # and from docs/
MOST_BYTES = 20 * 2**20  # of weights


@pytest.fixture(scope="module")
def built(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel built straight from the checkout."""
    folder = tmp_path_factory.mktemp("dist")
    for kind in ("--wheel", "--sdist"):
        done = subprocess.run(
            [sys.executable, "-m", "build", kind, "--no-isolation", "--outdir", folder, root],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    (path,) = built.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def sdist(built: Path) -> Path:
    (path,) = built.glob("*.tar.gz")
    return path


def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def source(root: Path) -> set[str]:
    """Every file of the checkout that git does not ignore."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=root, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if listed.returncode:
        pytest.skip("not a git checkout")
    return {name for name in listed.stdout.splitlines() if (root / name).exists()}


def test_the_wheel_carries_every_file_of_the_packages(wheel: Path, source: set[str]) -> None:
    wanted = {name for name in source if PurePosixPath(name).parts[0] in PACKAGES}
    kinds = {PurePosixPath(name).suffix for name in wanted}
    assert kinds >= {".py", ".json", ".jsonl", ".j2", ".safetensors"}
    assert {*wanted, "cli.py", STORE, ERRORS} - names(wheel) == set()


def test_the_wheel_holds_nothing_else(wheel: Path, source: set[str]) -> None:
    found = [PurePosixPath(name) for name in names(wheel)]
    info = f"{'-'.join(wheel.name.split('-')[:2])}.dist-info"
    assert {path.parts[0] for path in found} == {*PACKAGES, "cli.py", info}
    inside = [path for path in found if path.parts[0] != info]
    assert {str(path) for path in inside} - source == {STORE, ERRORS}
    assert [p for p in found if any(part.startswith(("__pyc", ".")) for part in p.parts)] == []
    assert [p for p in inside if p.suffix == ".sqlite"] == [PurePosixPath(STORE)]


def test_the_weights_are_small_and_the_command_is_installed(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        weights = [i.file_size for i in archive.infolist() if i.filename.endswith(".safetensors")]
        (entry,) = [name for name in archive.namelist() if name.endswith("entry_points.txt")]
        assert "lsmseg-prompts = cli:main" in archive.read(entry).decode()
    assert weights and sum(weights) <= MOST_BYTES


def test_the_sdist_holds_no_junk(sdist: Path, root: Path, source: set[str]) -> None:
    with tarfile.open(sdist) as archive:
        found = [PurePosixPath(*PurePosixPath(m.name).parts[1:]) for m in archive if m.isfile()]
    assert {str(path) for path in found} - source == {"PKG-INFO"}
    chosen = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["tool"]["hatch"]["build"]
    top = {name.strip("/") for name in chosen["targets"]["sdist"]["include"]}
    assert {path.parts[0] for path in found} <= {*top, "pyproject.toml", "PKG-INFO", ".gitignore"}
    assert [p for p in found if "__pycache__" in p.parts or p.parts[0] == "runs"] == []
    assert {"README.md", "LICENSE", "cli.py", "attribute_store.sqlite"} <= set(map(str, found))


def test_the_sdist_makes_the_same_wheel(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (source,) = (path for path in tmp_path.iterdir() if (path / "pyproject.toml").exists())
    done = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", ".", source],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert names(next(Path().glob("*.whl"))) == names(wheel)


@pytest.fixture
def installed(wheel: Path, tmp_path: Path) -> Callable[..., str]:
    """Runs the command from the unpacked wheel, from an empty folder; returns its stdout."""
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    environment = {**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"}

    def call(*arguments: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "cli", *arguments], env=environment, capture_output=True,
            text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    return call


def test_the_wheel_finds_its_own_store(installed: Callable[..., str], tmp_path: Path) -> None:
    shipped = installed("store", "path", "--shipped").strip()
    assert Path(shipped).is_relative_to(tmp_path / "site")
    rows = json.loads(installed("store", "status", "--json"))
    done = {row["vocabulary"]: row["done"] for row in rows if row["store"] == "shipped"}
    assert done == {name: len(read_bundled(name)) for name in DESCRIBED_VOCABULARIES}
    assert "stripe" in installed("store", "show", "zebra", "--attributes", "pattern")


def test_the_wheel_does_the_main_job_on_its_own(installed: Callable[..., str]) -> None:
    out = installed("ablate", "--limit", "3", "--samples", "200", "--attributes", "color,shape",
                    "--out", "result")  # fmt: skip
    assert "color" in out
    assert {"best_prompts.json", "report.html"} <= {p.name for p in Path("result").iterdir()}
