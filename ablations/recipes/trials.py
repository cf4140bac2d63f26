"""Carrying out a plan: prompt sets scored, networks trained, counts and costs measured.

Counts are kept in the attribute store, trained networks and what they took in the recipe's folder:
an interrupted run goes on from there.
"""

from __future__ import annotations

import json
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from ablations.recipes.backbones import Compared, ready
from ablations.recipes.plan import Place, Plan, Trial
from ablations.scoring.count_store import SqliteCountStore, key_of
from ablations.scoring.executors import open_executor
from ablations.scoring.factory import open_scorers
from ablations.scoring.networks import RetrainScorer
from ablations.scoring.options import ScorerOptions
from ablations.scoring.training import TrainingJob, train_network
from lsmseg_model.data.benchmark import competing
from lsmseg_model.networks.build import build, read_network
from lsmseg_model.networks.profile import profile
from lsmseg_model.segmenter import Segmenter
from lsmseg_prompts.files import write_whole
from lsmseg_prompts.terminal import note, progress_bar

Counts = dict[str, dict[str, np.ndarray]]  # variant -> benchmark -> int64 [P, C, 3]
Numbers = dict[str, dict[str, Any]]  # variant -> measure -> value


@dataclass
class Measured:
    """What was measured: counts, numbers, and what scored (name, hash of the weights).

    made: how many prompt sets were scored anew, each on one benchmark.
    """

    counts: Counts
    numbers: Numbers
    models: dict[tuple[str, str], tuple[str, str]]  # variant, benchmark -> name, hash of weights
    made: int = 0


def carry_out(plan: Plan, progress: bool) -> Measured:
    """Measure what is not kept yet; whatever is finished is kept at once."""
    names = [trial.variant.name for trial in plan.trials]
    measured = Measured({n: {} for n in names}, {n: {} for n in names}, {})
    store = SqliteCountStore(plan.request.store_path)
    if plan.scorer != "retrain":
        _score_prompts(plan, measured, store, progress)
        return measured
    _spread_trainings(plan, progress)
    pictures: dict[str, str] = {}  # by benchmark, their hash
    for at, trial in enumerate(plan.trials, 1):
        if progress:
            note(f"{at} of {len(plan.trials)}  {trial.variant.name}")
        _measure_network(plan, trial, measured, store, pictures, progress)
    return measured


def _score_prompts(plan: Plan, measured: Measured, store: SqliteCountStore, progress: bool) -> None:
    """All prompt sets on each benchmark: one pass over the pictures for those that are missing."""
    opened: Compared | None = None
    model = make = None
    for number, place in enumerate(plan.places):
        if make is None or place.backbone is not opened:
            model, make = open_scorers(_options(plan, place, progress), store)
            opened = place.backbone
        assert model is not None
        scorer = make(place.benchmark, place.source)
        with progress_bar(f"{place.title}: encoding pictures", progress) as on_progress:
            scorer.encode_pictures(on_progress)
        with progress_bar(f"{place.title}: prompt sets", progress) as on_progress:
            scores = scorer.score([t.prompts[number] for t in plan.trials], on_progress)
        measured.made += scorer.counted_anew
        for trial, counts in zip(plan.trials, scores, strict=True):
            measured.counts[trial.variant.name][place.title] = counts
            measured.models[trial.variant.name, place.title] = model.name, model.weights_hash


def _options(plan: Plan, place: Place, progress: bool) -> ScorerOptions:
    """What scores at a place; a small backbone is trained first."""
    request, own = plan.request, plan.trials[0].settings
    common: dict[str, Any] = {
        "device": request.device,
        "cache": request.cache,
        "executor": request.executor,
        "seed": request.seed,
    }
    if place.backbone is not None:
        folder = plan.directory / "backbones"
        one = ready(place.backbone, folder, request.iterations, request.device, progress)
        return ScorerOptions(model=one.model, pretrained=one.pretrained, dense=one.dense, **common)
    frozen = plan.scorer == "frozen"
    return ScorerOptions(
        scorer=plan.scorer,
        model=str(own.model) if frozen else "lsmseg-tiny",
        pretrained=request.pretrained,
        dense=own.dense if frozen else None,
        sam=request.sam,
        checkpoint=request.checkpoint,
        **common,
    )


def _spread_trainings(plan: Plan, progress: bool) -> None:
    """Train the networks that are not there yet by the executor, if it has many places."""
    request = plan.request
    missing = [job for job in plan.trainings if not job.weights.is_file()]
    if request.executor == "local" or not missing:
        return  # one after the other, when it is its variant's turn
    executor = open_executor(request.executor, request.device)
    with progress_bar(f"{len(missing)} networks", progress) as on_progress:
        for at, _ in enumerate(executor.map(train_network, missing), 1):
            if on_progress:
                on_progress(at, len(missing))


