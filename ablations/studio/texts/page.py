"""What the page Texts shows and does: each a call of the library, on the studio's store."""

from __future__ import annotations

from functools import cached_property
from threading import Lock
from typing import Any

from ablations.runs.class_records import ClassRecords, class_records
from ablations.studio.state import Studio
from ablations.studio.web.inputs import Input
from lsmseg_prompts.curation.drafts import draft
from lsmseg_prompts.curation.edits import cell, edit, lock, take, unlock
from lsmseg_prompts.curation.history import edits, undo
from lsmseg_prompts.curation.places import place_of
from lsmseg_prompts.curation.reports import words_apart
from lsmseg_prompts.curation.table import SORTS, STATUSES, CellsRequest, CellTable, cells
from lsmseg_prompts.store.store import Store, open_store
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary, load_vocabulary
from lsmseg_prompts.vocabularies.vocabulary import BUILT_IN

MOST_ROWS = 200
LONGEST_TEXT = 2_000  # letters
SHOWN = 50  # changes and proposals of a cell


class Texts:
    """The page's calls, a method for each."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self._lock = Lock()
        self._held: Store | None = None

    @cached_property
    def vocabularies(self) -> dict[str, Vocabulary | str]:
        """Those that may be named: the studio's own, and the built-in ones."""
        own = self.studio.vocabulary
        return {own.name: own, **{name: name for name in BUILT_IN if name != own.name}}

    def store(self, write: bool = False) -> str | None:
        """The store as the library takes it, kept open: closing it for each edit would cost most.

        One that was named with --store is made where it is not there; the usual one when it is
        written for the first time.
        """
        path = self.studio.store
        with self._lock:
            named = self.studio.options.store is not None
            if not path.exists() and (write or named):
                self._held = None
            if self._held is None and (path.exists() or write or named):
                self._held = open_store(path)
                self._held.rows("SELECT 1 FROM llms LIMIT 1")
        return str(path) if path.exists() else None

    def table(self, given: Input) -> dict[str, Any]:
        """The rows of a vocabulary that are asked for, see `cells`; each with its score."""
        vocabulary = self._vocabulary(given)
        request = CellsRequest(
            name=given.text("name", ""),
            attributes=_listed(given, "attributes"),
            llms=_listed(given, "llms"),
            statuses=_listed(given, "statuses"),
            search=given.text("search", ""),
            samples=given.flag("samples"),
            pairs=given.flag("pairs"),
            sort=given.choice("sort", SORTS, "class"),
            descending=given.flag("descending"),
            offset=given.integer("offset", 0, 10**9, 0),
            limit=given.integer("limit", 1, MOST_ROWS, 50),
        )
        table = self._cells(vocabulary, request)
        records = self._records(vocabulary)
        return {
            "rows": [_scored(row, records) for row in table.rows],
            "total": table.total,
            "counts": {status: table.counts.get(status, 0) for status in STATUSES},
            "llms": table.llms,
            "attributes": table.attributes,
        }

    def cell(self, given: Input) -> dict[str, Any]:
        """All about one cell: its row, the texts of others, its history, what `refine` proposed."""
        vocabulary = self._vocabulary(given)
        entry, (attribute, llm) = self._entry(given, vocabulary), _place(given)
        place_of(vocabulary, entry.name, attribute, llm)  # raises where there is no such cell
        records = self._records(vocabulary)
        request = CellsRequest(index=entry.index, attributes=(attribute,), samples=True, limit=1000)
        rows = [_scored(row, records) for row in self._cells(vocabulary, request).rows]
        mine = [row for row in rows if row["llm"] == llm and row["attribute"] == attribute]
        if not mine:
            request = CellsRequest(
                index=entry.index, attributes=(attribute,), llms=(llm,), pairs=True
            )
            mine = self._cells(vocabulary, request).rows[:1]
        text = mine[0]["text"] or ""
        others = [
            {
                **{key: row[key] for key in ("llm", "attribute", "text", "tokens", "findings")},
                "writer": f"{row['llm']}#{row['sample']}",
                "words": words_apart(text, row["text"]),
            }
            for row in rows
            if row["text"] and row["status"] != "failed" and row is not mine[0]
        ]
        changes = edits(vocabulary, entry.name, self.store())
        mine_of = [row for row in changes if (row["attribute"], row["llm"]) == (attribute, llm)]
        return {
            "row": mine[0],
            "others": others[:SHOWN],
            "history": mine_of[::-1][:SHOWN],
            "proposals": records.proposals.get(entry.index, [])[:SHOWN],
            "scores": records.scores.get(entry.index, [])[:SHOWN],
        }

    def now(self, given: Input) -> dict[str, Any]:
        """What stands in a cell now, for a page that asks again and again."""
        where = self._where(given)
        row = cell(*where, self.store()) or {}
        return {
            "text": row.get("text") or "",
            "locked": bool(row.get("locked")),
            "failed": row.get("status") == "failed",
        }

    def draft(self, given: Input) -> dict[str, Any]:
        """What an edit would say of a text."""
        vocabulary, name, attribute, _ = self._where(given)
        return draft(vocabulary, name, attribute, _written(given), self.studio.budget)

    def edit(self, given: Input) -> dict[str, Any]:
        """Put a text into a cell."""
        vocabulary, name, attribute, llm = self._where(given)
        about = (self.store(write=True), given.flag("force"), self.studio.budget)
        edit(vocabulary, name, attribute, _written(given), llm, *about, _expected(given))
        return self.cell(given)

    def take(self, given: Input) -> dict[str, Any]:
        """Take another LLM's text, or another sample, into a cell."""
        vocabulary, name, attribute, llm = self._where(given)
        writer, about = given.text("writer", most=200), (_expected(given), self.studio.budget)
        take(vocabulary, name, attribute, writer, llm, self.store(write=True), *about)
        return self.cell(given)

    def undo(self, given: Input) -> dict[str, Any]:
        """Put back what stood in a cell before a change."""
        before = given.integer("before", 1, 2**53, None)
        undo(*self._where(given), self.store(write=True), _expected(given), before)
        return self.cell(given)

    def lock(self, given: Input) -> dict[str, Any]:
        """Lock a cell, or let reruns write it again; it may be so already."""
        change = lock if given.flag("locked") else unlock
        change(*self._where(given), self.store(write=True))
        return self.cell(given)

    def _cells(self, vocabulary: Vocabulary, request: CellsRequest) -> CellTable:
        return cells(vocabulary, request, self.store(), self.studio.budget)

    def _records(self, vocabulary: Vocabulary) -> ClassRecords:
        return class_records(vocabulary, self.studio.runs)

    def _vocabulary(self, given: Input) -> Vocabulary:
        name = given.choice("vocab", list(self.vocabularies), next(iter(self.vocabularies)))
        return load_vocabulary(self.vocabularies[name])

    def _entry(self, given: Input, vocabulary: Vocabulary) -> ClassEntry:
        return vocabulary[given.integer("index", 0, len(vocabulary) - 1)]

    def _where(self, given: Input) -> tuple[Vocabulary, str, str, str]:
        """The cell that is named, as the library's calls take it."""
        vocabulary = self._vocabulary(given)
        return (vocabulary, self._entry(given, vocabulary).name, *_place(given))


def _place(given: Input) -> tuple[str, str]:
    return given.text("attribute", most=200), given.text("llm", "bundled", most=200)


def _written(given: Input) -> str:
    return str(given.text("text", most=LONGEST_TEXT))


def _expected(given: Input) -> str | None:
    """The text that the page was looking at; None where any may stand there."""
    expected = given.text("expected", None)
    return None if expected is None else str(expected)


def _listed(given: Input, name: str) -> tuple[str, ...]:
    """Names between commas; a comma in a name is written as %2C by the page, once more."""
    from urllib.parse import unquote

    return tuple(unquote(one) for one in given.text(name, "").split(",") if one)


def _scored(row: dict[str, Any], records: ClassRecords) -> dict[str, Any]:
    score = records.score_of(row["class_index"], row["text"] or "")
    return {**row, "score": score and {key: score[key] for key in ("iou", "run", "prompts")}}
