"""Single files out of zip and tar archives: each whole or not at all, none over another."""

import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO

from lsmseg_model.errors import DataError
from lsmseg_model.files import whole_file
from lsmseg_model.pull.download import OnProgress, require_room

DAMAGED = (
    zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, NotImplementedError, RuntimeError,
)  # fmt: skip
"""What the libraries raise for archives that are cut short, damaged, encrypted or of a new kind."""


@dataclass(frozen=True)
class Member:
    """A file in an archive; ``plain``: not a link or a device."""

    name: str
    size: int
    plain: bool
    open: Callable[[], IO[bytes]]


class Archive:
    """An open zip or tar; ``members`` by their names, none of which leads out of its folder."""

    def __init__(self, path: Path, members: Mapping[str, Member]) -> None:
        self.path, self.members = path, members

    def unpack(
        self, wanted: Mapping[str, str], folder: Path, on_progress: OnProgress | None = None
    ) -> int:
        """Write members to files; one that is there with its size is kept.

        Args:
            wanted: Where each goes, below the folder.
            folder: It is made if need be.
            on_progress: Called with the files done and all files.

        Returns:
            How many were written.

        Raises:
            DataError: Before anything is written for members that are not there or no files, other
                files in their places, and too little room; later for damage and a full disk.
        """
        todo = []
        for name, where in wanted.items():
            member, target = self._file(name), folder / where
            if not target.exists():
                todo.append((member, target))
            elif not target.is_file() or target.stat().st_size != member.size:
                raise DataError(
                    f"{target} is there and is not {name} of {self.path}: move it away, or name "
                    "another folder."
                )
        require_room(folder, sum(member.size for member, _ in todo))
        kept = len(wanted) - len(todo)
        for done, (member, target) in enumerate(todo, kept + 1):
            with _reading(self.path), whole_file(target) as temporary:
                with member.open() as source, temporary.open("wb") as file:
                    shutil.copyfileobj(source, file, 2**20)
                if temporary.stat().st_size != member.size:
                    raise EOFError(f"{name} is cut short")
            if on_progress:
                on_progress(done, len(wanted))
        return len(todo)

    def read(self, name: str) -> bytes:
        """A member's bytes. Raises DataError for damage, and where there is none."""
        member = self._file(name)
        with _reading(self.path), member.open() as source:
            return source.read()

    def _file(self, name: str) -> Member:
        member = self.members.get(name)
        if member is None:
            raise DataError(
                f"{self.path} has no file {name}: remove it, and run the command again to fetch "
                "it anew."
            )
        if not member.plain:
            raise DataError(
                f"{name} in {self.path} is a link or a device: this is not the published file."
            )
        return member


@contextmanager
def opened(path: Path) -> Iterator[Archive]:
    """Open an archive.

    Raises DataError for what is none, for damage, and for names that lead out of its folder.
    """
    with ExitStack() as stack:
        with _reading(path):
            if path.suffix == ".zip":
                found = list(_of_zip(stack.enter_context(zipfile.ZipFile(path))))
            else:
                found = list(_of_tar(stack.enter_context(tarfile.open(path, "r:"))))
        if wrong := next((one.name for one in found if _leads_out(one.name)), None):
            raise DataError(
                f"{path} holds {wrong!r}, which would lie outside its folder: this is not the "
                "published file, and nothing of it was unpacked."
            )
        yield Archive(path, {one.name: one for one in found})


def _of_zip(archive: zipfile.ZipFile) -> Iterator[Member]:
    for info in archive.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where it was not packed on Unix
        if not info.is_dir():
            plain = kind in (0, stat.S_IFREG)
            yield Member(info.filename, info.file_size, plain, partial(archive.open, info))


def _of_tar(archive: tarfile.TarFile) -> Iterator[Member]:
    for info in archive:
        if not info.isdir():
            yield Member(info.name, info.size, info.isreg(), partial(_extracted, archive, info))


def _extracted(archive: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    file = archive.extractfile(info)
    assert file is not None, "a plain file"
    return file


def _leads_out(name: str) -> bool:
    path = PurePosixPath(name)
    return path.is_absolute() or ".." in path.parts or any(sign in name for sign in "\\:\0")


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except DAMAGED as error:
        raise DataError(
            f"{path} cannot be unpacked: {error}. Remove it, and run the command again to fetch it "
            "anew."
        ) from error
