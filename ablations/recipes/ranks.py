"""Do backbones agree which attributes help? Ranks, and how they correlate (Spearman's rho).

All backbones are scored on the same resamples of the same pictures. Two things say what a
correlation is worth: how a backbone's ranks on one half of the pictures correlate with its own on
the other half (more than that two backbones cannot be expected to agree), and how those of random
orders do (what chance gives).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ablations.report.sheet import Sheet, make_sheet, texts
from ablations.search.statistics import Draws, by_group
from lsmseg_model.metrics import miou
from lsmseg_prompts.files import csv_text, write_whole

HALVES, ORDERS = 200, 10_000
COLUMNS = ("benchmark", "pair", "rho", "low", "high")


@dataclass(frozen=True)
class Ranking:
    """Ranks of attributes by each backbone on one benchmark, 1 the best; ties share theirs.

    ranks: [attributes, backbones]; low, high: their 95 % intervals. pairs: a row for every two
    backbones, their mean, each with itself, and random orders (COLUMNS).
    """

    benchmark: str
    attributes: tuple[str, ...]
    backbones: tuple[str, ...]
    miou: np.ndarray
    ranks: np.ndarray
    low: np.ndarray
    high: np.ndarray
    pairs: tuple[dict[str, Any], ...]


def rank(scores: np.ndarray) -> np.ndarray:
    """[..., A] scores -> [..., A] ranks, 1 the highest, ties averaged."""
    flat = pd.DataFrame(scores.reshape(-1, scores.shape[-1]))
    return flat.rank(axis=1, ascending=False).to_numpy().reshape(scores.shape)


def spearman(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """[..., A] ranks each -> [...] Pearson's correlation of them (nan where all are tied)."""
    a, b = (x - x.mean(axis=-1, keepdims=True) for x in (a, b))
    size = np.sqrt((a**2).sum(axis=-1) * (b**2).sum(axis=-1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((a * b).sum(axis=-1) / size)


def ranking(
    benchmark: str,
    scores: Mapping[str, Mapping[str, Draws]],
    counts: Mapping[str, Mapping[str, np.ndarray]],
    groups: Sequence[Any] | None,
    seed: int,
) -> Ranking:
    """The ranks on one benchmark.

    Args:
        benchmark: Its name.
        scores: Backbone -> attribute -> mIoU with its draws, all on the same resamples.
        counts: Backbone -> attribute -> int64 [P, C, 3].
        groups: Of the pictures, where whole groups are resampled.
        seed: Of halves and random orders.
    """
    names, attributes = list(scores), list(next(iter(scores.values())))
    values = np.array([[scores[b][a].value for a in attributes] for b in names])
    draws = np.array([[scores[b][a].draws for a in attributes] for b in names])
    ranks, drawn = rank(values), rank(draws.transpose(0, 2, 1))  # [B, A], [B, R, A]
    one = next(iter(scores[names[0]].values()))
    intervals = [
        [Draws(r, d, one.units, one.grouped).interval() for r, d in zip(rs, ds.T, strict=True)]
        for rs, ds in zip(ranks, drawn, strict=True)
    ]
    pairs, all_draws = [], []
    for a, b in combinations(range(len(names)), 2):
        rho = Draws(
            float(spearman(ranks[a], ranks[b])), spearman(drawn[a], drawn[b]), one.units,
            one.grouped,
        )  # fmt: skip
        all_draws.append(rho)
        pairs.append(_pair(benchmark, f"{names[a]} - {names[b]}", rho))
    mean = Draws(
        float(np.mean([r.value for r in all_draws])),
        np.mean([r.draws for r in all_draws], axis=0),
        one.units,
        one.grouped,
    )
    pairs.append(_pair(benchmark, "mean of all pairs", mean))
    rng = np.random.default_rng(seed)
    for name in names:
        of_all = np.stack([counts[name][attribute] for attribute in attributes])
        units = of_all if groups is None else np.stack(by_group(of_all, groups))
        pairs.append(_spread(benchmark, f"{name} - itself, other half", _halves(units, rng)))
    orders = np.array([rng.permutation(len(attributes)) for _ in range(ORDERS)], dtype=float)
    chance = spearman(orders, orders[0])
    pairs.append(_spread(benchmark, "random orders", chance))
    low, high = (
        np.array([[getattr(i, end) for i in row] for row in intervals]).T for end in ("low", "high")
    )
    return Ranking(
        benchmark, tuple(attributes), tuple(names), values.T, ranks.T, low, high, tuple(pairs)
    )


def _halves(counts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """[HALVES] rho of the ranks on two random halves of the units; counts [A, units, C, 3]."""
    units = counts.shape[1]
    found = []
    for _ in range(HALVES):
        order = rng.permutation(units)
        parts = order[: units // 2], order[units // 2 :]
        scores = [np.array([miou(c[part].sum(axis=0)) for c in counts]) for part in parts]
        found.append(float(spearman(*(rank(s) for s in scores))))
    return np.array(found)


def _pair(benchmark: str, pair: str, rho: Draws) -> dict[str, Any]:
    found = rho.interval()
    return {
        "benchmark": benchmark, "pair": pair, "rho": found.value, "low": found.low,
        "high": found.high,
    }  # fmt: skip


def _spread(benchmark: str, pair: str, values: np.ndarray) -> dict[str, Any]:
    """The median of many, and what 95 % of them lie between."""
    defined = values[~np.isnan(values)]
    low, middle, high = (
        np.percentile(defined, [2.5, 50, 97.5]) if len(defined) else [float("nan")] * 3
    )
    return {
        "benchmark": benchmark, "pair": pair, "rho": float(middle), "low": float(low),
        "high": float(high),
    }  # fmt: skip


def rank_sheet(one: Ranking) -> Sheet:
    """Attributes by backbones: each one's rank with its interval, and mIoU in %."""
    rows = [
        {
            "attribute": attribute,
            **{backbone: _rank(one, a, b) for b, backbone in enumerate(one.backbones)},
        }
        for a, attribute in sorted(
            enumerate(one.attributes), key=lambda pair: float(one.ranks[pair[0]].mean())
        )
    ]
    note = "Rank [95 % interval] and mIoU in %, the best on average first."
    columns = texts("attribute", *one.backbones)
    return make_sheet(f"Ranks on {one.benchmark}", rows, columns, note, lambda row: "")


def _rank(one: Ranking, a: int, b: int) -> str:
    ends = one.low[a, b], one.high[a, b]
    interval = "" if np.isnan(ends).any() else f" [{ends[0]:.0f}, {ends[1]:.0f}]"
    return f"{one.ranks[a, b]:g}{interval}, {100 * one.miou[a, b]:.1f}"


def pair_sheet(one: Ranking) -> Sheet:
    """How the backbones' ranks correlate."""
    rows = [{"backbones": pair["pair"], "rho": _rho(pair)} for pair in one.pairs]
    note = (
        "Spearman's rho [95 % interval]. Itself: the median of 200 random halves of the pictures "
        "against the others, and what 95 % lie between; random orders: what chance gives."
    )
    title = f"Do they agree? {one.benchmark}"
    return make_sheet(title, rows, texts("backbones", "rho"), note, lambda row: "")


def _rho(pair: Mapping[str, Any]) -> str:
    interval = "" if np.isnan(pair["low"]) else f" [{pair['low']:+.2f}, {pair['high']:+.2f}]"
    return "-" if np.isnan(pair["rho"]) else f"{pair['rho']:+.2f}{interval}"


def write(folder: Path, rankings: Sequence[Ranking]) -> dict[str, str]:
    """Write ranks and correlations into the folder of a recipe; returns what each file is."""
    ranks = [
        {
            "benchmark": one.benchmark, "attribute": attribute, "backbone": backbone,
            "rank": float(one.ranks[a, b]), "low": float(one.low[a, b]),
            "high": float(one.high[a, b]), "miou": 100 * float(one.miou[a, b]),
        }
        for one in rankings
        for a, attribute in enumerate(one.attributes)
        for b, backbone in enumerate(one.backbones)
    ]  # fmt: skip
    pairs = [pair for one in rankings for pair in one.pairs]
    write_whole(folder / "ranks.csv", csv_text(ranks, tuple(ranks[0])))
    write_whole(folder / "correlations.csv", csv_text(pairs, COLUMNS))
    whole = json.dumps({"ranks": ranks, "correlations": pairs}, indent=1, ensure_ascii=False)
    write_whole(folder / "ranks.json", whole.replace("NaN", "null") + "\n")
    figure(rankings, folder / "ranks.png")
    return {
        "ranks.csv": "every backbone's rank of every attribute, with its interval",
        "correlations.csv": "how their ranks correlate, beside halves of the pictures and chance",
        "ranks.json": "both",
        "ranks.png": "the ranks, a line for each attribute",
    }


def figure(rankings: Sequence[Ranking], path: Path) -> Path:
    """A panel for each benchmark: a line for each attribute over the backbones, rank 1 on top."""
    from ablations.report.plots import panels, save

    sheet, axes = panels(1, len(rankings), (1.6 + 1.5 * len(rankings[0].backbones), 3.6))
    for axis, one in zip(axes.flat, rankings, strict=True):
        across = range(len(one.backbones))
        for a, attribute in enumerate(one.attributes):
            (line,) = axis.plot(across, one.ranks[a], "-o", ms=5, lw=1.5)
            axis.text(
                len(one.backbones) - 0.9, one.ranks[a, -1], attribute, va="center", fontsize=8,
                color=line.get_color(),
            )  # fmt: skip
        axis.set_xticks(list(across), [name.replace(" ", "\n") for name in one.backbones])
        axis.set_xlim(-0.3, len(one.backbones) - 0.4)
        axis.invert_yaxis()
        axis.set_ylabel("rank of the attribute, 1 the best")
        axis.set_title(one.benchmark)
    return save(sheet, path)
