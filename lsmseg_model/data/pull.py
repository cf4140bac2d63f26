"""`data pull`: benchmarks that anybody may fetch, from downloads.json, laid out and prepared.

Their archives go to OUT/downloads and stay there. What was cut short goes on: a download where it
broke off, unpacking and preparing with the files that are missing. Until all label maps of a split
are there, the split is refused (UNFINISHED).
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from lsmseg_model.data.folders import UNFINISHED, find_split
from lsmseg_model.data.layouts import LAYOUTS, Layout, must_be_named
from lsmseg_model.data.parallel import OnProgress
from lsmseg_model.data.prepare import DataPrepareRequest, Prepared, data_prepare
from lsmseg_model.errors import DataError, LsmsegModelError, UsageError
from lsmseg_model.files import locked, new_folder
from lsmseg_model.pull.download import PART, Sums, download, require_room
from lsmseg_model.pull.unpack import Archive, opened

Working = Callable[[str], AbstractContextManager[OnProgress | None]]
"""Called with the name of a piece of work, which is done in the context that it returns."""
DOWNLOADS = "downloads"
REGISTER = ("ade20k-847", "cityscapes-19", "mapillary-65")


@dataclass(frozen=True)
class Source:
    """An archive as downloads.json has it; {split} is filled in with a split's name on disk.

    ``about``: its size in words, where the bytes are not published; ``unpack``: the folders in it
    and where their files go; ``names``: the list of a split's pictures in it and where it goes,
    where only those are unpacked.
    """

    url: str
    splits: Sequence[str]
    unpack: Mapping[str, str]
    names: Mapping[str, str] = field(default_factory=dict)
    size: int | None = None
    about: str | None = None
    sha256: str | None = None
    md5: str | None = None

    @property
    def name(self) -> str:
        """What the file is called."""
        return self.url.rpartition("/")[2]

    @property
    def sums(self) -> Sums:
        """What is published of it."""
        return Sums(self.size, self.sha256, self.md5)


@dataclass(frozen=True)
class Benchmark:
    """A benchmark as downloads.json has it; ``prepare``: whose label maps are made."""

    licence: str
    terms: str
    folder: str
    archives: tuple[Source, ...]
    prepare: str


@dataclass(frozen=True)
class PullFile:
    """An archive of a plan; ``there``: bytes that are there already; ``verified``: by what."""

    name: str
    url: str
    size: str
    there: int
    verified: str
    path: str


@dataclass(frozen=True)
class PullPlan:
    """What `data_pull` would do; no files: the split is there, whole."""

    data: str
    split: str
    licence: str
    terms: str
    folder: str
    files: list[PullFile]


@dataclass(frozen=True, kw_only=True)
class DataPullRequest:
    """A benchmark's split to fetch, by default what `evaluate` takes.

    out: the folder for benchmarks, which is --data-root afterwards. mirror: an address that has the
    archives under their own names. offline: unpack archives that were put in place by hand.
    workers: files at a time while label maps are made.
    """

    data: str
    out: str | Path = Path("datasets")
    split: str | None = None
    mirror: str | None = None
    offline: bool = False
    workers: int = 1


def _benchmarks() -> dict[str, Benchmark]:
    raw = json.loads((files(__package__) / "downloads.json").read_text("utf-8"))
    return {name: _benchmark(name, **raw.get(about.get("like"), {}) | about)
            for name, about in raw.items()}  # fmt: skip


def _benchmark(
    name: str, archives: list[dict[str, Any]], prepare: str = "", like: str = "", **about: Any
) -> Benchmark:
    sources = tuple(Source(**one) for one in archives)
    return Benchmark(archives=sources, prepare=prepare or name, **about)


def pull_plan(request: DataPullRequest) -> PullPlan:
    """What is to be fetched, from where, how large it is, and where it will lie.

    Raises UsageError for a benchmark or a split that cannot be fetched.
    """
    benchmark, layout, split = _find(request)
    whole = _is_whole(request.data, layout, Path(request.out), split)
    return PullPlan(
        request.data,
        split,
        benchmark.licence,
        benchmark.terms,
        str(Path(request.out) / benchmark.folder),
        [] if whole else [_planned(request, one) for one in _needed(benchmark, split)],
    )


def data_pull(
    request: DataPullRequest,
    *,
    on_progress: Working | None = None,
    on_message: Callable[[str], None] | None = None,
) -> list[Prepared]:
    """Fetch a benchmark's split, unpack what belongs to it and make its label maps.

    Args:
        request: What and where to.
        on_progress: See `Working`; bytes are fetched, files unpacked.
        on_message: Called with what has been done.

    Returns:
        What `data_prepare` made; nothing where the split was there.

    Raises:
        LsmsegModelError: UsageError for what cannot be fetched; DataError for a transfer that
            fails, archives that are not what was published, a full disk, files in the way.
    """
    benchmark, layout, split = _find(request)
    out, say = Path(request.out), on_message or (lambda _: None)
    if _is_whole(request.data, layout, out, split):
        say(f"{out} has the {split} pictures of {request.data} already.")
        return []
    sources = _needed(benchmark, split)
    base = out / benchmark.folder
    with new_folder(out), locked(out / f".{DOWNLOADS}-lock", "data pull"):
        _fetch(request, sources, on_progress or _silent, say)
        with _unfinished({base / to.format(split=split) for s in sources
                          for to in s.unpack.values()}):  # fmt: skip
            for source in sources:
                with (
                    opened(_path(request, source)) as archive,
                    (on_progress or _silent)(f"unpacking {source.name}") as progress,
                ):
                    wanted = _wanted(archive, source, split)
                    made = archive.unpack(wanted, base, progress)
                say(f"Unpacked {made} file(s) of {source.name} into {base}.")
        prepare = DataPrepareRequest(
            data=benchmark.prepare,
            source=base,
            split=split,
            class_names=(),
            workers=request.workers,
        )
        with (on_progress or _silent)("label maps") as progress:
            return data_prepare(prepare, on_progress=progress)


def _find(request: DataPullRequest) -> tuple[Benchmark, Layout, str]:
    """The benchmark, its layout, and the split's name on disk."""
    data = request.data
    if data == "ministuff":
        raise UsageError("MiniStuff is drawn: there is nothing to fetch.")
    must_be_named(data)
    layout, benchmark = LAYOUTS[data], _benchmarks().get(data)
    if benchmark is None:
        first = "register at" if data in REGISTER else "fetch it yourself from"
        raise UsageError(
            f"Data pull does not fetch {data}: {first} {layout.source}, and lay it out as "
            "docs/benchmarks.md shows."
        )
    split = layout.on_disk(request.split)[0]
    there = dict.fromkeys(s for source in benchmark.archives for s in source.splits)
    if split not in there:
        raise UsageError(
            f"Data pull does not fetch the split {request.split!r} of {data}; it fetches "
            f"{', '.join(there)}."
        )
    return benchmark, layout, split


