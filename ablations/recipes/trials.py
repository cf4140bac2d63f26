"""Carrying out a plan: prompt sets scored, networks trained, counts and costs measured."""

import csv
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ablations.recipes.kept import Kept, slug
from ablations.recipes.plan import MINISTUFF, Place, Plan, Training, Trial, fingerprint
from ablations.scoring.count_store import SqliteCountStore
from ablations.scoring.executors import everywhere, open_executor
from ablations.scoring.factory import open_scorers
from ablations.scoring.frozen import Scorer
from ablations.scoring.models import Model
from ablations.scoring.options import ScorerOptions
from ablations.scoring.splits import BenchmarkSource
from lsmseg_model.segmenter import Segmenter
from lsmseg_prompts.store.store import working_store_path
from lsmseg_prompts.terminal import note, progress_bar

if TYPE_CHECKING:
    from lsmseg_model.training.options import TrainRequest

VALIDATED = 20  # pictures, at the end of a training; all are scored afterwards
TIMED = 5  # pictures whose latency is measured; the median is told
PUBLISHED_ITERATIONS = 80_000  # of the published trainings
CLASSES = 171  # texts that operations are counted for: COCO-Stuff's

Counts = dict[str, dict[str, np.ndarray]]  # variant -> benchmark -> int64 [P, C, 3]
Numbers = dict[str, dict[str, Any]]  # variant -> measure -> value


@dataclass
class Done:
    """What was measured: counts, numbers, and what scored (name, hash of the weights)."""

    counts: Counts
    numbers: Numbers
    models: dict[str, tuple[str, str]]  # variant -> name, hash of the weights
    kept: Kept


def carry_out(plan: Plan, folder: Path, progress: bool) -> Done:
    """Run what is not kept in `folder` yet; whatever is finished is kept at once."""
    names = [t.variant.name for t in plan.trials]
    done = Done({n: {} for n in names}, {n: {} for n in names}, {}, Kept(folder / "variants"))
    if plan.scorer == "retrain":
        _spread_trainings(plan, folder, done.kept, progress)
        for at, trial in enumerate(plan.trials, 1):
            if progress:
                note(f"{at} of {len(plan.trials)}  {trial.variant.name}")
            _network(plan, trial, folder, done, progress)
    else:
        _prompt_sets(plan, done, progress)
    return done


def _prompt_sets(plan: Plan, done: Done, progress: bool) -> None:
    """All prompt sets on each benchmark: one pass over the pictures for those that are missing."""
    model, scorers = _scorers(plan)
    done.models = {t.variant.name: (model.name, model.weights_hash) for t in plan.trials}
    for number, (place, scorer) in enumerate(zip(plan.places, scorers, strict=True)):
        with progress_bar(f"{place.title}: looking at pictures", progress) as tell:
            scorer.encode_pictures(tell)
        missing: list[tuple[Trial, str]] = []
        for trial in plan.trials:
            key = _key(place, trial.prompts[number].texts, scorer.key)
            found = done.kept.counts(_name(trial, place), key)
            if found is None:
                missing.append((trial, key))
            else:
                done.counts[trial.variant.name][place.title] = found
        if missing:
            with progress_bar(f"{place.title}: prompt sets", progress) as tell:
                scored = scorer.score([t.prompts[number] for t, _ in missing], tell)
            for (trial, key), found in zip(missing, scored, strict=True):
                done.kept.keep_counts(_name(trial, place), key, found)
                done.counts[trial.variant.name][place.title] = found


def _scorers(plan: Plan) -> tuple[Model, list[Scorer]]:
    """The model that scores all prompts, and its scorer of each benchmark."""
    wanted, own = plan.options, plan.trials[0].settings
    frozen = plan.scorer == "frozen"
    options = ScorerOptions(
        scorer=plan.scorer,
        model=own["model"] if frozen else "lsmseg-tiny",
        pretrained=wanted["pretrained"],
        dense=own.get("dense") if frozen else None,
        sam=wanted["sam"],
        checkpoint=wanted["checkpoint"],
        device=wanted["device"],
        cache=wanted["cache"],
        executor=wanted["executor"],
        seed=wanted["seed"],
    )
    model, make = open_scorers(options, SqliteCountStore(store_of(wanted)))
    scorers = []
    for place in plan.places:
        vocabulary = place.vocabulary
        source = BenchmarkSource(
            place.data, place.root, vocabulary.name, len(vocabulary), wanted["limit"]
        )
        scorers.append(make(place.benchmark, source))
    return model, scorers


