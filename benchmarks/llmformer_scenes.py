"""What benchmarks/llmformer.py learns from: MiniStuff's pictures with captions, planted scenes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from lsmseg_model.data.benchmark import MiniStuff
from lsmseg_model.data.captioners import RulesCaptions
from lsmseg_model.data.descriptions import Described, Description
from lsmseg_model.data.ministuff.objects import OBJECTS
from lsmseg_model.data.ministuff.scenes import CLASSES as DRAWN
from lsmseg_model.data.ministuff.scenes import SEEN, _Builder
from lsmseg_model.data.ministuff.telling import SIZES, CaptionErrors
from lsmseg_model.networks.backbones.base import Backbone

CLASSES = sorted(DRAWN, key=lambda row: not row[2])  # the seen ones first, as trained
READABLE = [name.replace("-other", "").replace("-", " ") for _, name, _ in CLASSES]
POSITION = {index: at for at, (index, _, _) in enumerate(CLASSES)}
NAMES = [READABLE[POSITION[i]] if i in POSITION else "" for i in range(182)]
TRAINED, ALL = len(SEEN), len(CLASSES)
GROUPS = {"all": range(ALL), "seen": range(TRAINED), "unseen": range(TRAINED, ALL)}
SCORED = 64  # pixels a side
CURVE = {
    **{f"drop {x}": CaptionErrors(drop=x) for x in (0.2, 0.4, 0.6, 0.8)},
    **{f"invent {x}": CaptionErrors(invent=x) for x in (0.25, 0.5, 1.0)},
}
KITE, UMBRELLA, ALIKE = 33, 25, 47  # drawn as apples
THINGS = (2, 8, 10, 14, 32, 47, 74)  # car, boat, fire hydrant, bird, sports ball, apple, clock
GROUNDS = (112, 137, 106, 160)  # grass, road, floor-wood, wall-concrete

RELATION = {"alike": [POSITION[KITE], POSITION[UMBRELLA]],
            "rest": [POSITION[c] for c in (*THINGS, *GROUNDS) if c in POSITION and c != ALIKE
                     and POSITION[c] < TRAINED]}  # fmt: skip


@dataclass(frozen=True)
class Pictures:
    """features: [P, D, h, w]; labels: int64 [P, H, W], positions in CLASSES or -1; told: captions.

    scenes: image and MiniStuff's labels of each, to be told of otherwise.
    """

    features: Tensor
    labels: Tensor
    told: list[Description]
    scenes: list[tuple[np.ndarray, np.ndarray]]

    @property
    def small(self) -> np.ndarray:
        """The labels that are scored."""
        step = self.labels.shape[-1] // SCORED
        return self.labels[:, ::step, ::step].numpy()


def seen_by(clip: Backbone, scenes: list[tuple[np.ndarray, np.ndarray]], split: str) -> Pictures:
    table = np.full(2 + max(POSITION), -1)  # the last is that of unlabelled pixels
    table[list(POSITION)] = list(POSITION.values())
    features = []
    for image, _ in scenes:
        shown = torch.from_numpy(image.copy()).permute(2, 0, 1).float() / 255
        with torch.no_grad():
            features.append(clip.encode_layers(shown[None], ())[0])
    labels = np.stack([table[label] for _, label in scenes])
    told = captions(scenes, split, CaptionErrors())
    return Pictures(torch.cat(features), torch.from_numpy(labels), told, scenes)


def captions(
    scenes: list[tuple[np.ndarray, np.ndarray]], split: str, errors: CaptionErrors
) -> list[Description]:
    rules = RulesCaptions(MiniStuff(split), errors, NAMES)
    return [rules.describe_scene(f"{split}-{at}", *scene) for at, scene in enumerate(scenes)]


def drawn(split: str, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    benchmark = MiniStuff(split, count)
    return [(benchmark.picture(at), benchmark.labels(at)) for at in range(count)]


def planted(kind: str, count: int, seed: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Scenes of three objects of different classes on one ground."""
    scenes = []
    for at in range(count):
        rng = np.random.default_rng([77, seed, at])
        builder = _Builder(rng, SEEN)
        builder.region(int(rng.choice(GROUNDS)))
        chosen = rng.permutation([c for c in THINGS if kind == "size" or c != ALIKE])[:3].tolist()
        if kind == "relation":
            chosen[0] = int(rng.choice([KITE, UMBRELLA]))
        for place, label in enumerate(chosen):
            size = float(rng.choice([16, 36, 64]) if kind == "size" else 34)
            sprite = OBJECTS[ALIKE if label in (KITE, UMBRELLA) else label][0](rng, size)
            x = 128 * (place + 0.5) / 3 + rng.uniform(-8, 8)
            builder._stand(sprite, x, float(rng.uniform(size, 124)), 0.0, label)
        scenes.append(builder.develop())
    return scenes


def sizes_alone(told: Description) -> Description:
    """Of the objects alone, not of the ground, which is always huge."""
    grounds = {NAMES[ground] for ground in GROUNDS}
    return Description(
        tuple(
            replace(
                o, attributes=tuple(a for a in o.attributes if a in SIZES and o.name not in grounds)
            )
            for o in told.objects
        )
    )


def exchanged(told: list[Description], rng: np.random.Generator) -> list[Description]:
    """The same objects, each with the attributes of another one of any picture."""
    words = [o.attributes for one in told for o in one.objects if o.attributes]
    order = iter(rng.permutation(len(words)))

    def changed(o: Described) -> Described:
        return replace(o, attributes=words[next(order)]) if o.attributes else o

    return [replace(one, objects=tuple(map(changed, one.objects))) for one in told]


def by_relation(told: Description) -> Description:
    """Kite and umbrella are called thing; of the relations only its own is told."""
    alike = {NAMES[KITE]: "above", NAMES[UMBRELLA]: "on"}
    objects = [Described("thing") if o.name in alike else o for o in told.objects]
    triples = [(at, alike[o.name], 0) for at, o in enumerate(told.objects) if o.name in alike]
    return Description(tuple(objects), tuple(triples))
