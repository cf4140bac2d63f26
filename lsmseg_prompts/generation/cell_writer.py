"""Where replies become descriptions: claims, verdicts and outcomes of one LLM's cells."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from lsmseg_prompts.attributes.contrast import contrast_with, other_class, other_of
from lsmseg_prompts.attributes.samples import asked_of
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.generation.answers import recorded_reply
from lsmseg_prompts.generation.ledger import Cell, Ledger, in_batches
from lsmseg_prompts.generation.summary import Tally
from lsmseg_prompts.generation.verdicts import Verdict, judge
from lsmseg_prompts.llm.base import Reply, Request
from lsmseg_prompts.store.descriptions import Description
from lsmseg_prompts.templates import own_query
from lsmseg_prompts.tokens import find_budget
from lsmseg_prompts.vocabularies import Vocabulary

TRIES = 3  # replies that are looked at for one cell before it counts as failed

_UNJUDGED = (
    "purpose = 'describe' AND state = 'ended' AND verdict IS NULL "
    "AND (error_class IS NULL OR reply IS NOT NULL)"
)
_HERE = (
    "vocabulary = :vocabulary AND class_index = :class_index AND attribute = :attribute "
    "AND llm = :llm"
)
Outcome = tuple[Request, Verdict, int]  # what was asked, what came of it, id of the attempt


class CellWriter:
    """Where replies become descriptions: the store, as far as one LLM's cells go."""

    def __init__(self, ledger: Ledger, vocabulary: Vocabulary, llm: str) -> None:
        self.store, self.ledger = ledger.store, ledger
        self.vocabulary, self.llm = vocabulary, llm

    def judge(self, request: Request, reply: Reply) -> dict[str, Verdict]:
        """A verdict on each attribute that was asked for."""
        entry = request.entry
        assert entry is not None

        def find_duplicate(attribute: str, text: str) -> str | None:
            pair = other_of(attribute) is not None  # its text may tell nothing else from another
            own = asked_of(attribute)
            # Samples of one cell may be alike: that is a finding, and no fault of theirs.
            there, place, values = (
                ("GLOB ?", "AND attribute = ?", [contrast_with("*"), entry.index, attribute])
                if pair
                else (
                    "IN (SELECT name FROM attributes WHERE name = ? OR name GLOB ?)",
                    "",
                    [own, f"{own}#*", entry.index],
                )
            )
            row = self.store.execute(
                # "+": else SQLite takes the index of the classes, which lists half of the table.
                "SELECT class_index, attribute FROM descriptions "
                f"WHERE text = ? AND vocabulary = ? AND llm = ? AND attribute {there} "
                f"AND NOT (+class_index = ? {place}) AND status = 'done' AND +class_index < ?",
                [text, self.vocabulary.name, self.llm, *values, len(self.vocabulary)],
            ).fetchone()
            if row is None:
                return None
            name = self.vocabulary[row[0]].readable
            return f"{name}, told from {other_of(row[1])}" if pair else name

        other = None
        if request.attribute is not None:
            with suppress(UsageError):  # the vocabulary does not have it any more
                other = other_class(request.attribute, entry, self.vocabulary)
        return judge(reply, request, find_duplicate, other)

    def settle(
        self,
        request: Request,
        reply: Reply,
        attempt: int,
        number: int | None,
        tally: Tally,
        fallback: dict[str, Outcome] | None = None,
    ) -> dict[str, Verdict]:
        """Judge a reply and file what is decided; returns the verdicts on what to ask for again.

        Args:
            request: what was asked.
            reply: what came back.
            attempt: the id of the attempt.
            number: which try at the cells it was; None where nobody will ask again for now, so
                that what will not do just stays missing.
            tally: counts what is decided, when that is on file.
            fallback: texts of earlier tries that would do if nothing better comes; added to.
        """
        assert request.entry is not None
        verdicts = self.judge(request, reply)
        fallback = {} if fallback is None else fallback
        again: dict[str, Verdict] = {}
        decided: dict[str, Verdict] = {}
        with self.store.transaction():
            faults = {a: verdict.fault for a, verdict in verdicts.items() if verdict.fault}
            several = len(verdicts) > 1
            text = "; ".join(f"{a}: {f}" if several else f for a, f in faults.items())
            self.store.update_attempt(attempt, verdict=text or "accepted")
            for attribute, verdict in verdicts.items():
                outcome = (request, verdict, attempt)
                if verdict.soft:
                    fallback[attribute] = outcome
                last = number is None or number >= (2 if verdict.kind == "refused" else TRIES)
                if verdict.fault is not None and not verdict.final and not last:
                    again[attribute] = verdict
                    continue
                if verdict.fault is not None:
                    outcome = fallback.get(attribute, outcome)
                if number is not None or outcome[1].keeps:
                    self._write(attribute, outcome)
                    decided[attribute] = outcome[1]
        for attribute, verdict in decided.items():
            tally.count(request.entry, attribute, verdict)
        return again

    def failure(self, index: int, attribute: str) -> str | None:
        """Why a cell has failed; None where it has not."""
        row = self.store.execute(
            f"SELECT reason FROM descriptions WHERE {_HERE} AND status = 'failed'",
            self._place((index, attribute)),
        ).fetchone()
        return None if row is None else row[0] or "it failed"

    # -- claims --------------------------------------------------------------------------

    def claim(
        self, cells: Sequence[Cell], failed_too: bool, owner: str | None = None
    ) -> tuple[list[Cell], list[Cell]]:
        """Claim those of `cells` that are still to be asked: (claimed, claimed by others).

        What neither list has is filled by now, or in a batch. `failed_too`: a cell that had
        failed before this run began is to be asked again. `owner` is this run or a batch.
        """
        owner = owner or self.ledger.run
        mine: list[Cell] = []
        others: list[Cell] = []
        with self.store.transaction():
            for cell in cells:
                place = self._place(cell)
                if not self._is_missing(place, failed_too):
                    continue
                if self._is_unjudged(place):
                    others.append(cell)
                elif self.store.write("claims", {**place, "owner": owner}).rowcount > 0:
                    mine.append(cell)
                elif cell not in in_batches(self.store, self.vocabulary.name, self.llm):
                    others.append(cell)
        return mine, others

    def unclaim(self, cells: Iterable[Cell]) -> None:
        """Give up the claims of this run on some cells."""
        with self.store.transaction():
            for cell in cells:
                self.store.execute(
                    f"DELETE FROM claims WHERE {_HERE} AND owner = :run",
                    {**self._place(cell), "run": self.ledger.run},
                )

    def unclaim_all(self) -> None:
        """Give up all claims of this run for this LLM."""
        self.store.execute(
            "DELETE FROM claims WHERE owner = ? AND vocabulary = ? AND llm = ?",
            [self.ledger.run, self.vocabulary.name, self.llm],
        )

    def _place(self, cell: Cell) -> dict[str, Any]:
        """The columns that name a cell."""
        index, attribute = cell
        return {
            "vocabulary": self.vocabulary.name,
            "class_index": index,
            "attribute": attribute,
            "llm": self.llm,
        }

    def _is_missing(self, place: dict[str, Any], failed_too: bool) -> bool:
        row = self.store.execute(
            f"SELECT status, stale, locked, updated_at FROM descriptions WHERE {_HERE}", place
        ).fetchone()
        if row is None:
            return True
        status, stale, locked, updated_at = row
        failed_before = status == "failed" and updated_at <= self.ledger.started
        return not locked and bool(stale or (failed_too and failed_before))

    def _is_unjudged(self, place: dict[str, Any]) -> bool:
        """Whether a reply is on file that a killed run did not come to judge."""
        row = self.store.execute(
            f"SELECT 1 FROM attempts WHERE {_UNJUDGED} AND vocabulary = :vocabulary "
            "AND llm = :llm AND class_index = :class_index "
            "AND (attribute = :attribute OR attributes IS NOT NULL) LIMIT 1",
            place,
        ).fetchone()
        return row is not None

    # -- outcomes ------------------------------------------------------------------------

    def _write(self, attribute: str, outcome: Outcome) -> None:
        """File the outcome of a cell and give up the claim on it."""
        request, verdict, attempt = outcome
        assert request.entry is not None
        # In a request about several attributes, typical is asked with a question of its own.
        own = own_query(attribute)
        keep, cell = verdict.keeps, (request.entry.index, attribute)
        with self.store.transaction():
            self.store.put_description(
                Description(
                    self.vocabulary.name,
                    request.entry.index,
                    attribute,
                    self.llm,
                    verdict.text or None,
                    verdict.tokens if verdict.text else None,
                    template_hash=own.hash if own else request.template_hash,
                    status="done" if keep else "failed",
                    reason=None if keep else verdict.fault,
                    attempt_id=attempt or None,
                    review=verdict.fault if keep else None,
                    budget=request.budget.named,
                    other_tokens=request.budget.other_counts(verdict.text) if keep else {},
                )
            )
            if not keep:  # an earlier text stays, and is not to be asked for anew for ever
                self.store.execute(
                    f"UPDATE descriptions SET stale = 0 WHERE {_HERE}", self._place(cell)
                )
            self.unclaim([cell])


