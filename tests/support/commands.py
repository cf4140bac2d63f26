"""All commands, their options, and whether words name one of them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import typer

import cli


@cache
def tree() -> Any:
    """The whole command line."""
    return typer.main.get_command(cli.app)


def leaves(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command that does something, such as ("store path", <command>)."""
    command = command or tree()
    below = getattr(command, "commands", None)
    if below is None:
        yield " ".join(path), command
    for name, one in (below or {}).items():
        yield from leaves(one, (*path, name))


def options(command: Any) -> set[str]:
    return {o for parameter in command.params for o in parameter.opts if o.startswith("-")}


def parse(arguments: tuple[str, ...]) -> str:
    """The command that the arguments name; an AssertionError if they would not be understood.

    A command without any argument is only named, as sentences do: it may lack required ones.
    """
    command, rest, path = tree(), list(arguments), ""
    while rest and rest[0].startswith("-"):
        assert rest[0] in options(command) | {"--help"}, f"there is no option {rest[0]}"
        rest.pop(0)
    while rest and hasattr(command, "commands"):
        assert rest[0] in command.commands, f"there is no command {rest[0]!r}"
        path = f"{path} {rest[0]}".strip()
        command = command.commands[rest.pop(0)]
    if rest:
        try:
            # Below the whole command, whose global options each command takes too.
            command.make_context(path, rest, parent=typer.Context(tree()))
        except typer.Exit:  # --help
            pass
        except Exception as error:  # the usage errors of the click that typer carries inside
            told = getattr(error, "format_message", error.__str__)()
            raise AssertionError(f"{path}: {told}") from error
    return path
