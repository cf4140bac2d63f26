"""JSON as LLMs write it: read where it is not quite JSON and can mean one thing only.

What is put right: single and typographic quotes, None, True and False, line breaks in texts, a
comma too many, and braces that are missing at the end, behind a whole value. Nothing is guessed: a
text that is cut off, or a quote that may end it or not, is refused.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

_CLOSING = {'"': '"', "'": "'", "“": "”", "”": "”", "„": "“”", "‘": "’", "’": "’"}
_APOSTROPHES = "'’"
_SPACE = re.compile(r"[\s\ufeff]*")
_OVER = re.compile(r"[\s\ufeff]*(?:\Z|```)")  # the end of the text, or of the code it stands in
_LITERAL = re.compile(r"(?:true|false|null|True|False|None)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_WORDS: Mapping[str, Any] = {
    "true": True, "True": True, "false": False, "False": False, "null": None, "None": None,
}  # fmt: skip

Merge = Callable[[list[tuple[str, Any]]], dict[str, Any]]


class Cut(ValueError):
    """The text ends within a value."""


class Broken(ValueError):
    """It is not JSON, and it is not plain what is meant; `at` is where that shows."""

    def __init__(self, at: int) -> None:
        super().__init__(f"It is broken at {at}.")
        self.at = at


def repaired(text: str, at: int = 0, merge: Merge = dict) -> tuple[Any, int]:
    """The value that begins at a place of the text, and where it ends.

    Args:
        text: where it stands.
        at: where it begins.
        merge: makes an object of its pairs; a key may be there twice.

    Raises:
        Cut: the text ends within it.
        Broken: it is not JSON, and it is not plain what is meant.
        RecursionError: it is nested too deep.
    """
    reader = _Reader(text, at, merge)
    try:
        return reader.value(), reader.at
    except Cut:
        raise
    except ValueError as error:
        raise Broken(reader.at) from error


class _Reader:
    def __init__(self, text: str, at: int, merge: Merge) -> None:
        self.text, self.at, self.merge = text, at, merge

    def next(self) -> str:
        """The next sign that is not a space; it is not passed."""
        match = _SPACE.match(self.text, self.at)
        assert match is not None
        self.at = match.end()
        if self.at == len(self.text):
            raise Cut("The text ends within a value.")
        return self.text[self.at]

    def is_over(self) -> bool:
        return _OVER.match(self.text, self.at) is not None

    def value(self) -> Any:
        sign = self.next()
        if sign == "{":
            return self.object()
        if sign == "[":
            return self.array()
        if sign in _CLOSING:
            return self.string()
        match = _LITERAL.match(self.text, self.at)
        if match is None:
            raise ValueError("There is no value.")
        self.at = match.end()
        word = match[0]
        return _WORDS[word] if word in _WORDS else json.loads(word)

    def object(self) -> dict[str, Any]:
        self.at += 1
        pairs: list[tuple[str, Any]] = []
        while not (pairs and self.is_over()):
            if self.next() == "}":
                self.at += 1
                break
            key = self.string()
            if self.next() != ":":
                raise ValueError("There is no colon behind a key.")
            self.at += 1
            pairs.append((key, self.value()))
            if not self.is_over():
                self.comma("}")
        return self.merge(pairs)

    def array(self) -> list[Any]:
        self.at += 1
        items = []
        while self.next() != "]":
            items.append(self.value())
            self.comma("]")
        self.at += 1
        return items

    def comma(self, end: str) -> None:
        sign = self.next()
        if sign == ",":
            self.at += 1
        elif sign != end:
            raise ValueError("There is no comma between two values.")

    def string(self) -> str:
        closing = _CLOSING.get(self.next())
        if closing is None:
            raise ValueError("A key has no quotes.")
        parts, at = [], self.at + 1
        while at < len(self.text):
            sign = self.text[at]
            if sign == "\\":
                pair = self.text[at : at + 2]
                parts.append(pair if pair != "\\'" else "'")
                at += 2
            elif sign in closing and not (sign in _APOSTROPHES and self.is_in_a_word(at)):
                self.at = at + 1
                return str(json.loads(f'"{"".join(parts)}"', strict=False))
            else:
                parts.append('\\"' if sign == '"' else sign)
                at += 1
        raise Cut("The text ends within a text.")

    def is_in_a_word(self, at: int) -> bool:
        """Whether a letter is on either side, as in zebra's."""
        return self.text[at - 1].isalnum() and self.text[at + 1 : at + 2].isalnum()
