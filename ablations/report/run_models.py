"""What run.json must hold for its page to be made, as pydantic models: import it lazily."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ablations.report.model_parts import Number, Part, Score, Texts
from ablations.report.refinement_models import Refinement


class Measured(Part):
    """A row with a score."""

    prompts: str
    miou: Score
    miou_low: Score
    miou_high: Score
    no_interval: str | None


class Compared(Measured):
    """A row of a table of prompt sets, on one benchmark or the average of several."""

    benchmark: str
    difference: Score
    difference_low: Score
    difference_high: Score
    open_iou: Score = None
    seen: Score = None
    seen_low: Score = None
    seen_high: Score = None
    seen_difference: Score = None
    seen_difference_low: Score = None
    seen_difference_high: Score = None
    unseen: Score = None
    unseen_low: Score = None
    unseen_high: Score = None
    unseen_difference: Score = None
    unseen_difference_low: Score = None
    unseen_difference_high: Score = None


class Single(Compared):
    """A row of stage 3."""

    kind: Literal["baseline", "attribute", "typical", "control"]
    chosen: bool
    split: Literal["selection", "report"]
    miou_union: Score


class Combination(Compared):
    """A row of stage 4."""

    status: str
    chosen: bool
    selection_gain: Score = None
    selection_gain_low: Score = None
    selection_gain_high: Score = None


class Difference(Compared):
    """What the choice is compared with, and what it gains over it."""

    kind: Literal["baseline", "set", "typical", "control"]


class Candidate(Measured):
    """A candidate of the search."""

    step: int
    gain: Score
    gain_low: Score
    gain_high: Score
    chosen: bool


class ClassRow(Part):
    """A class, before and after."""

    benchmark: str
    name: str
    seen: bool | None
    pictures: int
    baseline: Score
    best: Score
    difference: Score
    difference_low: Score
    difference_high: Score
    no_interval: str | None
    before: Texts
    after: Texts


class Confusion(Part):
    """A pair of classes, before and after."""

    benchmark: str
    label: str
    predicted: str
    pictures: int
    baseline_pixels: int
    best_pixels: int
    baseline: Number
    best: Number
    change: Number


class Lengths(Part):
    """How long the texts of a prompt set are."""

    vocabulary: str
    prompts: str
    chosen: bool
    texts: int
    shortest: Number
    quarter: Number
    median: Number
    three_quarters: Number
    longest: Number
    shortened: int
    dropped: int


class Figure(Part):
    """A picture beside the record."""

    section: str
    file: str
    title: str
    caption: str


class Card(Part):
    """A number at the head."""

    label: str
    value: str
    detail: str
    parts: Texts
    best: bool


class Model(Part):
    """What scored."""

    name: str
    weights: str
    dense: str | None


class Split(Part):
    """The pictures of a split."""

    split: str | None
    pictures: int


class Benchmark(Part):
    """What was scored on."""

    name: str
    vocabulary: str
    classes: int
    seen: int | None
    selection: Split
    report: Split


class Llm(Part):
    """Who wrote the texts."""

    name: str
    provenance: str | None


class Settings(Part):
    """How it was searched."""

    composition: str
    rule: str
    strategy: str
    samples: int
    seed: int


class Command(Part):
    """A step of repeating it."""

    what: str
    command: str


class ClassTexts(Part):
    """The texts of a class and their tokens."""

    name: str
    texts: Texts
    tokens: list[int]


class Prompts(Part):
    """The best prompts of a vocabulary."""

    vocabulary: str
    composition: str
    shortened: int
    dropped: int
    classes: list[ClassTexts]


class Best(Part):
    """The choice."""

    prompts: str
    tried: int


class Record(Part):
    """What runs and comparisons share."""

    version: Literal[2]
    name: str
    created: str
    seconds: Number
    summary: str
    model: Model
    benchmarks: Annotated[list[Benchmark], Field(min_length=1)]
    settings: Settings
    command: str
    versions: dict[str, str]
    store: str
    figures: list[Figure]


class Run(Record):
    """A run of `ablate`."""

    llm: Llm
    best: Best
    search_note: str
    cards: list[Card]
    single: Annotated[list[Single], Field(min_length=1)]
    combinations: Annotated[list[Combination], Field(min_length=1)]
    candidates: Annotated[list[Candidate], Field(min_length=1)]
    per_class: list[ClassRow]
    differences: Annotated[list[Difference], Field(default_factory=list)]
    confusions: list[Confusion]
    lengths: list[Lengths]
    commands: list[Command]
    prompts: Annotated[list[Prompts], Field(min_length=1)]
    refinement: Refinement | None = None

    @model_validator(mode="after")
    def _both_splits(self) -> Self:
        of = {split: {r.prompts for r in self.single if r.split == split}
              for split in ("selection", "report")}  # fmt: skip
        if not of["report"] or of["report"] - of["selection"]:
            raise ValueError("single")
        return self


class ComparedLlm(Llm):
    """An LLM of a comparison, with the folder of its own run."""

    directory: str


class ComparedRow(Compared):
    """A row of llms.csv."""

    set: Literal["baseline", "same", "own"]
    llm: str | None
    over_name: Score
    over_name_low: Score
    over_name_high: Score


class LlmClass(Part):
    """A class with what each LLM wrote."""

    name: str
    seen: bool | None
    iou: dict[str, Score]
    texts: dict[str, Texts]


class LlmClasses(Part):
    """The classes of a benchmark."""

    benchmark: str
    classes: list[LlmClass]


class Comparison(Record):
    """A comparison of several LLMs; each has a folder with its own run."""

    first: str
    same: str
    llms: Annotated[list[ComparedLlm], Field(min_length=2)]
    rows: list[ComparedRow]
    classes: list[LlmClasses]

    @model_validator(mode="after")
    def _of_every_llm(self) -> Self:
        names = {llm.name for llm in self.llms}
        for kind in ("same", "own"):
            if {row.llm for row in self.rows if row.set == kind} != names:
                raise ValueError("rows")
        for group in self.classes:
            for one in group.classes:
                if names - one.iou.keys() or names - one.texts.keys():
                    raise ValueError("classes")
        return self
