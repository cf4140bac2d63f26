"""One file from a plain address, with nothing but the standard library.

It grows as NAME.part beside its place and is moved there when it is whole and has the published
checksum. What is cut off goes on from there, in this run or the next one: by a range, and only
where NAME.part.json or a checksum can tell that it is still the same file. Proxies are those of the
environment (HTTPS_PROXY, NO_PROXY), certificates those of SSL_CERT_FILE or the system.
"""

import hashlib
import http.client
import json
import os
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from urllib.parse import urlsplit

from lsmseg_model.errors import DataError
from lsmseg_model.files import locked, may_be_folder, new_folder

OnProgress = Callable[[int, int], None]  # bytes done, bytes in all (0: the server does not say)

PART = ".part"
CHUNK = 2**20
TIMEOUT = 60.0  # seconds without a byte
PAUSES = (1.0, 2.0, 4.0, 8.0, 16.0)  # before each new try; a try that got on counts as the first
PASSING = (408, 425, 429, 500, 502, 503, 504)  # what a server says that may have recovered
BROKEN = (OSError, http.client.HTTPException)  # URLError and time-outs are OSErrors too


@dataclass(frozen=True)
class Sums:
    """What is published of a file: its bytes and checksums; None where nobody says."""

    size: int | None = None
    sha256: str | None = None
    md5: str | None = None

    @property
    def checksum(self) -> tuple[str, str] | None:
        """The better of the checksums, such as ("sha256", "4f7e...")."""
        if self.sha256:
            return "sha256", self.sha256
        return ("md5", self.md5) if self.md5 else None

    def wrong(self, path: Path) -> str | None:
        """What a file has that was not published, as half a sentence; None if all is right."""
        size = path.stat().st_size
        if self.size is not None and size != self.size:
            return f"it has {size} bytes instead of {self.size}"
        if self.checksum:
            kind, published = self.checksum
            with path.open("rb") as file:
                found = hashlib.file_digest(file, kind).hexdigest()
            if not found.startswith(published.lower()):
                return f"its {kind} is {found} instead of {published}"
        return None


class _Refused(Exception):
    """What a server says that another try would not change."""


def download(
    url: str,
    path: str | Path,
    size: int | None = None,
    sha256: str | None = None,
    md5: str | None = None,
    on_progress: OnProgress | None = None,
    headers: Mapping[str, str] | None = None,
    wait: bool = False,
) -> bool:
    """Fetch a file, or go on with what an earlier call has of it.

    Args:
        url: Its address, http or https.
        path: Where it goes; folders that are missing are made. A file that is there is checked
            and never replaced.
        size: Its published size in bytes, if known.
        sha256: Its published checksum, if known, or the beginning of it.
        md5: The same; not read where there is a sha256.
        on_progress: Called with the bytes done and the bytes in all, 0 if unknown.
        headers: Sent to this server alone, not to where it sends us, such as Authorization.
        wait: Wait for another run that is fetching the same file, instead of refusing.

    Returns:
        Whether it was fetched; False where it was there.

    Raises:
        DataError: Without a trace where the address has nothing or the file is not the published
            one; with the part that is there where the transfer broke off or the disk is full.
    """
    path, sums = Path(path), Sums(size, sha256, md5)
    if urlsplit(url).scheme not in ("http", "https"):
        raise DataError(f"{url} is not an address of the web: it must begin with http or https.")
    if _is_there(path, sums):
        return False
    may_be_folder(path.parent)
    part = path.with_name(path.name + PART)
    with (
        new_folder(path.parent, path),
        locked(path.with_name(f".{path.name}.lock"), "download", wait),
    ):
        if _is_there(path, sums):  # another run has just finished it
            return False
        _fetch(url, part, sums, on_progress, headers or {})
        if what := sums.wrong(part):
            _forget(part)
            raise DataError(
                f"{url} is not the file that was published: {what}. Nothing was kept of it; run "
                "the command again, or ask whoever serves it."
            )
        os.replace(part, path)
        _forget(part)
    return True


def require_room(folder: Path, needed: int) -> None:
    """Raise DataError where a folder's disk, which may not exist yet, has less than is needed."""
    place = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    if needed > (free := shutil.disk_usage(place).free):
        raise DataError(
            f"There is no room in {folder}: {needed} bytes are needed and {free} are free; make "
            "room, or name another place."
        )


def _is_there(path: Path, sums: Sums) -> bool:
    """Whether the whole file is there. Raises DataError for another one in its place."""
    if not os.path.lexists(path):
        return False
    what = sums.wrong(path) if path.is_file() else "it is not a file"
    if what:
        raise DataError(
            f"{path} is there and is not the file to be fetched: {what}. Move it away, or name "
            "another folder."
        )
    return True


def _fetch(
    url: str, part: Path, sums: Sums, on_progress: OnProgress | None, private: Mapping[str, str]
) -> None:
    """Fill the part, in as many tries as it takes.

    Raises DataError where tries without a byte more have used up PAUSES, and at once where the
    server cannot be reached from the beginning.
    """
    pauses, answered = iter(PAUSES), False
    while True:
        before = _size(part)
        try:
            _transfer(url, part, sums, on_progress, private)
            return
        except _Refused as error:
            raise DataError(f"{url} cannot be fetched: {error}") from error
        except BROKEN as error:
            answered = answered or not _unreached(error)
            if _size(part) > before:
                pauses = iter(PAUSES)
            pause = next(pauses, None)
            if pause is None or not answered:
                raise DataError(
                    f"{url} could not be fetched to its end: {_reason(error)}. {_kept(part)}Run "
                    "the same command again when the network is back."
                ) from error
            time.sleep(pause)


