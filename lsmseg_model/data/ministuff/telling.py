"""The rules' captioner: what a picture shows, told from its labels in a small fixed grammar.

    There is a small red car. There is a huge gray road. The car is on the road.

A perfect language model for MiniStuff, which `CaptionErrors` makes as bad as wanted. It looks at
pixels and labels alone, so it tells of any labelled picture; what is unlabelled it does not see.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from lsmseg_model.data.descriptions import Described, Description, from_json
from lsmseg_model.data.ministuff.drawing import COLOURS, Rng
from lsmseg_model.data.palette import cielab
from lsmseg_model.errors import DataError, UsageError

SIZES = {"tiny": 0.0, "small": 0.02, "large": 0.05, "huge": 0.15}
"""Size word -> the share of the picture from which on it is said of all pixels of a class."""
SPECK = 0.002  # of the picture: a class with less is not told of
OPPOSITES = {"above": "below", "left of": "right of"}
RELATIONS = ("on", "in front of", *OPPOSITES, *OPPOSITES.values())
TOUCHING = 0.5  # of the pixels below a region that are another's, where it is on it
_WORDS = "|".join(sorted((*SIZES, *COLOURS), key=len, reverse=True))  # "dark green" before "green"
_THING = re.compile(rf"\s*There is an? ((?:(?:{_WORDS}) )*)(\S[^.]*)\.")
_STANDS = re.compile(rf"\s*The ([^.]+) is ({'|'.join(RELATIONS)}) the ([^.]+)\.")


@dataclass(frozen=True)
class CaptionErrors:
    """How often a caption is wrong.

    drop: the share of objects that are left out; wrong: of attributes that are others of their
    kind; invent: objects that are not there, for each one that is. seed: what is wrong about a
    picture depends on it and on the picture's key alone.
    """

    drop: float = 0.0
    wrong: float = 0.0
    invent: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("drop", "wrong", "invent"):
            if not 0 <= (value := getattr(self, name)) <= 1:
                raise UsageError(f"{name} of the rules must be from 0 to 1, not {value}.")
        if self.seed < 0:
            raise UsageError(f"The seed of the rules must be 0 or more, not {self.seed}.")

    def rng(self, key: str) -> Rng:
        """What draws the errors of the picture with this key."""
        return np.random.default_rng([self.seed, zlib.crc32(key.encode())])


def tell(
    image: np.ndarray,
    labels: np.ndarray,
    names: Mapping[int, str],
    errors: CaptionErrors,
    rng: Rng,
) -> str:
    """A caption of a picture; `parse` reads it.

    Args:
        image: uint8 [H, W, 3].
        labels: int [H, W]; those without a name are not told of.
        names: Of the classes that it may tell of, by label.
        errors: How often it is wrong: at a higher rate where it was at a lower one, and more.
        rng: Draws the errors, see `CaptionErrors.rng`.
    """
    return written(_planted(look(image, labels, names), names, errors, rng, set(np.unique(labels))))


def look(image: np.ndarray, labels: np.ndarray, names: Mapping[int, str]) -> Description:
    """What is there, without errors: classes with a size and a colour, the largest first.

    The colour is that of `COLOURS` nearest to the mean in CIELAB. Decided: a region is "on" a
    larger one below its lower edge that reaches the picture's lower border, and "in front of" any
    other there; and it is beside the nearest of the rest, by their middles.
    """
    masks = {value: labels == value for value in np.unique(labels).tolist() if value in names}
    shares = {value: float(mask.mean()) for value, mask in masks.items()}
    told = sorted((v for v in masks if shares[v] >= SPECK), key=lambda v: -shares[v])
    objects = []
    for value in told:
        size = [word for word, least in SIZES.items() if shares[value] >= least][-1]
        objects.append(Described(names[value], (size, _colour(image[masks[value]]))))
    return Description.merged(objects, _relations([masks[value] for value in told]))


def _colour(pixels: np.ndarray) -> str:
    names, shades = _shades()
    distances = np.linalg.norm(shades - cielab(pixels.mean(0, keepdims=True)), axis=-1).min(1)
    return names[int(distances.argmin())]


@cache
def _shades() -> tuple[list[str], np.ndarray]:
    """The colours' names, and for each its two ends and the middle in CIELAB [C, 3, 3]."""
    ends = np.array(list(COLOURS.values()), np.float64)
    return list(COLOURS), cielab(np.stack([ends[:, 0], ends.mean(1), ends[:, 1]], 1))


