"""`optuna`: a study of each class, over which of its attributes it has, averaged or joined."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ablations.refinement.candidates import Candidate
from ablations.refinement.feedback import Feedback
from ablations.refinement.proposers.attributes import averaged, joined
from ablations.refinement.texts import TextStore
from lsmseg_prompts.vocabularies import ClassEntry

if TYPE_CHECKING:
    from optuna import Study

NAME = "optuna"
TRIALS = 32  # of a class and round
AT_ONCE = 8  # of these; then their gains are told


def propose(feedback: Feedback, store: TextStore) -> Iterator[Candidate]:
    """What a seeded study (TPE) of each class tries by the gains of what it tried before."""
    from optuna.trial import TrialState

    described = {i: some for i in feedback.classes if (some := store.attributes(i))}
    studies = {index: _study(index) for index in described}
    for _ in range(TRIALS // AT_ONCE):
        asked: list[tuple[Study, Any, Candidate]] = []
        for index, attributes in described.items():
            sentences = {a: store.descriptions[index, a] for a in attributes}
            for _ in range(AT_ONCE):
                trial = studies[index].ask()
                candidate = _candidate(trial, sentences, feedback.vocabulary[index])
                if candidate is None:
                    studies[index].tell(trial, state=TrialState.PRUNED)
                else:
                    asked.append((studies[index], trial, candidate))
        candidates = list(dict.fromkeys(candidate for *_, candidate in asked))
        gains = dict(zip(candidates, feedback.try_out(candidates), strict=True))
        for study, trial, candidate in asked:
            study.tell(trial, gains[candidate])
        yield from candidates


def _study(index: int) -> Study:
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    sampler = optuna.samplers.TPESampler(seed=index)
    study = optuna.create_study(sampler=sampler, direction="maximize")
    optuna.logging.set_verbosity(before)
    return study


def _candidate(trial: Any, sentences: Mapping[str, str], entry: ClassEntry) -> Candidate | None:
    """What a trial stands for; None where it has no attribute, or they do not fit together."""
    chosen = [a for a in sentences if trial.suggest_categorical(f"attribute {a}", [True, False])]
    composition = trial.suggest_categorical("composition", ["ensemble", "concat"])
    if not chosen:
        return None
    if composition == "ensemble" or len(chosen) == 1:
        found: Candidate | None = averaged(entry.index, chosen, sentences)
    else:
        found = joined(chosen, sentences, entry)
    return found and replace(found, proposer=NAME)
