"""What lies in examples/: the notebook and the script for a model of one's own run."""

from __future__ import annotations

import json
import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from support.checkout import changed, fresh_clone, run_in
from support.command_line import ROOT

EXAMPLES = ROOT / "examples"
NOTEBOOK = "prompts_for_your_classes.ipynb"


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = spec_from_file_location("score_your_own_model", EXAMPLES / "score_your_own_model.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def cells(kind: str) -> list[str]:
    """The sources of the notebook's cells of a kind."""
    notebook: dict[str, Any] = json.loads((EXAMPLES / NOTEBOOK).read_text("utf-8"))
    return ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == kind]


# -- the script --------------------------------------------------------------------------


def test_the_model_that_stands_there_knows_colors(script: ModuleType) -> None:
    image = np.zeros((1, 2, 3), np.uint8)
    image[0, 1] = (200, 40, 40)
    scores = script.model(image, [("A raven is black.",), ("Red wine.", "a photo of a wine")])
    assert scores.shape == (2, 1, 2)
    assert scores.argmax(axis=0).tolist() == [[0, 1]]
    assert (script.model(image, [("a photo of a raven",)]) == 0).all()


def test_own_model_is_scored(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert script.main(["--pictures", "2"]) == 0
    shown = capsys.readouterr().out
    assert [line.split()[0] for line in shown.splitlines()] == [
        "prompts", "name", "color", "shape", "typical", "shuffled(color)",
    ]  # fmt: skip
    assert "[" not in shown  # two pictures bear no interval


def test_numbers_stand_with_their_intervals(script: ModuleType) -> None:
    assert script.in_percent(script.Interval(0.5, 0.25, 0.75)) == "50.0 [25.0, 75.0]"
    assert script.in_percent(script.Interval(-0.5, -0.75, 0.25), "+") == "-50.0 [-75.0, +25.0]"
    assert script.in_percent(script.Interval(0.5, np.nan, np.nan, "too few")) == "50.0"


def test_own_model_of_wrong_data(script: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert script.main(["--data", "no-such-benchmark"]) == 2
    assert "Error: " in capsys.readouterr().err


# -- the notebook ------------------------------------------------------------------------


def test_the_notebook_is_stored_without_outputs() -> None:
    """What it prints changes with the corpus: whoever runs it sees what is true then."""
    notebook = json.loads((EXAMPLES / NOTEBOOK).read_text("utf-8"))
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert [cell for cell in code if cell["outputs"] or cell["execution_count"]] == []


def test_its_training_code_imports_nothing_of_ours() -> None:
    sources = cells("code")
    first = next(at for at, source in enumerate(sources) if "import torch" in source)
    ours = re.compile(r"^\s*(?:from|import) (?:lsmseg|ablations|docs)", re.M)
    assert [source for source in sources[first:] if ours.search(source)] == []
    assert any(ours.search(source) for source in sources[:first])


def test_its_links_lead_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", "\n".join(cells("markdown")))
    assert links
    assert [link for link in links if not (EXAMPLES / link).exists()] == []


EXECUTE = f"""
import nbformat
from nbclient import NotebookClient
notebook = nbformat.read("examples/{NOTEBOOK}", as_version=4)
where = {{"metadata": {{"path": "examples"}}}}
NotebookClient(notebook, timeout=600, kernel_name="python3", resources=where).execute()
nbformat.write(notebook, "runs/executed.ipynb")
"""


@pytest.mark.slow
@pytest.mark.process
def test_the_notebook_runs(tmp_path: Path) -> None:
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    clone = fresh_clone(tmp_path / "clone")
    # The kernel of this Python, whatever others are installed on the machine.
    kernel = tmp_path / "jupyter" / "kernels" / "python3" / "kernel.json"
    kernel.parent.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    kernel.write_text(json.dumps({"argv": argv, "display_name": "3", "language": "python"}))
    done = run_in(
        clone,
        [sys.executable, "-c", EXECUTE],
        JUPYTER_PATH=str(tmp_path / "jupyter"),
        IPYTHONDIR=str(tmp_path / "ipython"),
    )
    assert done.returncode == 0, done.stderr
    executed = json.loads((clone / "runs" / "executed.ipynb").read_text("utf-8"))
    outputs = [o for c in executed["cells"] if c["cell_type"] == "code" for o in c["outputs"]]
    assert sum("image/png" in o.get("data", {}) for o in outputs) == 6
    accuracy = re.search(r"accuracy ([\d.]+) %", json.dumps(outputs))
    assert accuracy is not None and float(accuracy[1]) > 60  # all sand would be 20
    assert changed(clone) == []
