"""What run.json must hold about refinement, as pydantic models: import it lazily."""

from typing import Annotated

from pydantic import Field

from ablations.report.model_parts import Number, Part, Score, Texts


class Confused(Part):
    """A pair of classes that was confused."""

    label: str
    predicted: str
    pixels: int
    gain: Number


class Trial(Part):
    """Other texts for a class, as they were proposed."""

    name: str = Field(alias="class")
    proposer: str
    recipe: str
    texts: Texts
    gain: Score
    decided: Score


class Changed(Trial):
    """A class that has other texts now."""

    index: int
    before: Texts
    seen: bool | None = None


class Round(Part):
    """A round of a loop."""

    round: int
    half: Annotated[int, Field(ge=0, le=1)]
    tried: int
    proposed: int
    kept: list[Trial]
    turned_down: list[Trial]
    before: Number
    after: Number
    gain: Score = None
    gain_low: Score = None
    gain_high: Score = None
    confusions: list[Confused]
    cost_usd: Number
    seconds: Number


class Gain(Part):
    """What is gained over the best set for all, on the report split."""

    value: Score
    value_low: Score
    value_high: Score


class Gains(Part):
    """It by classes."""

    miou: Gain
    seen: Gain | None = None
    unseen: Gain | None = None


class Loop(Part):
    """A loop from beginning to end; gain is None where it was not measured."""

    prompts: str
    candidates: int
    ended: str
    changed: Texts
    rounds: list[Round]
    gain: Gains | None


class Loops(Part):
    """By which labels the texts were chosen; control: the texts of other classes."""

    all: Loop
    seen: Loop | None = None
    control: Loop


class Point(Part):
    """The mIoU after a round."""

    round: int
    tried: int
    cost_usd: Number
    selection_miou: Score
    selection_unseen: Score = None
    report_miou: Score
    report_unseen: Score = None


class Asked(Part):
    """What an LLM was asked."""

    llm: str
    requests: int
    cost_usd: Number
    spent: str | None


class Refinement(Part):
    """What refinement did in a run."""

    start: str
    rule: str = "set"
    loops: Loops
    classes: list[Changed]
    seen_classes: list[Changed]
    curve: Annotated[list[Point], Field(min_length=1)]
    asked: Asked | None