async def recover(writer: CellWriter) -> None:
    """Judge replies that are on file but were never judged.

    A kill came between, or they are the results of a batch. Those of runs that live are theirs.
    """
    vocabulary, patiently = writer.vocabulary, writer.ledger.patiently
    unjudged = partial(
        writer.store.rows,
        f"SELECT * FROM attempts WHERE {_UNJUDGED} AND vocabulary = ? AND llm = ? "
        "AND class_index < ? "
        "AND (run IS NULL OR run IN (SELECT id FROM runs WHERE ended_at IS NOT NULL)) ORDER BY id",
        [vocabulary.name, writer.llm, len(vocabulary)],  # classes may have been taken out
    )
    for row in await patiently(unjudged):
        request, reply = recorded(row, vocabulary)
        await patiently(partial(writer.settle, request, reply, row["id"], None, Tally()))


def recorded(row: Mapping[str, Any], vocabulary: Vocabulary) -> tuple[Request, Reply]:
    """The question and the reply that a row of the attempts holds, as far as judging goes."""
    request = Request(
        row["prompt"],
        system=row["system"],
        history=tuple((q, a) for q, a in json.loads(row["history"] or "[]")),
        entry=vocabulary[row["class_index"]],
        attributes=tuple(json.loads(row["attributes"] or "[]")) or (row["attribute"],),
        template_hash=row["template_hash"],
        budget=find_budget(row["budget"]),
    )
    return request, recorded_reply(row)
