"""Whether anything may be fetched, and what is said and shown of it on stderr."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Notes:
    """What the program asked for; the commands set `quiet` from --quiet."""

    quiet = False
    offline = False


def say(text: str) -> None:
    """A note on stderr, unless the program is quiet."""
    if not Notes.quiet:
        print(text, file=sys.stderr, flush=True)


def is_offline() -> bool:
    """Whether nothing may be fetched: HF_HUB_OFFLINE, which --offline sets, read anew each time."""
    given = (os.environ.get(name, "") for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))
    return Notes.offline or any(value.upper() in ("1", "ON", "YES", "TRUE") for value in given)


@contextmanager
def nothing_fetched() -> Iterator[None]:
    """Names find what is here while the block runs, and fetch nothing."""
    before, Notes.offline = Notes.offline, True
    try:
        yield
    finally:
        Notes.offline = before


@contextmanager
def progress_bar(title: str) -> Iterator[Callable[[int, int], None] | None]:
    """A bar of bytes on a terminal; None where there is none to be shown."""
    if Notes.quiet or not sys.stderr.isatty():
        yield None
        return
    from tqdm import tqdm

    with tqdm(desc=title, unit="B", unit_scale=True, leave=False) as bar:

        def show(done: int, total: int) -> None:
            bar.total = total or None
            bar.update(done - bar.n)

        yield show


def readable(size: int | None) -> str:
    """A number of bytes as people write it: 350837078 -> "351 MB"."""
    if size is None:
        return "of unknown size"
    for unit, name in ((10**9, "GB"), (10**6, "MB"), (10**3, "kB")):
        if size >= unit:
            return f"{size / unit:.1f} {name}" if size < 10 * unit else f"{size / unit:.0f} {name}"
    return f"{size} bytes"
