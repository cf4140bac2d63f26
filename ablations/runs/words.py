"""`ablate --vary vocabulary`: word lists in place of attributes, into the same run folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ablations.runs.request import AblationRequest
from ablations.runs.result import RunResult
from lsmseg_prompts.prompts.prompt_set import PromptSet
from lsmseg_prompts.prompts.word_lists import word_lists
from lsmseg_prompts.terminal import note, progress_bar
from lsmseg_prompts.vocabularies import Vocabulary

if TYPE_CHECKING:
    from ablations.scoring.models import Model
    from ablations.search.scoreboard import Bench

NOBODY = "none"  # who wrote names


def lists_of(request: AblationRequest, vocabulary: Vocabulary) -> dict[str, PromptSet]:
    """The word lists that the request compares."""
    from lsmseg_model.data.layouts import background_prompts

    return word_lists(vocabulary, request.words or (), background_prompts(vocabulary.name))


def as_descriptions(lists: Mapping[str, PromptSet]) -> dict[tuple[int, str], str]:
    """The lists as `reuse` compares texts: what is in a file may change under the same name."""
    return {
        (index, name): "\n".join(group)
        for name, one in lists.items()
        for index, group in enumerate(one.texts)
    }


def run_words(
    request: AblationRequest,
    model: Model,
    bench: Bench,
    lists: Mapping[str, PromptSet],
    directory: Path,
    *,
    command: str,
    progress: bool,
    started: float,
) -> RunResult:
    """Compare the lists, choose names class by class, and fill ``directory`` and the store.

    Args:
        request: What is asked for.
        model: What scores.
        bench: The benchmark.
        lists: Its word lists.
        directory: The run directory.
        command: What repeats the run.
        progress: Whether progress is shown.
        started: time.monotonic() of the beginning.
    """
    from ablations.refinement.words import choose_names
    from ablations.runs.record import RunRecord
    from ablations.runs.write import write_run
    from ablations.search.combine import path_rows
    from ablations.search.single import singles
    from ablations.search.words import WordBoard, search_words

    how = {"samples": request.samples, "seed": request.seed}
    board = WordBoard([replace(bench, descriptions={})], lists, llm=NOBODY, **how)
    names = [name for name in lists if name != "name"]
    with progress_bar("Stage 3  every word list alone", progress) as on_progress:
        single = singles(board, names, on_progress)
    with progress_bar("Stage 4  a name for each class", progress) as on_progress:

        def choose(start: PromptSet) -> tuple[PromptSet | None, int, str]:
            scorer = bench.scorers["selection"]
            options = {"rule": request.rule, **how, "on_progress": on_progress}
            return choose_names(scorer, bench.vocabulary, lists, start, **options)  # type: ignore[arg-type]

        searched = search_words(board, request.rule, choose, on_progress)
        path = path_rows(board, searched, on_progress)
    if progress:
        note(f"Stage 4  {searched.how}")
    made = (board, model, single, searched, path, request, command)
    record = RunRecord(*made, directory, directory.name, compared=names)
    files = write_run(record, started, progress)
    return RunResult(single.rows, path, record.best, directory, files)
