"""The scoreboard: every prompt set that was tried, on every benchmark, with its intervals.

Stages 3 and 4 name candidates; the board makes their prompt sets, has them scored, and keeps what
came out, so that nothing is scored twice. With several benchmarks the mean over them is what
counts; their parts stay beside it.
"""

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from ablations.scoring.frozen import OnProgress, Scorer
from ablations.search.options import GIVEN_SET
from ablations.search.statistics import TINY, Draws, Interval, Subset, average, bootstrap
from lsmseg_model.data.benchmark import Benchmark, group_count
from lsmseg_prompts.prompts.compose import written_for
from lsmseg_prompts.prompts.controls import CONTROLS
from lsmseg_prompts.prompts.prompt_set import PromptSet, build_prompt_set, set_name
from lsmseg_prompts.prompts.word_lists import WORDS
from lsmseg_prompts.tokens import CLIP, TokenBudget
from lsmseg_prompts.vocabularies import Vocabulary

Sizes = tuple[int, int | None]
"""How many pictures, and how many groups of them where there are any."""
COLUMNS = ("miou", "seen", "unseen", "union")  # miou: all classes; union: its other definition
AVERAGE = "average"
CONCAT = "concat"
AT_ONCE = 2 << 30  # bytes of counts that are scored in one pass over the pictures


@dataclass(frozen=True)
class Candidate:
    """What a prompt set is made of: attributes, a control of them or none, a composition.

    control: None, "random" or "shuffled". composition: None of one attribute, which means the same
    in each; of several "concat" unless another is given.
    """

    attributes: tuple[str, ...]
    control: str | None = None
    composition: str | None = None

    def __post_init__(self) -> None:
        several = len(self.attributes) > 1
        object.__setattr__(self, "composition", (self.composition or CONCAT) if several else None)

    @classmethod
    def named(cls, name: str) -> "Candidate":
        """The candidate that has this name."""
        if name.startswith(WORDS):  # a word list, whatever its file is called
            return cls((name,))
        *around, joined = name.rstrip(")").split("(")
        control = next((word for word in around if word in CONTROLS), None)
        composition = next((word for word in around if word not in CONTROLS), None)
        return cls(tuple(joined.split("+")), control, composition)

    @property
    def name(self) -> str:
        return set_name(self.attributes, self.composition, self.control)

    @property
    def made_by(self) -> str:
        """The composition that its texts are made with."""
        return self.composition or CONCAT


NAME = Candidate(("name",))
TYPICAL = Candidate(("typical",))
REFINED = Candidate(("refined",))
GIVEN = Candidate((GIVEN_SET,))  # a file's, from which refinement starts
BY_SEEN_LABELS = Candidate(("refined by seen labels",))


def seen_and_unseen(benchmark: Benchmark) -> dict[str, Subset]:
    """The seen classes and the others; none where the benchmark does not tell them apart."""
    at, seen = list(enumerate(benchmark.class_indices)), benchmark.seen
    if seen is None:
        return {}
    return {
        "seen": Subset(tuple(position for position, index in at if index in seen)),
        "unseen": Subset(tuple(position for position, index in at if index not in seen)),
    }


@dataclass
class Bench:
    """A benchmark: a scorer per split, and the descriptions of its vocabulary."""

    name: str
    vocabulary: Vocabulary
    descriptions: Mapping[tuple[int, str], str]
    scorers: Mapping[str, Scorer]
    stream: int = 0  # resamples of different benchmarks are independent
    counted: Collection[int] | None = None  # indices of the classes in the means; None: all

    def described_by(self, descriptions: Mapping[tuple[int, str], str], missing: str) -> "Bench":
        """The same with descriptions; with "skip" only classes that have any count."""
        counted = {index for index, _ in descriptions} if missing == "skip" else None
        return replace(self, descriptions=descriptions, counted=counted)

    @cached_property
    def subsets(self) -> dict[str, Subset]:
        """The columns of this benchmark; seen and unseen only where it tells them apart."""
        benchmark = self.scorers["report"].benchmark
        parts = {"miou": Subset(), "union": Subset(definition="union")}
        parts |= seen_and_unseen(benchmark)
        if self.counted is not None:
            at = [p for p, i in enumerate(benchmark.class_indices) if i in self.counted]
            for key, part in parts.items():
                kept = at if part.classes is None else [p for p in at if p in part.classes]
                parts[key] = replace(part, classes=tuple(kept))
        return {k: s for k, s in parts.items() if s.classes or k in ("miou", "union")}


