"""Two clients edit, 25 times a second each, while `generate` runs beside them: nothing is lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.edits import measure


@pytest.mark.slow
@pytest.mark.process
def test_edits_beside_a_generation_lose_nothing(tmp_path: Path) -> None:
    found = measure(tmp_path, seconds=2)
    assert len(found.seconds) == 100 and found.faults == []
