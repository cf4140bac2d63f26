"""What a run leaves behind: files of the run directory and rows of the store."""

import json
import platform
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from ablations.report import classwise
from ablations.report.figures import draw_figures
from ablations.report.files import write_csv, write_tables
from ablations.report.html import FORMAT, RUN, VERSION
from ablations.report.lengths import length_rows
from ablations.report.summary import cards, summary
from ablations.runs.reproduce import commands
from ablations.scoring.models import Model
from ablations.search.combine import Search
from ablations.search.scoreboard import NAME, TYPICAL, Bench, Candidate, Scoreboard, fields
from ablations.search.single import Singles, controls
from lsmseg_prompts.export.native import export_native
from lsmseg_prompts.files import write_whole
from lsmseg_prompts.terminal import progress_bar
from lsmseg_prompts.tokens import count_tokens

SOFTWARE = ("lsmseg-prompts", "torch", "open_clip_torch", "numpy", "matplotlib")
SUBSETS = {"miou": "all", "seen": "seen", "unseen": "unseen"}


@dataclass
class Outcome:
    """The results of stages 3 and 4, with everything that is needed to write them down."""

    board: Scoreboard
    clip: Model
    alone: Singles
    found: Search
    path: list[dict[str, Any]]
    settings: dict[str, Any]
    command: str
    llm: dict[str, Any]
    store: Path

    @property
    def candidate(self) -> Candidate:
        return self.found.best

    @cached_property
    def best(self) -> dict[str, Any]:
        """The choice: what it is, its scores on both splits, and how it compares on report.

        ``differences`` are paired, the best set's mIoU minus that of name, typical and the
        controls, over all, seen and unseen classes.
        """
        typical = [TYPICAL] if self.board.has("typical") else []
        others = [NAME, *typical, *controls(self.candidate)]
        scores = {s: self.board.score(s, [self.candidate])[0] for s in ("selection", "report")}
        report = scores["report"]
        differences = {}
        for other in self.board.score("report", others):
            differences[other.candidate.name] = {
                SUBSETS[c]: _interval((report.mean[c] - other.mean[c]).interval())
                for c in SUBSETS
                if c in report.mean
            }
        return {
            "prompts": self.candidate.name,
            "attributes": list(self.candidate.attributes),
            "composition": self.board.composition,
            "llm": self.board.llm,
            "rule": self.found.rule,
            "tried": self.found.tried,
            "best_single": self.alone.best.name,
            "scores": {
                split: {
                    SUBSETS[c]: _interval(one.mean[c].interval()) for c in SUBSETS if c in one.mean
                }
                for split, one in scores.items()
            },
            "differences": differences,
            "summary": summary(self.path, self.candidate.name, self.found.tried),
        }

    def write(self, directory: Path, started: float, progress: bool) -> dict[str, str]:
        """Write all files but the report; returns what each is."""
        files: dict[str, str] = {}
        for name, rows, what in (
            ("single.csv", self.alone.rows, "stage 3: every attribute alone, both splits"),
            ("combinations.csv", self.path, "stage 4: the path on the report split"),
            ("candidates.csv", self.found.candidates, "every candidate of the search"),
        ):
            write_csv(directory / name, rows)
            files[name] = what
        for bench, suffix in self._suffixes():
            name = f"best_prompts{suffix}.json"
            export_native(
                self.board.prompt_set(bench, self.candidate),
                bench.vocabulary,
                directory / name,
                scores=self.best["scores"],
                provenance=self.provenance(),
            )
            files[name] = f"the best prompts ({self.candidate.name}) for training and evaluation"
        per_class = [
            row
            for bench in self.board.benches
            for row in classwise.per_class(self.board, bench, self.candidate)
        ]
        pairs = [self._pairs(bench, per_class, progress) for bench in self.board.benches]
        write_csv(directory / "confusions.csv", [row for rows in pairs for row in rows])
        files["confusions.csv"] = "which classes are taken for which, before and after"
        lengths = self._lengths()
        with progress_bar("drawing", progress):
            figures = list(
                draw_figures(
                    self.board,
                    self.alone,
                    self.candidate,
                    self.path,
                    per_class,
                    lengths,
                    directory,
                    self.settings.get("picture"),
                )
            )
        for figure in figures:
            files[figure["file"]] = figure["title"]
            files[str(Path(figure["file"]).with_suffix(".pdf"))] = f"{figure['title']}, for a paper"
        record = {
            "format": FORMAT,
            "version": VERSION,
            "name": directory.name,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - started),
            "summary": self.best["summary"],
            "search_note": self.found.note(),
            "search": self.found.record(),
            "cards": cards(self.path, self.candidate.name),
            **self.provenance(),
            "versions": versions(),
            "store": str(self.store),
            "best": self.best,
            "figures": figures,
            "single": self.alone.rows,
            "combinations": self.path,
            "candidates": self.found.candidates,
            "per_class": per_class,
            "confusions": [row for rows in pairs for row in classwise.most_changed(rows)],
            "lengths": lengths,
            "commands": self._commands(directory),
            "prompts": [self._prompts(bench) for bench, _ in self._suffixes()],
        }
        text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)
        write_whole(directory / RUN, text + "\n")
        files[RUN] = "everything the report is made from"
        return files | write_tables(record, directory)

    def _pairs(
        self, bench: Bench, per_class: Sequence[dict[str, Any]], progress: bool
    ) -> list[dict[str, Any]]:
        """Which classes were taken for which, by the plain name and by the best set."""
        found = []
        for candidate in (NAME, self.candidate):
            with progress_bar(f"{bench.name}: confusions of {candidate.name}", progress) as tell:
                prompt_set = self.board.prompt_set(bench, candidate)
                found.append(classwise.confusion(bench.scorers["report"], prompt_set, tell))
        here = [row for row in per_class if row["benchmark"] == bench.name]
        return classwise.pair_rows(bench, found[0], found[1], here)

    def _lengths(self) -> list[dict[str, Any]]:
        """How long the texts are of the plain name, each attribute, typical and the best set."""
        alone = [Candidate((name,)) for name in self.settings["attributes"]]
        typical = [TYPICAL] if self.board.has("typical") else []
        shown = dict.fromkeys([NAME, *alone, *typical, self.candidate])
        rows = []
        for bench, _ in self._suffixes():
            sets = [self.board.prompt_set(bench, candidate) for candidate in shown]
            for row, candidate in zip(length_rows(sets), shown, strict=True):
                rows.append({**row, "chosen": candidate == self.candidate})
        return rows

    def _commands(self, directory: Path) -> list[dict[str, str]]:
        vocabularies = [bench.vocabulary.name for bench in self.board.benches]
        return commands(
            self.settings, self.llm["name"], vocabularies, self.candidate.attributes, directory
        )

    def _suffixes(self) -> list[tuple[Bench, str]]:
        """A benchmark of every vocabulary, and what tells its files apart; the first has none."""
        first: dict[str, Bench] = {}
        for bench in self.board.benches:
            first.setdefault(bench.vocabulary.name, bench)
        return [(b, f"-{name}" if i else "") for i, (name, b) in enumerate(first.items())]

    def provenance(self) -> dict[str, Any]:
        """What the scores were made from and how, for the records."""
        keys = (
            *("composition", "rule", "strategy", "beam_width", "orders", "samples", "seed"),
            *("limit", "attributes", "device"),
        )
        return {
            "llm": self.llm,
            "model": {
                "name": self.clip.name,
                "weights": self.clip.weights_hash,
                "dense": self.clip.dense,
            },
            "benchmarks": [_describe(bench) for bench in self.board.benches],
            "settings": {key: self.settings[key] for key in keys},
            "command": self.command,
        }

    def _prompts(self, bench: Bench) -> dict[str, Any]:
        prompt_set = self.board.prompt_set(bench, self.candidate)
        return {
            "vocabulary": bench.vocabulary.name,
            "composition": prompt_set.composition,
            "shortened": len(prompt_set.shortened),
            "dropped": len(prompt_set.dropped),
            "classes": [
                {
                    "index": entry.index,
                    "name": entry.readable,
                    "texts": list(texts),
                    "tokens": [count_tokens(text) for text in texts],
                }
                for entry, texts in zip(bench.vocabulary, prompt_set.texts, strict=True)
            ],
        }

    def evaluations(
        self, run: str, stages: Sequence[tuple[str, Sequence[dict[str, Any]]]] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Arguments of `Store.add_evaluation`: every score of the tables, part by part.

        stages: (stage, rows of a table); by default the tables of stages 3 and 4.
        """
        benches = {bench.name: bench for bench in self.board.benches}
        done = set()
        for stage, rows in stages or (("3", self.alone.rows), ("4", self.path)):
            for row in rows:
                key = (row["prompts"], row["split"], row["benchmark"])
                bench = benches.get(row["benchmark"])
                if bench is None or key in done:  # the average is no benchmark
                    continue
                done.add(key)
                benchmark = bench.scorers[row["split"]].benchmark
                joined = row["prompts"].partition("(")[2].rstrip(")") or row["prompts"]
                for column, subset in SUBSETS.items():
                    if row.get(column) is None:
                        continue
                    yield {
                        "run": run,
                        "stage": stage,
                        "benchmark": bench.name,
                        "split": benchmark.split,
                        "pictures": len(benchmark),
                        "model": self.clip.name,
                        "weights_hash": self.clip.weights_hash,
                        "vocabulary": bench.vocabulary.name,
                        "llm": self.board.llm,
                        "prompt_set": row["prompts"],
                        "attributes": joined.split("+"),
                        "composition": self.board.composition,
                        "subset": subset,
                        "miou": row[column],
                        "miou_low": row[f"{column}_low"],
                        "miou_high": row[f"{column}_high"],
                        "details": {"samples": self.board.samples, "seed": self.board.seed},
                    }


def _interval(interval: Any) -> dict[str, float | None]:
    """value, low and high, with None where undefined."""
    named = fields("value", interval)
    return {"value": named["value"], "low": named["value_low"], "high": named["value_high"]}


def _describe(bench: Bench) -> dict[str, Any]:
    benchmark = bench.scorers["report"].benchmark
    seen = benchmark.seen
    return {
        "name": bench.name,
        "vocabulary": bench.vocabulary.name,
        "classes": len(benchmark.class_indices),
        "seen": None if seen is None else len(seen & set(benchmark.class_indices)),
        **{
            split: {"split": scorer.benchmark.split, "pictures": len(scorer.benchmark)}
            for split, scorer in bench.scorers.items()
        },
    }


def versions() -> dict[str, str]:
    """The versions of what the scores depend on."""
    found = {"Python": platform.python_version()}
    for name in SOFTWARE:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # run from a folder without being installed
            continue
    return found
