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

import numpy as np

from ablations.combine import Search
from ablations.figures import draw_figures
from ablations.report import FORMAT, RUN, VERSION
from ablations.scoreboard import NAME, TYPICAL, Bench, Candidate, Scoreboard, fields, number
from ablations.single import Singles, controls
from ablations.tables import score, signed
from lsmseg_model.clip import Clip
from lsmseg_model.data import scored_names
from lsmseg_model.metrics import iou
from lsmseg_prompts.export.native import export_native
from lsmseg_prompts.files import write_whole
from lsmseg_prompts.terminal import progress_bar

SOFTWARE = ("lsmseg-prompts", "torch", "open_clip_torch", "numpy", "matplotlib")
SUBSETS = {"miou": "all", "seen": "seen", "unseen": "unseen"}


@dataclass
class Outcome:
    """The results of stages 3 and 4, with everything that is needed to write them down."""

    board: Scoreboard
    clip: Clip
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
            "summary": self._summary(),
        }

    def _row(self, candidate: Candidate) -> dict[str, Any]:
        """The last row of a candidate in the path: the only benchmark's, or the average."""
        return [row for row in self.path if row["prompts"] == candidate.name][-1]

    def _summary(self) -> str:
        """The result in words. It says so when the prompts help no class for sure."""
        row, name = self._row(self.candidate), self._row(NAME)
        sure = row["difference_low"] is not None and row["difference_low"] > 0
        worse = row["difference_high"] is not None and row["difference_high"] < 0
        verdict = "more than" if sure else "less than" if worse else "not distinguishable from"
        text = (
            f"{self.candidate.name} reaches an mIoU of {score(row, 'miou', ' %')} on the report "
            f"split, {verdict} the plain name's {score(name, 'miou', ' %')}: a difference of "
            f"{signed(row, 'difference')} points."
        )
        if row.get("unseen") is not None:
            text += (
                f" On the unseen classes it reaches {score(row, 'unseen', ' %')} against "
                f"{score(name, 'unseen', ' %')}: a difference of "
                f"{signed(row, 'unseen_difference')} points."
            )
        return text

    def _cards(self) -> list[dict[str, Any]]:
        """The numbers at the head of the report."""
        row, cards = self._row(self.candidate), []
        for column, what in (("miou", "mIoU, all classes"), ("unseen", "mIoU, unseen classes")):
            if row.get(column) is None:
                continue
            for candidate in (NAME, self.candidate):
                number, _, interval = score(self._row(candidate), column).partition(" ")
                cards.append(
                    {
                        "label": what,
                        "value": f"{number} %",
                        "detail": f"{candidate.name} {interval}",
                        "best": candidate == self.candidate,
                    }
                )
        return cards

    def _search_note(self) -> str:
        last = self.found.steps[-1]
        how = {
            "interval": "a step is taken only if the 95 % interval of its gain lies above 0",
            "paper": "any gain is taken, as in the paper",
        }[self.found.rule]
        end = (
            f"It ended because adding {last.added}, the best of the rest, did not qualify."
            if last.status == "rejected"
            else "It ended because no attribute was left."
        )
        return (
            f"Greedy forward search on the selection split from the best single attribute: {how}. "
            f"{self.found.tried} candidates were tried; the best of many looks better than it is, "
            f"so the scores below come from the report split. {end}"
        )

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
        per_class = [row for bench in self.board.benches for row in self._per_class(bench)]
        with progress_bar("drawing", progress):
            figures = list(
                draw_figures(
                    self.board, self.alone, self.candidate, self.path, per_class, directory
                )
            )
        files |= {figure["file"]: figure["title"] for figure in figures}
        record = {
            "format": FORMAT,
            "version": VERSION,
            "name": directory.name,
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(time.monotonic() - started),
            "summary": self.best["summary"],
            "search_note": self._search_note(),
            "cards": self._cards(),
            **self.provenance(),
            "versions": versions(),
            "store": str(self.store),
            "best": self.best,
            "figures": figures,
            "single": self.alone.rows,
            "combinations": self.path,
            "candidates": self.found.candidates,
            "per_class": per_class,
            "prompts": [self._prompts(bench) for bench, _ in self._suffixes()],
        }
        text = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)
        write_whole(directory / RUN, text + "\n")
        files[RUN] = "everything the report is made from"
        return files

    def _suffixes(self) -> list[tuple[Bench, str]]:
        """A benchmark of every vocabulary, and what tells its files apart; the first has none."""
        first: dict[str, Bench] = {}
        for bench in self.board.benches:
            first.setdefault(bench.vocabulary.name, bench)
        return [(b, f"-{name}" if i else "") for i, (name, b) in enumerate(first.items())]

    def provenance(self) -> dict[str, Any]:
        """What the scores were made from and how, for the records."""
        keys = ("composition", "rule", "samples", "seed", "limit", "attributes", "device")
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

    def _per_class(self, bench: Bench) -> list[dict[str, Any]]:
        """IoU of the plain name and of the best set for every scored class, on report."""
        name, best = self.board.score("report", [NAME, self.candidate])
        before, after = iou(name.totals[bench.name]), iou(best.totals[bench.name])
        labelled = best.totals[bench.name][:, 2]
        benchmark = bench.scorers["report"].benchmark
        names = scored_names(benchmark, [entry.readable for entry in bench.vocabulary])
        return [
            {
                "benchmark": bench.name,
                "index": index,
                "name": name,
                "seen": None if benchmark.seen is None else index in benchmark.seen,
                "labelled": int(labelled[at]),
                "baseline": number(float(before[at])) if labelled[at] else None,
                "best": number(float(after[at])) if labelled[at] else None,
            }
            for at, (index, name) in enumerate(zip(benchmark.class_indices, names, strict=True))
        ]

    def _prompts(self, bench: Bench) -> dict[str, Any]:
        prompt_set = self.board.prompt_set(bench, self.candidate)
        return {
            "vocabulary": bench.vocabulary.name,
            "composition": prompt_set.composition,
            "shortened": len(prompt_set.shortened),
            "dropped": len(prompt_set.dropped),
            "classes": [
                {"index": entry.index, "name": entry.readable, "texts": list(texts)}
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


def write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """Rows as CSV; the columns are those of all rows, in the order they first come up."""
    import pandas as pd

    columns = list(dict.fromkeys(key for row in rows for key in row))
    frame = pd.DataFrame(
        [{c: row.get(c, np.nan) for c in columns} for row in rows], columns=columns
    )
    if "step" in frame:
        frame["step"] = frame["step"].astype("Int64")
    write_whole(path, frame.to_csv(index=False, float_format="%.6f", lineterminator="\n"))