def store_of(options: Mapping[str, Any]) -> Path:
    """The working store."""
    return Path(working_store_path(options["store"]))


def _network(plan: Plan, trial: Trial, folder: Path, done: Done, progress: bool) -> None:
    """Train a variant's network, or take the one that is there, and measure it."""
    training, kept = trial.training, done.kept
    assert training is not None
    name, measures = trial.variant.name, plan.recipe.measures
    trained = _trained(training, folder, kept, plan, progress)
    seconds, iterations = trained["seconds"], trained["iterations"]
    numbers = done.numbers[name]
    numbers["training_minutes"] = seconds / 60
    numbers["extrapolated_minutes"] = seconds / iterations * PUBLISHED_ITERATIONS / 60
    weights = folder / trained["weights"]
    done.models[name] = (weights.stem, training.key)
    loaded = cache(lambda: Segmenter(checkpoint=weights, device=plan.options["device"]))
    if {"miou", "seen", "classes"} & set(measures):
        for number, place in enumerate(plan.places):
            texts = trial.prompts[number].texts
            key = _key(place, texts, training.key)
            found = kept.counts(_name(trial, place), key)
            if found is None:
                with progress_bar(f"{name}: {place.title}", progress) as tell:
                    found = _count(loaded(), place, texts, tell)
                kept.keep_counts(_name(trial, place), key, found)
            done.counts[name][place.title] = found
    if "latency_ms" in measures:
        key = _key(plan.places[0], trial.prompts[0].texts, [training.key, plan.options["device"]])
        numbers |= kept.values(
            f"{slug(name)}/latency", key, lambda: _latency(loaded(), plan.places[0], trial)
        )
    if {"learnable_millions", "gflops"} & set(measures):
        full = plan.recipe.settings(trial.variant, small=False)
        config = plan.options["config"] or full["config"]
        how = [config, full.get("network"), _learns(full)]
        numbers |= kept.values(f"{slug(name)}/size", fingerprint(how), lambda: _size(config, full))
    done.numbers[name] = numbers


def _trained(
    training: Training, folder: Path, kept: Kept, plan: Plan, progress: bool
) -> dict[str, Any]:
    """The network of a variant: weights (below `folder`), seconds, iterations."""
    below = Path("networks") / training.key
    here = folder / below
    name = _finished(training)

    def make() -> dict[str, Any]:
        shown = progress and sys.stderr.isatty()  # in a log file bars would be blank lines
        return train_network(_request(training, here, plan, shown))

    values = kept.values(name, training.key, make)
    if not (here / values["weights"]).is_file():  # someone made room
        (here / "finished.json").unlink()
        values = kept.values(name, training.key, make)
    (here / "last.pt").unlink(missing_ok=True)  # twice the weights, and for going on only
    return {**values, "weights": str(below / values["weights"])}


def _spread_trainings(plan: Plan, folder: Path, kept: Kept, progress: bool) -> None:
    """Train the networks that are not there yet by the plan's executor; each is kept at once."""
    if plan.options["executor"] == "local":
        return  # one after the other, when it is its variant's turn
    missing = [
        t for t in plan.trainings.values()
        if not (folder / "networks" / t.key / "finished.json").is_file()
    ]  # fmt: skip
    if not missing:
        return
    executor = open_executor(plan.options["executor"], plan.options["device"])
    jobs = [_request(t, (folder / "networks" / t.key).resolve(), plan, False) for t in missing]
    found = executor.map(train_network, jobs)
    with progress_bar(f"{len(jobs)} networks", progress) as tell:
        for at, (training, values) in enumerate(zip(missing, found, strict=True), 1):
            kept.values(_finished(training), training.key, partial(dict, values))
            if tell:
                tell(at, len(jobs))


