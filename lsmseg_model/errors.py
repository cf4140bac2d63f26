"""Errors of the vision room. Each says in one sentence what is wrong and what to do.

The command line prints the sentence and leaves with ``exit_code``.
"""


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
    """A training run that cannot go on: a loss that is no number, a full GPU."""

    exit_code = 4
