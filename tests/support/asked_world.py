"""A small planted world for refinement that asks an LLM: only what it writes can help.

Pixels have, beside the direction of their class's name, that of some attributes; nothing in the
store speaks of these. The LLM of the tests does: `helpful(name)` is such a sentence.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ablations.refinement.asking import Asking, Inquiry
from ablations.refinement.options import RefineOptions
from ablations.refinement.proposers import open_proposers
from ablations.refinement.refine import Job, Refined, refine_set
from ablations.refinement.texts import TextStore
from benchmarks.planted import NAMES, VOCABULARY, Pictures, PlantedScorer, World
from lsmseg_prompts.llm import LLM, Request
from lsmseg_prompts.prompts.prompt_set import build_prompt_set

WORLD = World(seed=3, planted=3, harmful=0, pictures=60, signal=1.0, noise=9.0)
PLANTED = [attribute for attribute, kind in WORLD.kinds().items() if kind == "planted"]
STORE = Path("s.sqlite")
# So that no two classes have nearly the same sentence.
OPENERS = (
    "As a rule", "Above us", "On many tables", "By the shore", "After some rain", "Seen from far",
    "Now and then", "In old towns", "Most of the time", "To a child",
)  # fmt: skip
ENDINGS = (
    "out on the plain", "over all of it", "in a bowl", "where waves break", "under our feet",
    "along the tracks", "hot from the oven", "high on a tower", "between two towns", "of brick",
)  # fmt: skip


class Drawn(Pictures):
    """Its pictures can be looked at: noise, brighter where the class's number is higher."""

    def __init__(self, scorer: PlantedScorer, split: str) -> None:
        super().__init__(WORLD, split, WORLD.pictures)
        self.scorer, self.looked = scorer, set[int]()

    def labels(self, index: int) -> np.ndarray:
        return self.scorer.features().labels[index]

    def picture(self, index: int) -> np.ndarray:
        self.looked.add(index)
        rng = np.random.default_rng(index)
        noise = rng.integers(0, 60, (*self.labels(index).shape, 3))
        return (noise + 15 * self.labels(index)[..., None]).astype(np.uint8)


class DrawnScorer(PlantedScorer):
    """Of these."""

    def __init__(self, split: str = "selection") -> None:
        super().__init__(WORLD, split, WORLD.pictures)
        self.benchmark = Drawn(self, split)  # type: ignore[assignment]


def helpful(name: str, attribute: str = PLANTED[0]) -> str:
    """A sentence that says what the class's pixels have."""
    kind = NAMES.index(name)
    return f"{OPENERS[kind]}, a {name} has the {attribute} of kind {kind} {ENDINGS[kind]}."


def helps(request: Request) -> str:
    """An LLM that helps: a sentence for a pair cell, or JSON with some."""
    assert request.entry is not None
    name = request.entry.name
    if request.attribute:
        return helpful(name)
    return json.dumps({"sentences": [helpful(name, one) for one in PLANTED]})


def job(
    llm: LLM | None,
    path: Path = STORE,
    *,
    proposers: tuple[str, ...] | None = None,
    rounds: int = 2,
    messages: list[str] | None = None,
    **asking: Any,
) -> Job:
    """The refinement of the plain names, with what `llm` writes and nothing else."""
    ask = None if llm is None else Asking(llm, **asking)
    options = RefineOptions(rounds=rounds, proposers=proposers, ask=ask)
    said = None if messages is None else messages.append
    inquiry = None if ask is None else Inquiry(ask, path, said)
    return Job(
        scorer=DrawnScorer(),
        start=build_prompt_set({}, VOCABULARY, ("name",)),
        recipe="name",
        store=TextStore(VOCABULARY, "bundled", {}),
        proposers=open_proposers(options.proposers or (), inquiry),
        options=options,
        samples=300,
        seed=0,
        stream=0,
        path=path,
        model="planted",
        inquiry=inquiry,
    )


def refine(llm: LLM | None, *args: Any, **options: Any) -> Refined:
    return refine_set(job(llm, *args, **options), lambda _: (None, None))