def _finished(training: Training) -> str:
    return str(Path("..") / "networks" / training.key / "finished")


def _request(training: Training, here: Path, plan: Plan, progress: bool) -> "TrainRequest":
    """What `train_network` needs, wherever it runs: paths are absolute."""
    from lsmseg_model.training.options import TrainOptions, TrainRequest

    options = plan.options
    config, data, root = training.config, training.data, everywhere(training.root)
    return TrainRequest(
        config=str(Path(config).resolve()) if config.endswith(".json") else config,
        data=data if root or data == MINISTUFF else str(everywhere(data) or data),
        data_root=root,
        texts=[list(group) for group in training.prompts.texts],
        vocabulary_name=training.prompts.vocabulary,
        out=here,
        pretrained=everywhere(options["pretrained"]),
        encoder=everywhere(training.encoder),
        changes=dict(training.network),
        options=TrainOptions.of(config, **training.options),
        resume=True,
        test_limit=1 if plan.small else VALIDATED,
        precision=options["precision"],
        seed=options["seed"],
        device=options["device"],
        workers=0 if plan.small else options["workers"],
        tensorboard=False,
        progress=progress,
    )


def train_network(request: "TrainRequest") -> dict[str, Any]:
    """Train a network, or go on with it: weights (a file's name), seconds, iterations."""
    from lsmseg_model.train import train

    assert request.options is not None
    iterations = request.options.iterations
    weights, seconds = _ended(request.out, iterations)
    if weights is None:
        result = train(request)
        weights, seconds = result.weights, result.seconds
    return {"weights": weights.name, "seconds": seconds, "iterations": iterations}


def _ended(folder: Path, iterations: int) -> tuple[Path | None, float]:
    """The weights of a training that ended, though its note was not written; and its seconds."""
    weights = [p for p in folder.glob("*.safetensors") if p.name != "best.safetensors"]
    if not weights:
        return None, 0.0
    with (folder / "loss.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    if len(rows) < iterations:
        return None, 0.0
    return weights[0], float(rows[-1]["seconds"])


def _count(segmenter: Segmenter, place: Place, texts: Any, tell: Any) -> np.ndarray:
    from lsmseg_model.data.benchmark import competing
    from lsmseg_model.inference.counting import count_pictures

    text = segmenter.encode_texts([list(texts[i]) for i in competing(place.benchmark)[0]])
    return count_pictures(segmenter.model, place.benchmark, text, on_progress=tell)


def _latency(segmenter: Segmenter, place: Place, trial: Trial) -> dict[str, Any]:
    """Milliseconds for a picture, its windows and label map included, texts embedded before."""
    from lsmseg_model.data.benchmark import competing

    kept, owners = competing(place.benchmark)
    text = segmenter.encode_texts([list(trial.prompts[0].texts[i]) for i in kept])
    spent = []
    for index in range(TIMED + 1):
        picture = place.benchmark.picture(index % len(place.benchmark))
        began = time.perf_counter()
        segmenter.label(picture, text, owners)
        spent.append(1000 * (time.perf_counter() - began))
    return {"latency_ms": float(np.median(spent[1:]))}  # the first warms up


def _size(config: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Learnable parameters, and operations; nothing is computed."""
    from lsmseg_model.networks.profile import profile

    profiled = profile(config, CLASSES, _learns(settings), **settings.get("network", {}))
    return {
        "learnable_millions": profiled.trainable / 1e6,
        "gflops_view": profiled.gflops,
        "gflops_picture": profiled.gflops_picture,
        "described": profiled.name,
    }


def _learns(settings: Mapping[str, Any]) -> str:
    return str(settings.get("train", {}).get("clip", "qv"))


def _name(trial: Trial, place: Place) -> str:
    return f"{slug(trial.variant.name)}/{slug(place.title)}"


def _key(place: Place, texts: Any, model: Any) -> str:
    return fingerprint([place.identity, texts, model])
