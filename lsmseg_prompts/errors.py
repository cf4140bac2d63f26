"""Every error this room raises on purpose, with the exit code the command line turns it into.

A message is one clear sentence: what is wrong, and what to do about it.
"""


class LsmsegPromptsError(Exception):
    """Base of all errors raised here on purpose; something unexpected went wrong."""

    exit_code = 1


class UsageError(LsmsegPromptsError):
    """An unknown name, a bad option or a bad vocabulary file: correct the call."""

    exit_code = 2


class PartialError(LsmsegPromptsError):
    """The work finished but some cells failed: run the same command again to retry them."""

    exit_code = 3


class ConfigurationError(LsmsegPromptsError):
    """A key, model, provider or output path is not usable: change the set-up."""

    exit_code = 4


class ProviderError(LsmsegPromptsError):
    """The LLM provider is down or its quota is used up: run the same command again later."""

    exit_code = 5


class RefusedError(LsmsegPromptsError):
    """Lint or an export refused the texts: mend the texts that it names."""

    exit_code = 6


class ConflictError(RefusedError):
    """Another text stands in a cell than the one that a change was made against: `text`."""

    def __init__(self, message: str, text: str = "") -> None:
        super().__init__(message)
        self.text = text


class BudgetError(LsmsegPromptsError):
    """The spending limit is reached: raise it and run the same command again."""

    exit_code = 7


class StoreError(LsmsegPromptsError):
    """The attribute store is locked, full, damaged or of a newer schema."""

    exit_code = 8


class StoreLocked(StoreError):
    """Another program holds the attribute store; the same call may succeed a moment later."""
