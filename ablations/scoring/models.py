"""A model that is there, a frozen CLIP or a whole network, and its scorers in this process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ablations.scoring.count_store import CountStore
from ablations.scoring.frozen import FrozenScorer, Scorer
from ablations.scoring.networks import TrainedScorer
from ablations.scoring.options import ScorerOptions
from lsmseg_model.data.benchmark import Benchmark
from lsmseg_model.inference.feature_cache import FeatureCache
from lsmseg_model.networks.lsmseg import LsmSeg
from lsmseg_model.segmenter import ModelOptions, Segmenter, load_model


@dataclass(frozen=True)
class Model:
    """Who scored, for the records. ``dense``: of a CLIP, its last block."""

    name: str
    weights_hash: str
    dense: str | None


def open_model(
    options: ScorerOptions,
    counts: CountStore | None = None,
    on_message: Callable[[str], None] | None = None,
) -> tuple[Model, Callable[[Benchmark], Scorer]]:
    """The model of the scorers frozen and trained, and what makes its scorer of a benchmark."""
    wanted = ModelOptions(
        model=options.model,
        pretrained=options.pretrained,
        checkpoint=options.checkpoint,
        format=options.format or "lsmseg",
        device=options.device,
        dense=options.dense,
        sam=options.sam,
        precision=options.precision,
        compile=options.compile,
    )
    segmenter = Segmenter.of(load_model(wanted))
    cache = options.cache_folder
    if options.scorer == "frozen":
        clip = segmenter.clip
        features = FeatureCache(clip, cache, on_message=on_message)
        return (
            Model(clip.name, clip.weights_hash, clip.dense),
            lambda part: FrozenScorer(clip, part, features, counts, options),
        )
    network = segmenter.model
    if cache is not None and isinstance(network, LsmSeg) and network.sam is not None:
        network.keep_features(cache / "encoder", half=False)
    return (
        Model(segmenter.name, segmenter.weights_hash, None),
        lambda part: TrainedScorer(segmenter, part, counts, options),
    )
