"""The main job: from descriptions and pictures to the best prompt set, and a folder that tells.

`ablate` does stages 3 and 4; `run` does all four. Both leave a run directory: best_prompts.json,
tables as CSV, plots and pictures as PNG, run.json with everything the report is made from, and
report.html. `compare` does stages 3 and 4 for several LLMs and sets them side by side.
"""

import inspect
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.runs import open as prepare
from ablations.runs import reuse
from lsmseg_prompts.descriptions.loading import check_attributes
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.generation.run import generate
from lsmseg_prompts.generation.stage1 import ask_attributes
from lsmseg_prompts.llm import make_llm
from lsmseg_prompts.store.store import open_store, working_store_path
from lsmseg_prompts.terminal import note, progress_bar

if TYPE_CHECKING:
    from ablations.runs.compare import Comparison
    from ablations.runs.result import Outcome
    from ablations.scoring.models import Model
    from ablations.search.scoreboard import Bench


@dataclass(frozen=True)
class RunResult:
    """What a run found: the tables' rows (also in the CSV files), the choice, and the folder.

    ``files`` tells what each file of the folder is.
    """

    single: list[dict[str, Any]]
    combinations: list[dict[str, Any]]
    best: dict[str, Any]
    directory: Path
    files: dict[str, str]


def run(
    *,
    out: str | Path | None = None,
    llm: str = "bundled",
    vocab: str | None = None,
    store: str | None = None,
    progress: bool = True,
    **options: Any,
) -> RunResult:
    """All four stages: attributes, descriptions, single attributes, combinations; and export.

    ``options`` are those of `ablate`. Without ``attributes`` those of stage 1 are used. Each
    stage is told on stderr. Raises what the stages raise; nothing is written before stage 2.
    """
    data = options.get("data") or ["ministuff"]
    vocabularies = {v.name: v for v in (prepare.labelled_with(d, vocab) for d in data)}
    provider = make_llm(llm)
    found = [attribute.name for attribute in ask_attributes(provider)]
    if progress:
        note(f"Stage 1  {llm} names {len(found)} attributes: {', '.join(found)}")
    attributes = options.pop("attributes", None) or list(check_attributes(found))
    for vocabulary in vocabularies.values():
        with progress_bar(
            f"Stage 2  asking {llm} about {vocabulary.name}", prepare.bars(progress)
        ) as tell:
            summary = generate(
                working_store_path(store),
                vocabulary,
                provider,
                [*attributes, "typical"],
                progress=tell,
            )
        if progress:
            note(
                f"Stage 2  {vocabulary.name}: {summary.cells} descriptions, {summary.skipped} were "
                f"there, {summary.done} added, {summary.failed} failed"
            )
    return ablate(
        llm=llm,
        vocab=vocab,
        attributes=attributes,
        store=store,
        out=out,
        progress=progress,
        **options,
    )


def ablate(
    *,
    llm: str = "bundled",
    data: Sequence[str] = ("ministuff",),
    data_root: Sequence[str] | None = None,
    vocab: str | None = None,
    model: str = "lsmseg-tiny",
    pretrained: str | None = None,
    dense: str | None = None,
    sam: str | None = None,
    attributes: Sequence[str] | None = None,
    composition: str = "concat",
    limit: int | None = None,
    samples: int = 2000,
    rule: str = "interval",
    strategy: str = "greedy",
    beam_width: int = 3,
    orders: bool = False,
    seed: int = 0,
    picture: Sequence[str] | None = None,
    store: str | None = None,
    out: str | Path | None = None,
    device: str = "cpu",
    cache: str | Path | bool | None = None,
    again: bool = False,
    scorer: str = "frozen",
    checkpoint: str | None = None,
    format: str | None = None,
    config: str | None = None,
    iterations: int | None = None,
    encoder: str | None = None,
    executor: str = "local",
    progress: bool = True,
) -> RunResult:
    """Stages 3 and 4 on one or more benchmarks; writes the run directory and the evaluations.

    data: benchmarks or folders; ``data_root`` their folders in the same order (MiniStuff and a
    folder given as data need none). vocab: by default the one each benchmark is labelled with.
    model, pretrained, dense, sam: see `Segmenter`.
    limit: at most so many pictures of a split. samples: bootstrap resamples. rule: "interval" or
    "paper"; strategy, beam_width, orders: see `combine.search`. picture: names of the pictures to
    show (by default they are chosen by their labels).
    out: the run directory (default runs/<time>). cache: the folder that keeps dense features
    (see `prepare.cache_folder`); False: none does. again: compute anew what a run has answered.
    scorer: "frozen" is the CLIP; "trained" the network ``checkpoint`` (in ``format``, "lsmseg" or
    "cat-seg"); "retrain" trains the network ``config`` for each prompt set, ``iterations`` steps
    from the weights ``pretrained`` and ``encoder``. executor: "local", or "ray" for a cluster, with
    the same results (docs/scale.md).

    Raises the errors of the rooms below: UsageError, ConfigurationError, StoreError, DataError,
    CheckpointError; whatever can be checked is checked before the model runs.
    """
    arguments = dict(locals())
    started = time.monotonic()
    job = prepare.check(arguments)
    described = prepare.descriptions(job, [llm])
    key = reuse.request(job, llm, described[llm])
    if not again and (known := reuse.recall(job, key)):
        if progress:
            note(f"Answered by the run {known.directory}; --again computes anew")
        return known
    with prepare.run_directory(out) as directory:
        clip, benches = prepare.look(job)
        work = _Work(job, clip, benches, prepare.command("ablate", arguments))
        result = work.search(llm, described[llm], directory, directory.name, started)[1]
    reuse.remember(job.store, key, result)
    return result


