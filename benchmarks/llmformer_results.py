"""What benchmarks/llmformer.py found: figures with intervals, as lines and as a drawing.

python benchmarks/llmformer_results.py --out runs/llmformer --figure docs/llmformer_captions.png
python benchmarks/llmformer_results.py --small      # only to see that it runs
"""

from __future__ import annotations

import argparse
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lsmseg_model.data.descriptions import Description
from lsmseg_model.data.ministuff.scenes import CLASSES as DRAWN
from lsmseg_model.data.ministuff.scenes import SEEN
from lsmseg_model.data.ministuff.telling import CaptionErrors
from lsmseg_model.metrics import miou

if TYPE_CHECKING:
    from benchmarks.llmformer import Lab

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


def spearman(seeds: list[np.ndarray], column: int, draws: int) -> dict[str, Any]:
    """The rank correlation of levels with a column of `Lab.levels`: by seed, and of the mean."""
    from scipy.stats import spearmanr

    def of(rows: np.ndarray) -> float:
        return float(spearmanr(rows[:, column], rows[:, 2], nan_policy="omit").statistic)

    rng, values = np.random.default_rng(0), []
    pictures = int(max(rows[:, 0].max() for rows in seeds)) + 1
    for _ in range(draws // 5):
        some = rng.integers(0, pictures, pictures)
        chosen = [seeds[i] for i in rng.integers(0, len(seeds), len(seeds))]
        drawn = [np.concatenate([rows[rows[:, 0] == p] for p in some]) for rows in chosen]
        values.append(np.nanmean([of(rows) for rows in drawn]))
    each = [of(rows) for rows in seeds]
    mean = [float(np.nanmean(each)), *(float(x) for x in np.nanpercentile(values, (2.5, 97.5)))]
    return {"seeds": each, "mean": mean}


def table(scores: dict[str, np.ndarray], against: Sequence[tuple[str, str]], run: Any) -> list[Any]:
    """mIoU of every arm, and differences, of all, seen and unseen classes."""
    rows = [(name, one, None) for name, one in scores.items()]
    rows += [(f"{a} - {b}", scores[a], scores[b]) for a, b in against]
    return [
        {"arm": name, **{g: interval(a, b, [*c], run.draws) for g, c in GROUPS.items()}}
        for name, a, b in rows
    ]


def told_well(true: list[Description], told: list[Description]) -> dict[str, float]:
    """Precision and recall of the classes that captions name, over all pictures."""
    named = [{o.name for o in one.objects} for one in told]
    there = [{o.name for o in one.objects} for one in true]
    both = sum(len(a & b) for a, b in zip(named, there, strict=True))
    return {"precision": both / max(1, sum(map(len, named))), "recall": both / sum(map(len, there))}


AGAINST = [("on", "off"), ("on, shuffled", "off"), ("on, shuffled + filter", "off"),
           ("on, empty", "off"), ("on", "off + filter"), ("on + filter", "off + filter"),
           ("on", "on, shuffled")]  # fmt: skip


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
            {"captions": name, **told_well(lab.report.told, told),
             **{k: interval(of[k_], None, range(ALL), run.draws) for k, k_ in
                (("on", on), ("off + filter", off))},
             "on - (off + filter)": interval(of[on], of[off], range(ALL), run.draws),
             "on - off": interval(of[on], of["off"], range(ALL), run.draws)}
            for name, (told, on, off) in curve.items()
        ]  # fmt: skip
    rows = []
    for name in [part for part in joined if " " in part]:
        if "priors" in joined:
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
            "spearman": {f"{n} and {about}": spearman([s[n] for s in kept["size"]], at, run.draws)
                         for n in kept["size"][0] if "levels" in n
                         for about, at in (("area", 1), ("size told", 3))},
        }  # fmt: skip
    if "relation" in joined:
        of, groups = joined["relation"], RELATION.items()
        found["relation"] = {
            **{a: {g: interval(c, None, k, run.draws) for g, k in groups} for a, c in of.items()},
            **{f"{a} - plain": {g: interval(c, of["plain"], k, run.draws) for g, k in groups}
               for a, c in of.items() if a != "plain"},
        }  # fmt: skip
    return {"seeds": {part: len(seeds) for part, seeds in kept.items()}, **found}


def written(found: Any, where: str = "") -> str:
    """The figures, one a line."""
    if isinstance(found, list) and found and isinstance(found[0], dict):
        found = {one.get("arm", one.get("captions")): one for one in found}
    if isinstance(found, dict):
        inner = {name: one for name, one in found.items() if name not in ("arm", "captions")}
        return "\n".join(written(one, f"{where}  {name}") for name, one in inner.items())
    if isinstance(found, list) and len(found) == 3:
        return "{}: {:.2f} [{:.2f}, {:.2f}]".format(where.strip(), *found)
    shown = [round(x, 2) for x in found] if isinstance(found, list) else found
    return (
        f"{where.strip()}: {shown:.3f}" if isinstance(shown, float) else f"{where.strip()}: {shown}"
    )


def figure(found: dict[str, Any], path: Path | BinaryIO) -> None:
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
        axes[1].legend(loc="lower left")
        drawing.savefig(path, dpi=150)


MADE_UP = {
    "priors": [{"arm": "off", "all": [2.0, 1.0, 3.0]}],
    "curve": [{"captions": "none", "precision": 1.0, "recall": 1.0, "on": [2.0, 1.0, 3.0],
               "off + filter": [1.0, 0.0, 2.0]}],
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("runs/llmformer"))
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--small", action="store_true")
    run = parser.parse_args()
    found = MADE_UP if run.small else json.loads((run.out / "llmformer.json").read_text())
    print(written(found))
    if run.figure or run.small:
        figure(found, io.BytesIO() if run.small else run.figure)


if __name__ == "__main__":
    main()