def _is_whole(data: str, layout: Layout, out: Path, split: str) -> bool:
    try:
        found = find_split(data, layout, out, split).files()
    except LsmsegModelError:
        return False
    lacking = found.without_labels or found.without_picture
    return not lacking and len(found.pairs) in layout.published.get(split, ())


def _needed(benchmark: Benchmark, split: str) -> list[Source]:
    return [source for source in benchmark.archives if split in source.splits]


def _path(request: DataPullRequest, source: Source) -> Path:
    return Path(request.out) / DOWNLOADS / source.name


def _url(request: DataPullRequest, source: Source) -> str:
    return f"{request.mirror.rstrip('/')}/{source.name}" if request.mirror else source.url


def _planned(request: DataPullRequest, source: Source) -> PullFile:
    path = _path(request, source)
    part = path.with_name(path.name + PART)
    there = next((one.stat().st_size for one in (path, part) if one.is_file()), 0)
    return PullFile(
        source.name,
        _url(request, source),
        f"{source.size} bytes" if source.size else f"about {source.about}",
        there,
        source.sums.checksum[0] if source.sums.checksum else "not verified",
        str(path),
    )


def _fetch(
    request: DataPullRequest,
    sources: Sequence[Source],
    on_progress: Working,
    say: Callable[[str], None],
) -> None:
    plans = [(source, _planned(request, source)) for source in sources]
    missing = [(source, plan) for source, plan in plans if not Path(plan.path).exists()]
    if request.offline and missing:
        todo = "; ".join(f"{plan.url} ({plan.size}) as {plan.path}" for _, plan in missing)
        raise DataError(f"Nothing is fetched with --offline; put there by hand {todo}.")
    require_room(Path(request.out), sum((s.size or 0) - p.there for s, p in missing if s.size))
    for source, plan in plans:
        with on_progress(f"fetching {source.name}") as progress:
            fetched = download(
                plan.url, plan.path, source.size, source.sha256, source.md5, progress
            )
        done = "Fetched" if fetched else "Found"
        how = "not verified: no checksum is published"
        if source.sums.checksum:
            how = f"its {source.sums.checksum[0]} is the published one"
        say(f"{done} {plan.path} ({how}).")


def _wanted(archive: Archive, source: Source, split: str) -> dict[str, str]:
    """The members that belong to a split, and where each goes."""
    names: set[str] | None = None
    wanted = {}
    for inside, goes_to in source.names.items():
        inside = inside.format(split=split)
        names = set(archive.read(inside).decode("utf-8", "replace").split())
        wanted[inside] = goes_to.format(split=split)
    for inside, goes_to in source.unpack.items():
        folder = inside.format(split=split)
        here = {
            name: goes_to.format(split=split) + file
            for name in archive.members
            if name.startswith(folder) and "/" not in (file := name.removeprefix(folder))
            and not file.startswith(".")
            and (names is None or Path(file).stem in names)
        }  # fmt: skip
        if not here or (names is not None and len(here) < len(names)):
            raise DataError(
                f"{archive.path} has {len(here)} of the files of {folder} that belong to {split}: "
                "remove it, and run the command again to fetch it anew."
            )
        wanted |= here
    return wanted


@contextmanager
def _unfinished(folders: set[Path]) -> Iterator[None]:
    """Mark folders as UNFINISHED until the block has done its work."""
    for folder in folders:
        with new_folder(folder):
            try:
                (folder / UNFINISHED).touch()
            except OSError as error:
                raise DataError(
                    f"Cannot write into {folder}: {error.strerror}; choose a place with --out."
                ) from error
    yield
    for folder in folders:
        (folder / UNFINISHED).unlink(missing_ok=True)


@contextmanager
def _silent(_: str) -> Iterator[OnProgress | None]:
    yield None
