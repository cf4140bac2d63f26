"""Keeps every test away from the user's own store, keys, network settings and folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.command_line import call

__all__ = ["call"]  # a fixture

CLEARED = (
    "LSMSEG_PROMPTS_CACHE",
    "LSMSEG_PROMPTS_STORE",
    "OPENAI_API_KEY",
    "OPENAI_BASE_URL",
    "DASHSCOPE_API_KEY",
    "DASHSCOPE_HTTP_BASE_URL",
    "NO_COLOR",
    "FORCE_COLOR",
)

# Tests run beside one another (pytest -n); each with all threads would only slow the rest.
os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(autouse=True)
def _away_from_the_users_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run in an empty folder (`runs/` would be made in it) with a bare environment."""
    folder = tmp_path / "cwd"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for name in CLEARED:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="session")
def root() -> Path:
    """The top of the checkout."""
    return Path(__file__).resolve().parents[1]
