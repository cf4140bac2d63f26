"""The table of wrong inputs in docs/errors.md: every row is run, and comes out as it says."""

import re
import shlex

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