def compare(*, llms: Sequence[str], **options: Any) -> "Comparison":
    """Stages 3 and 4 with the descriptions of each LLM, and a comparison (thesis, Table 5.9).

    ``options`` are those of `ablate`. The pictures are looked at once. Every LLM leaves its own
    run directory below ``out``; beside them stand llms.csv, llms.png, run.json and report.html,
    which compare: all LLMs on the attributes that were best for the first one, and each on those
    that were best for it. Differences are to the first LLM, on the same resamples.

    An LLM need not be one that can be asked: it is a name under which the store has texts.
    Raises what `ablate` raises; the descriptions of all LLMs are checked before anything runs.
    """
    bound = inspect.signature(ablate).bind(**options)
    bound.apply_defaults()
    arguments = {key: value for key, value in bound.arguments.items() if key != "llm"}
    names = list(llms)
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UsageError(f"The LLM {twice[0]} is named twice: name each once.")
    if len(names) < 2:
        raise UsageError("Name at least two LLMs to compare; one alone is for `ablate`.")
    started = time.monotonic()
    job = prepare.check(arguments)
    described = prepare.descriptions(job, names)
    with prepare.run_directory(job.arguments["out"]) as directory:
        # torch from here on
        from ablations.runs.compare import safe_names, write_comparison

        clip, benches = prepare.look(job)
        command = prepare.command("compare", {"llms": names, **arguments})
        work = _Work(job, clip, benches, command)
        outcomes: dict[str, Outcome] = {}
        for llm, folder in safe_names(names).items():
            with prepare.run_directory(directory / folder) as below:
                run = f"{directory.name}/{folder}"
                outcomes[llm], _ = work.search(llm, described[llm], below, run, time.monotonic())
        return write_comparison(outcomes, directory, started)


@dataclass(frozen=True)
class _Work:
    """A checked request with its model and its pictures looked at, whoever wrote the texts."""

    job: prepare.Job
    clip: "Model"
    benches: "list[Bench]"
    command: str

    def search(
        self, llm: str, described: prepare.Described, directory: Path, run: str, started: float
    ) -> "tuple[Outcome, RunResult]":
        """Stages 3 and 4 with one LLM's descriptions; fills ``directory`` and the store.

        run: what the evaluations are filed under. started: time.monotonic() of the beginning.
        """
        from ablations.runs.result import Outcome
        from ablations.search.combine import path_rows, search
        from ablations.search.scoreboard import Scoreboard
        from ablations.search.single import singles

        wanted = self.job.arguments
        progress, names = wanted["progress"], self.job.attributes
        board = Scoreboard(
            [replace(b, descriptions=d) for b, d in zip(self.benches, described, strict=True)],
            composition=wanted["composition"],
            llm=llm,
            samples=wanted["samples"],
            seed=wanted["seed"],
        )
        whose = f"{llm}: " if "llm" not in wanted else ""
        with progress_bar(f"Stage 3  {whose}every attribute alone", prepare.bars(progress)) as tell:
            alone = singles(board, names, tell)
        if progress:
            note(f"Stage 3  {whose}best alone on the selection split: {alone.best.name}")
        with progress_bar(f"Stage 4  {whose}combinations", prepare.bars(progress)) as tell:
            found = search(
                board,
                names,
                wanted["rule"],
                tell,
                strategy=wanted["strategy"],
                width=wanted["beam_width"],
                orders=wanted["orders"],
            )
            path = path_rows(board, found, tell)
        if progress:
            note(f"Stage 4  {whose}best after {found.tried} candidates: {found.best.name}")

        store = self.job.store
        outcome = Outcome(
            board=board,
            clip=self.clip,
            alone=alone,
            found=found,
            path=path,
            settings=self.job.settings,
            command=self.command,
            llm={"name": llm, "provenance": prepare.provenance(llm, store)},
            store=store,
        )
        files = outcome.write(directory, started, prepare.bars(progress))
        with open_store(store) as file, file.transaction():
            for row in outcome.evaluations(run):
                file.add_evaluation(**row)
        report(directory)
        files["report.html"] = "all of it on one page"
        return outcome, RunResult(alone.rows, path, outcome.best, directory, files)


def report(directory: str | Path) -> Path:
    """Write report.html anew from what a run left in ``directory``; returns its path."""
    from ablations.report.html import write_report

    return write_report(directory)
