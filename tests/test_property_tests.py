"""Property tests draw the same examples every time, as many as the profile in conftest.py says."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.command_line import ROOT


def drawn() -> list[tuple[list[int], str]]:
    """The examples of a small property."""
    seen = []

    @given(st.lists(st.integers(), max_size=5), st.text(max_size=5))
    def example(numbers: list[int], text: str) -> None:
        seen.append((numbers, text))

    example()
    return seen


def test_examples_do_not_depend_on_what_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """Left to itself Hypothesis also draws the constants of the modules that are imported."""
    if settings.default is settings.get_profile("fuzz"):
        pytest.skip("make fuzz draws new ones")
    first = drawn()
    assert len(first) == settings.get_profile("repeatable").max_examples
    module = ModuleType("constants")
    module.__file__ = str(Path("constants.py").resolve())
    Path("constants.py").write_text(f"A = {list(range(123_456, 124_456))}")
    monkeypatch.setitem(sys.modules, "constants", module)
    assert drawn() == first


def test_the_profile_alone_says_how_many() -> None:
    tests = {path.name: path.read_text("utf-8") for path in ROOT.glob("tests/**/test_*.py")}
    assert [name for name, text in tests.items() if "\n@settings" in text] == []
