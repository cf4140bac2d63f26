"""How several texts of a class are read together.

With e_i the embedding of a class's text i, of length 1, w_i its weight (1 where there are none),
and f the feature at a position of a picture, the class scores there

    mean        f . m / |m|,   m = sum_i w_i e_i / sum_i |w_i|
    mean-score  f . m = sum_i w_i (f . e_i) / sum_i |w_i|
    max         max_i f . e_i
    adaptive    f . m / |m|,   m = sum_i a_i e_i,   a_i = exp(p . e_i / t) / sum_j exp(p . e_j / t)

where p is the mean of the picture's features, of length 1, and t the temperature. `mean` is
open_clip's ensemble, `mean-score` the mean of cosines of DCLIP; of `max` every text is a sub-class
that competes by itself; `adaptive` weighs the texts of a class anew for each picture, by how well
they fit it: with t to infinity it is `mean`, with t to 0 the text that fits best.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from lsmseg_model.errors import UsageError

CANCELLED = 1e-6  # a mean shorter than this has no direction
KINDS = ("mean", "mean-score", "max", "adaptive")

Groups = Sequence[Sequence[str]]


@dataclass(frozen=True)
class Reading:
    """How the texts of each class are read together: one of `KINDS`.

    weights: of each class's texts, for `mean` and `mean-score`; None: all 1. temperature: of
    `adaptive`.
    """

    kind: str = "mean"
    weights: tuple[tuple[float, ...], ...] | None = None
    temperature: float | None = None

    def followed_by(self, groups: Groups) -> Reading:
        """The same for more classes, whose texts all weigh 1."""
        if self.weights is None:
            return self
        return replace(self, weights=(*self.weights, *((1.0,) * len(group) for group in groups)))

    def for_network(self) -> Reading:
        """The reading; UsageError where a whole network cannot do it."""
        if self.kind != "mean":
            raise UsageError(
                "A whole network compares one embedding of length 1 a class and cannot read texts "
                f"by {self.kind}: use --composition ensemble, or a CLIP without --checkpoint."
            )
        return self


MEAN = Reading()


def check_groups(texts: Sequence[Sequence[str]]) -> None:
    """Raise UsageError for texts that would be read letter by letter."""
    if any(isinstance(group, str) for group in texts):
        raise UsageError("Texts are a list of sentences for each class, not one string each.")


def check_direction(length: float, group: Sequence[str]) -> None:
    """Raise UsageError where the mean of a class's embeddings, of this length, has none."""
    if length < CANCELLED:
        raise UsageError(
            f"The weights of {group[0]!r} and the other texts of its class cancel out: give others."
        )


def some_texts(
    prompts: object, indices: Sequence[int]
) -> tuple[tuple[tuple[str, ...], ...], Reading]:
    """The texts of some classes of a prompt set, and how they are read.

    prompts: has `texts`, and may have a `composition` (all but those of `KINDS` are read as
    `mean`), `weights` and a `temperature`. Where each class has one text, all readings are one.
    """
    texts: Groups = prompts.texts  # type: ignore[attr-defined]
    groups = tuple(tuple(texts[index]) for index in indices)
    weights = getattr(prompts, "weights", None)
    if weights is not None:
        weights = tuple(tuple(weights[index]) for index in indices)
    elif all(len(group) == 1 for group in groups):
        return groups, MEAN
    kind = getattr(prompts, "composition", "mean")
    temperature = getattr(prompts, "temperature", None)
    return groups, Reading(kind if kind in KINDS else "mean", weights, temperature)
