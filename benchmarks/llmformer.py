"""LLMFormer on drawings: do priors help, or only the names of what is there?

python benchmarks/llmformer.py --out runs/llmformer     # five seeds; what is there is not run again
python benchmarks/llmformer.py --out runs/llmformer --figure docs/llmformer_captions.png
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
           something, or "on" it, wherever it is drawn

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
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lsmseg_model.data.benchmark import MiniStuff
from lsmseg_model.data.captioners import RulesCaptions
from lsmseg_model.data.descriptions import Described, Description
from lsmseg_model.data.ministuff.objects import OBJECTS
from lsmseg_model.data.ministuff.scenes import CLASSES, SEEN, _Builder
from lsmseg_model.data.ministuff.telling import SIZES, CaptionErrors
from lsmseg_model.metrics import confusion_counts, miou
from lsmseg_model.networks.backbones.base import Backbone
from lsmseg_model.networks.backbones.load import load_backbone
from lsmseg_model.networks.llmformer.config import RELATIONS, SCALES, SEMANTIC, LlmFormerOptions
from lsmseg_model.networks.llmformer.losses import mask_costs, match, targets_of
from lsmseg_model.networks.llmformer.network import LlmFormer
from lsmseg_model.networks.llmformer.priors import Phrases, object_text

CLASSES = sorted(CLASSES, key=lambda row: not row[2])  # the seen ones first, as trained
READABLE = [name.replace("-other", "").replace("-", " ") for _, name, _ in CLASSES]
POSITION = {index: at for at, (index, _, _) in enumerate(CLASSES)}
NAMES = [READABLE[POSITION[i]] if i in POSITION else "" for i in range(182)]
TRAINED, ALL = len(SEEN), len(CLASSES)
GROUPS = {"all": range(ALL), "seen": range(TRAINED), "unseen": range(TRAINED, ALL)}
NOTHING, PHRASES = Description(), Phrases()  # all networks have the same text tower
SCORED = 64  # pixels a side
CURVE = {
    **{f"drop {x}": CaptionErrors(drop=x) for x in (0.2, 0.4, 0.6, 0.8)},
    **{f"invent {x}": CaptionErrors(invent=x) for x in (0.25, 0.5, 1.0)},
}
PLAIN = LlmFormerOptions(width=64, layers=2)
ROWS = {
    **{f"semantic {x}": replace(PLAIN, semantic=x) for x in SEMANTIC[1:]},
    **{f"scales {x}": replace(PLAIN, scales=x) for x in SCALES[1:]},
    **{f"relations {x}": replace(PLAIN, relations=x) for x in RELATIONS[1:]},
}
KITE, UMBRELLA, ALIKE = 33, 25, 47  # drawn as apples
THINGS = (2, 8, 10, 14, 32, 47, 74)  # car, boat, fire hydrant, bird, sports ball, apple, clock
GROUNDS = (112, 137, 106, 160)  # grass, road, floor-wood, wall-concrete


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
    objects = (replace(o, attributes=tuple(a for a in o.attributes if a in SIZES))
               for o in told.objects)  # fmt: skip
    return Description(tuple(objects))


def exchanged(told: Description, rng: np.random.Generator) -> Description:
    """The same objects with one another's attributes; the largest, the ground, keeps its own."""
    ground, *things = told.objects
    order = rng.permutation(len(things))
    objects = [
        replace(o, attributes=things[i].attributes) for o, i in zip(things, order, strict=True)
    ]
    return replace(told, objects=(ground, *objects))


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
        for at, count in enumerate((self.run.planted, self.run.held_out // 2)):
            data = seen_by(self.clip, planted(kind, count, at), "train")
            pair.append(replace(data, told=[change(one) for one in data.told]))
        self.kept[kind] = pair[0], pair[1]
        return self.kept[kind]

    def size(self, seed: int) -> dict[str, np.ndarray]:
        data, test = self.plant("size")
        found = {}
        rng = np.random.default_rng(seed)
        mixed = [exchanged(one, rng) for one in test.told]
        for scales, steps in (("attributes", self.run.planted_steps), ("untrained", 0),
                              ("none", self.run.planted_steps)):  # fmt: skip
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
        """Of every object in the pictures: picture, true area, the expected level of its query."""
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
                found.append((picture, area, float(expected[picture, query[picture, place]])))
        return np.array(found)

    def relation(self, seed: int) -> dict[str, np.ndarray]:
        data, test = self.plant("relation")
        found = {}
        for kind in RELATIONS:
            options = replace(PLAIN, relations=kind)
            network = self.fit(data, options, seed, self.run.planted_steps)
            found[kind] = counts(maps_of(network, test, test.told, self.texts), test)
        return found


# -- results -----------------------------------------------------------------------------


def mean_iou(of: np.ndarray, classes: Sequence[int]) -> float:
    """The mean over seeds of counts [S, P, C, 3] (or their weighted sums [S, C, 3])."""
    sums = of.sum(axis=1) if of.ndim == 4 else of
    return 100 * float(np.mean([miou(one, classes) for one in sums]))


def interval(
    one: np.ndarray, other: np.ndarray | None, classes: Sequence[int], draws: int
) -> list[float]:
    """Value, low and high of mIoU, or of the difference of two, in points."""
    rng, values = np.random.default_rng(0), []
    both = [one] if other is None else [one, other]
    for _ in range(draws):
        seeds = rng.integers(0, len(one), len(one))
        weight = np.bincount(rng.integers(0, one.shape[1], one.shape[1]), minlength=one.shape[1])
        each = [mean_iou(np.einsum("p,spck->sck", weight, x[seeds]), classes) for x in both]
        values.append(each[0] - (each[1] if other is not None else 0))
    value = mean_iou(one, classes) - (0 if other is None else mean_iou(other, classes))
    return [round(float(x), 2) for x in (value, *np.percentile(values, (2.5, 97.5)))]


def spearman(seeds: list[np.ndarray], draws: int) -> dict[str, Any]:
    """The rank correlation of area and level by seed, and the mean of sizes with its interval."""
    from scipy.stats import spearmanr

    def of(rows: np.ndarray) -> float:
        return float(np.nan_to_num(spearmanr(rows[:, 1], rows[:, 2]).statistic))

    rng, values = np.random.default_rng(0), []
    each = [of(rows) for rows in seeds]
    pictures = int(max(rows[:, 0].max() for rows in seeds)) + 1
    for _ in range(draws // 5):
        chosen = [seeds[i] for i in rng.integers(0, len(seeds), len(seeds))]
        some = rng.integers(0, pictures, pictures)
        drawn = [np.concatenate([rows[rows[:, 0] == p] for p in some]) for rows in chosen]
        values.append(np.mean([abs(of(rows)) for rows in drawn]))
    ends = np.percentile(values, (2.5, 97.5))
    span = [float(np.ptp(rows[:, 2])) for rows in seeds]
    return {"seeds": [round(x, 3) for x in each], "span": round(float(np.mean(span)), 3),
            "size": [round(float(x), 3) for x in (np.mean(np.abs(each)), *ends)]}  # fmt: skip


def table(scores: dict[str, np.ndarray], against: Sequence[tuple[str, str]], run: Any) -> list[Any]:
    """mIoU of every arm, and differences, of all, seen and unseen classes."""
    rows = [(name, one, None) for name, one in scores.items()]
    rows += [(f"{a} - {b}", scores[a], scores[b]) for a, b in against]
    return [
        {"arm": name, **{g: interval(a, b, [*c], run.draws) for g, c in GROUPS.items()}}
        for name, a, b in rows
    ]


def told_well(data: Pictures, told: list[Description]) -> dict[str, float]:
    """Precision and recall of the classes that captions name, over all pictures."""
    named = [{o.name for o in one.objects} for one in told]
    there = [{o.name for o in one.objects} for one in data.told]
    both = sum(len(a & b) for a, b in zip(named, there, strict=True))
    return {"precision": both / max(1, sum(map(len, named))), "recall": both / sum(map(len, there))}


AGAINST = [("on", "off"), ("on, shuffled", "off"), ("on, shuffled + filter", "off"),
           ("on, empty", "off"), ("on", "off + filter"), ("on + filter", "off + filter"),
           ("on", "on, shuffled")]  # fmt: skip
RELATION = {"alike": [POSITION[KITE], POSITION[UMBRELLA]],
            "rest": [POSITION[c] for c in (*THINGS, *GROUNDS) if c in POSITION and c != ALIKE
                     and POSITION[c] < TRAINED]}  # fmt: skip


def summary(kept: dict[str, list[dict[str, np.ndarray]]], lab: Lab) -> dict[str, Any]:
    """What is said of the seeds that have been run."""
    run, found = lab.run, dict[str, Any]()
    joined = {part: {n: np.stack([s[n] for s in seeds]) for n in seeds[0] if "levels" not in n}
              for part, seeds in kept.items() if seeds}  # fmt: skip
    if "priors" in joined:
        of = joined["priors"]
        found["priors"] = table({n: c for n, c in of.items() if n.split(", ")[-1] not in CURVE},
                                AGAINST, run)  # fmt: skip
        curve = {"none": (lab.report.told, "on", "off + filter")}
        curve |= {n: (w, f"on, {n}", f"off + filter, {n}") for n, w in lab.worse.items()}
        found["curve"] = [
            {"captions": name, **told_well(lab.report, told),
             **{k: interval(of[k_], None, range(ALL), run.draws) for k, k_ in
                (("on", on), ("off + filter", off))},
             "on - (off + filter)": interval(of[on], of[off], range(ALL), run.draws),
             "on - off": interval(of[on], of["off"], range(ALL), run.draws)}
            for name, (told, on, off) in curve.items()
        ]  # fmt: skip
    rows = []
    for name in ROWS:
        if name in joined and "priors" in joined:
            plain = {k: v[: len(joined[name]["on"])] for k, v in joined["priors"].items()}
            for end in ("on", "on + filter"):
                both = {f"{name}, {end}": joined[name][end], f"the paper's, {end}": plain[end]}
                rows += table(both, [(f"the paper's, {end}", f"{name}, {end}")], run)
    found["rows"] = rows
    if "size" in joined:
        of = joined["size"]
        found["size"] = {
            "miou": {n: interval(c, None, range(TRAINED), run.draws) for n, c in of.items()},
            "attributes - none": interval(of["attributes"], of["none"], range(TRAINED), run.draws),
            "spearman": {n: spearman([s[n] for s in kept["size"]], run.draws)
                         for n in kept["size"][0] if "levels" in n},
        }  # fmt: skip
    if "relation" in joined:
        of, arms = joined["relation"], [("both", None), ("plain", None), ("prior", None),
                                        ("both", "plain"), ("prior", "plain")]  # fmt: skip
        found["relation"] = {
            a if b is None else f"{a} - {b}": {
                g: interval(of[a], of[b] if b else None, c, run.draws) for g, c in RELATION.items()
            } for a, b in arms
        }  # fmt: skip
    return {"seeds": {part: len(seeds) for part, seeds in kept.items()}, **found}


def written(found: Any, indent: int = 0) -> str:
    """The figures as lines."""
    if isinstance(found, dict) and all(not isinstance(v, dict | list) or _flat(v)
                                       for v in found.values()):  # fmt: skip
        return " " * indent + "  ".join(f"{k} {_short(v)}" for k, v in found.items())
    pairs = found.items() if isinstance(found, dict) else enumerate(found)
    lines = []
    for name, one in pairs:
        if isinstance(found, dict):
            lines.append(" " * indent + str(name) + (f" {_short(one)}" if _flat(one) else ""))
        if not _flat(one):
            lines.append(written(one, indent + 2))
    return "\n".join(lines)


def _flat(value: Any) -> bool:
    return not isinstance(value, dict | list) or (
        isinstance(value, list) and bool(value) and all(isinstance(x, float) for x in value)
    )


def _short(value: Any) -> str:
    if isinstance(value, list) and len(value) == 3:
        return f"{value[0]:.1f} [{value[1]:.1f}, {value[2]:.1f}]" if abs(value[0]) >= 1.5 or abs(
            value[2]) >= 1.5 else f"{value[0]:.2f} [{value[1]:.2f}, {value[2]:.2f}]"  # fmt: skip
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def figure(found: dict[str, Any], path: Path) -> None:
    """The curve of captions that drop objects, and of captions that invent some."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    style = Path(__file__).resolve().parent.parent / "ablations/report/report.mplstyle"
    off = next(row["all"] for row in found["priors"] if row["arm"] == "off")
    with plt.style.context(style):
        drawing, axes = plt.subplots(1, 2, figsize=(7, 2.8), sharey=True, layout="constrained")
        for axis, kind, along in zip(
            axes, ("drop", "invent"), ("recall", "precision"), strict=True
        ):
            rows = [r for r in found["curve"] if r["captions"].split()[0] in ("none", kind)]
            x = [r[along] for r in rows]
            for arm, name in (("on", "priors on"), ("off + filter", "off, only named classes")):
                low, high = ([r[arm][at] for r in rows] for at in (1, 2))
                line = axis.plot(x, [r[arm][0] for r in rows], marker="o", label=name)
                axis.fill_between(x, low, high, alpha=0.2, color=line[0].get_color(), lw=0)
            axis.axhline(off[0], ls="--", lw=1, color="gray", label="off, no captions")
            axis.set_xlabel(f"{along} of the captions' classes")
        axes[0].set_ylabel("mIoU (%)")
        axes[0].legend()
        drawing.savefig(path, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("runs/llmformer"))
    parser.add_argument("--parts", nargs="+", default=["priors", "size", "relation", *ROWS])
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--small", action="store_true")
    for name, value in (("seeds", 5), ("steps", 250), ("pictures", 800), ("held-out", 200),
                        ("planted", 240), ("planted-steps", 200), ("draws", 500)):  # fmt: skip
        parser.add_argument(f"--{name}", type=int, default=value)
    run = parser.parse_args()
    if run.small:
        small = {"seeds": 1, "steps": 2, "planted_steps": 2, "pictures": 10, "held_out": 4,
                 "planted": 8, "draws": 5}  # fmt: skip
        vars(run).update(small)
    if run.figure:
        figure(json.loads((run.out / "llmformer.json").read_text()), run.figure)
        return
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
