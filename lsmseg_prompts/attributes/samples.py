"""Samples: other texts of the same cell, such as several sentences on a zebra's color.

The first is filed under the attribute itself, the others under `color#2`, `color#3` and so on:
cells of the class like any other. `generate --samples` asks for them, with the very question of the
first. They can be averaged, or read in place of the first: `bundled#2` as the name of an LLM means
its second samples.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from lsmseg_prompts.attributes.contrast import other_of
from lsmseg_prompts.errors import UsageError

MOST_SAMPLES = 20  # that `generate` asks for

_NUMBERED = re.compile(r"(.+)#([1-9]\d{0,4})")


def sample(attribute: str, number: int) -> str:
    """What sample `number` of an attribute, counted from 1, is filed under."""
    return attribute if number == 1 else f"{attribute}#{number}"


def sampled(attribute: str) -> tuple[str, int]:
    """The attribute that a sample is of, and its number; of an LLM's name likewise."""
    match = _NUMBERED.fullmatch(attribute)
    return (match[1], int(match[2])) if match else (attribute, 1)


def asked_of(attribute: str) -> str:
    """The attribute that a question is about: of `color#2` it is color.

    Pair cells have one text each, and the name of the other class may hold anything.
    """
    return attribute if other_of(attribute) is not None else sampled(attribute)[0]


def generate_options(llm: str) -> list[str]:
    """The words of `generate` that ask an LLM: those of `gpt-4#2` are --llm gpt-4 --samples 2."""
    writer, number = sampled(llm)
    return ["--llm", writer, *(["--samples", str(number)] if number > 1 else [])]


def check_sample(attribute: str) -> None:
    """Raise UsageError for a number that a sample cannot have: the first has none."""
    base, number = sampled(attribute)
    if "#" in base or (base != attribute and number == 1):
        raise UsageError(
            f"{attribute!r} is not a sample: name the attribute for the first, attribute#2 for the "
            "second."
        )


def with_samples(attributes: Sequence[str], there: Iterable[str]) -> tuple[str, ...]:
    """The attributes, each with its further samples that are `there` behind it, in order."""
    further: dict[str, list[tuple[int, str]]] = {}
    for name in there:
        if "#" in name:
            base, number = sampled(name)
            further.setdefault(base, []).append((number, name))
    return tuple(
        name
        for attribute in attributes
        for name in (attribute, *(n for _, n in sorted(further.get(attribute, ()))))
    )
