"""What stages 3 and 4 came to, as a run's record and the store have it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ablations.report.lengths import length_rows
from ablations.report.summary import summary
from ablations.runs import refinement
from ablations.runs.open import drawings_note
from ablations.runs.refinement import RunRefinement
from ablations.runs.request import AblationRequest
from ablations.scoring.models import Model
from ablations.scoring.options import SPLITS
from ablations.scoring.splits import shared_groups
from ablations.search.claims import as_good, compared
from ablations.search.path import Search
from ablations.search.scoreboard import (
    NAME,
    TYPICAL,
    Bench,
    Candidate,
    Score,
    Scoreboard,
    fields,
)
from ablations.search.single import Singles, controls
from ablations.search.statistics import Interval
from lsmseg_model.data.benchmark import group_count
from lsmseg_prompts.attributes.samples import sampled
from lsmseg_prompts.export.card import texts_sha256
from lsmseg_prompts.llm.bundled import LLM_NAME, PROVENANCE
from lsmseg_prompts.store.store import open_store_readonly
from lsmseg_prompts.tokens import CLIP

KINDS = ("baseline", "set", "typical", "control")  # of what the choice is compared with
SUBSETS = {"miou": "all", "seen": "seen", "unseen": "unseen"}
SETTINGS = (
    *(
        "vary",
        "words",
        "calibrate",
        "split",
        "limit",
        "composition",
        "missing",
        "all_samples",
        "rule",
        "strategy",
        "beam_width",
        "orders",
    ),
    *("samples", "seed"),
)
"""The settings of a request that its record names beside the attributes and the device."""


@dataclass
class RunRecord:
    """The results of stages 3 and 4, with everything that is needed to write them down.

    path: the rows of combinations.csv. command: what repeats the run. directory: where its files
    go. name: what its evaluations are filed under. compared: the attributes or word
    lists of stage 3; by default the attributes of the request. refined: what refinement did, if
    asked for. coverage: see `runs.open.coverage`.
    """

    board: Scoreboard
    model: Model
    single: Singles
    search: Search
    path: list[dict[str, Any]]
    request: AblationRequest
    command: str
    directory: Path
    name: str
    compared: Sequence[str] = ()
    refined: RunRefinement | None = None
    coverage: Sequence[str] = ()

    @property
    def stage3(self) -> list[str]:
        """What is compared alone: word lists, else attributes."""
        return list(self.compared) or self.request.searched

    @property
    def candidate(self) -> Candidate:
        return self.search.best

    @property
    def composition(self) -> str:
        """How the chosen texts are read."""
        bench = self.board.benches[0]
        return self.board.prompt_set(bench, self.candidate).composition

    @cached_property
    def llm(self) -> dict[str, Any]:
        """Who wrote the texts, as the store has it: asking made the note, or importing did."""
        name = self.board.llm
        with open_store_readonly(self.request.store_path) as file:
            sql = "SELECT provenance FROM llms WHERE name = ?"
            rows = file.rows(sql, [sampled(name)[0]])
        noted = rows[0]["provenance"] if rows else None
        bundled = PROVENANCE if sampled(name)[0] == LLM_NAME else None
        return {"name": name, "provenance": noted or bundled}

    @cached_property
    def refinement(self) -> dict[str, Any] | None:
        """What refinement did, round by round, as run.json has it."""
        return refinement.record(self.refined, self.board) if self.refined else None

    @cached_property
    def best(self) -> dict[str, Any]:
        """The choice: what it is, its scores on both splits, and how it compares on report.

        ``differences`` are paired, the best set's mIoU minus that of name, the best single, typical
        and the controls, over all, seen and unseen classes. ``as_good``: see `claims.as_good`.
        """
        report, others = self._compared
        controls_as_good = as_good(report, self.board.score("report", self._beside))
        differences = {}
        for other in others:
            differences[other.candidate.name] = {
                SUBSETS[c]: _interval((report.mean[c] - other.mean[c]).interval())
                for c in SUBSETS
                if c in report.mean
            }
        return {
            "prompts": self.candidate.name,
            "attributes": list(self.candidate.attributes),
            "composition": self.composition,
            "llm": self.board.llm,
            "rule": self.search.rule,
            "tried": self.search.tried,
            "refined_from": self.refined.start.name
            if self.refined and self.refined.changed
            else None,
            "best_single": self.single.best.name,
            "scores": self.scores(self.candidate),
            "differences": differences,
            "as_good": controls_as_good,
            "note": drawings_note(self.request),
            "summary": " ".join(
                [
                    summary(self.path, self.search, controls_as_good, self.refinement),
                    *self.shared(),
                ]
            ),
        }

    @property
    def _beside(self) -> list[Candidate]:
        """The controls of the choice, and what was refined if it was."""
        typical = [TYPICAL] if self.board.has("typical") else []
        whole = [self.refined.start, self.search.combination] if self.refined else []
        beside = dict.fromkeys([*typical, *controls(self.candidate), *whole])
        return [one for one in beside if one not in (NAME, self.candidate)]

    @cached_property
    def _compared(self) -> tuple[Score, list[Score]]:
        """The scores of the choice on the report split, and of all that it is compared with."""
        others = dict.fromkeys([NAME, self.single.best, *self._beside])
        others.pop(self.candidate, None)
        (report,) = self.board.score("report", [self.candidate])
        return report, self.board.score("report", list(others))

    def differences(self) -> list[dict[str, Any]]:
        """The rows of differences.csv: see `claims.compared`, with ``kind``, one of KINDS."""
        report, others = self._compared
        kinds = {NAME.name: "baseline", TYPICAL.name: "typical"}
        kinds |= {one.name: "control" for one in controls(self.candidate)}
        rows = compared(report, others)
        found = [{**row, "kind": kinds.get(row["prompts"], "set")} for row in rows]
        return sorted(found, key=lambda row: KINDS.index(row["kind"]))

    def scores(self, candidate: Candidate) -> dict[str, Any]:
        """The scores of a set on both splits, over all, seen and unseen classes."""
        scores = {s: self.board.score(s, [candidate])[0] for s in ("selection", "report")}
        return {
            split: {SUBSETS[c]: _interval(one.mean[c].interval()) for c in SUBSETS if c in one.mean}
            for split, one in scores.items()
        }

    def shared(self) -> list[str]:
        """What there is of the descriptions; the benchmarks whose splits have groups in common."""
        shared = [
            f"The selection and the report split of {bench.name} both have pictures of "
            f"{', '.join(shared)}: the report is not independent of the choice."
            for bench in self.board.benches
            if (shared := _shared(bench))
        ]
        return [*self.coverage, *shared]

    def provenance(self) -> dict[str, Any]:
        """What the scores were made from and how, for the records."""
        settings = {name: getattr(self.request, name) for name in SETTINGS}
        settings |= {"attributes": self.stage3, "device": self.request.device}
        if self.board.budget != CLIP:
            settings["budget"] = self.board.budget.described
        return {
            "llm": self.llm,
            "model": {
                "name": self.model.name,
                "weights": self.model.weights_hash,
                "dense": self.model.dense,
            },
            "benchmarks": [_about(bench) for bench in self.board.benches],
            "settings": settings,
            "command": self.command,
        }

    def vocabularies(self) -> list[tuple[Bench, str]]:
        """A benchmark of every vocabulary, and the end of its files' names; "" of the first."""
        first: dict[str, Bench] = {}
        for bench in self.board.benches:
            first.setdefault(bench.vocabulary.name, bench)
        return [(b, f"-{name}" if i else "") for i, (name, b) in enumerate(first.items())]

    def lengths(self) -> list[dict[str, Any]]:
        """How long the texts are of the plain name, each attribute, typical and the best set."""
        attributes = [Candidate((name,)) for name in self.stage3]
        typical = [TYPICAL] if self.board.has("typical") else []
        shown = dict.fromkeys([NAME, *attributes, *typical, self.candidate])
        rows = []
        for bench, _ in self.vocabularies():
            sets = [self.board.prompt_set(bench, candidate) for candidate in shown]
            for row, candidate in zip(length_rows(sets, self.board.budget), shown, strict=True):
                rows.append({**row, "chosen": candidate == self.candidate})
        return rows

    def prompts(self) -> list[dict[str, Any]]:
        """The best prompts of every vocabulary, class by class."""
        sets = [(b, self.board.prompt_set(b, self.candidate)) for b, _ in self.vocabularies()]
        return [
            {
                "vocabulary": bench.vocabulary.name,
                "composition": prompt_set.composition,
                "shortened": len(prompt_set.shortened),
                "dropped": len(prompt_set.dropped),
                "classes": [
                    {
                        "index": entry.index,
                        "name": entry.readable,
                        "texts": list(texts),
                        "tokens": [self.board.budget.count(text) for text in texts],
                    }
                    for entry, texts in zip(bench.vocabulary, prompt_set.texts, strict=True)
                ],
            }
            for bench, prompt_set in sets
        ]

    def evaluations(
        self, run: str, stages: Mapping[str, Sequence[dict[str, Any]]]
    ) -> Iterator[dict[str, Any]]:
        """Arguments of `Store.add_evaluation`: every score of the tables, part by part.

        stages: the rows of each stage's table.
        """
        benches = {bench.name: bench for bench in self.board.benches}
        entered = set()
        for stage, rows in stages.items():
            for row in rows:
                key = (row["prompts"], row["split"], row["benchmark"])
                bench = benches.get(row["benchmark"])
                if bench is None or key in entered:  # the average is not a benchmark
                    continue
                entered.add(key)
                benchmark = bench.scorers[row["split"]].benchmark
                whole = self.board.at_hand(bench, row["prompts"])
                candidate = Candidate.named(row["prompts"])
                for column, subset in SUBSETS.items():
                    if row.get(column) is None:
                        continue
                    yield {
                        "run": run,
                        "stage": stage,
                        "benchmark": bench.name,
                        "split": benchmark.split,
                        "pictures": len(benchmark),
                        "model": self.model.name,
                        "weights_hash": self.model.weights_hash,
                        "vocabulary": bench.vocabulary.name,
                        "llm": self.board.llm,
                        "prompt_set": row["prompts"],
                        "attributes": list(candidate.attributes),
                        "composition": candidate.made_by,
                        "subset": subset,
                        "miou": row[column],
                        "miou_low": row[f"{column}_low"],
                        "miou_high": row[f"{column}_high"],
                        "details": {
                            "samples": self.board.samples,
                            "seed": self.board.seed,
                            "groups": group_count(benchmark),
                            "texts": None if whole is None else texts_sha256(whole),
                        },
                    }


def _interval(interval: Interval) -> dict[str, float | str | None]:
    """value, low and high, with None where undefined, and why there is no interval."""
    named = fields("value", interval)
    return {
        "value": named["value"],
        "low": named["value_low"],
        "high": named["value_high"],
        "no_interval": interval.missing,
    }


def _shared(bench: Bench) -> list[str]:
    return shared_groups(*(bench.scorers[split].benchmark for split in SPLITS))


def _about(bench: Bench) -> dict[str, Any]:
    benchmark = bench.scorers["report"].benchmark
    seen = benchmark.seen
    return {
        "name": bench.name,
        "vocabulary": bench.vocabulary.name,
        "classes": len(benchmark.class_indices),
        "seen": None if seen is None else len(seen & set(benchmark.class_indices)),
        "shared_groups": _shared(bench),
        **{
            split: {
                "split": scorer.benchmark.split,
                "pictures": len(scorer.benchmark),
                "groups": group_count(scorer.benchmark),
            }
            for split, scorer in bench.scorers.items()
        },
    }
