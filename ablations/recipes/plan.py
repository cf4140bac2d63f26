"""What a recipe will do: the request checked, the data opened, the texts composed.

Everything that can be wrong before a model runs is noticed here: fields of networks, weights,
folders, descriptions of every vocabulary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ablations.recipes.backbones import Compared, named
from ablations.recipes.files import Recipe, Settings, Variant
from ablations.recipes.request import RecipeRequest
from ablations.recipes.texts import Texts
from ablations.runs.open import benchmark_roots, labelled_with
from ablations.scoring.budgets import smallest
from ablations.scoring.options import splits_of
from lsmseg_prompts.errors import ConfigurationError, UsageError
from lsmseg_prompts.vocabularies import Vocabulary

if TYPE_CHECKING:
    from ablations.scoring.splits import BenchmarkSource
    from ablations.scoring.training import TrainingJob
    from lsmseg_model.data.benchmark import Benchmark
    from lsmseg_prompts.prompts.prompt_set import PromptSet


OF_NETWORKS = ("config", "train_data", "train_root", "encoder", "iterations", "batch_size",
               "precision", "workers")  # fmt: skip
OF_CLIP = ("model", "dense", "sam")
OF_BACKBONES = ("backbones",)
FOREIGN = {  # options that do not go with a scorer
    "retrain": (*OF_CLIP, *OF_BACKBONES, "checkpoint"),
    "frozen": (*OF_NETWORKS, *OF_BACKBONES, "checkpoint"),
    "trained": (*OF_NETWORKS, *OF_CLIP, *OF_BACKBONES, "pretrained"),
    "backbones": (
        *(option for option in OF_NETWORKS if option != "iterations"),
        *OF_CLIP, "pretrained", "checkpoint", "scorer",
    ),
}  # fmt: skip
DOES = {
    "retrain": "trains networks",
    "frozen": "trains no network without --scorer retrain",
    "trained": "has the network of --checkpoint score all prompts",
    "backbones": "has every --backbone score all prompts",
}


@dataclass(frozen=True)
class Place:
    """A benchmark with its vocabulary; ``title`` tells two of the same name apart.

    backbone: what scores there, where a recipe compares backbones: each is a place of its own.
    """

    title: str
    vocabulary: Vocabulary
    benchmark: Benchmark
    source: BenchmarkSource
    backbone: Compared | None = None


@dataclass(frozen=True)
class Trial:
    """A variant that runs: its settings, and a prompt set for every benchmark."""

    variant: Variant
    settings: Settings
    prompts: tuple[PromptSet, ...]
    training: TrainingJob | None = None


@dataclass(frozen=True)
class Plan:
    """A checked request. directory: for the results. skipped: variant -> why it does not run."""

    recipe: Recipe
    request: RecipeRequest
    scorer: str
    directory: Path
    places: tuple[Place, ...]
    trials: tuple[Trial, ...]
    skipped: Mapping[str, str] = field(default_factory=dict)

    @property
    def trainings(self) -> list[TrainingJob]:
        """The networks to train, each once."""
        return list({t.training.out: t.training for t in self.trials if t.training}.values())


def make_plan(recipe: Recipe, request: RecipeRequest) -> Plan:
    """Check a request and open what it names.

    Raises UsageError, ConfigurationError, and DataError, CheckpointError, ConfigError of the
    vision room.
    """
    small = request.small
    base = recipe.small if small else recipe.full
    data = list(request.data or base.data)
    if not data:
        raise UsageError(
            f"{recipe.name}: say which benchmarks to score on with --data, for example "
            f"{' '.join(f'--data {b} --data-root DIR' for b in recipe.benchmarks[:2])}."
        )
    scorer = _scorer(recipe, request, base.scorer)
    for name in data:
        labelled_with(name, request.vocab)
    roots = benchmark_roots(data, request.data_root or ())
    chosen = [recipe.variant(name) for name in request.variants or ()] or recipe.variants
    splits = splits_of(data, request.split)
    places = _places(data, roots, splits, request.vocab, request.limit or base.limit)
    if scorer == "backbones":
        places = _for_each(places, [named(b) for b in request.backbones or ()] or base.backbones)
    skipped = _skipped(recipe, chosen, small)
    settings = {
        v.name: _overridden(recipe.settings(v, small), v, request)
        for v in chosen
        if v.name not in skipped
    }
    _check_settings(recipe.name, settings, scorer, "small" if small else "full")
    directory = Path(request.out or Path("runs") / f"{recipe.name}{'-small' * small}")
    vocabularies = [place.vocabulary for place in places]
    planner = None
    if scorer == "retrain":
        from ablations.recipes.trainings import TrainingPlanner

        planner = TrainingPlanner(recipe, request, directory, settings)
        vocabularies += planner.vocabularies
    compared = [place.backbone.budget for place in places if place.backbone]
    budget = smallest(compared) if compared else None
    texts = Texts(vocabularies, settings.values(), request.store, request.seed, budget)
    from lsmseg_model.networks.backbones.load import check_device

    check_device(request.device)
    trials = []
    for name, own in settings.items():
        variant = recipe.variant(name)
        sets = tuple(texts.prompt_set(place.vocabulary, own) for place in places)
        job = planner.job(variant, own, texts) if planner else None
        trials.append(Trial(variant, own, sets, job))
    if request.encoder and planner and not planner.encoded:
        which = f"{recipe.name}{' at small scale' * small}"
        raise UsageError(f"{which} has no second encoder: leave out --encoder.")
    return Plan(recipe, request, scorer, directory, places, tuple(trials), skipped)


def _scorer(recipe: Recipe, request: RecipeRequest, default: str | None) -> str:
    """frozen, trained or retrain. Raises UsageError for options that go with another one."""
    if recipe.kind == "backbones":
        return _allowed(recipe, request, "backbones")
    scorer = request.scorer or ("trained" if request.checkpoint else default or "frozen")
    if recipe.kind == "networks":
        if request.scorer not in (None, "retrain"):
            raise UsageError(
                f"{recipe.name} trains a network for every variant: leave --scorer out, or give "
                "retrain."
            )
        scorer = "retrain"
    _allowed(recipe, request, scorer)
    if scorer == "trained" and request.checkpoint is None:
        raise UsageError("--scorer trained is a network that is there: name it with --checkpoint.")
    return scorer


def _allowed(recipe: Recipe, request: RecipeRequest, scorer: str) -> str:
    """The scorer; UsageError for an option that goes with another one."""
    defaults = {field.name: field.default for field in fields(request)}
    foreign = FOREIGN[scorer]
    if wrong := [option for option in foreign if getattr(request, option) != defaults[option]]:
        option = wrong[0].replace("_", "-")
        raise UsageError(f"{recipe.name} {DOES[scorer]}: --{option} does not go with it.")
    return scorer


def _skipped(recipe: Recipe, chosen: Sequence[Variant], small: bool) -> dict[str, str]:
    """Why which variants do not run. Raises UsageError where none of the chosen ones is left."""
    skipped = {v.name: "published only" for v in recipe.variants if not v.run}
    if small:
        skipped |= {v.name: v.small for v in recipe.variants if v.run and isinstance(v.small, str)}
    skipped |= {v.name: "not asked for" for v in recipe.variants if v not in chosen}
    if all(v.name in skipped for v in chosen):
        why = "; ".join(f"{v.name}: {skipped[v.name]}" for v in chosen)
        raise UsageError(f"{recipe.name}: no variant is left to run ({why}).")
    return skipped


def _overridden(settings: Settings, variant: Variant, request: RecipeRequest) -> Settings:
    """A variant's settings with what the command line says; what a variant varies, stays."""
    given = {k: getattr(request, k) for k in ("model", "dense", "llm", "config")}
    if len(request.train_data or ()) == 1:
        given["train_data"] = (request.train_data or ())[0]
    given = {k: v for k, v in given.items() if v is not None and k not in variant.settings.given}
    train = {k: getattr(request, k) for k in ("iterations", "batch_size")}
    return settings.changed({**given, "train": {k: v for k, v in train.items() if v is not None}})


