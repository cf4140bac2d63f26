"""Files that are not what their names say, for the table of wrong inputs in docs/errors.md."""

import os
import sqlite3
import struct
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from PIL import Image


def _picture(path: Path) -> None:
    Image.new("RGB", (64, 48), (9, 99, 200)).save(path)


def _cut_picture(path: Path) -> None:
    _picture(path)
    path.write_bytes(path.read_bytes()[:60])


def _wrong_crc(path: Path) -> None:
    """A PNG whose header says another width than its checksum was made of."""
    _picture(path)
    content = path.read_bytes()
    path.write_bytes(content[:16] + struct.pack(">I", 65) + content[20:])


def _another_programs(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("CREATE TABLE places (url TEXT)")


def _holds(content: str | bytes) -> Callable[[Path], object]:
    data = content.encode() if isinstance(content, str) else content
    return lambda path: path.write_bytes(data)


WRONG_FILES: dict[str, Callable[[Path], object]] = {
    "picture.png": _picture,
    "empty.png": _holds(""),
    "text.png": _holds("not a picture"),
    "cut.png": _cut_picture,
    "crc.png": _wrong_crc,
    "loop.png": lambda path: path.symlink_to(path.name),
    "folder": Path.mkdir,
    "empty.txt": _holds(""),
    "latin1.txt": _holds("café\nsky\n".encode("latin-1")),
    "utf16.txt": _holds("sky\nzebra\n".encode("utf-16")),
    "nul.txt": _holds("sky\0\nzebra\n"),
    "turned.txt": _holds("sky\u202eabc\nzebra\n"),
    "long.txt": _holds("a" * 10_000 + "\nsky\n"),
    "form.txt": _holds("sky\fzebra\n"),
    "lost.txt": _holds("caf\ufffd\n"),
    "pipe.txt": os.mkfifo,
    "keys.txt": _holds("sk-one\nsk-two\n"),
    "words.txt": _holds("sky\nzebra\n"),
    "cut.json": _holds('{"a":'),
    "numbers.json": _holds("[1, 2]"),
    "nan.json": _holds('{"format_version": NaN}'),
    "twice.json": _holds('{"zebra": ["black and white"], "zebra": ["green"]}'),
    "digits.json": _holds('{"zebra": ' + "9" * 5000 + "}"),
    "half.json": _holds('{"zebra": ["\\ud800 stripes"]}'),
    "stripes.json": _holds('{"zebra": [1]}'),
    "recipe.json": _holds('{"title": 5, "small": []}'),
    "deep.json": _holds("[" * 100_000),
    "bad.j2": _holds("{{ nothing }}"),
    "places.sqlite": _another_programs,
}
"""How each is made; docs/errors.md names them all."""


def make_wrong_files() -> None:
    """Make all of them in the working folder."""
    for name, make in WRONG_FILES.items():
        make(Path(name))
