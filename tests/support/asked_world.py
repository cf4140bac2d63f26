"""A small planted world for refinement that asks an LLM: only what it writes can help.

Pixels have, beside the direction of their class's name, that of some attributes; nothing in the
store speaks of these. The LLM of the tests does: `helpful(name)` is such a sentence.
"""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from ablations.refinement.asking import Asking, Inquiry
from ablations.refinement.options import RefineOptions
from ablations.refinement.proposers import open_proposers
from ablations.refinement.refine import Job, Refined, refine_set
from ablations.refinement.texts import TextStore
from benchmarks.planted import NAMES, VOCABULARY, Pictures, PlantedScorer, World
from lsmseg_prompts.llm import LLM, Request, make_llm
from lsmseg_prompts.prompts.prompt_set import build_prompt_set
from lsmseg_prompts.store.store import open_store

WORLD = World(seed=3, planted=3, harmful=0, pictures=44, signal=1.0, noise=9.0)
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


@cache
def scorer() -> DrawnScorer:
    """Of the selection split, with its features and what was counted."""
    return DrawnScorer()


def helpful(name: str, attribute: str = PLANTED[0]) -> str:
    """A sentence that says what the class's pixels have."""
    kind = NAMES.index(name)
    return f"{OPENERS[kind]}, a {name} has {attribute} {kind} {ENDINGS[kind]}."


def helps(request: Request) -> str:
    """An LLM that helps: a sentence for a pair cell, or JSON with some."""
    assert request.entry is not None
    name = request.entry.name
    if request.attribute:
        page = NAMES.index(request.attribute.removeprefix("contrast:"))
        return f"{helpful(name)[:-1]}, as page {page} says."
    return json.dumps({"sentences": [helpful(name, one) for one in PLANTED]})


def job(
    llm: LLM | None,
    path: Path = STORE,
    *,
    proposers: tuple[str, ...] = ("rewrite",),
    rounds: int = 2,
    pairs: dict[tuple[int, int], str] | None = None,
    messages: list[str] | None = None,
    **asking: Any,
) -> Job:
    """The refinement of the plain names, with what `llm` writes and nothing else."""
    ask = None if llm is None else Asking(llm, **asking)
    options = RefineOptions(rounds=rounds, proposers=proposers, ask=ask)
    said = None if messages is None else messages.append
    inquiry = None if ask is None else Inquiry(ask, path, said)
    return Job(
        scorer=scorer(),
        start=build_prompt_set({}, VOCABULARY, ("name",)),
        recipe="name",
        store=TextStore(VOCABULARY, "bundled", {}, pairs or {}),
        proposers=open_proposers(proposers, inquiry),
        options=options,
        samples=300,
        seed=0,
        stream=0,
        path=path,
        model="planted",
        inquiry=inquiry,
    )


def refine(llm: LLM | None, **options: Any) -> tuple[Refined, Job]:
    """Refine, and the job as it was left."""
    one = job(llm, **options)
    with open_store(one.path) as store:
        store.add_vocabulary(VOCABULARY)
    return refine_set(one, lambda _: (None, None)), one


def but_ids(found: str) -> str:
    """A state as text, without the ids of attempts, which count what was lost as well."""
    return re.sub(r"attempts=\([\d, ]*\)", "", found)


def state(refined: Refined) -> list[Any]:
    """All that came about, but for the time it took."""
    loops = [refined.labelled, *filter(None, (refined.seen, refined.control))]
    return [
        (loop.prompts.texts, loop.recipes, [replace(one, seconds=0.0) for one in loop.rounds])
        for loop in loops
    ]


if __name__ == "__main__":  # to be killed: refine with the server at an address, print the state
    print(state(refine(make_llm("openai/test-model", sys.argv[1]))[0]))
