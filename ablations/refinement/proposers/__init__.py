"""Proposers: each finds other texts for classes, a file each, behind one interface.

``propose(feedback, store)`` gives candidates for the classes of the feedback, in the order in which
they shall be tried. Proposers see nothing of the half that decides.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Protocol

from ablations.refinement.candidates import Candidate
from ablations.refinement.feedback import Feedback
from ablations.refinement.texts import TextStore
from lsmseg_prompts.errors import UsageError


class Proposer(Protocol):
    """What a proposer is: a module or an object with this function."""

    def propose(self, feedback: Feedback, store: TextStore) -> Iterable[Candidate]: ...


def named(names: Sequence[str], known: Sequence[str]) -> list[Proposer]:
    """The proposers of these names. Raises UsageError for one that there is not."""
    for name in names:
        if name not in known:
            raise UsageError(f"There is no proposer {name!r}: choose among {', '.join(known)}.")
    return [import_module(f"{__name__}.{name}") for name in names]
