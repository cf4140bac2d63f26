"""Which scorer a request wants: a frozen CLIP, a whole network, or one trained per prompt set."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.known import Stored
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.terminal import note

if TYPE_CHECKING:
    from ablations.prepare import Job
    from ablations.scoring import Scorer
    from lsmseg_model.data import Benchmark

SCORERS = ("frozen", "trained", "retrain")
Make = Callable[[int, "Benchmark"], "Scorer"]
"""The place of a benchmark among the data and a split of it -> its scorer."""


@dataclass(frozen=True)
class Model:
    """Who scored, for the records. ``dense``: of a CLIP, its last block."""

    name: str
    weights_hash: str
    dense: str | None


def check_scorer(arguments: dict[str, Any]) -> None:
    """Raise UsageError for a scorer that there is not, and for options that are not its own."""
    scorer = arguments["scorer"]
    if scorer not in SCORERS:
        raise UsageError(f"There is no scorer {scorer!r}: choose {', '.join(SCORERS)}.")
    own = {
        "frozen": ("dense", "sam"),
        "trained": ("checkpoint", "format"),
        "retrain": ("config", "iterations", "encoder"),
    }
    for other, options in own.items():
        given = [o for o in options if arguments[o] is not None]
        if other != scorer and given:
            raise UsageError(
                f"--{given[0]} is about the scorer {other}, not {scorer}: leave it out, or give "
                f"--scorer {other}."
            )
    if scorer == "trained" and arguments["checkpoint"] is None:
        raise UsageError("The scorer trained scores a whole network: name it, --checkpoint FILE.")


def open_scorers(job: Job, known: Stored, cache: Path | None) -> tuple[Model, Make]:
    """Load the model, and say how scorers are made. Raises what the model raises."""
    wanted = job.arguments
    if wanted["scorer"] == "retrain":
        return _retrain(job, known, cache)
    from ablations.scoring import FrozenScorer
    from ablations.trained import TrainedScorer
    from lsmseg_model.feature_cache import FeatureCache
    from lsmseg_model.lsmseg import LsmSeg
    from lsmseg_model.segmenter import Segmenter

    if wanted["scorer"] == "frozen":
        clip = Segmenter(
            wanted["model"],
            wanted["pretrained"],
            device=wanted["device"],
            dense=wanted["dense"],
            sam=wanted["sam"],
        ).clip
        features = FeatureCache(clip, cache, tell=note if wanted["progress"] else None)
        return (
            Model(clip.name, clip.weights_hash, clip.dense),
            lambda at, part: FrozenScorer(clip, part, features, known),
        )
    segmenter = Segmenter(
        wanted["model"],
        wanted["pretrained"],
        checkpoint=wanted["checkpoint"],
        format=wanted["format"] or "lsmseg",
        device=wanted["device"],
    )
    network = segmenter.model
    if cache is not None and isinstance(network, LsmSeg) and network.sam is not None:
        network.keep_features(cache / "encoder", half=False)
    return (
        Model(segmenter.name, segmenter.weights_hash, None),
        lambda at, part: TrainedScorer(segmenter, part, known),
    )


def _retrain(job: Job, known: Stored, cache: Path | None) -> tuple[Model, Make]:
    from ablations.trained import RetrainScorer, Training
    from lsmseg_model.networks import read_network

    wanted = job.arguments
    config = wanted["config"] or "lsmseg-tiny"
    settings = read_network(config)
    folder = cache or Path("runs") / "cache"  # trainings are always kept

    def make(at: int, part: Benchmark) -> Scorer:
        training = Training(
            folder=folder / "trainings",
            config=config,
            data=job.data[at],
            root=job.roots[at],
            vocabulary=job.vocabularies[at].name,
            prompts=len(job.vocabularies[at]),
            iterations=wanted["iterations"],
            pretrained=wanted["pretrained"],
            encoder=wanted["encoder"],
            seed=wanted["seed"],
            device=wanted["device"],
        )
        return RetrainScorer(training, part, known)

    steps = wanted["iterations"] or settings.get("train", {}).get("iterations", "?")
    return Model(settings["name"], f"{steps} iterations each", None), make
