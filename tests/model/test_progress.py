"""What training shows: a line every 30 s in a log, the time left from the mean since the start."""

from __future__ import annotations

import io
import sys

import pytest

from lsmseg_model.training import progress
from lsmseg_model.training.progress import loss_bar, pace


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock: its only element."""
    times = [1000.0]
    monkeypatch.setattr(progress, "monotonic", lambda: times[0])
    return times


def test_a_line_every_30_seconds_where_there_is_no_terminal(now, capsys) -> None:
    """10 steps of 1 s, then 2 s a step: after 10 + 10 s nothing, at 30 s step 20 of 100."""
    with loss_bar(True, total=100, start=0) as report:
        for step in range(1, 26):
            now[0] += 1 if step <= 10 else 2
            report(step, 0.5)
    shown = capsys.readouterr()
    # 20 steps in 30 s: 40 a minute; the other 80 at that mean rate take 120 s, not 160 s as the
    # last steps would have it. The next line would come at 60 s.
    assert shown.out == ""
    assert shown.err == "Step 20 of 100: loss 0.5000, 40.0 steps a minute, 2:00 left\n"


def test_after_resume_the_rate_is_that_of_the_steps_of_this_process(now, capsys) -> None:
    """From 900 of 1000: 30 steps in 30 s leave 70 s; counted from step 0 it would be 2 s."""
    with loss_bar(True, total=1000, start=900) as report:
        now[0] += 30
        report(930, 1.0)
    assert (
        capsys.readouterr().err == "Step 930 of 1000: loss 1.0000, 1.0 steps a second, 1:10 left\n"
    )


def test_the_loss_is_a_running_mean(now, capsys) -> None:
    with loss_bar(True, total=10, start=0) as report:
        report(1, 1.0)
        now[0] += 30
        report(2, 2.0)  # 0.98 x 1 + 0.02 x 2
    assert "loss 1.0200," in capsys.readouterr().err


def test_nothing_where_nothing_is_wanted(now, capsys) -> None:
    with loss_bar(False, total=10, start=0) as report:
        now[0] += 100
        report(1, 1.0)
    assert capsys.readouterr().err == ""


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_bar_of_a_terminal_says_the_same(now, monkeypatch) -> None:
    monkeypatch.setattr(sys, "stderr", screen := Terminal())
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    with loss_bar(True, total=100, start=0) as report:
        for step in range(1, 21):
            now[0] += 1 if step <= 10 else 2
            report(step, 0.5)
    assert "loss 0.5000, 40.0 steps a minute, 2:00 left" in screen.getvalue()


@pytest.mark.parametrize(
    ("done", "left", "seconds", "told"),
    [
        (100, 4000, 50.0, "2.0 steps a second, 33:20 left"),
        (1, 299, 60.0, "1.0 steps a minute, 4:59:00 left"),
        (5, 0, 2.0, "2.5 steps a second, 0:00 left"),
    ],
)
def test_pace(done: int, left: int, seconds: float, told: str) -> None:
    assert pace(done, left, seconds) == told
