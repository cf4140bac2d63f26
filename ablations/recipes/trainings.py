"""The networks that a recipe trains: data, weights and fields checked before any is trained."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ablations.recipes.files import Recipe, Settings, Variant
from ablations.recipes.request import RecipeRequest
from ablations.recipes.texts import Texts
from ablations.runs.open import benchmark_roots, labelled_with
from ablations.scoring.executors import everywhere
from ablations.scoring.splits import BenchmarkSource
from ablations.scoring.training import Training, TrainingJob, training_pictures
from lsmseg_model.encoders.registry import second_encoder
from lsmseg_model.encoders.sources import encoder_names
from lsmseg_model.errors import CheckpointError, ConfigError
from lsmseg_model.networks.build import build, clip_weights, read_network
from lsmseg_model.training.options import TrainOptions
from lsmseg_prompts.errors import ConfigurationError, UsageError
from lsmseg_prompts.files import is_path
from lsmseg_prompts.vocabularies import Vocabulary


@dataclass(frozen=True)
class TrainingData:
    """A benchmark to train on; pictures: see `training_pictures`."""

    source: BenchmarkSource
    vocabulary: Vocabulary
    pictures: tuple[int, str]


class TrainingPlanner:
    """Makes the trainings of a recipe's variants; settings: those of each variant that runs.

    Raises UsageError, ConfigurationError or DataError for data or weights that are missing.
    """

    def __init__(
        self,
        recipe: Recipe,
        request: RecipeRequest,
        directory: Path,
        settings: Mapping[str, Settings],
    ) -> None:
        self.recipe, self.request = recipe, request
        self.folder = (directory / "networks").resolve()
        self.data = _training_data(settings, request)
        self.encoders = _encoders(request.encoder or ())
        self.encoded = False  # whether a network has a second encoder

    @property
    def vocabularies(self) -> list[Vocabulary]:
        """Those of the training data."""
        return [data.vocabulary for data in self.data.values()]

    def job(self, variant: Variant, settings: Settings, texts: Texts) -> TrainingJob:
        """The training of a variant, checked as far as that needs no weights."""
        request, here = self.request, f"{self.recipe.name}, {variant.name}"
        config, name = str(settings.config), str(settings.train_data)
        try:
            built = read_network(config, **settings.network)
            options = TrainOptions.of(config, **settings.train)
            with torch.device("meta"):  # its parts fit together; no weights
                build(built)
        except ConfigError as error:
            raise ConfigError(f"{here}: {error}") from error
        clip_weights(built, request.pretrained)  # raises where they are missing
        data, small = self.data[name], request.small
        training = Training(
            folder=self.folder,
            config=str(everywhere(config)) if is_path(config) else config,
            source=data.source.everywhere(),
            iterations=options.iterations,
            pretrained=everywhere(request.pretrained),
            encoder=everywhere(self._encoder(built["network"].get("encoder", "none"), here)),
            seed=request.seed,
            device=request.device,
            network=settings.network,
            options={k: v for k, v in settings.train.items() if k != "iterations"},
            precision=request.precision,
            workers=0 if small else request.workers,
            validated=1 if small else self.recipe.validated,
            pictures=data.pictures,
            captions=settings.captions,
        )
        return training.job(texts.prompt_set(data.vocabulary, settings).texts)

    def _encoder(self, kind: str, here: str) -> str | None:
        """The weights of a second encoder."""
        encoder = self.encoders.get(kind, self.encoders.get(None))
        self.encoded |= kind != "none"
        if kind == "none" or (kind.endswith("-tiny") and encoder is None):
            return None
        if encoder is None:
            raise CheckpointError(
                f"{here} needs the weights of {kind}: give --encoder {kind}, which fetches them, "
                f"{kind}=FILE, or {kind}=random for a trial."
            )
        networks = [self.recipe.settings(v, False).network for v in self.recipe.variants]
        kinds = sorted({str(n.get("encoder", "none")) for n in networks} - {"none"})
        if kind not in self.encoders and len(kinds) > 1:
            raise UsageError(
                f"{self.recipe.name} needs several encoders ({', '.join(kinds)}): say whose "
                f"weights {encoder} are, as in --encoder {kind}={encoder}."
            )
        return encoder


def _training_data(
    settings: Mapping[str, Settings], request: RecipeRequest
) -> dict[str, TrainingData]:
    """The benchmarks to train on, by name; each can be opened."""
    named = request.train_data or ()
    for name in named:
        labelled_with(name, request.vocab)
    wanted = list(dict.fromkeys(str(own.train_data) for own in settings.values()))
    names = list(named) or wanted
    roots = benchmark_roots(names, request.train_root or (), "--train-root")
    root_of = dict(zip(names, roots, strict=True))
    if lacking := [name for name in wanted if name not in root_of]:
        whose = next(v for v, own in settings.items() if own.train_data == lacking[0])
        raise UsageError(
            f"The variant {whose!r} is trained on {lacking[0]}: give --train-data {lacking[0]} "
            "--train-root DIR too, or choose others with --variant."
        )
    data = {}
    for name in wanted:
        vocabulary = labelled_with(name, request.vocab)
        source = BenchmarkSource(name, root_of[name], vocabulary.name, len(vocabulary))
        data[name] = TrainingData(source, vocabulary, training_pictures(source))
    return data


def _encoders(given: Sequence[str]) -> dict[str | None, str]:
    """--encoder NAME, FILE or NAME=FILE, checked: name (None: whichever is needed) -> weights."""
    files: dict[str | None, str] = {}
    for text in given:
        name, equals, path = text.partition("=")
        kind, path = (name, path) if equals and not Path(text).exists() else (None, text)
        if kind is None and text in encoder_names():
            kind = text
        if kind is not None:
            second_encoder(kind)  # raises for an unknown name
        if path not in ("random", *encoder_names()) and not Path(path).is_file():
            raise ConfigurationError(f"There is no file {path}; give it with --encoder FILE.")
        files[kind] = path
    return files
