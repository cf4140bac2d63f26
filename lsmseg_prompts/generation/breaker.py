"""Telling the account's and the model's failures from those of one question.

A provider that refuses everything alike (no credit left, said in its own words; a parameter that
no model takes) is not asked for every remaining cell, and a model that cuts every reply is not
paid for them: the run ends, and what it could not be asked stays missing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from lsmseg_prompts.llm.base import Reply

ALIKE = 5  # refusals of one kind in a row, with no success in between, end a run
IN_A_ROW = 20  # and so do so many of any kind
FIRST_CELLS = 50
MOST_CUT = 5  # of the first cells: a tenth
MOST_THOUGHT = 2  # replies of thoughts alone, with the most room there is: each is dear


@dataclass
class Refusals:
    """The refusals since the last success, as the words they were said in."""

    row: list[str] = field(default_factory=list)

    def succeeded(self) -> None:
        self.row.clear()

    def count(self, reply: Reply) -> bool:
        """Count a refusal that a question may have caused; whether it was not the question."""
        words = re.sub(r"'[^']*'|\"[^\"]*\"|\S*\d\S*", "", reply.error_message or "")
        self.row.append(f"{reply.http_status} {reply.error_class} {words}")
        return self.row.count(self.row[-1]) >= ALIKE or len(self.row) >= IN_A_ROW

    @property
    def several_alike(self) -> bool:
        return len(self.row) > len(set(self.row))


@dataclass
class Cuts:
    """The first cells of a run: how many are over, and how many replies were cut twice.

    thought: replies of nothing but thoughts, though they had all the room there is.
    """

    over: int = 0
    cut: int = 0
    thought: int = 0

    @property
    def is_early(self) -> bool:
        return self.over < FIRST_CELLS

    @property
    def too_many(self) -> bool:
        return self.is_early and (self.cut >= MOST_CUT or self.thought >= MOST_THOUGHT)
