"""What the commands share of showing results, and the global options that decide on it."""

import os
from collections.abc import Callable, Sequence
from typing import Any

from typer import CallbackParam

from lsmseg_model.pull.notes import Notes
from lsmseg_prompts.terminal import cell_text, note, print_json, print_line, print_table


class Shown:
    """The global options, which the commands and main() read."""

    debug = False
    quiet = False
    verbose = False


def reset() -> None:
    """No global option is given."""
    Shown.debug = Shown.verbose = False
    Shown.quiet = Notes.quiet = not is_first()


def turn_on(param: CallbackParam, value: bool) -> None:
    """Take a global option, wherever on the command line it stands."""
    if value:
        setattr(Shown, param.name, True)
        Notes.quiet = Shown.quiet
        if param.name == "verbose":
            import logging

            logging.basicConfig(level=logging.INFO, format="%(message)s")  # on stderr


def offline(value: bool) -> None:
    """Take --offline: the libraries that fetch weights, and other processes, read it too."""
    if value:
        os.environ["HF_HUB_OFFLINE"] = "1"


def is_first() -> bool:
    """Whether this process speaks: of those that torchrun started, the first."""
    return os.environ.get("RANK", "0") == "0"


def say(text: str) -> None:
    """A note on stderr, unless --quiet."""
    if not Shown.quiet:
        note(text)


def show(
    value: Any,
    as_json: bool,
    brief: Sequence[str] | None = None,
    printed: Callable[[Any], None] | None = None,
) -> None:
    """A result on stdout: JSON, or a table of its rows, or a line for each of its values.

    Args:
        value: rows or a mapping.
        as_json: the option --json.
        brief: the columns of a table that has no room for all; --verbose shows all even so.
        printed: prints what is not such a table, where JSON is not wanted.
    """
    if as_json:
        print_json(value)
    elif printed is not None:
        printed(value)
    elif isinstance(value, list):
        print_table(value, brief=None if Shown.verbose else brief)
    else:
        for key, item in value.items():
            print_line(f"{key.replace('_', ' ')}: {cell_text(item) or '-'}")
