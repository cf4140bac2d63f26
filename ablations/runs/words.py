"""`ablate --vary vocabulary`: word lists in place of attributes, into the same run folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.runs.request import AblationRequest
from ablations.runs.result import RunResult
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.prompts.prompt_set import PromptSet
from lsmseg_prompts.prompts.word_lists import word_lists
from lsmseg_prompts.terminal import note, progress_bar
from lsmseg_prompts.vocabularies import Vocabulary

if TYPE_CHECKING:
    from ablations.scoring.models import Model
    from ablations.search.scoreboard import Bench

CARD = "card.md"
NOBODY = "none"  # who wrote names


def lists_of(request: AblationRequest, vocabulary: Vocabulary) -> dict[str, PromptSet]:
    """The word lists that the request compares.

    Raises UsageError where there is nothing to compare, or no background to find a threshold for.
    """
    from lsmseg_model.data.layouts import background_prompts

    background = background_prompts(vocabulary.name)
    if request.calibrate and not background:
        raise UsageError(
            "--calibrate finds a threshold below which a pixel is background, and no label of "
            f"{request.data[0]} is background: leave it out."
        )
    return word_lists(vocabulary, request.words or (), background)


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
    from ablations.search.words import WordBoard, find_threshold, search_words

    how = {"samples": request.samples, "seed": request.seed}
    if request.calibrate:
        bench = replace(bench, scorers=_with_thresholds(bench))
    board = WordBoard([replace(bench, descriptions={})], lists, llm=NOBODY, **how)
    names = [name for name in lists if name != "name"]
    with progress_bar("Stage 3  every word list alone", progress) as on_progress:
        single = singles(board, names, on_progress)
    with progress_bar("Stage 4  a name for each class", progress) as on_progress:
        scorer: Any = bench.scorers["selection"]
        options: Any = {"rule": request.rule, **how, "on_progress": on_progress}
        choose = partial(choose_names, scorer, bench.vocabulary, lists, **options)
        calibrate = partial(find_threshold, scorer, **options) if request.calibrate else None
        searched = search_words(board, request.rule, choose, calibrate, on_progress)
        path = path_rows(board, searched, on_progress)
    if progress:
        note(f"Stage 4  {searched.how}")
    made = (board, model, single, searched, path, request, command)
    record = RunRecord(*made, directory, directory.name, compared=names)
    files = write_run(record, started, progress)
    files |= _write_card(board.prompt_set(bench, searched.best), bench, request, directory)
    return RunResult(single.rows, path, record.best, directory, files)


def _with_thresholds(bench: Bench) -> dict[str, Any]:
    """The scorers of a benchmark that labels background, which know thresholds then."""
    from ablations.scoring.threshold import ThresholdScorer
    from lsmseg_model.data.layouts import background_prompts

    background = background_prompts(bench.vocabulary.name)[0]
    return {split: ThresholdScorer(one, background) for split, one in bench.scorers.items()}  # type: ignore[arg-type]


def _write_card(
    best: PromptSet, bench: Bench, request: AblationRequest, directory: Path
) -> dict[str, str]:
    """The vocabulary card of what was chosen."""
    from lsmseg_model.data.layouts import background_prompts
    from lsmseg_prompts.export.card import export_card, vocabulary_card

    card = vocabulary_card(
        best,
        bench.vocabulary,
        background=background_prompts(bench.vocabulary.name),
        threshold=getattr(best, "threshold", None),
        store=request.store_path,
    )
    export_card(card, directory / CARD)
    return {CARD: "the vocabulary card: what a paper should print of the words"}