def _measure_network(
    plan: Plan,
    trial: Trial,
    measured: Measured,
    store: SqliteCountStore,
    pictures: dict[str, str],
    progress: bool,
) -> None:
    """Train a variant's network, or take the one that is there, and measure it."""
    job, recipe, name = trial.training, plan.recipe, trial.variant.name
    assert job is not None
    trained = train_network(replace(job, progress=progress))
    numbers = measured.numbers[name]
    numbers["training_minutes"] = trained.seconds / 60
    numbers["extrapolated_minutes"] = trained.seconds / trained.iterations * recipe.iterations / 60
    measured.models |= {(name, p.title): (job.name, job.out.name) for p in plan.places}
    if {"miou", "seen", "classes"} & set(recipe.measures):
        for place, prompts in zip(plan.places, trial.prompts, strict=True):
            scorer = RetrainScorer(
                job.training,
                place.benchmark,
                store,
                trained_with=job.texts,
                pictures=pictures.get(place.title),
            )
            if place.title not in pictures:
                with progress_bar(f"{place.title}: reading pictures", progress) as on_progress:
                    scorer.encode_pictures(on_progress)
                pictures[place.title] = scorer.pictures()
            with progress_bar(f"{name}: {place.title}", progress) as on_progress:
                measured.counts[name][place.title] = scorer.score([prompts], on_progress)[0]
            measured.made += scorer.counted_anew
    if "latency_ms" in recipe.measures:
        numbers["latency_ms"] = _kept_latency(plan, trial, job)
    if {"learnable_millions", "gflops"} & set(recipe.measures):
        numbers |= _size(plan, trial)
    if {"head_millions", "head_gmacs"} & set(recipe.measures):
        numbers |= _head(plan, trial)


def _kept_latency(plan: Plan, trial: Trial, job: TrainingJob) -> float:
    """The latency as it was measured first: another measurement would be another number."""
    place, texts, device = plan.places[0], trial.prompts[0].texts, plan.request.device
    key = key_of([place.title, len(place.benchmark), texts, device, plan.recipe.timed])
    path = job.out / f"latency-{key[:16]}.json"
    with suppress(OSError, ValueError, KeyError):
        return float(json.loads(path.read_text("utf-8"))["latency_ms"])
    segmenter = Segmenter(checkpoint=job.weights, device=device)
    latency = _latency(segmenter, place, texts, plan.recipe.timed)
    write_whole(path, json.dumps({"latency_ms": latency}))
    return latency


def _latency(segmenter: Segmenter, place: Place, texts: Any, pictures: int) -> float:
    """Milliseconds for a picture, its windows and label map included, texts embedded before."""
    prompts, owners = competing(place.benchmark)
    text = segmenter.encode_texts([list(texts[i]) for i in prompts])
    spent = []
    for index in range(pictures + 1):
        picture = place.benchmark.picture(index % len(place.benchmark))
        began = time.perf_counter()
        segmenter.label(picture, text, owners)
        spent.append(1000 * (time.perf_counter() - began))
    return float(np.median(spent[1:]))  # the first warms up


def _size(plan: Plan, trial: Trial) -> dict[str, Any]:
    """Learnable parameters, and operations, of the published size; nothing is computed."""
    settings = plan.recipe.settings(trial.variant, small=False)
    config = plan.request.config or str(settings.config)
    learns = str(settings.train.get("clip", "qv"))
    network = profile(config, plan.recipe.profiled, learns, **settings.network)
    return {
        "learnable_millions": network.trainable / 1e6,
        "gflops_view": network.gflops,
        "gflops_picture": network.gflops_picture,
    }


def _head(plan: Plan, trial: Trial) -> dict[str, float]:
    """What stands on a closed-set network's backbone, of the published size; nothing is computed.

    Parameters, ECAC's memory bank with them, and a multiplication and an addition as one operation.
    ECAC's teacher is left out, which is there in training only.
    """
    settings = plan.recipe.settings(trial.variant, small=False)
    read = read_network(plan.request.config or str(settings.config), **settings.network)
    read["classes"] = list(map(str, range(plan.recipe.profiled)))
    with torch.device("meta"), torch.no_grad():
        network: Any = build(read).eval()
        with FlopCounterMode(display=False) as counter:
            network.classify(network.clip(torch.empty(1, 3, read["crop"], read["crop"])))
    parts = dict(network.clip.named_modules())
    seen = next(name for name in ("net.backbone", "backbone", "net") if name in parts)
    counts = counter.get_flop_counts()
    below = counts[f"{type(network.clip).__name__}.{seen}"]
    beside = sum(counts["Global"].values()) - sum(below.values())
    left_out = f"clip.{seen}.", "addon.teacher."
    bank = [(name, one) for name, one in network.named_buffers() if name == "addon.bank"]
    held = [*network.named_parameters(), *bank]
    parameters = sum(one.numel() for name, one in held if not name.startswith(left_out))
    return {"head_millions": parameters / 1e6, "head_gmacs": beside / 2e9}
