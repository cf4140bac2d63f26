"""What of the texts of a file arrived at its reader's text encoder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from lsmseg_prompts.export.checking.reading import Reading
from lsmseg_prompts.export.checking.recording import Prompt
from lsmseg_prompts.tokens import CONTEXT_LENGTH


@dataclass(frozen=True)
class Report:
    """How the texts of a file arrived.

    texts: how many there are. arrived: those that stand whole in the prompts of their class, each
    of which the reader's tokenizer keeps whole. cut: those that it cuts. split: those of which the
    class's prompts hold pieces. missing: all others. prompts: how many there are; longest, over:
    the most tokens of one, and how many are over CLIP's 77. unmatched: names that the reader has
    otherwise. refused: the error that its code ends with. notes: what else there is to say.
    example: the longest prompt.
    """

    reader: str
    commit: str
    classes: int
    texts: int
    arrived: int
    cut: int
    split: int
    missing: int
    prompts: int
    longest: int
    over: int
    unmatched: tuple[str, ...] = ()
    refused: str = ""
    notes: tuple[str, ...] = ()
    example: str = ""

    @property
    def good(self) -> bool:
        """Whether every text arrived."""
        return self.arrived == self.texts and not self.refused


def report(reader: str, commit: str, texts: Sequence[Sequence[str]], reading: Reading) -> Report:
    """The verdicts on the texts of each class, in the vocabulary's order.

    Args:
        reader: the project's name.
        commit: of its checkout, as far as it is known.
        texts: those that the file was written from.
        reading: what the reader's code made of the file.
    """
    read = [*reading.classes, *([[]] * (len(texts) - len(reading.classes)))]
    verdicts = [
        "missing" if any(p.error for p in prompts) else _verdict(text, prompts)
        for group, prompts in zip(texts, read, strict=False)
        for text in group
    ]
    prompts = [prompt for each in reading.classes for prompt in each]
    longest = max(prompts, key=lambda prompt: prompt.tokens, default=Prompt("", 0, True))
    notes = list(reading.notes)
    if len(reading.classes) not in (0, len(texts)):
        notes.insert(0, f"It reads {len(reading.classes)} classes, and there are {len(texts)}.")
    return Report(
        reader=reader,
        commit=commit,
        classes=len(texts),
        texts=len(verdicts),
        arrived=verdicts.count("arrived"),
        cut=verdicts.count("cut"),
        split=verdicts.count("split"),
        missing=verdicts.count("missing"),
        prompts=len(prompts),
        longest=longest.tokens,
        over=sum(prompt.tokens > CONTEXT_LENGTH for prompt in prompts),
        unmatched=tuple(reading.unmatched),
        refused=reading.refused,
        notes=tuple(notes),
        example=longest.text,
    )


def _verdict(text: str, prompts: Sequence[Prompt]) -> str:
    """How a text arrived in the prompts of its class."""
    with_it = [prompt for prompt in prompts if _plain(text) in _plain(prompt.text)]
    if with_it:
        return "arrived" if all(prompt.whole for prompt in with_it) else "cut"
    pieces = [piece for piece in re.split(r"\s*[,:]\s*", _plain(text)) if piece]
    there = any(piece in _plain(prompt.text) for piece in pieces for prompt in prompts)
    return "split" if there else "missing"


def _plain(text: str) -> str:
    """A text for comparison: one space between words, none at a comma or colon of any width."""
    text = text.translate({0xFF0C: ",", 0xFF1A: ":"})
    return re.sub(r" ?([,:]) ?", r"\1", " ".join(text.split()))
