"""A pipe that nobody writes into, and a device without an end, in place of a file of the user's."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.command_line import without_help

from lsmseg_model.data.images import open_picture
from lsmseg_model.errors import DataError
from lsmseg_prompts import files
from lsmseg_prompts.errors import ConfigurationError
from lsmseg_prompts.files import read_named
from lsmseg_prompts.generation.picture_check import read_picture
from lsmseg_prompts.llm.keys import find_key

ASK = "generate --llm gpt-4 --dry-run"


@pytest.mark.parametrize(
    "command",
    [
        f"{ASK} --vocab FILE.txt", "vocab check FILE.txt", "vocab new FILE.txt -o o.json",
        "export --attributes color -o o.json --vocab FILE.txt",
        "ablate --attributes color --out o --vocab FILE.txt",
        f"{ASK} --template FILE.j2", f"{ASK} --system FILE.txt", f"{ASK} --pairs FILE.csv",
        "store import FILE.json --vocab camvid --llm me", "recipes show FILE.json",
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["pipe", "device"])
def test_what_has_no_end_is_no_file(call, command: str, kind: str) -> None:
    for ending in ("txt", "j2", "csv", "json"):
        if kind == "pipe":
            os.mkfifo(f"pipe.{ending}")
            os.symlink(f"pipe.{ending}", f"link.{ending}")
        else:
            os.symlink("/dev/zero", f"link.{ending}")
    done = call(*command.replace("FILE", "link").split())
    said = without_help(done.err)
    assert done.code == 4 and said.startswith("Error: link.") and kind in said, said
    assert not os.path.exists("o.json")


def test_what_a_user_names_is_read_no_further_than_a_bound(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(files, "LARGEST", 2 << 20)
    large = tmp_path / "large.txt"
    large.touch()
    os.truncate(large, (2 << 20) + 1)
    with pytest.raises(ConfigurationError, match="larger than 2 MB: check the path of the list"):
        read_named(large, "list")
    os.truncate(large, 9)
    assert read_named(large, "list") == bytes(9)
    os.mkfifo(tmp_path / "key")
    with pytest.raises(ConfigurationError, match="is a pipe"):
        find_key("NO_SUCH_VARIABLE", tmp_path / "key")
    with pytest.raises(ConfigurationError, match="is a pipe or a device"):
        read_picture(tmp_path / "key")
    with pytest.raises(DataError, match="is a pipe or a device"), open_picture(tmp_path / "key"):
        pass
    ends = os.pipe()
    os.write(ends[1], b"zebra\n")
    os.close(ends[1])
    assert read_named(f"/dev/fd/{ends[0]}", "list") == b"zebra\n"  # <(command)
    os.close(ends[0])
