"""Refinement with the labels of seen classes only.

Choosing texts for a class uses labelled pictures of that class, so a class that was chosen for is
no longer unseen in the strict sense. Here seen classes are refined by their own labels, and of
other pixels nothing is used but that they are not of a seen class. Unseen classes get what helps
the seen classes that are most like them by name, never anything from their own pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from ablations.refinement.candidates import Candidate, text_key
from ablations.refinement.evaluation import Evaluation, changes_of, with_texts
from ablations.refinement.loop import Refinement, Trial
from ablations.search.statistics import simultaneous
from lsmseg_model.data.benchmark import Benchmark

NEIGHBOURS = 7  # seen classes that an unseen one learns from
LEAST = 0.01  # of IoU that they gain on average: less is sure at times, and says nothing of others
Recipes = dict[str, dict[int, Candidate]]
"""By what the texts are, for every class that has such."""


def unseen_of(benchmark: Benchmark) -> list[int]:
    """The scored classes that were not seen in training; none where that is not known."""
    if benchmark.seen is None:
        return []
    return [index for index in benchmark.class_indices if index not in benchmark.seen]


def nearest(names: np.ndarray, index: int, among: Sequence[int], most: int) -> list[int]:
    """The classes whose names are most like that of one, by the cosine of their embeddings.

    Args:
        names: [N, D] embeddings of all classes' names, of length 1.
        index: The class.
        among: Those to choose from.
        most: How many.
    """
    likeness = names[list(among)] @ names[index]
    order = np.argsort(-likeness, kind="stable")[:most]
    return [among[place] for place in order]


def transfer(
    so_far: Refinement,
    evaluation: Evaluation,
    candidates: Iterable[Candidate],
    names: np.ndarray,
    neighbours: int = NEIGHBOURS,
) -> list[Trial]:
    """What helps seen classes, for the unseen ones that are named like them.

    On one half the recipe is found that raises most the own IoUs of the seen classes nearest to an
    unseen one; the other half decides whether these classes together gain by it, in intervals that
    hold for all unseen classes at once. Then the halves change places, for what is left.

    Args:
        so_far: A refinement of the seen classes; gains are over its start.
        evaluation: Of the seen classes.
        candidates: Of all classes, seen and unseen, by recipes that hold for any class.
        names: [N, D] embeddings of all classes' names, of length 1.
        neighbours: How many seen classes an unseen one learns from.
    """
    unseen = unseen_of(evaluation.scorer.benchmark)
    seen = [i for i in evaluation.scorer.benchmark.class_indices if i not in set(unseen)]
    near = {index: nearest(names, index, seen, neighbours) for index in unseen}
    recipes: Recipes = {}
    for candidate in candidates:
        recipes.setdefault(candidate.recipe, {}).setdefault(candidate.index, candidate)
    taken: list[Trial] = []
    for half in (0, 1):
        left = [i for i in unseen if i not in {trial.candidate.index for trial in taken}]
        proposed = _propose(so_far, evaluation, recipes, {i: near[i] for i in left}, half)
        groups = [
            changes_of(recipes[c.recipe][other] for other in near[c.index]) for c, _ in proposed
        ]
        sets = [so_far.start, *(with_texts(so_far.start, group) for group in groups)]
        now, *scores = evaluation.scores(sets, 1 - half)
        gains = simultaneous([score - now for score in scores]) if scores else []
        for (candidate, own), gain in zip(proposed, gains, strict=True):
            if gain.low > 0:
                parent = text_key(candidate.index, so_far.prompts.texts[candidate.index])
                taken.append(Trial(candidate, float("nan"), own, parent, gain.value, True))
    return taken


def _propose(
    so_far: Refinement,
    evaluation: Evaluation,
    recipes: Recipes,
    near: dict[int, list[int]],
    half: int,
) -> list[tuple[Candidate, float]]:
    """For each unseen class the recipe that its neighbours gain most by, and their mean gain."""
    wanted = {index for group in near.values() for index in group}
    some = [c for of in recipes.values() for i, c in of.items() if i in wanted]
    own = evaluation.try_out(so_far.start, some, half).own
    gains = {(c.index, c.recipe): gain for c, gain in zip(some, own, strict=True)}
    proposed = []
    for index, group in near.items():
        means = {
            recipe: float(np.nanmean([gains[other, recipe] for other in group]))
            for recipe, of in recipes.items()
            if index in of and all((other, recipe) in gains for other in group)
        }
        best = max(means, key=lambda recipe: means[recipe], default=None)
        if best is not None and means[best] > LEAST:
            proposed.append((recipes[best][index], means[best]))
    return proposed
