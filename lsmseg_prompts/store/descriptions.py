"""The tables of vocabularies and descriptions: what `Store` knows about cells.

A cell is a (class, attribute) place of a vocabulary, filled by one LLM, a person or an import.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lsmseg_prompts.attributes import ATTRIBUTES, PSEUDO_ATTRIBUTES
from lsmseg_prompts.attributes.contrast import contrast_with, other_of
from lsmseg_prompts.errors import StoreError, UsageError
from lsmseg_prompts.store.sqlite import StoreFile, utc_now
from lsmseg_prompts.tokens import CONTEXT_LENGTH

if TYPE_CHECKING:
    from lsmseg_prompts.templates import Query
    from lsmseg_prompts.vocabularies import Vocabulary


@dataclass(frozen=True)
class Description:
    """What a cell is filled with: a `text` and its count of CLIP tokens, or why there is none.

    status: "done", or "failed" for the `reason` given.
    budget: the name of the token budget that it was written for; None is CLIP's 77.
    other_tokens: its counts by other tokenizers than CLIP's.
    template_hash, attempt_id: the question that it answers and the attempt that brought it.
    updated_at: when it was written; None is now.
    source: who wrote it: "llm", "human" or "import".
    review: what a person should look at.
    taken_from: the LLM that wrote the text, where it is not `llm`.
    """

    vocabulary: str
    class_index: int
    attribute: str
    llm: str
    text: str | None
    tokens: int | None
    status: str = "done"
    reason: str | None = None
    template_hash: str | None = None
    attempt_id: int | None = None
    updated_at: str | None = None
    source: str = "llm"
    review: str | None = None
    budget: str | None = None
    other_tokens: Mapping[str, int] = field(default_factory=dict)
    taken_from: str | None = None


class DescriptionStore(StoreFile):
    """The part of `Store` that holds vocabularies, their classes and the descriptions."""

    def add_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Enter a vocabulary and its classes; entered before, readable names are refreshed.

        What LLMs wrote about a class that now has another readable name or sense, or to tell
        another class from it, is stale: the next run asks anew.

        Raises UsageError where a class index already stands for another class: descriptions
        belong to (vocabulary, index) and would silently pass to the wrong class.
        """
        with self.transaction():
            if self._is_on_file(vocabulary):
                return  # an edit of one text need not write a thousand classes
            self.check_vocabulary(vocabulary)
            for index in self.renamed(vocabulary):
                self.execute(
                    "UPDATE descriptions SET stale = 1 WHERE vocabulary = ? "
                    "AND (class_index = ? OR attribute = ?) AND NOT locked AND source = 'llm'",
                    [vocabulary.name, index, contrast_with(vocabulary[index].name)],
                )
            row = {"name": vocabulary.name, "title": vocabulary.title}
            self.write(
                "vocabularies",
                {**row, "class_count": len(vocabulary)},
                "UPDATE SET title = excluded.title, "
                "class_count = max(class_count, excluded.class_count)",
            )
            for entry in vocabulary.classes:
                place = {"vocabulary": vocabulary.name, "class_index": entry.index}
                names = {key: getattr(entry, key) for key in ("name", "readable", "sense")}
                self.write(
                    "classes",
                    {**place, **names, "synonyms": entry.stored_synonyms},
                    "UPDATE SET readable = excluded.readable, sense = excluded.sense, "
                    "synonyms = excluded.synonyms",
                )

    def _is_on_file(self, vocabulary: Vocabulary) -> bool:
        """Whether the store has a vocabulary and all of its classes just as they are."""
        known = self.execute("SELECT title FROM vocabularies WHERE name = ?", [vocabulary.name])
        if known.fetchone() != (vocabulary.title,):
            return False
        classes = self.execute(
            "SELECT name, readable, sense, synonyms FROM classes "
            "WHERE vocabulary = ? AND class_index < ? ORDER BY class_index",
            [vocabulary.name, len(vocabulary)],
        )
        return classes.fetchall() == vocabulary.stored

    def check_vocabulary(self, vocabulary: Vocabulary) -> None:
        """Raise UsageError if this store knows the vocabulary's name with other classes."""
        for row in self.rows(
            "SELECT class_index, name FROM classes WHERE vocabulary = ? ORDER BY class_index",
            [vocabulary.name],
        ):
            index = row["class_index"]
            if index < len(vocabulary) and vocabulary[index].name != row["name"]:
                raise UsageError(
                    f"Class {index} of the vocabulary '{vocabulary.name}' is "
                    f"'{vocabulary[index].name}', but '{row['name']}' in the store {self.path}: "
                    "rename the vocabulary, or use another --store."
                )

    def add_attribute(self, name: str) -> None:
        """Enter an attribute: one of the paper's nine, a pseudo-attribute or the user's own."""
        if self.once("attributes", name):
            kind, meaning = "user", ATTRIBUTES.get(name)
            if name in ATTRIBUTES:
                kind = "paper"
            elif (other := other_of(name)) is not None:
                kind, meaning = "pseudo", f"what tells a class from {other}"
            elif name in PSEUDO_ATTRIBUTES or "+" in name or "#" in name:
                kind = "pseudo"
            row = {"name": name, "meaning": meaning, "kind": kind}
            self.write("attributes", row)

    def add_llm(self, name: str, provenance: str | None = None) -> None:
        """Enter an LLM by the name it is asked under; `provenance` says who wrote the texts."""
        if not self.once("llms", name, provenance):
            return
        self.write(
            "llms",
            {"name": name, "provenance": provenance},
            "UPDATE SET provenance = coalesce(excluded.provenance, provenance)",
        )

    def add_template(self, query: Query) -> None:
        """Enter a query template under its hash."""
        self.write("templates", {"hash": query.hash, "name": query.name, "text": query.text})

    def put_description(self, description: Description) -> None:
        """Fill a cell.

        A failure never replaces a description that is done, and nothing replaces a locked one.
        Raises StoreError for a done cell without a text, and where it takes more than CLIP's tokens
        and no other budget is named.
        """
        is_long = description.budget is None and (description.tokens or 0) > CONTEXT_LENGTH
        if is_long and description.status == "done":
            raise StoreError(
                f"The store {self.path} refused a row: it has {description.tokens} tokens, and no "
                f"budget is named above CLIP's {CONTEXT_LENGTH}."
            )
        row = vars(description) | {"stale": 0}
        row["other_tokens"] = json.dumps(description.other_tokens) if row["other_tokens"] else None
        row["updated_at"] = description.updated_at or utc_now()
        fresh = list(row)[4:]  # the first four are the key
        with self.transaction():
            self.add_attribute(description.attribute)
            self.add_llm(description.llm)
            self.write(
                "descriptions",
                row,
                f"UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in fresh)} "
                "WHERE descriptions.locked = 0 "
                "AND (excluded.status = 'done' OR descriptions.status <> 'done')",
            )

    def descriptions(
        self, vocabulary: Vocabulary | str, llm: str = "bundled"
    ) -> dict[tuple[int, str], str]:
        """Every description that is done: (class index, attribute) -> sentence."""
        if not isinstance(vocabulary, str):
            self.check_vocabulary(vocabulary)
        rows = self.rows(
            "SELECT class_index, attribute, text FROM descriptions "
            "WHERE vocabulary = ? AND llm = ? AND status = 'done' ORDER BY class_index, attribute",
            [vocabulary_name(vocabulary), llm],
        )
        return {(row["class_index"], row["attribute"]): row["text"] for row in rows}

    def missing(
        self,
        vocabulary: Vocabulary,
        llm: str,
        attributes: Iterable[str],
        retry_failed: bool = True,
    ) -> list[tuple[int, str]]:
        """The cells (class index, attribute) still to be asked, class by class.

        Cells that failed before count as missing unless `retry_failed` is off; so do stale
        ones, whose text is to be asked anew. A locked cell never does.

        Args:
            vocabulary: the classes.
            llm: who is to describe them.
            attributes: by which attributes.
            retry_failed: whether failed cells count as missing.

        Raises:
            UsageError: the store has this vocabulary with other classes.
        """
        self.check_vocabulary(vocabulary)
        states = ("done",) if retry_failed else ("done", "failed")
        renamed = self.renamed(vocabulary)
        of_renamed = {contrast_with(vocabulary[index].name) for index in renamed}
        have = {
            (row["class_index"], row["attribute"])
            for row in self.rows(
                "SELECT class_index, attribute, locked, source, status, stale FROM descriptions "
                "WHERE vocabulary = ? AND llm = ?",
                [vocabulary.name, llm],
            )
            if row["locked"]
            or (
                row["status"] in states
                and not row["stale"]
                and not (
                    row["source"] == "llm"
                    and (row["class_index"] in renamed or row["attribute"] in of_renamed)
                )
            )
        }
        wanted = list(attributes)
        return [
            (entry.index, attribute)
            for entry in vocabulary.classes
            for attribute in wanted
            if (entry.index, attribute) not in have
        ]

    def mark_stale(
        self,
        vocabulary: Vocabulary,
        llm: str,
        cells: Iterable[tuple[int, str]],
        stale: bool = True,
    ) -> list[tuple[int, str]]:
        """Have these cells asked anew; until then they keep their texts. Locked ones stay.

        Returns the cells that were marked by this call.

        Args:
            vocabulary: the classes.
            llm: who described them.
            cells: which cells, (class index, attribute).
            stale: False takes the mark away.
        """
        with self.transaction():
            return [
                (index, attribute)
                for index, attribute in cells
                if self.execute(
                    "UPDATE descriptions SET stale = ? WHERE vocabulary = ? AND llm = ? "
                    "AND class_index = ? AND attribute = ? AND NOT locked AND stale <> ?",
                    [stale, vocabulary.name, llm, index, attribute, stale],
                ).rowcount
            ]

    def renamed(self, vocabulary: Vocabulary) -> set[int]:
        """The classes whose readable name or sense is another than in the store.

        What LLMs wrote about them was asked for under that other name.
        """
        rows = self.rows(
            "SELECT class_index, readable, sense FROM classes WHERE vocabulary = ?",
            [vocabulary.name],
        )
        return {
            index
            for row in rows
            if (index := row["class_index"]) < len(vocabulary)
            and (row["readable"], row["sense"])
            != (vocabulary[index].readable, vocabulary[index].sense)
        }

    def cells(
        self,
        vocabulary: Vocabulary | str | None = None,
        llm: str | None = None,
        attributes: Sequence[str] | None = None,
        index: int | None = None,
        status: str | None = None,
    ) -> list[dict[str, Any]]:
        """Filled cells, done and failed, as rows; each argument narrows them.

        Keys: vocabulary, class_index, class, readable, attribute, llm, text, tokens (of CLIP),
        other_tokens (JSON), budget, status, reason, source, taken_from, locked, stale, review,
        template_hash, updated_at. In the paper's order of the attributes.

        Args:
            vocabulary: the vocabulary, or its name.
            llm: who filled them.
            attributes: of which attributes.
            index: of which class.
            status: "done" or "failed".
        """
        wheres, values = ["1"], list[Any]()
        for column, value in (
            ("d.vocabulary", None if vocabulary is None else vocabulary_name(vocabulary)),
            ("d.llm", llm),
            ("d.class_index", index),
            ("d.status", status),
        ):
            if value is not None:
                wheres.append(f"{column} = ?")
                values.append(value)
        if attributes is not None:
            wheres.append(f"d.attribute IN ({', '.join('?' * len(attributes))})")
            values.extend(attributes)
        rows = self.rows(
            "SELECT d.vocabulary, d.class_index, c.name AS class, c.readable, d.attribute, d.llm, "
            "d.text, d.tokens, d.other_tokens, d.budget, d.status, d.reason, d.source, "
            "d.taken_from, d.locked, d.stale, d.review, d.template_hash, d.updated_at "
            "FROM descriptions AS d JOIN classes AS c USING (vocabulary, class_index) "
            f"WHERE {' AND '.join(wheres)}",
            values,
        )
        order = {name: place for place, name in enumerate((*ATTRIBUTES, *PSEUDO_ATTRIBUTES))}
        return sorted(
            rows,
            key=lambda row: (
                row["vocabulary"],
                row["class_index"],
                row["llm"],
                order.get(row["attribute"], len(order)),
                row["attribute"],
            ),
        )


def vocabulary_name(vocabulary: Vocabulary | str) -> str:
    """The name of a vocabulary that is given as such or by name."""
    return vocabulary if isinstance(vocabulary, str) else vocabulary.name
