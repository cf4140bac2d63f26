"""download(): whole or not at all, from a server on which everything goes wrong."""

import errno
import hashlib
import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.file_server import FileServer, serving

from lsmseg_model.errors import DataError
from lsmseg_model.files import locked
from lsmseg_model.pull.download import Sums, download

BODY = bytes(range(256)) * 40
SHA256, MD5 = hashlib.sha256(BODY).hexdigest(), hashlib.md5(BODY).hexdigest()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[FileServer]:
    monkeypatch.setattr("lsmseg_model.pull.download.PAUSES", (0.0, 0.0))
    monkeypatch.setattr("lsmseg_model.pull.download.CHUNK", 1000)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving() as about:
        about.files["/a.zip"] = BODY
        yield about


def fetch(server: FileServer, path: Path, **known) -> bool:
    return download(f"{server.address}/a.zip", path, **known)


def left(folder: Path) -> list[str]:
    """What lies there, but for the folder that tests run in."""
    return sorted(one.name for one in folder.iterdir() if one.name != "cwd")


def test_a_file_with_its_progress_and_not_twice(server: FileServer, tmp_path: Path) -> None:
    path, seen = tmp_path / "new" / "a.zip", []
    known = {"size": len(BODY), "sha256": SHA256, "md5": MD5}
    assert fetch(server, path, **known, on_progress=lambda *now: seen.append(now))
    assert path.read_bytes() == BODY
    assert left(path.parent) == ["a.zip"]
    assert seen[0] == (1000, len(BODY))
    assert seen[-1] == (len(BODY), len(BODY))
    assert not fetch(server, path, **known)
    assert len(server.asked) == 1


def test_a_broken_transfer_goes_on_where_it_broke(server: FileServer, tmp_path: Path) -> None:
    server.cuts = [3000, 4000]
    assert fetch(server, tmp_path / "a.zip", sha256=SHA256)
    assert (tmp_path / "a.zip").read_bytes() == BODY
    assert server.asked_ranges() == [None, "bytes=3000-", "bytes=7000-"]
    assert server.asked[1][1]["if-range"] == f'"{MD5}"'
    assert left(tmp_path) == ["a.zip"]


def test_the_next_run_goes_on_too(server: FileServer, tmp_path: Path) -> None:
    server.cuts = [2000, 0, 0, 0]
    with pytest.raises(DataError, match=r"broke off\. 2000 bytes of it are kept\. Run the same"):
        fetch(server, tmp_path / "a.zip")
    assert left(tmp_path) == ["a.zip.part", "a.zip.part.json"]
    assert fetch(server, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == BODY
    assert server.asked_ranges()[-1] == "bytes=2000-"


def test_another_version_on_the_server_is_fetched_from_its_beginning(
    server: FileServer, tmp_path: Path
) -> None:
    server.cuts = [2000, 0, 0]
    with pytest.raises(DataError):
        fetch(server, tmp_path / "a.zip")
    server.files["/a.zip"] = BODY[::-1]
    assert fetch(server, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == BODY[::-1]


def test_a_server_that_ignores_ranges(server: FileServer, tmp_path: Path) -> None:
    server.ranges, server.cuts = False, [3000]
    assert fetch(server, tmp_path / "a.zip", md5=MD5)
    assert (tmp_path / "a.zip").read_bytes() == BODY


def test_without_a_mark_only_a_checksum_lets_it_go_on(server: FileServer, tmp_path: Path) -> None:
    server.marked, server.cuts = False, [3000]
    assert fetch(server, tmp_path / "a.zip")
    server.cuts = [3000]
    assert fetch(server, tmp_path / "b.zip", sha256=SHA256)
    assert server.asked_ranges() == [None, None, None, "bytes=3000-"]
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes() == BODY


@pytest.mark.parametrize("already", [BODY[:3000], BODY, BODY + b"x"], ids=["part", "all", "more"])
def test_a_part_of_unknown_origin(server: FileServer, tmp_path: Path, already: bytes) -> None:
    (tmp_path / "a.zip.part").write_bytes(already)
    assert fetch(server, tmp_path / "a.zip", size=len(BODY), sha256=SHA256)
    (tmp_path / "b.zip.part").write_bytes(already)
    assert fetch(server, tmp_path / "b.zip")
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes() == BODY


def test_a_part_that_is_longer_than_the_file(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "a.zip.part").write_bytes(BODY + b"x")  # the server answers 416
    assert fetch(server, tmp_path / "a.zip", sha256=SHA256)
    assert server.asked_ranges() == [f"bytes={len(BODY) + 1}-", None]


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({"sha256": "0" * 64}, f"its sha256 is {SHA256} instead of {'0' * 64}"),
        ({"md5": "0" * 32}, f"its md5 is {MD5} instead"),
        ({"size": 5}, "it has 10240 bytes there instead of the published 5"),
    ],
)
def test_another_file_than_the_published(
    server: FileServer, tmp_path: Path, known: dict, said: str
) -> None:
    with pytest.raises(DataError, match=said):
        fetch(server, tmp_path / "new" / "a.zip", **known)
    assert left(tmp_path) == []


