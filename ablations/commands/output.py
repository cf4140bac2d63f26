"""What the commands share of showing results, and the global options that decide on it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from lsmseg_prompts.terminal import note, print_json, print_table


class Shown:
    """The global options, which the commands and main() read."""

    debug = False
    quiet = False


def say(text: str) -> None:
    """A note on stderr, unless --quiet."""
    if not Shown.quiet:
        note(text)


def show(value: Any, as_json: bool, columns: Sequence[str] | None = None) -> None:
    """A result on stdout: JSON, or a table of its rows, or a line for each of its values."""
    if as_json:
        print_json(value)
    elif isinstance(value, list):
        print_table(value, columns)
    else:
        for key, item in value.items():
            shown = f"{item:.4f}" if isinstance(item, float) else item
            print(f"{key.replace('_', ' ')}: {shown}")