def _check_settings(recipe: str, settings: Mapping[str, Settings], scorer: str, scale: str) -> None:
    """Raise ConfigurationError for a variant that lacks a setting."""
    needed = {"retrain": ["config", "train_data"], "backbones": []}.get(scorer, ["model"])
    for name, own in settings.items():
        if lacking := [f for f in ["attributes", "llm", *needed] if getattr(own, f) is None]:
            raise ConfigurationError(
                f"{recipe}, variant {name!r}: neither it nor {scale} says {' and '.join(lacking)}."
            )


def _places(
    data: Sequence[str],
    roots: Sequence[str | None],
    splits: Sequence[str | None],
    vocab: str | None,
    limit: int | None,
) -> tuple[Place, ...]:
    from ablations.scoring.splits import BenchmarkSource

    places: list[Place] = []
    for name, root, split in zip(data, roots, splits, strict=True):
        vocabulary = labelled_with(name, vocab)
        about = vocabulary.name, len(vocabulary), limit
        source = BenchmarkSource(name, root, *about, named=split)
        benchmark = source.open()
        _ = benchmark.groups  # raises where they cannot be read
        same = sum(p.benchmark.name == benchmark.name for p in places)
        title = f"{benchmark.name}#{same + 1}" if same else benchmark.name
        places.append(Place(title, vocabulary, benchmark, source))
    return tuple(places)


def _for_each(places: Sequence[Place], backbones: Sequence[Compared]) -> tuple[Place, ...]:
    """Each benchmark once for each backbone. Raises UsageError for fewer than two backbones."""
    names = [one.name for one in backbones]
    if len(set(names)) < max(2, len(names)):
        raise UsageError(
            "A recipe of backbones compares at least two different ones: give --backbone twice or "
            "more, such as --backbone ViT-B-16:openai --backbone ViT-B-16-SigLIP2:webli."
        )
    several = len(places) > 1
    return tuple(
        replace(
            place,
            title=f"{one.name}, {place.title}" if several else one.name,
            backbone=one,
        )
        for place in places
        for one in backbones
    )
