"""A small world for the tests of stages 3 and 4: no model, scores as the test wants them."""

from collections.abc import Callable, Sequence

import numpy as np

from ablations.search.scoreboard import Bench, Scoreboard
from lsmseg_prompts.prompts.prompt_set import PromptSet
from lsmseg_prompts.vocabularies import ClassEntry, Vocabulary

NAMES = ("zebra", "sky", "orange", "fire hydrant")
ATTRIBUTES = ("color", "shape", "action")
VOCABULARY = Vocabulary(
    "four", "Four classes", tuple(ClassEntry(i, name, name) for i, name in enumerate(NAMES))
)
DESCRIPTIONS = {
    (i, attribute): f"A {name} has the {attribute} of a {name}."
    for i, name in enumerate(NAMES)
    for attribute in (*ATTRIBUTES, "typical")
}


class FakeBenchmark:
    """Noise with striped labels: class p % C in the upper half of picture p, the next below."""

    def __init__(
        self,
        name: str = "fake",
        split: str = "report",
        pictures: int = 20,
        class_indices: tuple[int, ...] = (0, 1, 2, 3),
        seen: frozenset[int] | None = frozenset({0, 1}),
        size: tuple[int, int] = (16, 24),
        owners: tuple[int, ...] | None = None,
        groups: tuple[str, ...] | None = None,
    ) -> None:
        self.name, self.split, self.vocabulary = name, split, VOCABULARY.name
        self.class_indices, self.seen, self.owners = class_indices, seen, owners
        self.groups = groups
        self._pictures, self._size = pictures, size

    def __len__(self) -> int:
        return self._pictures

    def key(self, index: int) -> str:
        return f"{self.split}-{index}"

    def picture(self, index: int) -> np.ndarray:
        rng = np.random.default_rng(index)
        return rng.integers(0, 256, (*self._size, 3), dtype=np.uint8)

    def labels(self, index: int) -> np.ndarray:
        classes = self.class_indices
        labels = np.full(self._size, classes[index % len(classes)])
        labels[self._size[0] // 2 :] = classes[(index + 1) % len(classes)]
        labels[0, 0] = -1
        return labels


Skill = Callable[[str, str], float]  # (prompt set's name, split) -> part of pixels that is right


class FakeScorer:
    """Hits the part of the labelled pixels that ``skill`` says, more or less by picture."""

    by_cosine = False

    def __init__(self, benchmark: FakeBenchmark, skill: Skill, noise: float = 0.02) -> None:
        self.benchmark, self.skill, self.noise = benchmark, skill, noise
        self.scored: list[str] = []

    def labels(self, picture: int) -> np.ndarray:
        position = {index: at for at, index in enumerate(self.benchmark.class_indices)}
        look_up = np.vectorize(lambda index: position.get(index, -1))
        return look_up(self.benchmark.labels(picture))

    def score(
        self, prompt_sets: Sequence[PromptSet], progress: Callable[[int, int], None] | None = None
    ) -> np.ndarray:
        self.scored += [p.name for p in prompt_sets]
        count = len(self.benchmark.class_indices)
        labelled = np.full((len(self.benchmark), count), 1000)
        rng = np.random.default_rng(7)
        wobble = 1 + self.noise * rng.standard_normal(labelled.shape)
        result = []
        for p in prompt_sets:
            hit = np.clip(labelled * self.skill(p.name, self.benchmark.split) * wobble, 0, 1000)
            result.append(np.stack([hit.astype(np.int64), labelled, labelled], axis=-1))
        return np.stack(result)


def board(
    skill: Skill,
    noise: float = 0.02,
    names: Sequence[str] = ("fake",),
    descriptions: dict[tuple[int, str], str] | None = None,
    pictures: int = 20,
) -> Scoreboard:
    """A scoreboard over fake benchmarks of these names."""
    benches = [
        Bench(
            name,
            VOCABULARY,
            DESCRIPTIONS if descriptions is None else descriptions,
            {
                split: FakeScorer(  # type: ignore[misc]
                    FakeBenchmark(name, split, pictures), skill, noise
                )
                for split in ("selection", "report")
            },
            place,
        )
        for place, name in enumerate(names)
    ]
    return Scoreboard(benches, samples=300)


def by_table(table: dict[str, float], other: float = 0.1) -> Skill:
    """Skills by the prompt set's name, the same on both splits."""
    return lambda name, split: table.get(name, other)
