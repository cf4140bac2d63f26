"""The library: every name that it lists is there, whatever was imported before."""

import ast
import importlib
from pathlib import Path

import pytest

import ablations


@pytest.mark.parametrize("name", ablations.__all__)
def test_every_name_is_there(name: str) -> None:
    assert getattr(ablations, name) is not None
    assert name in dir(ablations)


def test_the_stub_lists_what_there_is() -> None:
    stub = Path(ablations.__file__).with_suffix(".pyi").read_text("utf-8")
    (listed,) = (n.value for n in ast.parse(stub).body if isinstance(n, ast.Assign))
    assert set(ast.literal_eval(listed)) == set(ablations.__all__)


def test_report_is_a_room_and_a_call(tmp_path: Path) -> None:
    assert importlib.import_module("ablations.report.html")
    with pytest.raises(Exception, match="is not a run"):
        ablations.report(tmp_path)


def test_other_names_are_refused() -> None:
    with pytest.raises(AttributeError, match="ablation'"):
        _ = ablations.ablation  # type: ignore[attr-defined]
