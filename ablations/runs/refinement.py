"""Refinement as a part of a run: its texts gathered, its steps entered, what it leaves."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ablations.refinement.asking import Inquiry
from ablations.refinement.evaluation import too_few_for_halves
from ablations.refinement.loop import OnRound, Refinement, Trial
from ablations.refinement.options import RefineOptions
from ablations.refinement.proposers import open_proposers
from ablations.refinement.refine import Job, Refined, refine_set
from ablations.refinement.texts import TextStore
from ablations.runs.open import Descriptions
from ablations.runs.request import AblationRequest
from ablations.scoring.frozen import OnProgress
from ablations.search.options import BY_CLASS
from ablations.search.path import Search, Step
from ablations.search.scoreboard import (
    BY_SEEN_LABELS,
    GIVEN,
    NAME,
    REFINED,
    Bench,
    Candidate,
    Scoreboard,
    fields,
    number,
    table_rows,
)
from lsmseg_prompts.attributes.contrast import other_of
from lsmseg_prompts.descriptions.loading import load, load_pairs
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.export.native import load_native
from lsmseg_prompts.llm.bundled import LLM_NAME
from lsmseg_prompts.prompts.controls import random_like
from lsmseg_prompts.prompts.prompt_set import READ_BY_CLIP, PromptSet
from lsmseg_prompts.store.store import open_store_readonly
from lsmseg_prompts.terminal import note, progress_bar

SHUFFLED = replace(REFINED, control="shuffled")
RANDOM = replace(REFINED, control="random")


@dataclass(frozen=True)
class RunRefinement:
    """What refinement did in a run.

    Attributes:
        refined: The loops.
        start: The best one set for all, which they began with.
        bench: The benchmark.
        inquiry: What was asked of an LLM.
        rule: What decided.
    """

    refined: Refined
    start: Candidate
    bench: Bench
    inquiry: Inquiry | None
    rule: str = RefineOptions.rule

    @property
    def changed(self) -> bool:
        """Whether anything was kept."""
        return bool(self.refined.labelled.changed)


def refine_best(
    request: AblationRequest,
    board: Scoreboard,
    searched: Search,
    descriptions: Descriptions,
    model: str,
    progress: bool,
) -> RunRefinement | None:
    """Refine the best set of a search on the selection split, and enter it as the last step.

    None where that is not required, and there are too few pictures for it.

    Args:
        request: Whose ``refinement`` says how.
        board: Of one benchmark; gets the refined sets.
        searched: What stage 4 found; gets a step.
        descriptions: Of the benchmark's vocabulary.
        model: Who scores, for the record.
        progress: Whether it is shown.

    Raises:
        UsageError: For too few pictures, and a set to start from that does not fit; and what
            asking raises.
    """
    options, (bench,) = request.refinement or RefineOptions(), board.benches
    if options.start is not None:
        _start_from(options.start, board, searched)
    start = searched.best
    few = too_few_for_halves(bench.scorers["selection"].benchmark, request.seed)
    if few and not options.required:
        if progress:
            note(f"Refine   left out: half of the selection split has {few}")
        return None
    asking = options.ask
    inquiry = Inquiry(asking, request.store_path, note if progress else None) if asking else None
    job = _job(request, bench, board.prompt_set(bench, start), start.name, descriptions[0], model)
    job = replace(job, inquiry=inquiry, proposers=open_proposers(options.proposers or (), inquiry))
    with progress_bar("Refine", progress) as bar:

        def begin(label: str) -> tuple[OnRound | None, OnProgress | None]:
            def told(so_far: Refinement) -> None:
                if progress:
                    note(f"Refine   {label}: {round_in_words(so_far)}")

            return told, bar

        refined = refine_set(job, begin)
    found = RunRefinement(refined, start, bench, inquiry, options.rule)
    _enter(found, board, searched)
    return found


def _job(
    request: AblationRequest,
    bench: Bench,
    start: PromptSet,
    recipe: str,
    descriptions: Mapping[tuple[int, str], str],
    model: str,
) -> Job:
    return Job(
        scorer=bench.scorers["selection"],
        start=start,
        recipe=recipe,
        store=text_store(request, bench, descriptions),
        proposers={},
        options=request.refinement or RefineOptions(),
        samples=request.samples,
        seed=request.seed,
        stream=bench.stream,
        path=request.store_path,
        model=model,
    )


def _start_from(path: str, board: Scoreboard, searched: Search) -> None:
    """Enter a prompt set of a file as the step that refinement starts from."""
    (bench,) = board.benches
    prompts = load_native(path, budget=board.budget)
    bench.scorers["selection"].texts(prompts)  # raises where it is of another vocabulary
    if prompts.composition in READ_BY_CLIP or prompts.weights is not None:
        raise UsageError(
            f"{path} is not read by averaging the texts of a class, as refinement does: start "
            "from another set."
        )
    board.add(bench, GIVEN, _called(prompts, GIVEN))
    searched.steps.append(Step(GIVEN, BY_CLASS, "accepted", None))


def text_store(
    request: AblationRequest, bench: Bench, descriptions: Mapping[tuple[int, str], str]
) -> TextStore:
    """All that the stores have about the classes: by the run's LLM, by others, pair cells.

    A pair cell is taken where both of its classes are scored: others are not confused here.
    """
    vocabulary, scored = bench.vocabulary, bench.scorers["selection"].benchmark.class_indices
    place = {vocabulary[index].name: index for index in scored}
    names = {LLM_NAME}
    if request.store_path.is_file():
        with open_store_readonly(request.store_path) as file:
            wanted = "SELECT DISTINCT llm FROM descriptions WHERE vocabulary = ?"
            names |= {row["llm"] for row in file.rows(wanted, [vocabulary.name])}
    pairs: dict[tuple[int, int], str] = {}
    for llm in (*sorted(names - {request.llm}), request.llm):  # its own come last, and stay
        cells = load_pairs(vocabulary, llm, request.store)
        pairs |= {
            (index, place[other]): text
            for (index, attribute), text in cells.items()
            if index in scored and (other := other_of(attribute)) in place
        }
    others = {
        llm: load(vocabulary, llm, None, request.store, require=False)
        for llm in sorted(names - {request.llm})
    }
    filled = {llm: cells for llm, cells in others.items() if cells}
    texts = TextStore(vocabulary, request.llm, dict(descriptions), pairs, filled)
    return texts.within(request.token_budget)


def _enter(found: RunRefinement, board: Scoreboard, searched: Search) -> None:
    """Put the refined sets on the board, and the step into the path."""
    bench, labelled = found.bench, found.refined.labelled
    searched.refined = labelled.tried
    if found.refined.seen is not None:
        board.add(bench, BY_SEEN_LABELS, _called(found.refined.seen.prompts, BY_SEEN_LABELS))
    if not found.changed:
        return
    board.add(bench, REFINED, _called(labelled.prompts, REFINED))
    like = labelled.prompts.texts, bench.vocabulary, board.seed, board.budget
    texts = tuple(random_like(*like))
    board.add(bench, RANDOM, _called(replace(labelled.prompts, texts=texts), RANDOM))
    board.add(bench, SHUFFLED, _called(found.refined.control.prompts, SHUFFLED))
    searched.steps.append(Step(REFINED, BY_CLASS, "accepted", None))


def _called(prompts: PromptSet, candidate: Candidate) -> PromptSet:
    return replace(prompts, name=candidate.name)


def seen_rows(found: RunRefinement, board: Scoreboard) -> list[dict[str, Any]]:
    """The rows of the set that was refined by the labels of seen classes, for combinations.csv."""
    if found.refined.seen is None:
        return []
    mine, name, start = board.score("report", [BY_SEEN_LABELS, NAME, found.start])
    extra = {"status": "seen labels", "step": None, "added": None, "chosen": False}
    return table_rows(mine, name, extra, start)


def round_in_words(so_far: Refinement) -> str:
    """The last round in a line."""
    one = so_far.rounds[-1]
    gain = f", {100 * (one.after - one.before):+.1f} points there" if one.kept else ""
    return (
        f"round {one.number}, {len(one.tried)} candidates tried, {len(one.proposed)} proposed, "
        f"{len(one.kept)} held on the other half{gain}"
    )


def record(found: RunRefinement, board: Scoreboard) -> dict[str, Any]:
    """For run.json: the loops round by round, and what they gain over the best set for all."""
    refined, names = found.refined, [entry.readable for entry in found.bench.vocabulary]
    sets = {"all": refined.labelled, "seen": refined.seen, "control": refined.control}
    candidates = {"all": REFINED, "seen": BY_SEEN_LABELS, "control": SHUFFLED}
    loops = {}
    for labels, one in sets.items():
        if one is None:
            continue
        measured = labels == "seen" or found.changed
        loops[labels] = {
            "prompts": candidates[labels].name,
            "candidates": one.tried,
            "ended": one.ended,
            "changed": [names[index] for index in one.changed],
            "rounds": [_round(each, names) for each in one.rounds],
            "gain": _gains(board, candidates[labels], found.start) if measured else None,
        }
    seen = refined.seen
    known = found.bench.scorers["selection"].benchmark.seen
    return {
        "start": found.start.name,
        "rule": found.rule,
        "loops": loops,
        "classes": _classes(refined.labelled, names, known),
        "seen_classes": [] if seen is None else _classes(seen, names, known),
        "curve": _curve(found, board),
        "asked": None
        if found.inquiry is None
        else {
            "llm": found.inquiry.llm.name,
            "requests": found.inquiry.requests,
            "cost_usd": found.inquiry.cost,
            "spent": None if found.inquiry.spent is None else str(found.inquiry.spent),
        },
    }


def origins(record: Mapping[str, Any], classes: str = "classes") -> dict[str, Any]:
    """Where the texts of the changed classes come from and what they gained, for their file.

    classes: "classes", or "seen_classes" of the set refined by the labels of seen classes only.
    """
    keys = ("class", "index", "proposer", "recipe", "gain", "decided", "cost_usd")
    return {
        "start": record["start"],
        "labels": "all" if classes == "classes" else "seen",
        "classes": [{key: row[key] for key in keys} for row in record[classes]],
    }


def _round(one: Any, names: Sequence[str]) -> dict[str, Any]:
    gain = {} if one.gain is None else fields("gain", one.gain)
    return {
        "round": one.number,
        "half": one.half,
        "tried": len(one.tried),
        "proposed": len(one.proposed),
        "kept": [_trial(trial, names) for trial in one.kept],
        "turned_down": [_trial(trial, names) for trial in one.proposed if not trial.kept],
        "before": one.before,
        "after": one.after,
        **gain,
        "confusions": [
            {
                "label": names[pair.label],
                "predicted": names[pair.predicted],
                "pixels": pair.pixels,
                "gain": pair.gain,
            }
            for pair in one.confusions
        ],
        "cost_usd": one.cost,
        "seconds": one.seconds,
    }


def _trial(trial: Trial, names: Sequence[str]) -> dict[str, Any]:
    candidate = trial.candidate
    return {
        "class": names[candidate.index],
        "proposer": candidate.proposer,
        "recipe": candidate.recipe,
        "texts": list(candidate.texts),
        "gain": number(trial.gain),
        "decided": None if trial.decided is None else number(trial.decided),
        "cost_usd": candidate.cost,
    }


def _classes(
    one: Refinement, names: Sequence[str], seen: Collection[int] | None
) -> list[dict[str, Any]]:
    """Each class that has other texts now: where they came from and what they gained."""
    return [
        {
            **_trial(one.origins[index], names),
            "index": index,
            "seen": None if seen is None else index in seen,
            "before": list(one.start.texts[index]),
        }
        for index in one.changed
    ]


def _gains(board: Scoreboard, candidate: Candidate, start: Candidate) -> dict[str, Any]:
    """By columns, what a set gains over the start on the report split, paired."""
    mine, before = board.score("report", [candidate, start])
    return {
        column: fields("value", (mine.mean[column] - before.mean[column]).interval())
        for column in ("miou", "seen", "unseen")
        if column in mine.mean
    }


def _curve(found: RunRefinement, board: Scoreboard) -> list[dict[str, Any]]:
    """The mIoU on both splits after each round, by candidates tried and dollars.

    The report split has been looked at only now that all rounds are over.
    """
    one, bench = found.refined.labelled, found.bench
    so_far = Refinement(one.start, one.start, {})
    steps = [(0, 0.0, so_far.prompts)]
    for each in one.rounds:
        so_far.take(each)
        tried, cost, _ = steps[-1]
        steps.append((tried + len(each.tried), cost + each.cost, so_far.prompts))
    points = []
    for place, (tried, cost, prompts) in enumerate(steps):
        candidate = Candidate((f"after round {place}",))
        board.add(bench, candidate, prompts)
        scores = {s: board.score(s, [candidate])[0].mean for s in ("selection", "report")}
        points.append(
            {
                "round": place,
                "tried": tried,
                "cost_usd": cost,
                **{
                    f"{split}_{column}": number(mean[column].value)
                    for split, mean in scores.items()
                    for column in ("miou", "seen", "unseen")
                    if column in mean
                },
            }
        )
    return points