def test_what_is_there_is_not_replaced(server: FileServer, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    path.write_bytes(b"mine")
    with pytest.raises(DataError, match="is there and is not the file to be fetched: it has 4 "):
        fetch(server, path, size=len(BODY))
    assert path.read_bytes() == b"mine"
    with pytest.raises(DataError, match="it is not a file"):
        fetch(server, tmp_path)
    assert server.asked == []


def test_errors_that_pass_and_errors_that_stay(server: FileServer, tmp_path: Path) -> None:
    server.statuses = [503, 429]
    assert fetch(server, tmp_path / "a.zip")
    assert len(server.asked) == 3
    server.statuses = [503, 503, 503]
    with pytest.raises(DataError, match=r"answers 503 Service Unavailable\. Run the"):
        fetch(server, tmp_path / "b.zip")
    with pytest.raises(DataError, match="none cannot be fetched: the server answers 404 Not Found"):
        download(f"{server.address}/none", tmp_path / "new" / "none")
    assert left(tmp_path) == ["a.zip"]


def test_no_network_is_said_at_once(server: FileServer, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="could not be fetched to its end: Connection refused"):
        download("http://127.0.0.1:1/a.zip", tmp_path / "a.zip")
    with pytest.raises(DataError, match="must begin with http"):
        download("file:///etc/passwd", tmp_path / "a.zip")
    with pytest.raises(DataError, match="not well formed"):
        download(f"{server.address}/a b", tmp_path / "a.zip")
    assert left(tmp_path) == []


def test_a_server_that_does_not_say_how_much(server: FileServer, tmp_path: Path) -> None:
    server.sized, seen = False, []
    assert fetch(server, tmp_path / "a.zip", on_progress=lambda *now: seen.append(now))
    assert seen[-1] == (len(BODY), 0)


def test_an_address_that_has_moved(server: FileServer, tmp_path: Path) -> None:
    server.moved["/old"] = f"{server.address}/a.zip"
    assert download(f"{server.address}/old", tmp_path / "a.zip", sha256=SHA256)


def test_a_full_disk(server: FileServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "disk_usage", lambda _: usage._replace(free=100))
        with pytest.raises(DataError, match=r"no room in .*new: 10240 bytes are needed and 100 "):
            fetch(server, tmp_path / "new" / "a.zip")
    assert left(tmp_path) == []

    class Full(io.FileIO):
        def write(self, block: bytes) -> int:
            if self.tell() >= 3000:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(block)

    def opened(path: Path, mode: str, **text) -> io.IOBase:
        if path.suffix == ".part":
            return Full(path, mode.replace("b", ""))
        return open(path, mode, **text)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "open", opened)
        with pytest.raises(DataError, match=r"No space left on device\. 3000 bytes of it are kept"):
            fetch(server, tmp_path / "a.zip")
    assert left(tmp_path) == ["a.zip.part", "a.zip.part.json"]
    assert fetch(server, tmp_path / "a.zip")
    assert (tmp_path / "a.zip").read_bytes() == BODY


def test_two_at_once(server: FileServer, tmp_path: Path) -> None:
    with (
        locked(tmp_path / ".a.zip.lock", "download"),
        pytest.raises(DataError, match="Another run is writing into"),
    ):
        fetch(server, tmp_path / "a.zip")
    assert left(tmp_path) == []


def test_the_better_checksum_counts() -> None:
    assert Sums(sha256="A", md5="b").checksum == ("sha256", "A")
    assert Sums(md5="b").checksum == ("md5", "b")
    assert Sums(size=3).checksum is None
