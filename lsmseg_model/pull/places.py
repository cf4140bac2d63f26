"""A place where a file may be had, and a file from the first of its places that has it.

All places are looked for in the caches of the libraries that fetch them too (open_clip, timm,
torch.hub, huggingface_hub), under the names that these give them: nothing is fetched twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lsmseg_model.errors import CheckpointError
from lsmseg_model.pull.notes import is_offline, readable, say

TIMEOUT = 20.0  # seconds for an answer about a file


@dataclass(frozen=True)
class Offered:
    """What a server has: the file's name, its address, its bytes; ``mark`` is the hub's."""

    name: str
    address: str
    size: int | None
    mark: str = ""
    version: str = ""


class Place(Protocol):
    """One place of a file."""

    @property
    def folder(self) -> Path:
        """Where a file that was fetched by hand is put."""

    @property
    def expected(self) -> Offered:
        """What it should have, as far as is known without asking."""

    def here(self) -> bool:
        """Whether the file is on this machine, as far as its name tells."""

    def local(self) -> Path | None:
        """The file on this machine, if it is there. Raises CheckpointError for a damaged one."""

    def look(self) -> Offered:
        """Ask what is there. Raises CheckpointError where it cannot be had."""

    def take(self, offered: Offered) -> Path:
        """Fetch it. Raises DataError where it does not come whole."""


def obtain(what: str, places: Sequence[Place], option: str) -> Path:
    """A file from the first of its places that has it.

    Args:
        what: What it is called, for the message.
        places: In the order in which they are asked.
        option: How a file on this machine is named instead.

    Raises:
        CheckpointError: Where it is not here and nothing may be fetched, or no place has it.
        DataError: Where it does not come whole.
    """
    for place in places:
        if path := place.local():
            return path
    if is_offline():
        expected = places[0].expected
        about = f"about {readable(expected.size)}, " if expected.size else ""
        raise CheckpointError(
            f"{what} is not on this machine, and nothing is fetched offline: put "
            f"{expected.name} ({about}{expected.address}) into {places[0].folder}, or name the "
            f"file with {option}."
        )
    *others, last = places
    for place in others:
        try:
            offered = place.look()
        except CheckpointError as error:
            say(f"{error} Asking elsewhere.")
        else:
            return place.take(offered)
    return last.take(last.look())


def announce(offered: Offered) -> None:
    """Say what is about to be fetched."""
    say(f"Fetching {offered.name}, {readable(offered.size)}, from {offered.address}")