@dataclass(frozen=True)
class Score:
    """A candidate's scores on one split: per benchmark and column, and the means.

    described: "34 of 171", the classes with descriptions; empty where all must have them.
    """

    candidate: Candidate
    split: str
    parts: Mapping[str, Mapping[str, Draws]]
    totals: Mapping[str, np.ndarray] = field(repr=False)  # int64 [C, 3] per benchmark
    sizes: Mapping[str, Sizes]
    described: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def mean(self) -> dict[str, Draws]:
        """Each column's mean over the benchmarks that have it."""
        columns = [c for c in COLUMNS if any(c in part for part in self.parts.values())]
        return {c: average([p[c] for p in self.parts.values() if c in p]) for c in columns}

    @property
    def miou(self) -> Draws:
        """What is compared: mIoU over all classes, averaged over the benchmarks."""
        return self.mean["miou"]

    def by_benchmark(self) -> list[tuple[str, Mapping[str, Draws]]]:
        """The parts and, where there are several, their average."""
        parts = list(self.parts.items())
        return parts if len(parts) == 1 else [*parts, (AVERAGE, self.mean)]


class Scoreboard:
    """Scores candidates on the splits of one or more benchmarks."""

    def __init__(
        self,
        benches: Sequence[Bench],
        *,
        llm: str = "bundled",
        samples: int = 2000,
        seed: int = 0,
        missing: str = "fail",
        budget: TokenBudget = CLIP,
    ) -> None:
        self.benches, self.llm, self.budget = list(benches), llm, budget
        self.missing = "fail" if missing == "fail" else "name"  # all classes compete for pixels
        self.samples, self.seed = samples, seed
        self._scores: dict[tuple[str, Candidate], Score] = {}
        self._sets: dict[tuple[str, Candidate], PromptSet] = {}

    def prompt_set(self, bench: Bench, candidate: Candidate) -> PromptSet:
        """The candidate's prompts for the benchmark's vocabulary."""
        key = (bench.vocabulary.name, candidate)
        if key not in self._sets:
            self._sets[key] = self._build(bench, candidate, None)
        return self._sets[key]

    def add(self, bench: Bench, candidate: Candidate, prompt_set: PromptSet) -> None:
        """Enter a candidate whose prompts are not made of attributes."""
        self._sets[bench.vocabulary.name, candidate] = prompt_set

    def at_hand(self, bench: Bench, name: str) -> PromptSet | None:
        """The prompt set of this name, if it was made whole already."""
        for (vocabulary, candidate), made in self._sets.items():
            if (vocabulary, candidate.name) == (bench.vocabulary.name, name):
                return made
        return None

    def _build(self, bench: Bench, candidate: Candidate, only: Collection[int] | None) -> PromptSet:
        return build_prompt_set(
            bench.descriptions,
            bench.vocabulary,
            candidate.attributes,
            composition=candidate.made_by,
            llm=self.llm,
            control=candidate.control,
            seed=self.seed,
            only=only,
            missing=self.missing,
            writing=written_for(self.budget),
        )

    def _described(self, bench: Bench, made: PromptSet) -> str:
        """How many classes are described of how many; empty where all must be, and of names."""
        if self.missing == "fail" or made.llm == "none":
            return ""
        counted = range(len(bench.vocabulary)) if bench.counted is None else bench.counted
        return f"{len(set(counted) - set(made.undescribed))} of {len(counted)}"

    def _to_score(self, bench: Bench, scorer: Scorer, candidate: Candidate) -> PromptSet:
        """The candidate's prompts, of a scorer's ``needs`` only if it has said them.

        Hundreds of candidates are looked at once, and then only the best is wanted whole.
        """
        needs = getattr(scorer, "needs", None)
        whole = (bench.vocabulary.name, candidate) in self._sets
        if needs is None or whole:
            return self.prompt_set(bench, candidate)
        return self._build(bench, candidate, frozenset(needs))

    def _at_once(self, split: str) -> int:
        """How many candidates' counts, 24 bytes a picture and class, fit into `AT_ONCE`."""
        largest = 1
        for bench in self.benches:
            benchmark = bench.scorers[split].benchmark
            largest = max(largest, len(benchmark) * len(benchmark.class_indices) * 24)
        return max(1, AT_ONCE // largest)

    def score(
        self, split: str, candidates: Iterable[Candidate], on_progress: OnProgress | None = None
    ) -> list[Score]:
        """The candidates' scores on ``split``, in their order; each is scored once."""
        candidates = list(candidates)
        fresh = [c for c in dict.fromkeys(candidates) if (split, c) not in self._scores]
        at_once = self._at_once(split)
        while fresh:
            some, fresh = fresh[:at_once], fresh[at_once:]
            parts: list[dict[str, Mapping[str, Draws]]] = [{} for _ in some]
            totals: list[dict[str, np.ndarray]] = [{} for _ in some]
            described: list[dict[str, str]] = [{} for _ in some]
            sizes: dict[str, Sizes] = {}
            for bench in self.benches:
                scorer = bench.scorers[split]
                sizes[bench.name] = len(scorer.benchmark), group_count(scorer.benchmark)
                sets = [self._to_score(bench, scorer, c) for c in some]
                counts = scorer.score(sets, on_progress)
                how = self.samples, self.seed, bench.stream, scorer.benchmark.groups
                draws = bootstrap(counts, bench.subsets, *how)
                for part, total, drawn, one in zip(parts, totals, draws, counts, strict=True):
                    part[bench.name], total[bench.name] = drawn, one.sum(axis=0)
                for have, made in zip(described, sets, strict=True):
                    have[bench.name] = self._described(bench, made)
            for candidate, part, total, have in zip(some, parts, totals, described, strict=True):
                self._scores[split, candidate] = Score(candidate, split, part, total, sizes, have)
        return [self._scores[split, c] for c in candidates]

    def has(self, attribute: str) -> bool:
        """Whether every class of every benchmark's vocabulary has this description.

        Where some may lack it: whether any class of each has it.
        """
        enough = all if self.missing == "fail" else any
        return all(
            enough((e.index, attribute) in b.descriptions for e in b.vocabulary)
            for b in self.benches
        )


def number(value: float) -> float | None:
    """For tables and JSON: None where the score is undefined."""
    return None if math.isnan(value) else float(value)


def fields(prefix: str, interval: Interval) -> dict[str, float | None]:
    """``prefix``, ``prefix_low`` and ``prefix_high`` of a table's row.

    The ends are None where every resample gives the same: a width of 0 tells nothing.
    """
    wide = interval.high - interval.low >= TINY
    return {
        prefix: number(interval.value),
        f"{prefix}_low": number(interval.low) if wide else None,
        f"{prefix}_high": number(interval.high) if wide else None,
    }


def table_rows(
    score: Score, baseline: Score, extra: Mapping[str, Any], previous: Score | None = None
) -> list[dict[str, Any]]:
    """A row per benchmark (and their average) for single.csv and combinations.csv.

    Every column comes with its interval and with a paired difference (``difference``,
    ``seen_difference``, ``unseen_difference``); ``no_interval`` says why there is none.

    Args:
        score: What the rows are of.
        baseline: What the differences are to.
        extra: Further columns.
        previous: The step before: ``gain`` is the paired difference of mIoU to it.
    """
    rows = []
    for name, columns in score.by_benchmark():
        row: dict[str, Any] = {
            "prompts": score.candidate.name,
            **extra,
            "split": score.split,
            "benchmark": name,
            **dict(zip(("pictures", "groups"), score.sizes.get(name, (None, None)), strict=True)),
            "no_interval": columns["miou"].interval().missing,
        }
        if any(score.described.values()) or any(baseline.described.values()):
            row["described"] = score.described.get(name) or None
        against = dict(baseline.by_benchmark())[name]
        for column in ("miou", "seen", "unseen"):
            if column in columns:
                gap = columns[column] - against[column]
                row |= fields(column, columns[column].interval())
                label = "difference" if column == "miou" else f"{column}_difference"
                row |= fields(label, gap.interval())
        row["miou_union"] = number(columns["union"].value)
        if previous is not None:
            before = dict(previous.by_benchmark())[name]
            row |= fields("gain", (columns["miou"] - before["miou"]).interval())
        rows.append(row)
    return rows
