"""LLMFormer on drawings: do priors help, or only the names of what is there?

python benchmarks/llmformer.py --out runs/llmformer     # five seeds; what is there is not run again
python benchmarks/llmformer.py --small                  # only to see that it runs

The shipped backbone, frozen; its dense features (128 channels, 16 x 16 positions) of MiniStuff's
pictures are seen once and kept. On them the library's own decoder learns the 28 seen classes with
its own losses; all arms with the same steps, batches and seeds. Descriptions are the rules'
captions, in training of labelled (seen) classes alone.

 priors    on: trained and tested with captions; shuffled: tested with those of the next picture;
           empty: with none. off: the same network trained and tested with empty descriptions.
           "+ filter": only classes that the caption names may win.
 curve     captions that drop objects or invent some: on, and the filter of off, by the same ones
 rows      the alternatives of each attention (semantic, scales, relations)
 size      planted: objects of three sizes, of which the attribute alone tells (tiny ... huge)
 relation  planted: kite and umbrella are drawn alike, a caption calls both "thing"; it is "above"
           the ground, or "on" it, wherever it is drawn. hard: as both, but each mask is wholly the
           object that it attends to most

Scored on the report split at 64 x 64 pixels, all 40 classes. Intervals of 95 %: pictures and seeds
are drawn together, the same for both arms of a difference.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.llmformer_results import (
    ALIKE,
    ALL,
    CLASSES,
    CURVE,
    GROUNDS,
    KITE,
    NAMES,
    POSITION,
    READABLE,
    SCORED,
    THINGS,
    TRAINED,
    UMBRELLA,
    summary,
    written,
)  # fmt: skip
from lsmseg_model.data.benchmark import MiniStuff
from lsmseg_model.data.captioners import RulesCaptions
from lsmseg_model.data.descriptions import Described, Description
from lsmseg_model.data.ministuff.objects import OBJECTS
from lsmseg_model.data.ministuff.scenes import SEEN, _Builder
from lsmseg_model.data.ministuff.telling import SIZES, CaptionErrors
from lsmseg_model.metrics import confusion_counts
from lsmseg_model.networks.backbones.base import Backbone
from lsmseg_model.networks.backbones.load import load_backbone
from lsmseg_model.networks.llmformer.config import RELATIONS, SCALES, SEMANTIC, LlmFormerOptions
from lsmseg_model.networks.llmformer.losses import mask_costs, match, targets_of
from lsmseg_model.networks.llmformer.network import LlmFormer
from lsmseg_model.networks.llmformer.priors import Phrases, object_text

NOTHING, PHRASES = Description(), Phrases()  # all networks have the same text tower
PLAIN = LlmFormerOptions(width=64, layers=2)
ROWS = {
    **{f"semantic {x}": replace(PLAIN, semantic=x) for x in SEMANTIC[1:]},
    **{f"scales {x}": replace(PLAIN, scales=x) for x in SCALES[1:]},
    **{f"relations {x}": replace(PLAIN, relations=x) for x in RELATIONS[1:]},
}
RELATION_ARMS = {
    "hard": replace(PLAIN, mapping="hard"),
    **{x: replace(PLAIN, relations=x) for x in RELATIONS},
}


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


# -- training and scores -----------------------------------------------------------------


def train(
    clip: Backbone, data: Pictures, texts: Tensor, options: LlmFormerOptions, seed: int, steps: int
) -> LlmFormer:
    """A network trained on features; the order of the pictures depends on the seed alone."""
    torch.manual_seed(seed)
    network, rng = LlmFormer(clip, options).train(), np.random.default_rng(seed)
    network.phrases = PHRASES
    parameters = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, steps, pct_start=0.1)
    for _ in range(steps):
        some = rng.choice(len(data.labels), 8, replace=False)
        found = network.masks(data.features[some], [data.told[at] for at in some])
        loss = network.loss_of(found, data.labels[some], texts[:TRAINED])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
    return network.eval()


@torch.no_grad()
def maps_of(network: LlmFormer, data: Pictures, told: list[Description], texts: Tensor) -> Tensor:
    """Semantic maps [P, C, 2h, 2w]."""
    found = []
    for at in range(0, len(told), 20):
        last = network.masks(data.features[at : at + 20], told[at : at + 20])[-1]
        found.append(network.semantic_map(last.classes, last.masks, texts))
    return torch.cat(found)


def counts(maps: Tensor, data: Pictures, told: Sequence[Description] | None = None) -> np.ndarray:
    """Counts [P, C, 3] of the highest; of the classes that the captions name, where given."""
    found = []
    for at, (one, label) in enumerate(zip(maps, data.small, strict=True)):
        if told is not None and (named := {o.name for o in told[at].objects} & {*READABLE}):
            one = one * torch.tensor([name in named for name in READABLE])[:, None, None]
        large = F.interpolate(one[None], (SCORED, SCORED), mode="bilinear", align_corners=False)
        found.append(confusion_counts(large[0].argmax(dim=0).numpy(), label, ALL))
    return np.stack(found).astype(np.int32)


@dataclass
class Lab:
    """Everything that the parts share."""

    clip: Backbone
    texts: Tensor
    run: argparse.Namespace

    def __post_init__(self) -> None:
        self.trained_on = seen_by(self.clip, drawn("train", self.run.pictures), "train")
        self.report = seen_by(self.clip, drawn("report", self.run.held_out), "report")
        self.kept: dict[str, tuple[Pictures, Pictures]] = {}
        scenes = self.report.scenes
        self.worse = {name: captions(scenes, "report", e) for name, e in CURVE.items()}

    def fit(self, data: Pictures, options: LlmFormerOptions, seed: int, steps: int) -> LlmFormer:
        return train(self.clip, data, self.texts, options, seed, steps)

    # Each part gives arrays by name for one seed.

    def priors(self, seed: int) -> dict[str, np.ndarray]:
        data, told = self.report, self.report.told
        on = self.fit(self.trained_on, PLAIN, seed, self.run.steps)
        silent = [NOTHING] * len(self.trained_on.told)
        off = self.fit(replace(self.trained_on, told=silent), PLAIN, seed, self.run.steps)
        maps = maps_of(on, data, told, self.texts)
        found = {"on": counts(maps, data), "on + filter": counts(maps, data, told)}
        for name, other in {"on, shuffled": told[1:] + told[:1], "on, empty": [NOTHING] * len(told),
                            **{f"on, {n}": w for n, w in self.worse.items()}}.items():  # fmt: skip
            maps = maps_of(on, data, other, self.texts)
            found[name] = counts(maps, data)
            if name == "on, shuffled":
                found["on, shuffled + filter"] = counts(maps, data, other)
        maps = maps_of(off, data, [NOTHING] * len(told), self.texts)
        found |= {"off": counts(maps, data), "off + filter": counts(maps, data, told)}
        found |= {f"off + filter, {n}": counts(maps, data, w) for n, w in self.worse.items()}
        return found

    def row(self, options: LlmFormerOptions, seed: int) -> dict[str, np.ndarray]:
        network = self.fit(self.trained_on, options, seed, self.run.steps)
        maps = maps_of(network, self.report, self.report.told, self.texts)
        return {"on": counts(maps, self.report),
                "on + filter": counts(maps, self.report, self.report.told)}  # fmt: skip

    def plant(self, kind: str) -> tuple[Pictures, Pictures]:
        """Scenes to train on and to test with, the same for all seeds."""
        if kind in self.kept:
            return self.kept[kind]
        change = sizes_alone if kind == "size" else by_relation
        pair = []
        many = self.run.planted_sizes if kind == "size" else self.run.planted_relations
        for at, count in enumerate((many, self.run.held_out // 2)):
            data = seen_by(self.clip, planted(kind, count, at), "train")
            pair.append(replace(data, told=[change(one) for one in data.told]))
        self.kept[kind] = pair[0], pair[1]
        return self.kept[kind]

    def size(self, seed: int) -> dict[str, np.ndarray]:
        data, test = self.plant("size")
        found = {}
        mixed = exchanged(test.told, np.random.default_rng(seed))
        for scales, steps in (("attributes", self.run.size_steps), ("untrained", 0),
                              ("none", self.run.size_steps)):  # fmt: skip
            options = replace(PLAIN, scales="none" if scales == "none" else "attributes")
            network = self.fit(data, options, seed, steps) if steps else self.untrained(seed)
            found[f"{scales} levels"] = self.levels(network, test, test.told)
            found[f"{scales} levels, exchanged"] = self.levels(network, test, mixed)
            found[scales] = counts(maps_of(network, test, test.told, self.texts), test)
        return found

    def untrained(self, seed: int) -> LlmFormer:
        torch.manual_seed(seed)
        return LlmFormer(self.clip, PLAIN).eval()

    @torch.no_grad()
    def levels(self, network: LlmFormer, data: Pictures, told: list[Description]) -> np.ndarray:
        """Of every object: picture, true area, the expected level of its query, the size told."""
        found = []
        last = network.masks(data.features, told)[-1]
        targets = targets_of(data.labels, (last.masks.shape[2], last.masks.shape[3]))
        bce, dice = mask_costs(last.masks.flatten(2), targets)
        query = match(bce + dice, targets.classes)
        expected = last.scales @ torch.arange(4.0)
        for picture, place in (query >= 0).nonzero().tolist():
            name = CLASSES[int(targets.classes[picture, place])][0]
            if name in THINGS:
                area = int((data.labels[picture] == POSITION[name]).sum())
                level = float(expected[picture, query[picture, place]])
                words = {o.name: o.attributes for o in told[picture].objects}.get(NAMES[name])
                size = [*SIZES].index(words[0]) if words else np.nan
                found.append((picture, area, level, size))
        return np.array(found)

    def relation(self, seed: int) -> dict[str, np.ndarray]:
        data, test = self.plant("relation")
        found = {}
        for arm, options in RELATION_ARMS.items():
            network = self.fit(data, options, seed, self.run.relation_steps)
            found[arm] = counts(maps_of(network, test, test.told, self.texts), test)
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("runs/llmformer"))
    parser.add_argument("--parts", nargs="+", default=["priors", "size", "relation", *ROWS])
    parser.add_argument("--small", action="store_true")
    for name, value in (("seeds", 5), ("steps", 250), ("pictures", 800), ("held-out", 200),
                        ("planted-sizes", 240), ("size-steps", 200),
                        ("planted-relations", 900), ("relation-steps", 900),
                        ("draws", 500)):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=value)
    run = parser.parse_args()
    if run.small:
        small = {"seeds": 1, "steps": 2, "size_steps": 2, "relation_steps": 2, "pictures": 10,
                 "held_out": 4, "planted_sizes": 8, "planted_relations": 8, "draws": 5}  # fmt: skip
        vars(run).update(small, parts=["priors", "size", "relation", "semantic none"])
    torch.set_num_threads(1)
    clip = load_backbone(dense="catseg")
    texts = clip.encode_texts([[object_text(name)] for name in READABLE]).clone()
    lab, begin = Lab(clip, texts, run), time.monotonic()
    if not run.small:
        run.out.mkdir(parents=True, exist_ok=True)
    kept: dict[str, list[dict[str, np.ndarray]]] = {part: [] for part in run.parts}
    for part in run.parts:
        ask: Callable[[int], dict[str, np.ndarray]] = getattr(lab, part, None) or (
            lambda seed, part=part: lab.row(ROWS[part], seed)
        )
        for seed in range(run.seeds):
            path = run.out / f"{part.replace(' ', '-')}-{seed}.npz"
            if not run.small and path.is_file():
                kept[part].append(dict(np.load(path)))
                continue
            kept[part].append(ask(seed))
            if not run.small:
                np.savez_compressed(path, **kept[part][-1])
            print(f"{part}, seed {seed}: {time.monotonic() - begin:.0f} s", flush=True)
    found = summary(kept, lab)
    print(written(found))
    if not run.small:
        (run.out / "llmformer.json").write_text(json.dumps(found, indent=1) + "\n")
        (run.out / "llmformer.txt").write_text(written(found) + "\n")


if __name__ == "__main__":
    main()
