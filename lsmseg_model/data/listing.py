"""The files of a benchmark's folders: by what stands before their endings, and lists of names."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from lsmseg_model.data.images import entries
from lsmseg_model.errors import DataError


def by_stem(
    folder: Path, endings: Sequence[str], nested: bool
) -> tuple[dict[str, Path], list[Path]]:
    """The files with one of the endings by what stands before it, and the others.

    nested: those of the folders in it; others that lie there are another annotation's.

    Raises DataError for two of one stem.
    """
    found: dict[str, Path] = {}
    others = []
    for path in files_of(folder, nested):
        ending = next((end for end in endings if ends(path.name, (end,))), None)
        if ending is None:
            if not nested:
                others.append(path)
            continue
        if (other := found.setdefault(path.name[: -len(ending)], path)) is not path:
            raise DataError(f"{folder} has both {other.name} and {path.name}; remove one of them.")
    return found, others


def files_of(folder: Path, nested: bool) -> Iterator[Path]:
    """What lies in a folder, or in the folders in it."""
    for path in entries(folder):
        if not nested:
            yield path
        elif path.is_dir():
            yield from entries(path)


def list_names(path: Path) -> list[str]:
    """The first word of every line of a list of pictures."""
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path} cannot be read; it must hold a picture's name a line.") from error
    return [line.split()[0] for line in lines if line.strip()]


def ends(name: str, endings: Sequence[str]) -> bool:
    """Whether a file has one of the endings, in any case."""
    return name.lower().endswith(tuple(end.lower() for end in endings))
