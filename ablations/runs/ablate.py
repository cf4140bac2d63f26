"""The main job: from descriptions and pictures to the best prompt set, and a folder that tells.

`ablate` does stages 3 and 4; `run` does all four. Both leave a run directory: best_prompts.json,
tables as CSV, plots and pictures as PNG, run.json with everything the report is made from, and
report.html.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.refinement.options import RefineOptions
from ablations.runs import reuse, words
from ablations.runs.directory import REPORT, check_run_directory, run_directory, run_path
from ablations.runs.live import counted_progress
from ablations.runs.open import (
    Descriptions,
    benchmark_sources,
    coverage,
    encode_pictures,
    load_descriptions,
    open_benches,
)
from ablations.runs.reproduce import command_of
from ablations.runs.request import AblationRequest
from ablations.runs.result import RunResult
from lsmseg_prompts.descriptions.loading import check_attributes
from lsmseg_prompts.generation.request import GenerationRequest
from lsmseg_prompts.generation.run import generate
from lsmseg_prompts.generation.stage1 import ask_attributes
from lsmseg_prompts.llm import make_llm
from lsmseg_prompts.terminal import note, progress_bar

if TYPE_CHECKING:
    from ablations.runs.record import RunRecord
    from ablations.scoring.models import Model
    from ablations.search.scoreboard import Bench


def run(
    request: AblationRequest | None = None, *, refine: bool = True, progress: bool = True
) -> RunResult:
    """All four stages: attributes, descriptions, single attributes, combinations; and refinement.

    refine: whether the best set is refined class by class, by the request's ``refinement``.
    Without ``attributes`` in the request those of stage 1 are used. Progress is shown on stderr.
    Raises what the stages raise; nothing is written before stage 2.
    """
    request = request or AblationRequest()
    if refine and request.refinement is None:
        request = replace(request, refinement=RefineOptions(required=False))
    path = run_path(request.out)
    check_run_directory(path, request.force)
    llm = request.llm
    vocabularies = {v.name: v for v in benchmark_sources(request)[1]}
    provider = make_llm(llm)
    named = [attribute.name for attribute in ask_attributes(provider)]
    if progress:
        note(f"Results go to {path / REPORT}")
        note(f"Stage 1  {llm} names {len(named)} attributes: {', '.join(named)}")
    attributes = request.attributes or check_attributes(named)
    for vocabulary in vocabularies.values():
        label = f"Stage 2  asking {llm} about {vocabulary.name}"
        with (
            counted_progress(request.store_path, "run"),
            progress_bar(label, progress) as on_progress,
        ):
            asked = GenerationRequest(
                vocabulary,
                [provider],
                list(dict.fromkeys([*attributes, "typical"])),
                budget=request.token_budget.named,
                store=request.store_path,
            )
            (summary,) = generate(asked, on_progress=on_progress)
        if progress:
            note(
                f"Stage 2  {vocabulary.name}: {summary.cells} descriptions, {summary.skipped} were "
                f"there, {summary.done} added, {summary.failed} failed"
            )
    return _ablate(replace(request, attributes=attributes), progress, path)


def ablate(request: AblationRequest | None = None, *, progress: bool = True) -> RunResult:
    """Stages 3 and 4 on one or more benchmarks; writes the run directory and the evaluations.

    A request that an earlier run has the results of is not computed again. Progress is shown on
    stderr. Raises the errors of the rooms below: UsageError, ConfigurationError, StoreError,
    DataError, CheckpointError; whatever can be checked is checked before the model runs.
    """
    return _ablate(request or AblationRequest(), progress)


def _ablate(request: AblationRequest, progress: bool, path: Path | None = None) -> RunResult:
    """path: where the results go, if that has been said already."""
    started = time.monotonic()
    sources, vocabularies = benchmark_sources(request)
    llm, lists = request.llm, {}
    if request.vary == "vocabulary":
        lists = words.lists_of(request, vocabularies[0])
        descriptions = [words.as_descriptions(lists)]
    else:
        descriptions = load_descriptions(request, vocabularies, [llm])[llm]
    key = reuse.request_key(request, sources, vocabularies, descriptions)
    if not request.again and (earlier := reuse.find_run(request, key)):
        if progress:
            note(f"Answered by the run {earlier.directory}; --again computes anew")
        return earlier
    with run_directory(path or request.out, request.force) as directory:
        model, benches = open_benches(request, sources, vocabularies, progress)
        if request.refinement is not None and request.refinement.required:
            from ablations.refinement.evaluation import check_halves

            check_halves(benches[0].scorers["selection"].benchmark, request.seed)
        if progress and path is None:
            note(f"Results go to {directory / REPORT}")
        encode_pictures(benches, request.store_path, progress)
        command = command_of("ablate", request)
        if lists:
            how: dict[str, Any] = {"command": command, "progress": progress, "started": started}
            result = words.run_words(request, model, benches[0], lists, directory, **how)
        else:
            opened = OpenAblation(
                request,
                model,
                benches,
                command,
                progress,
                started=started,
                coverage=coverage(request, vocabularies, {llm: descriptions}),
            )
            result = opened.run(llm, descriptions, directory, directory.name)[1]
    if result.spent is not None:
        raise result.spent
    reuse.keep_run(request.store_path, key, result)
    return result


@dataclass(frozen=True)
class OpenAblation:
    """A request with its model and its pictures open, whoever wrote the texts.

    command: what repeats it. several: whether it is done for several LLMs. started:
    time.monotonic() of the beginning, where that was before a `run`. coverage: see
    `runs.open.coverage`.
    """

    request: AblationRequest
    model: "Model"
    benches: "list[Bench]"
    command: str
    progress: bool
    several: bool = False
    started: float | None = None
    coverage: Sequence[str] = ()

    def run(
        self, llm: str, descriptions: Descriptions, directory: Path, name: str
    ) -> "tuple[RunRecord, RunResult]":
        """Stages 3 and 4 with one LLM's descriptions; fills ``directory`` and the store.

        Args:
            llm: Who wrote them.
            descriptions: Those of each benchmark's vocabulary.
            directory: The run directory.
            name: What the evaluations are filed under.
        """
        from ablations.runs.record import RunRecord
        from ablations.runs.refinement import refine_best, seen_rows
        from ablations.runs.write import write_run
        from ablations.search.combine import path_rows, search
        from ablations.search.scoreboard import Scoreboard
        from ablations.search.single import singles

        request, missing = self.request, self.request.missing
        have = {attribute for cells in descriptions for _, attribute in cells}
        attributes = [name for name in request.searched if missing == "fail" or name in have]
        attributes = attributes or ["typical"]
        started = self.started or time.monotonic()
        pairs = zip(self.benches, descriptions, strict=True)
        board = Scoreboard(
            [bench.described_by(cells, missing) for bench, cells in pairs],
            llm=llm,
            samples=request.samples,
            seed=request.seed,
            missing=missing,
            budget=request.token_budget,
        )
        whose = f"{llm}: " if self.several else ""
        with progress_bar(f"Stage 3  {whose}every attribute alone", self.progress) as on_progress:
            single = singles(board, attributes, on_progress)
        if self.progress:
            note(f"Stage 3  {whose}best alone on the selection split: {single.best.name}")
        with progress_bar(f"Stage 4  {whose}combinations", self.progress) as on_progress:
            searched = search(board, attributes, request.search_options, on_progress)
        if self.progress:
            best = f"best after {searched.tried} candidates: {searched.best.name}"
            few = searched.too_few and f"no step, {searched.too_few}"
            note(f"Stage 4  {whose}{few or best}")
        refined = None
        if request.refinement is not None:
            how = self.model.name, self.progress
            refined = refine_best(request, board, searched, descriptions, *how)
        with progress_bar("Stage 4  report split", self.progress) as on_progress:
            path = path_rows(board, searched, on_progress)
        if refined is not None:
            path += seen_rows(refined, board)
        made = (board, self.model, single, searched, path, request, self.command, directory, name)
        record = RunRecord(*made, compared=attributes, refined=refined, coverage=self.coverage)
        files = write_run(record, started, self.progress)
        spent = refined.inquiry.spent if refined and refined.inquiry else None
        told = record.best, directory, files, spent, record.refinement
        return record, RunResult(single.rows, path, *told)
