"""Proposers: each finds other texts for classes, a file each, behind one interface.

``propose(feedback, store)`` gives candidates for the classes of the feedback, in the order in which
they shall be tried. Proposers see nothing of the half that decides; they may try candidates
themselves (``feedback.try_out``). Those that ask an LLM, and the optional extras, come last and
see what the others of the round have gained; a file that asks has ``asking(inquiry)``, which gives
its proposer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Protocol

from ablations.refinement.asking import Inquiry
from ablations.refinement.candidates import Candidate
from ablations.refinement.feedback import Feedback
from ablations.refinement.options import AFTER, KNOWN
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


def open_proposers(
    names: Sequence[str], inquiry: Inquiry | None = None, known: Sequence[str] = KNOWN
) -> dict[str, Proposer]:
    """The proposers by their names, those that see what the others gained last.

    Args:
        names: As `RefineOptions.proposers`.
        inquiry: Who is asked by those that can ask; None where nobody is.
        known: The names that there are.

    Raises:
        UsageError: For a name that there is not.
    """
    found = dict(zip(names, named(names, known), strict=True))
    if inquiry is not None:
        for name, module in found.items():
            if hasattr(module, "asking"):
                found[name] = module.asking(inquiry)
    return {name: found[name] for name in sorted(found, key=AFTER.__contains__)}