def _relations(masks: Sequence[np.ndarray]) -> list[tuple[int, str, int]]:
    """Of each region, the largest first: what it is on or in front of, and one that is near."""
    found: list[tuple[int, str, int]] = []
    middles = [np.argwhere(mask).mean(0) for mask in masks]
    for a in reversed(range(len(masks))):
        standing = [(a, word, b) for b in range(a) if (word := _standing(masks[a], masks[b]))]
        found += standing[:1]
        linked = {a} | {x + y - a for x, _, y in found if a in (x, y)}
        free = set(range(len(masks))) - linked
        near = min(free, key=lambda b: (np.abs(middles[b] - middles[a]).sum(), b), default=None)
        if near is not None:
            down, right = middles[near] - middles[a]
            word = "above" if abs(down) >= abs(right) else "left of"
            found.append((a, word if max(down, right, key=abs) >= 0 else OPPOSITES[word], near))
    return found


def _standing(mask: np.ndarray, other: np.ndarray) -> str | None:
    """Whether a region is on or in front of another, which is what lies below its lower edge."""
    below = np.zeros_like(mask)
    below[1:] = mask[:-1] & ~mask[1:]
    band = mask[:, 0].any() and mask[:, -1].any()  # a sky is not on the sea
    if band or not below.any() or other[below].mean() < TOUCHING:
        return None
    return "on" if other[-1].any() and other[-1].sum() >= other[0].sum() else "in front of"


def _planted(
    true: Description, names: Mapping[int, str], errors: CaptionErrors, rng: Rng, present: set[int]
) -> Description:
    """The description with errors. Draws are the same at every rate, so errors only add up."""
    kept, objects = list[int](), list[Described]()
    for place, one in enumerate(true.objects):
        dropped = rng.random() < errors.drop
        words = []
        for word in one.attributes:
            others = [w for w in (SIZES if word in SIZES else COLOURS) if w != word]
            replaced, other = rng.random() < errors.wrong, others[rng.integers(len(others))]
            words.append(other if replaced else word)
        if not dropped:
            kept.append(place)
            objects.append(Described(one.name, tuple(words)))
    relations = [
        (kept.index(a), word, kept.index(b)) for a, word, b in true.relations if {a, b} <= {*kept}
    ]
    absent = sorted({*names.values()} - {names[label] for label in present & names.keys()})
    for name, _ in zip(rng.permutation(absent), true.objects, strict=False):
        invented, size, colour, word, at = rng.random(5)
        if invented < errors.invent:
            if kept:
                relation = RELATIONS[int(word * len(RELATIONS))]
                relations.append((len(objects), relation, int(at * len(kept))))
            looks = [*SIZES][int(size * len(SIZES))], [*COLOURS][int(colour * len(COLOURS))]
            objects.append(Described(str(name), looks))
    return Description.merged(objects, relations)


def written(description: Description) -> str:
    """A description in the rules' grammar: what there is, and how it stands."""
    names = [one.name for one in description.objects]
    things = [" ".join((*one.attributes, one.name)) for one in description.objects]
    told = [f"There is {'an' if thing[0] in 'aeiou' else 'a'} {thing}." for thing in things]
    told += [f"The {names[a]} is {word} the {names[b]}." for a, word, b in description.relations]
    return " ".join(told)


def parse(caption: str, where: str = "The caption") -> Description:
    """The description that `written` wrote; words of SIZES and COLOURS before a name tell of it.

    Raises DataError, which names `where`, for a sentence that the grammar lacks, a relation of what
    is not there, and what `from_json` refuses.
    """
    objects, relations = list[dict[str, object]](), list[list[object]]()
    for sentence in re.findall(r"[^.]+\.?|\.", caption.strip()):
        thing, stands = _THING.fullmatch(sentence), _STANDS.fullmatch(sentence)
        names = [one["name"] for one in objects]
        if thing:
            objects.append({"name": thing[2], "attributes": re.findall(_WORDS, thing[1])})
        elif stands and {stands[1], stands[3]} <= {*names}:
            relations.append([names.index(stands[1]), stands[2], names.index(stands[3])])
        else:
            raise DataError(
                f"{where} has a sentence that the rules do not: {sentence.strip()[:80]!r}; write "
                '"There is a small red car. There is a road. The car is on the road."'
            )
    return from_json({"objects": objects, "relations": relations}, where)
