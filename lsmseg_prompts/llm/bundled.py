"""The LLM that needs no network: it answers from the shipped store, offline and free.

A class of the user's own is answered with the texts of the described class that is meant
(vocabularies/meanings.py), which then name the class as the user does.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import cache
from itertools import count

from lsmseg_prompts.attributes import ATTRIBUTES, as_reply, combined
from lsmseg_prompts.attributes.contrast import contrast_with, other_class, other_of
from lsmseg_prompts.attributes.samples import sample
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.llm.base import LLM, Reply, Request
from lsmseg_prompts.store.sqlite import shipped_store_path, utc_now
from lsmseg_prompts.store.store import open_store_readonly
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary, load_vocabulary
from lsmseg_prompts.vocabularies.meanings import (
    DESCRIBED_VOCABULARIES as DESCRIBED_VOCABULARIES,
)
from lsmseg_prompts.vocabularies.meanings import fits, meanings, other_senses
from lsmseg_prompts.vocabularies.renaming import call_it

LLM_NAME = "bundled"
PROVENANCE = (
    "Written for this project, sentence by sentence, by a language model answering the paper's "
    "queries; that model was not GPT-4, and these are not the paper's texts."
)
TOGETHER = combined(("size", "shape", "texture", "color"))
"""The set that won in the paper: of it there is one written sentence a class."""
BUNDLED_ATTRIBUTES = (*ATTRIBUTES, "typical", TOGETHER)


class Bundled(LLM):
    """Answers from the shipped store; see `lsmseg_prompts.llm.base.LLM`."""

    name = LLM_NAME
    provenance = PROVENANCE
    model = LLM_NAME
    host = None
    free = True

    def check(self) -> None:
        """Nothing can be missing."""

    async def close(self) -> None:
        """Nothing is open."""

    def answer(self, vocabulary: str | None, entry: ClassEntry, attribute: str) -> str:
        """The bundled sentence for a cell; raises UsageError where there is none."""
        home, shipped = self._shipped_class(vocabulary, entry)
        if (other := other_class(attribute, shipped, load_vocabulary(home))) is not None:
            attribute = contrast_with(other.name)
        text = _texts(home).get((shipped.index, attribute))
        if text is None:
            raise UsageError(f"There is no bundled description of the attribute {attribute!r}.")
        return call_it(text, shipped, entry)

    def samples(
        self, vocabulary: str | None, entry: ClassEntry, attribute: str, every: bool
    ) -> dict[str, str]:
        """The first or `every` sentence for a cell, by what they are filed under.

        Args:
            vocabulary: the name of the class's vocabulary, if it has one.
            entry: the class.
            attribute: the attribute.
            every: whether further samples come too.

        Raises:
            UsageError: there is none.
        """
        found = {attribute: self.answer(vocabulary, entry, attribute)}
        with suppress(UsageError):
            for number in count(2) if every else ():
                further = sample(attribute, number)
                found[further] = self.answer(vocabulary, entry, further)
        return found

    def pairs(self, vocabulary: Vocabulary) -> dict[tuple[int, str], str]:
        """Every bundled pair cell of which the vocabulary has both classes."""
        called: dict[tuple[str, int], ClassEntry] = {}  # shipped classes -> what they are here
        for entry in vocabulary:
            with suppress(UsageError):  # no described class has this name
                home, shipped = self._shipped_class(vocabulary.name, entry)
                called.setdefault((home, shipped.index), entry)
        cells = {}
        for home, index in called:
            classes = load_vocabulary(home)
            for attribute, text in _pairs(home).get(index, ()):
                other = other_class(attribute, classes[index], classes)
                if other is not None and (home, other.index) in called:
                    here = called[home, index]
                    attribute = contrast_with(called[home, other.index].name)
                    cells[here.index, attribute] = call_it(text, classes[index], here)
        return cells

    def _shipped_class(self, vocabulary: str | None, entry: ClassEntry) -> tuple[str, ClassEntry]:
        """The described class that `entry` is, with the name of its vocabulary."""
        if vocabulary in DESCRIBED_VOCABULARIES:
            assert vocabulary is not None
            classes = load_vocabulary(vocabulary)
            if entry.index < len(classes) and classes[entry.index].name == entry.name:
                return vocabulary, classes[entry.index]
        for meaning in meanings(entry):
            if fits(entry, meaning):
                return meaning.vocabulary, meaning.entry
        if others := other_senses(entry):
            described = " or of ".join(f"{m.entry.sense} ({m.reference})" for m in others)
            raise UsageError(
                f"The bundled descriptions of {others[0].entry.readable!r} are of {described}, not "
                f'of {entry.sense}: where that is meant, say "bundled": "{others[0].reference}" in '
                "the class list."
            )
        if entry.bundled == "":
            raise UsageError(f"The class list gives {entry.readable!r} no bundled descriptions.")
        raise UsageError(
            f"There are no bundled descriptions of {entry.readable!r}: no described class has that "
            "name."
        )

    async def complete(self, request: Request) -> Reply:
        """Answer from the shipped store; a request about no class, stage 1's, with the nine."""
        reply = Reply(None, self.name, started_at=utc_now(), duration_seconds=0.0)
        try:
            entry, attribute = request.entry, request.attribute
            if entry is None or attribute is None:
                text = as_reply()
            else:
                text = self.answer(request.vocabulary, entry, attribute)
        except UsageError as error:
            return replace(
                reply, error_scope="cell", error_class="NotBundled", error_message=str(error)
            )
        return replace(reply, text=text, served_model=self.name, finish_reason="stop")


@cache
def _texts(vocabulary: str) -> dict[tuple[int, str], str]:
    """(class index, attribute) -> sentence."""
    with open_store_readonly(shipped_store_path()) as store:
        return store.descriptions(vocabulary, LLM_NAME)


@cache
def _pairs(vocabulary: str) -> dict[int, list[tuple[str, str]]]:
    """Of each class the (attribute, sentence) of its pair cells."""
    pairs: dict[int, list[tuple[str, str]]] = {}
    for (index, attribute), text in _texts(vocabulary).items():
        if other_of(attribute) is not None:
            pairs.setdefault(index, []).append((attribute, text))
    return pairs
