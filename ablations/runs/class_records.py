"""What the runs of a folder say of single classes: their scores, and what `refine` proposed."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from ablations.report.refinement_tables import LOOPS, loops_of
from ablations.report.run_file import RUN, read_run
from ablations.runs.folders import list_results
from lsmseg_prompts.errors import ConfigurationError
from lsmseg_prompts.vocabularies import Vocabulary

Row = dict[str, Any]
Place = tuple[str, int]  # vocabulary, class index


@dataclass(frozen=True)
class ClassRecords:
    """What runs say of the classes of one vocabulary, by class index, the latest run first.

    Attributes:
        scores: {run, benchmark, prompts, llm, texts, iou, baseline, difference, low, high,
            no_interval}: the IoU of a class, in 0..1, with the best prompts of a run, whose texts
            of the class are `texts`, and with the plain name; the difference is paired, with its
            95 % interval where there is one.
        proposals: {run, loop, round, before, texts, proposer, recipe, confused, gain, decided,
            kept, round_gain, round_low, round_high}: other texts that a round of `refine` proposed
            for a class. ``before`` are those that were to be replaced, None where the run does not
            say; ``confused`` what the class was taken for, or what was taken for it, when they were
            proposed: {label, predicted, pixels, gain}; ``gain`` and ``decided`` what they gain by
            themselves, of mIoU, on the half that proposed and on the half that decides;
            ``round_gain`` what all gain that the round kept, with its interval.
    """

    scores: dict[int, list[Row]] = field(default_factory=dict)
    proposals: dict[int, list[Row]] = field(default_factory=dict)

    def score_of(self, index: int, text: str) -> Row | None:
        """The latest score of a class whose texts had this one in them; None where none has.

        Args:
            index: The class.
            text: A description; texts that were joined of several count too.
        """
        said = text.strip().rstrip(".").casefold()
        for row in self.scores.get(index, ()) if said else ():
            if any(said in one.casefold() for one in row["texts"]):
                return row
        return None


def class_records(
    vocabulary: Vocabulary, runs: str | os.PathLike[str] = "runs", most: int = 20
) -> ClassRecords:
    """Gather what the latest runs in a folder say; a record that cannot be read is left out.

    Args:
        vocabulary: Whose classes.
        runs: The folder of runs; it need not be there.
        most: How many runs are read.
    """
    found = ClassRecords()
    for result in [one for one in list_results(runs) if one.kind == "run"][:most]:
        try:
            stat = (result.path / RUN).stat()
            scores, proposals = _of_run(result.path, stat.st_mtime_ns, stat.st_size, result.name)
        except (OSError, ConfigurationError):
            continue
        for mine, theirs in ((found.scores, scores), (found.proposals, proposals)):
            for (name, index), rows in theirs.items():
                if name == vocabulary.name and index < len(vocabulary):
                    mine.setdefault(index, []).extend(rows)
    return found


@lru_cache(maxsize=64)
def _of_run(
    directory: Path, changed: int, size: int, name: str
) -> tuple[dict[Place, list[Row]], dict[Place, list[Row]]]:
    """Scores and proposals of one run, as long as its record stays as it is."""
    run = read_run(directory)
    vocabularies = {one["name"]: one["vocabulary"] for one in run["benchmarks"]}
    scores: dict[Place, list[Row]] = {}
    texts: dict[str, tuple[Place, list[str]]] = {}  # of each class by its name in the record
    for row in run.get("per_class", ()):
        if row.get("index") is None or row["benchmark"] not in vocabularies:
            continue  # of an earlier version
        place = (vocabularies[row["benchmark"]], row["index"])
        texts[row["name"]] = (place, row["after"])
        if row["best"] is not None:
            scores.setdefault(place, []).append(_score(run, name, row))
    proposals: dict[Place, list[Row]] = {}
    if record := run.get("refinement"):
        (vocabulary, *_) = vocabularies.values()
        for row in record["classes"]:  # their texts in the end are not those they began with
            texts[row["class"]] = ((vocabulary, row["index"]), row["before"])
        for key in ("all", "seen"):
            for one, trial in _trials(record, key, texts):
                if (known := texts.get(trial["class"])) is not None:
                    proposals.setdefault(known[0], []).append(_proposal(name, key, one, trial))
    return scores, proposals


def _score(run: Mapping[str, Any], name: str, row: Row) -> Row:
    return {
        "run": name,
        "benchmark": row["benchmark"],
        "prompts": run["best"]["prompts"],
        "llm": run["llm"]["name"],
        "texts": row["after"],
        "iou": row["best"],
        "baseline": row["baseline"],
        "difference": row["difference"],
        "low": row["difference_low"],
        "high": row["difference_high"],
        "no_interval": row["no_interval"],
    }


def _trials(
    record: Row, key: str, texts: Mapping[str, tuple[Place, list[str]]]
) -> Iterator[tuple[Row, Row]]:
    """Each round of a loop with each of its proposals, and what they were to replace."""
    now = {name: before for name, (_, before) in texts.items()}
    for one in loops_of(record).get(key, {"rounds": ()})["rounds"]:
        for kept, trials in ((True, one["kept"]), (False, one["turned_down"])):
            for trial in trials:
                yield one, {**trial, "before": now.get(trial["class"]), "kept": kept}
        now |= {trial["class"]: trial["texts"] for trial in one["kept"]}


def _proposal(name: str, key: str, one: Row, trial: Row) -> Row:
    about = ("before", "texts", "proposer", "recipe", "gain", "decided", "kept")
    mine = trial["class"]
    confused = [pair for pair in one["confusions"] if mine in (pair["label"], pair["predicted"])]
    return {
        "run": name,
        "loop": LOOPS[key],
        "round": one["round"],
        **{column: trial[column] for column in about},
        "confused": confused,
        "round_gain": one.get("gain"),
        "round_low": one.get("gain_low"),
        "round_high": one.get("gain_high"),
    }
