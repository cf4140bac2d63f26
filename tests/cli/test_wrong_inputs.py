"""The table of wrong inputs in docs/errors.md: every row is run, and comes out as it says."""

import io
import json
import os
import re
import shlex
import sys
from pathlib import Path

import pytest
from support.command_line import listing, refused
from support.wrong_files import WRONG_FILES, make_wrong_files

from ablations.commands.error_page import page_path

SECTION = page_path().read_text("utf-8").partition("\n## Wrong inputs that were tried\n")[2]
ROWS = re.findall(r"^\| `(.+?)` \| (\d+) \| (.+?) \|$", SECTION, re.MULTILINE)


@pytest.mark.parametrize(("command", "code", "says"), ROWS, ids=[row[0] for row in ROWS])
def test_a_wrong_input(command: str, code: str, says: str, call) -> None:
    make_wrong_files()
    before = listing()
    words = shlex.split(command)
    variables = {}
    while re.match("[A-Z_]+=", words[0]):
        name, _, variables[name] = words.pop(0).partition("=")
    refused(call(*words, env=variables), int(code), says)
    assert listing() == before


def test_the_page_names_the_wrong_files_and_each_row_once() -> None:
    assert set(re.findall(r"`([a-z0-9]+(?:\.[a-z0-9]+)?)`", SECTION.partition("\n|")[0])) == set(
        WRONG_FILES
    )
    commands = [command for command, _, _ in ROWS]
    assert len(commands) == len(set(commands)) == len(re.findall("^[|] `", SECTION, re.MULTILINE))


@pytest.mark.parametrize("columns", ["0", "1", "-5", "abc", "99999999999", "9" * 5000])
def test_a_width_that_is_none_counts_as_80(columns: str, call) -> None:
    for words in (["--help"], ["vocab", "show", "camvid"]):
        usual = call(*words, env={"COLUMNS": None}).out
        assert call(*words, env={"COLUMNS": columns}).out == usual and usual


def test_a_terminal_of_another_encoding(call, monkeypatch) -> None:
    Path("dogs.json").write_text('["собака", "zebra"]')
    written = io.BytesIO()
    for more in ([], ["--json"]):
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, "ascii"))
        assert call("vocab", "show", "dogs.json", *more).code == 0
        sys.stdout.flush()
    table, _, rows = written.getvalue().decode("ascii").partition("[\n")
    assert r"\u0441\u043e\u0431\u0430\u043a\u0430" in table
    assert json.loads(f"[{rows}")[0]["name"] == "собака"


def test_names_of_files_that_are_no_text(call) -> None:
    raw = os.fsdecode(b"caf\xe9")
    store = call("generate", "--vocab", "camvid", "--store", f"{raw}.sqlite")
    assert store.code == 0 and Path(f"{raw}.sqlite").exists()
    assert json.loads(call("generate", "--store", f"{raw}.sqlite", "--json", "--dry-run").out)
    refused(call("vocab", "show", f"{raw}.txt"), 4, r"There is no file caf\udce9.txt")
    refused(call("vocab", "show", "a\x1b[31mb.txt"), 4, r"a\x1b[31mb.txt")
    refused(call("vocab", "show", "~nobody-has-this-name/a.txt"), 4, "There is no file ~nobody")


@pytest.mark.parametrize(
    ("stdin", "code", "says"),
    [
        (None, 6, "The text says nothing"),
        (b"A zebra is \xff.", 2, "is not text in UTF-8"),
        (b"A zebra is \x1b[31mred.", 6, "control characters"),
    ],
)
def test_a_sentence_from_a_wrong_stdin(stdin, code: int, says: str, call, monkeypatch) -> None:
    given = None if stdin is None else io.TextIOWrapper(io.BytesIO(stdin))
    monkeypatch.setattr(sys, "stdin", given)
    refused(call("store", "edit", "zebra", "color", "--file", "-"), code, says)
    assert listing() == {}