def _transfer(
    url: str, part: Path, sums: Sums, on_progress: OnProgress | None, private: Mapping[str, str]
) -> None:
    """One request, of what is still missing, written behind what is there."""
    known = _known(part, url)
    start = _size(part) if known or sums.checksum else 0
    if sums.size is not None and start >= sums.size:
        if start == sums.size:
            return
        start = 0
    headers = {"User-Agent": "lsmseg-prompts", "Accept-Encoding": "identity"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if known:
            headers["If-Range"] = known
    try:
        request = urllib.request.Request(url, headers=headers)
        for name, value in private.items():
            request.add_unredirected_header(name, value)
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        with closing(error):
            if error.code == 416 and start:  # no such part: of another file
                _forget(part)
            elif error.code not in PASSING:
                raise _Refused(f"the server answers {error.code} {error.reason}.") from error
            raise
    except http.client.InvalidURL as error:
        raise _Refused(f"the address is not well formed ({error}).") from error
    with closing(response):
        start, total = _extent(response, start)
        if sums.size is not None and total not in (None, sums.size):
            raise _Refused(f"it has {total} bytes there instead of the published {sums.size}.")
        _write(response, part, url, start, total or sums.size, on_progress)


def _extent(response: http.client.HTTPResponse, asked: int) -> tuple[int, int | None]:
    """Where in the file the answer begins, and the size of the whole file if it says."""
    headers = response.headers
    if response.status == 206:
        found = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", headers.get("Content-Range", ""))
        if not found or int(found[1]) != asked:
            raise _Refused("the server sends another part of it than was asked for.")
        return asked, None if found[2] == "*" else int(found[2])
    if response.status != 200:
        raise _Refused(f"the server answers {response.status} {response.reason}.")
    length = headers.get("Content-Length", "")
    return 0, int(length) if length.isdecimal() else None


def _write(
    response: http.client.HTTPResponse,
    part: Path,
    url: str,
    start: int,
    total: int | None,
    on_progress: OnProgress | None,
) -> None:
    require_room(part.parent, (total or 0) - _size(part))
    with _disk(part):
        file = part.open("r+b" if start else "wb")
        if not start:
            _remember(part, url, response.headers)
    with closing(file):
        file.seek(start)
        file.truncate()
        done = start
        for block in _blocks(response):
            with _disk(part):
                file.write(block)
            done += len(block)
            if on_progress:
                on_progress(done, total or 0)
        with _disk(part):
            file.flush()
            os.fsync(file.fileno())
    if total is not None and done < total:
        raise http.client.IncompleteRead(b"", total - done)


def _blocks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """What comes, up to CHUNK bytes at a time, and before a break all that had come."""
    while True:
        try:
            block = response.read(CHUNK)
        except http.client.IncompleteRead as error:
            if error.partial:
                yield error.partial
            raise
        if not block:
            return
        yield block


@contextmanager
def _disk(part: Path) -> Iterator[None]:
    """What the disk says about the part is no broken transfer."""
    try:
        yield
    except OSError as error:
        raise DataError(
            f"Cannot write {part}: {error.strerror}. {_kept(part)}Make room or choose another "
            "place, and run the same command again."
        ) from error


# -- what is known of a part -----------------------------------------------------------------


def _beside(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _remember(part: Path, url: str, headers: Message) -> None:
    """Write down by which mark the server will know this version of the file again."""
    etag = headers.get("ETag", "")
    mark = etag if etag.startswith('"') else headers.get("Last-Modified", "")  # not a weak one
    _beside(part).write_text(json.dumps({"url": url, "mark": mark}), "utf-8")


def _known(part: Path, url: str) -> str | None:
    """The mark of the version that the part is of; None without one, and from another address."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        about = json.loads(_beside(part).read_text("utf-8"))
        if about["url"] == url:
            return str(about["mark"]) or None
    return None


def _forget(part: Path) -> None:
    for path in (part, _beside(part)):
        path.unlink(missing_ok=True)


def _size(part: Path) -> int:
    return part.stat().st_size if part.is_file() else 0


def _kept(part: Path) -> str:
    return f"{_size(part)} bytes of it are kept. " if _size(part) else ""


def _unreached(error: Exception) -> bool:
    """Whether no connection came about, as without a network."""
    return isinstance(error, urllib.error.URLError) and not isinstance(
        error, urllib.error.HTTPError
    )


def _reason(error: Exception) -> str:
    """A broken transfer in a few words."""
    if isinstance(error, http.client.IncompleteRead):
        return "the connection broke off"
    if isinstance(error, urllib.error.HTTPError):
        return f"the server answers {error.code} {error.reason}"
    cause = getattr(error, "reason", error)
    if isinstance(cause, TimeoutError):
        return f"nothing came for {TIMEOUT:.0f} seconds"
    return str(getattr(cause, "strerror", None) or cause) or type(cause).__name__
