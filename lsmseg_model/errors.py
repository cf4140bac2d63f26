"""Errors of the vision room. Each says in one sentence what is wrong and what to do.

The command line prints the sentence and leaves with ``exit_code``.
"""

from collections.abc import Iterable


class LsmsegModelError(Exception):
    """Base of every error this package raises on purpose."""

    exit_code = 1


class UsageError(LsmsegModelError):
    """A name or option that does not exist."""

    exit_code = 2


class DataError(LsmsegModelError):
    """Pictures, label maps or folders that cannot be used as they are."""

    exit_code = 4


class AlreadyTrainedError(DataError):
    """A training that is resumed though it has reached its last iteration."""


class CheckpointError(LsmsegModelError):
    """Weights that are missing, damaged or of another architecture."""

    exit_code = 4


class ConfigError(LsmsegModelError):
    """A configuration with a wrong field or value."""

    exit_code = 4


class TrainingError(LsmsegModelError):
    """A training run that cannot go on: a loss that is not a number, a full GPU."""

    exit_code = 4


def nearest(name: str, names: Iterable[str], count: int = 1, among: str = "") -> str:
    """The end of a sentence about a wrong name, such as "did you mean sky? There are sea, sky.".

    Args:
        name: The wrong one.
        names: The right ones.
        count: How many that are near are named.
        among: What is said instead of all the right names.
    """
    from difflib import get_close_matches

    names = list(names)
    near = get_close_matches(name, names, count)
    among = among or f"there are {', '.join(names)}."
    return f"did you mean {', '.join(near)}? {among[:1].upper()}{among[1:]}" if near else among
