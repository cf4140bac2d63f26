"""Tables of scores in a narrow terminal: intervals go first, that of the difference last."""

from __future__ import annotations

import pytest

from ablations.report.narrow import narrowed

HEADS = ("prompts", "mIoU", "seen", "unseen", "against name", "union", "selection")
ROW = ("color+shape+texture *", "46.4 [41.9, 50.6]", "59.9 [53.8, 63.8]", "15.1 [9.0, 22.9]",
       "+5.2 [+0.7, +10.5]", "46.4", "48.4")  # fmt: skip


def at(columns: int, monkeypatch: pytest.MonkeyPatch) -> tuple[dict[str, str], str]:
    monkeypatch.setenv("COLUMNS", str(columns))
    (heads, (row,)), left_out = narrowed(HEADS, [ROW])
    return dict(zip(heads, row, strict=True)), left_out


def test_a_wide_terminal_shows_all(monkeypatch) -> None:
    assert at(130, monkeypatch) == (dict(zip(HEADS, ROW, strict=True)), "")


def test_80_columns(monkeypatch) -> None:
    """20 + 17 + 4 + 6 + 18, and 8 between them: 73."""
    shown, left_out = at(80, monkeypatch)
    assert shown == {"prompts": ROW[0], "mIoU": ROW[1], "seen": "59.9", "unseen": "15.1",
                     "against name": ROW[4]}  # fmt: skip
    told = "union, selection; the intervals of seen, unseen"
    assert left_out == f"Left out: {told}. -v shows all."


def test_less_and_less(monkeypatch) -> None:
    assert at(62, monkeypatch)[0] == {"prompts": ROW[0], "mIoU": "46.4", "seen": "59.9",
                                      "unseen": "15.1", "against name": ROW[4]}  # fmt: skip
    assert at(47, monkeypatch)[0] == {"prompts": ROW[0], "mIoU": "46.4",
                                      "against name": ROW[4]}  # fmt: skip
    assert at(37, monkeypatch)[0]["against name"] == "+5.2"
    assert at(20, monkeypatch) == (dict(zip(HEADS, ROW, strict=True)), ""), "nothing helps"
