"""Tables and progress on terminals of any width: nothing is cut."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios

import pytest

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
