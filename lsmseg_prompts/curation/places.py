"""One cell of a vocabulary: where it is in the tables, and what stands there now."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from lsmseg_prompts.descriptions.loading import attributes_of
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.llm.bundled import LLM_NAME, PROVENANCE, Bundled
from lsmseg_prompts.llm.registry import check_name
from lsmseg_prompts.store.descriptions import Description
from lsmseg_prompts.store.sqlite import shipped_store_path, utc_now
from lsmseg_prompts.store.store import Store, open_store_readonly
from lsmseg_prompts.tokens import CONTEXT_LENGTH, count_tokens
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary, load_vocabulary

_KEY = "vocabulary = ? AND class_index = ? AND attribute = ? AND llm = ?"


@dataclass(frozen=True)
class Place:
    """The cell of a class and an attribute, by an LLM.

    attribute: as cells are filed under, see `attributes_of`.
    """

    vocabulary: Vocabulary
    entry: ClassEntry
    attribute: str
    llm: str

    @property
    def key(self) -> dict[str, Any]:
        """What finds it in the tables `descriptions` and `edits`."""
        return {
            "vocabulary": self.vocabulary.name,
            "class_index": self.entry.index,
            "attribute": self.attribute,
            "llm": self.llm,
        }

    def description(self, text: str, **more: Any) -> Description:
        """A text that is to be put there; `more` are further fields of a `Description`."""
        return Description(**self.key, text=text, tokens=count_tokens(text), **more)

    def row(self, file: Store) -> dict[str, Any] | None:
        """Its row of the table `descriptions` without the key; None where there is none."""
        rows = file.rows(f"SELECT * FROM descriptions WHERE {_KEY}", list(self.key.values()))
        if not rows:
            return None
        return {name: value for name, value in rows[0].items() if name not in self.key}

    def put(self, file: Store, row: dict[str, Any] | None) -> None:
        """Have this row there, locked or not; None takes away what is there.

        Columns that this version does not have are left out.
        """
        file.execute(f"DELETE FROM descriptions WHERE {_KEY}", list(self.key.values()))
        if row is not None:
            known = file.rows("SELECT name FROM pragma_table_info('descriptions')")
            columns = [column["name"] for column in known if column["name"] in row]
            file.write("descriptions", {**{name: row[name] for name in columns}, **self.key})

    def now(self, file: Store) -> dict[str, Any] | None:
        """What stands there (see `Store.cells`), in the store or bundled; None if nothing does."""
        where = (self.vocabulary, self.llm, [self.attribute], self.entry.index)
        if rows := file.cells(*where):
            return rows[0]
        return self.bundled()

    def bundled(self) -> dict[str, Any] | None:
        """The bundled text that stands there where the working store has none; see `now`."""
        if self.llm != LLM_NAME:
            return None
        where = (self.vocabulary, self.llm, [self.attribute], self.entry.index)
        with open_store_readonly(shipped_store_path()) as shipped:
            if rows := shipped.cells(*where):
                return rows[0]
        with suppress(UsageError):  # no described class has that name
            text = Bundled().answer(self.vocabulary.name, self.entry, self.attribute)
            return bundled_row(self, text)
        return None

    def history(self, file: Store) -> list[dict[str, Any]]:
        """Its rows of the table `edits`, oldest first."""
        return file.rows(f"SELECT * FROM edits WHERE {_KEY} ORDER BY id", list(self.key.values()))


def place_of(vocabulary: Vocabulary | str, name: str, attribute: str, llm: str) -> Place:
    """The cell of a class by its names.

    Args:
        vocabulary: the vocabulary, or its name.
        name: the class.
        attribute: the attribute.
        llm: under whom the cell is filed.

    Raises:
        UsageError: there is no such class or attribute.
    """
    vocabulary = load_vocabulary(vocabulary)
    entry = vocabulary.find(name)
    (attribute,) = attributes_of(entry, vocabulary, [attribute])
    return Place(vocabulary, entry, attribute, llm)


def bundled_row(place: Place, text: str) -> dict[str, Any]:
    """A text that a class takes from a described one, as a row of `Store.cells`."""
    row = {**place.key, **_row(place, text), "updated_at": None}
    del row["attempt_id"]
    return {**row, "class": place.entry.name, "readable": place.entry.readable}


def human_row(place: Place, text: str) -> dict[str, Any]:
    """A person's text, locked, as `Place.put` takes it."""
    tokens = count_tokens(text)
    long = {"budget": str(tokens)} if tokens > CONTEXT_LENGTH else {}
    return {**_row(place, text), "source": "human", "locked": 1, **long}


def _row(place: Place, text: str) -> dict[str, Any]:
    """What the table `descriptions` has of a text beside the key, by default."""
    row = vars(place.description(text))
    marks = {"other_tokens": None, "locked": 0, "stale": 0, "updated_at": utc_now()}
    return {name: value for name, value in row.items() if name not in place.key} | marks


def text_of(row: dict[str, Any] | None) -> str:
    """The text in a row of a cell, that of a failed one too; empty where there is none."""
    return (row["text"] or "") if row else ""


def add_llm(file: Store, llm: str) -> None:
    """Enter an LLM, or the name of whoever is to write.

    Raises UsageError for a name that the store does not have and that cannot be asked.
    """
    if not file.rows("SELECT 1 FROM llms WHERE name = ?", [llm]):
        check_name(llm)
        file.add_llm(llm, PROVENANCE if llm == LLM_NAME else None)
