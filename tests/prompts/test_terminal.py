"""Tables and progress on terminals of any width: nothing is cut."""

from __future__ import annotations

import fcntl
import io
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from pathlib import Path

import pytest

from lsmseg_prompts import terminal
from lsmseg_prompts.terminal import clock, progress_bar

PAST_IT = {
    "ablations/commands/export.py: file)",
    "ablations/commands/meanings.py: output)",
    "ablations/commands/meanings.py: table)",
    "ablations/commands/model.py: result.folder)",
    "ablations/commands/predict.py: path)",
    "ablations/commands/recipes.py: formatted(result.r",
    "ablations/commands/recipes.py: text, end=\"\")",
    "ablations/commands/recipes.py: write_whole(output",
    "ablations/commands/report.py: html.report(direct",
    "ablations/commands/store.py: lsmseg_prompts.sto",
    "ablations/commands/store.py: output)",
    "ablations/commands/store.py: shipped_store_path",
    "ablations/commands/studio.py: address, flush=Tru",
    "ablations/commands/studio.py: page)",
    "ablations/commands/vocab.py: output)",
    "ablations/scoring/own_model.py: miou(counts[0]))",
    "lsmseg_prompts/generation/ledger.py: f\"This reply could",
}  # fmt: skip

ROW = {"llm": "openai/Qwen/Qwen2.5-7B-Instruct", "cells": 1710, "by_others": 1144, "tokens": 77708,
       "cost": "price unknown", "requests": 15354, "failed": 20}  # fmt: skip


def on_a_terminal(program: str, columns: int) -> str:
    """What `program` prints on a terminal of so many columns."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    env = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
    env |= {"TERM": "xterm", "NO_COLOR": "1"}
    process = subprocess.Popen([sys.executable, "-c", program], stdout=theirs, env=env)
    os.close(theirs)
    written = b""
    try:
        while piece := os.read(ours, 65536):
            written += piece
    except OSError:  # the other end is closed
        pass
    os.close(ours)
    assert process.wait() == 0
    return written.decode().replace("\r\n", "\n").replace("\x1b[1m", "").replace("\x1b[0m", "")


@pytest.mark.parametrize("columns", [200, 80, 40])
def test_every_number_of_a_table_can_be_read(columns: int) -> None:
    program = f"from lsmseg_prompts.terminal import print_table; print_table([{ROW!r}] * 2)"
    shown = on_a_terminal(program, columns)
    assert max(map(len, shown.splitlines())) <= columns
    assert "\N{HORIZONTAL ELLIPSIS}" not in shown
    for key, value in ROW.items():
        assert all(word in shown.split() for word in key.split("_"))
        if key != "llm":
            assert shown.count(str(value)) == 2
    for part in ROW["llm"].split("/"):  # a long name is folded after a slash
        assert "".join(shown.split()).count(part) >= 2


def test_long_texts_are_folded_in_their_column() -> None:
    text = "A zebra is white with black stripes and has a stiff mane of black and white hair."
    row = {"attribute": "color", "tokens": 21, "text": text}
    shown = on_a_terminal(
        f"from lsmseg_prompts.terminal import print_table; print_table([{row!r}])", 60
    )
    assert shown.splitlines()[0].split() == ["attribute", "tokens", "text"]
    assert " ".join(shown.split()).replace("color 21 ", "").endswith(text)


# -- progress ----------------------------------------------------------------------------


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The clock: its only element."""
    times = [1000.0]
    monkeypatch.setattr(terminal, "monotonic", lambda: times[0])
    return times


def test_a_log_gets_a_line_of_progress_every_30_seconds(now, capsys) -> None:
    with progress_bar("reading") as on_progress:
        for done in range(1, 22):
            now[0] += 1 if done <= 10 else 2
            on_progress(done, 60)
        on_progress(1, 40)  # new work: its own rate
        now[0] += 30
        on_progress(11, 40)
    shown = capsys.readouterr()
    assert shown.out == ""
    # 20 in 30 s leave 40 in 60 s; then 10 more in 30 s after the first, 11 of them in 30 s.
    assert shown.err.splitlines() == [
        "reading: 20 of 60, 1:00 left", "reading: 11 of 40, 1:19 left",
    ]  # fmt: skip


def test_no_progress_where_none_is_wanted(now, capsys) -> None:
    with progress_bar("reading", wanted=False) as on_progress:
        assert on_progress is None
    assert capsys.readouterr().err == ""


def test_the_bar_of_a_terminal_has_the_time_left(now, monkeypatch) -> None:
    monkeypatch.setattr(sys, "stderr", screen := io.StringIO())
    screen.isatty = lambda: True
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "xterm")
    with progress_bar("reading") as on_progress:
        now[0] += 30
        on_progress(20, 60)
    assert "20/60" in screen.getvalue() and "1:00 left" in screen.getvalue()


def test_times() -> None:
    assert [clock(s) for s in (0, 59.6, 67, 3600)] == ["0:00", "1:00", "1:07", "1:00:00"]


NASTY = "a\x1b[31mb\x07c\x9bd\u202ee\u2066f\u2028g\x7fh\rj\x00k\U000e0041l"


def test_nothing_that_is_shown_steers_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.print_table([{NASTY: NASTY + "\nnew: row", "n": 1}])
    terminal.print_cells(["a"], [[NASTY]], [False], title=NASTY, note=NASTY)
    terminal.print_wrapped(NASTY)
    terminal.print_line(NASTY)
    terminal.note(NASTY)
    shown = "".join(capsys.readouterr())
    assert {c for c in shown if not c.isprintable()} == {"\n"}
    assert not any(line.strip().startswith("new: row") for line in shown.splitlines())


def test_json_says_the_same_without_signs_that_steer(capsys: pytest.CaptureFixture[str]) -> None:
    given = {NASTY: [NASTY, "\t\n caf\u00e9 \u200d"]}
    terminal.print_json(given)
    shown = capsys.readouterr().out
    assert {c for c in shown if not c.isprintable()} == {"\n", "\u200d"} and "caf\u00e9" in shown
    assert json.loads(shown) == given


def test_what_is_printed_goes_through_the_terminal() -> None:
    """Whatever else prints shows a path, or a whole file that may be sent on."""
    root = Path(terminal.__file__).parents[1]
    found = {
        f"{path.relative_to(root)}: {call.group(1)[:18]}"
        for package in ("ablations", "lsmseg_prompts")
        for path in (root / package).rglob("*.py")
        for call in re.finditer(r"(?<![\w.\"'`])print\(([^\n]*)", path.read_text("utf-8"))
        if path != Path(terminal.__file__) and call.group(1)[0] not in '")'
    }
    assert found <= PAST_IT, found - PAST_IT
