"""Which scorer a request wants: a frozen CLIP, a whole network, or one trained per prompt set."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.scoring.count_store import Stored
from ablations.scoring.executors import Executor, everywhere, open_executor
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.terminal import note

if TYPE_CHECKING:
    from ablations.runs.open import Job
    from ablations.scoring.frozen import Scorer
    from lsmseg_model.data import Benchmark

SCORERS = ("frozen", "trained", "retrain")
OF_MODEL = ("model", "pretrained", "checkpoint", "format", "device", "dense", "sam")
Make = Callable[[int, str, "Benchmark"], "Scorer"]
"""The place of a benchmark among the data, the name of a split, and the split -> its scorer."""


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
    """Load the model, and say how scorers are made. Raises what the model and executor raise."""
    wanted = job.arguments
    executor = open_executor(wanted["executor"], wanted["device"])
    if wanted["scorer"] == "retrain":
        return _retrain(job, known, cache, executor)
    model, one = make_scorers(
        wanted["scorer"], wanted, cache, note if wanted["progress"] else None, known
    )
    if wanted["executor"] == "local":
        return model, lambda at, split, part: one(part)

    def spread(at: int, split: str, part: Benchmark) -> Scorer:
        from ablations.scoring.shards import Source, SpreadScorer

        place = job.data[at], job.roots[at], job.vocabularies[at]
        return SpreadScorer(one(part), Source.of(wanted, cache, *place, split), executor)

    return model, spread


def scorer_of(
    scorer: str, options: Mapping[str, Any], cache: str | None, part: Benchmark
) -> Scorer:
    """A scorer by itself, as a worker on another machine needs it. options: of `OF_MODEL`."""
    return _loaded(scorer, tuple(sorted(options.items())), cache)(part)


@lru_cache(maxsize=2)
def _loaded(
    scorer: str, options: tuple[tuple[str, Any], ...], cache: str | None
) -> Callable[[Benchmark], Scorer]:
    return make_scorers(scorer, dict(options), Path(cache) if cache else None)[1]


def make_scorers(
    scorer: str,
    options: Mapping[str, Any],
    cache: Path | None,
    tell: Callable[[str], None] | None = None,
    known: Stored | None = None,
) -> tuple[Model, Callable[[Benchmark], Scorer]]:
    """The model, and what makes its scorer of a benchmark. options: those of `OF_MODEL`."""
    from ablations.scoring.frozen import FrozenScorer
    from ablations.scoring.networks import TrainedScorer
    from lsmseg_model.inference.feature_cache import FeatureCache
    from lsmseg_model.networks.lsmseg import LsmSeg
    from lsmseg_model.segmenter import Segmenter

    of_model = {name: options[name] for name in OF_MODEL}
    segmenter = Segmenter(**{**of_model, "format": options["format"] or "lsmseg"})
    if scorer == "frozen":
        clip = segmenter.clip
        features = FeatureCache(clip, cache, tell=tell)
        return (
            Model(clip.name, clip.weights_hash, clip.dense),
            lambda part: FrozenScorer(clip, part, features, known),
        )
    network = segmenter.model
    if cache is not None and isinstance(network, LsmSeg) and network.sam is not None:
        network.keep_features(cache / "encoder", half=False)
    return (
        Model(segmenter.name, segmenter.weights_hash, None),
        lambda part: TrainedScorer(segmenter, part, known),
    )


def _retrain(job: Job, known: Stored, cache: Path | None, executor: Executor) -> tuple[Model, Make]:
    from ablations.scoring.networks import RetrainScorer, Training
    from lsmseg_model.networks.build import read_network

    wanted = job.arguments
    config = wanted["config"] or "lsmseg-tiny"
    settings = read_network(config)
    folder = cache or Path("runs") / "cache"  # trainings are always kept

    def make(at: int, split: str, part: Benchmark) -> Scorer:
        training = Training(
            folder=(folder / "trainings").resolve(),
            config=str(everywhere(config)) if config.endswith(".json") else config,
            data=job.data[at],
            root=everywhere(job.roots[at]),
            vocabulary=job.vocabularies[at].name,
            prompts=len(job.vocabularies[at]),
            iterations=wanted["iterations"],
            pretrained=everywhere(wanted["pretrained"]),
            encoder=everywhere(wanted["encoder"]),
            seed=wanted["seed"],
            device=wanted["device"],
        )
        return RetrainScorer(training, part, known, executor.map)

    steps = wanted["iterations"] or settings.get("train", {}).get("iterations", "?")
    return Model(settings["name"], f"{steps} iterations each", None), make
