"""docs/errors.md: every message is there, under its exit code, with cause and cure."""

import os
import re
from pathlib import Path

import pytest

from ablations.commands.error_page import address, entries, matches, page_path
from lsmseg_model.errors import CheckpointError
from tests.support.command_line import without_help
from tests.support.error_messages import CODES, raised_messages

PAGE = page_path().read_text("utf-8")
ENTRIES = [entry for entry in entries(PAGE) if entry.text != "…"]
OF_LIBRARIES = (
    "No such option: …", "Missing option …", "Missing argument …", "Invalid value for …: …",
    "Unexpected error: …: … (--debug shows more)",
)  # fmt: skip


def test_every_message_that_is_raised_is_on_the_page() -> None:
    listed = {(entry.exit_code, entry.text) for entry in ENTRIES}
    # One that is all filled in is made of other messages, which are on the page themselves.
    missing = [
        f"{raised.where}: exit code {raised.exit_code}: - `{raised.text}`"
        for raised in raised_messages()
        if len(re.findall(r"\w\w", raised.text)) > 1
        and (raised.exit_code, raised.text) not in listed
    ]
    assert not missing, "add to docs/errors.md:\n" + "\n".join(missing)


def test_the_page_has_no_message_that_nothing_raises() -> None:
    raised = {(one.exit_code, one.text) for one in raised_messages()}
    left = [e for e in ENTRIES if (e.exit_code, e.text) not in raised]
    assert [e.text for e in left if e.text not in OF_LIBRARIES] == []


def test_every_part_has_a_cause_and_a_cure_and_every_code_a_part() -> None:
    parts = re.split(r"^### ", PAGE, flags=re.MULTILINE)[1:]
    for part in parts:
        assert part.count("\nCause: ") == part.count("\nCure: ") == 1, part
        assert part.count("\n- `") >= 1, part
    assert {entry.exit_code for entry in ENTRIES} == {1, *CODES.values()}


@pytest.mark.parametrize(
    ("message", "code", "anchor"),
    [
        ("There is no vocabulary 'x'; built in are a; or give a .txt or .json file with your own "
         "class names.", 2, "class-lists-and-vocabularies"),
        ("No such option: --nope (Possible options: --model)", 2, "options"),
        ("something that nobody wrote", 4, "exit-code-4-set-up-files-data-weights"),
        ("There are no weights of ViT-B-16 at x.pt: give --pretrained hf-hub:org/model or a FILE.",
         4, "weights-that-are-not-there"),
    ],
)  # fmt: skip
def test_a_message_has_the_address_of_its_part(message: str, code: int, anchor: str) -> None:
    assert address(message, code).rpartition("#")[2] == anchor


def test_what_is_filled_in_may_be_anything() -> None:
    assert matches("… is 1 of (…).", "a\nb is 1 of (x.y).")
    assert not matches("… is 1 of (…).", "a is 1 of (x.y)!")
    assert matches("a…a", "aa") and matches("…", "") and matches("x", "x")
    assert not matches("a…a", "a") and not matches("x", "x.")
    assert matches("a…b…b", "a, b, b") and not matches("a…b…b", "a, b")


def test_the_path_is_short_below_the_working_folder(
    root: Path, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(root)
    assert address("", 8).startswith(f"docs{os.sep}errors.md#exit-code-8")
    monkeypatch.chdir(tmp_path)
    assert Path(address("", 8).partition("#")[0]) == page_path()


def test_an_error_ends_with_its_address_unless_quiet(call, monkeypatch) -> None:
    result = call("evaluate", "--checkpoint", "none.safetensors")
    assert result.code == CheckpointError.exit_code
    assert result.err.endswith("errors.md#weights-that-are-not-there\n")
    assert without_help(result.err).startswith("Error: There is no checkpoint")
    assert "Help:" not in call("-q", "evaluate", "--checkpoint", "none.safetensors").err
    assert call("evaluate", "--nope").err.endswith("errors.md#options\n")
