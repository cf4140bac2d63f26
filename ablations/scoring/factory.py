"""Which scorer a request wants: a frozen CLIP, a whole network, or one trained per prompt set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from ablations.scoring.count_store import CountStore
from ablations.scoring.executors import Executor, Local, Torchrun, everywhere, open_executor
from ablations.scoring.frozen import Scorer
from ablations.scoring.models import Model, open_model
from ablations.scoring.networks import RetrainScorer
from ablations.scoring.options import ScorerOptions
from ablations.scoring.shards import SpreadScorer
from ablations.scoring.splits import BenchmarkSource
from ablations.scoring.training import Training
from lsmseg_model.data.benchmark import Benchmark
from lsmseg_model.files import may_be_folder
from lsmseg_model.networks.build import read_network
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.files import is_path

Make = Callable[[Benchmark, BenchmarkSource], Scorer]
"""A benchmark or a split of it, and how any process opens it -> its scorer."""


def open_scorers(
    options: ScorerOptions,
    counts: CountStore,
    on_message: Callable[[str], None] | None = None,
) -> tuple[Model, Make]:
    """Load the model, and say how scorers are made. Raises what the model and executor raise.

    And DataError where the cache cannot be a folder.
    """
    if (folder := options.cache_folder) is not None:
        may_be_folder(folder)
    executor = open_executor(options.executor, options.device)
    if isinstance(executor, Torchrun) and options.scorer == "retrain":
        raise UsageError(
            "torchrun deals out pictures, and --scorer retrain trains a network for each prompt "
            "set: leave torchrun out, or train on several GPUs by --executor ray."
        )
    if options.scorer == "retrain":
        return _retrain(options, counts, executor)
    model, scorer = open_model(options, counts, on_message)
    if isinstance(executor, Local):
        return model, lambda part, source: scorer(part)
    return model, lambda part, source: SpreadScorer(scorer(part), options, source, executor)


def _retrain(options: ScorerOptions, counts: CountStore, executor: Executor) -> tuple[Model, Make]:
    config = options.config or "lsmseg-tiny"
    settings = read_network(config)
    folder = options.cache_folder or Path("runs") / "cache"  # trainings are always kept

    def scorer(part: Benchmark, source: BenchmarkSource) -> Scorer:
        training = Training(
            folder=(folder / "trainings").resolve(),
            config=str(everywhere(config)) if is_path(config) else config,
            source=source.everywhere(),
            iterations=options.iterations,
            pretrained=everywhere(options.pretrained),
            encoder=everywhere(options.encoder),
            seed=options.seed,
            device=options.device,
        )
        return RetrainScorer(training, part, counts, executor.map)

    steps = options.iterations or settings.get("train", {}).get("iterations", "?")
    return Model(settings["name"], f"{steps} iterations each", None), scorer
