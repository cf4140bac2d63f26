"""The visual attributes that classes are described by, and how LLMs call them.

The paper asks GPT-4 once and gets nine; they are kept here, in its order. Asking another LLM for
attributes is `lsmseg_prompts.generation.stage1`.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Any

from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.files import packaged_json

# attributes.json: of each of the nine what it means, how language models call it beside its plain
# name, and the words that say it is meant, whatever else stands beside them.
_DATA: dict[str, Any] = packaged_json("lsmseg_prompts.attributes", "attributes.json")
_NINE: dict[str, dict[str, Any]] = _DATA["paper"]
ATTRIBUTES: dict[str, str] = {name: nine["meaning"] for name, nine in _NINE.items()}
"""The paper's nine attributes, in its order, with what each means."""

PSEUDO_ATTRIBUTES: dict[str, str] = _DATA["pseudo"]
"""What can stand where an attribute does without being one."""


def combined(attributes: Iterable[str]) -> str:
    """What one sentence about several of the nine is filed under: "color+shape+size+texture".

    In the paper's order, however they are given: it is one cell of a class.
    """
    given = set(attributes)
    return "+".join(name for name in ATTRIBUTES if name in given)


ALIASES: dict[str, str] = {alias: name for name, nine in _NINE.items() for alias in nine["aliases"]}
NAMING_WORDS: dict[str, list[str]] = {name: nine["naming_words"] for name, nine in _NINE.items()}
# Words around a name that say no more than "attribute": "color information", "visual texture".
_FILLERS = re.compile(
    r"^(?:visual|object|dominant|overall|relative|typical)\s+|"
    r"\s+(?:attributes?|properties|property|information|features?|cues?|characteristics?|"
    r"descriptors?|details?|relationships?|relations?|type|composition)$"
)


def named_once(attributes: Sequence[str]) -> tuple[str, ...]:
    """The attributes; UsageError for one that is named twice: another may be meant."""
    for name in attributes:
        if attributes.count(name) > 1:
            raise UsageError(f"The attribute {name} is named twice: name each once.")
    return tuple(attributes)


def plain_names(name: str) -> list[str]:
    """The plain names in one: "color and texture" has two, "position or location" one."""
    text = re.sub(r"\(.*?\)|[*_`\"'#]", " ", name).lower()
    parts = [" ".join(part.split()) for part in re.split(r"/|,|\bor\b|\band\b|&", text)]
    nine = dict.fromkeys(plain for part in parts if (plain := _one_of_the_nine(part)))
    return list(nine) or [part for part in parts[:1] if part]


def _one_of_the_nine(part: str) -> str | None:
    for form in (part, _FILLERS.sub("", _FILLERS.sub("", part))):
        for word in (form, form.removesuffix("s")):
            plain = ALIASES.get(word, word)
            if plain in ATTRIBUTES:
                return plain
    return None


def as_reply() -> str:
    """The nine as an LLM lists them: what `bundled` replies to the question of stage 1."""
    return "\n".join(
        f"{i}. {name.capitalize()}: {meaning}"
        for i, (name, meaning) in enumerate(ATTRIBUTES.items(), 1)
    )
