"""What a recipe will do: the request checked, the data opened, the texts composed.

Everything that can be found wrong before a model runs is found here: fields of networks, weights,
folders, descriptions of every vocabulary.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.recipes.files import Recipe, Variant
from ablations.recipes.kept import fingerprint
from ablations.runs.open import labelled_with
from ablations.scoring.executors import check_executor
from lsmseg_prompts.descriptions.loading import load
from lsmseg_prompts.errors import ConfigurationError, UsageError
from lsmseg_prompts.prompts.prompt_set import PromptSet, build_prompt_set, cells
from lsmseg_prompts.vocabularies import Vocabulary

if TYPE_CHECKING:
    from lsmseg_model.data.benchmark import Benchmark

OF_NETWORKS = ("config", "train_data", "train_root", "encoder", "iterations", "batch_size")
OF_CLIP = ("model", "dense", "sam")
FOREIGN = {  # options that do not go with a scorer
    "retrain": (*OF_CLIP, "checkpoint"),
    "frozen": (*OF_NETWORKS, "checkpoint"),
    "trained": (*OF_NETWORKS, *OF_CLIP, "pretrained"),
}
MINISTUFF = "ministuff"


DOES = {
    "retrain": "trains networks",
    "frozen": "trains no network without --scorer retrain",
    "trained": "has the network of --checkpoint score all prompts",
}


@dataclass(frozen=True)
class Place:
    """A benchmark with its vocabulary; ``title`` tells two of the same name apart."""

    title: str
    root: str | None
    vocabulary: Vocabulary
    benchmark: "Benchmark"
    identity: str = ""  # of pictures and labels, see `identity`
    data: str = ""  # as it was named


@dataclass(frozen=True)
class Training:
    """A network to train: what `lsmseg_model.train.train` is asked for."""

    config: str
    network: Mapping[str, Any]
    options: Mapping[str, Any]
    data: str
    root: str | None
    prompts: PromptSet
    encoder: str | None
    key: str

    @property
    def iterations(self) -> int:
        return int(self.options["iterations"])


@dataclass(frozen=True)
class Trial:
    """A variant that runs: its settings, and a prompt set for every benchmark."""

    variant: Variant
    settings: Mapping[str, Any]
    prompts: tuple[PromptSet, ...]
    training: Training | None = None


@dataclass(frozen=True)
class Plan:
    """A checked request. skipped: variant -> why it does not run."""

    recipe: Recipe
    small: bool
    scorer: str
    options: Mapping[str, Any]
    places: tuple[Place, ...]
    trials: tuple[Trial, ...]
    skipped: Mapping[str, str] = field(default_factory=dict)

    @property
    def trainings(self) -> dict[str, Training]:
        """The networks to train, each once, by key."""
        return {t.training.key: t.training for t in self.trials if t.training is not None}


def make_plan(recipe: Recipe, options: Mapping[str, Any]) -> Plan:
    """Check a request (the arguments of `recipe.run_recipe`) and open what it names.

    Small scale is what runs where neither data nor training data are named. Raises UsageError,
    ConfigurationError, and DataError, CheckpointError, ConfigError of the vision room.
    """
    small = not options["data"] and not options["train_data"]
    base = recipe.small if small else recipe.full
    data = list(options["data"] or base.get("data", []))
    if not data:
        raise UsageError(
            f"{recipe.name}: say which benchmarks to score on with --data, for example "
            f"{' '.join(f'--data {b} --data-root DIR' for b in recipe.benchmarks[:2])}."
        )
    check_executor(options["executor"])
    scorer = _scorer(recipe, options, base)
    for name in data:
        labelled_with(name, options["vocab"])
    roots = _folders(data, options["data_root"], "--data-root")
    chosen = [recipe.variant(name) for name in options["variants"] or []] or list(recipe.variants)
    limit = options["limit"] or base.get("limit")
    places = _places(data, roots, options["vocab"], limit)
    skipped = {v.name: "published only" for v in recipe.variants if not v.run}
    if small:
        skipped |= {v.name: v.small for v in recipe.variants if v.run and isinstance(v.small, str)}
    skipped |= {v.name: "not asked for" for v in recipe.variants if v not in chosen}
    running = [v for v in chosen if v.name not in skipped]
    if not running:
        why = "; ".join(f"{v.name}: {skipped[v.name]}" for v in chosen)
        raise UsageError(f"{recipe.name}: no variant is left to run ({why}).")
    settings = {v.name: _overridden(recipe.settings(v, small), v, options) for v in running}
    for name, one in settings.items():
        needed = ["config", "train_data"] if scorer == "retrain" else ["model"]
        if lacking := [field for field in ["attributes", "llm", *needed] if field not in one]:
            raise ConfigurationError(
                f"{recipe.name}, variant {name!r}: neither it nor "
                f"{'small' if small else 'full'} says {' and '.join(lacking)}."
            )
    training = {}
    if scorer == "retrain":
        training = _training_places(settings, options)
    texts = _texts([*(p.vocabulary for p in places), *(t.vocabulary for t in training.values())],
                   settings.values(), options["store"])  # fmt: skip
    from lsmseg_model.networks.backbones.clip import check_device

    check_device(options["device"])
    encoders = _encoders(options["encoder"] or [])
    trials = []
    for variant in running:
        own = settings[variant.name]
        sets = tuple(_prompts(p.vocabulary, own, texts, options["seed"]) for p in places)
        job = None
        if scorer == "retrain":
            job = _training(recipe, variant, own, training, texts, encoders, options)
        trials.append(Trial(variant, own, sets, job))
    return Plan(recipe, small, scorer, options, places, tuple(trials), skipped)


def _scorer(recipe: Recipe, options: Mapping[str, Any], base: Mapping[str, Any]) -> str:
    """frozen, trained or retrain; options that go with another one are refused."""
    if recipe.kind == "networks":
        if options["scorer"] not in (None, "retrain"):
            raise UsageError(
                f"{recipe.name} trains a network for every variant: leave --scorer out, or give "
                "retrain."
            )
        scorer = "retrain"
    else:
        trained = "trained" if options["checkpoint"] else None
        scorer = options["scorer"] or trained or base.get("scorer", "frozen")
    foreign = FOREIGN[scorer]
    if wrong := [name for name in foreign if options[name]]:
        raise UsageError(
            f"{recipe.name} {DOES[scorer]}: --{wrong[0].replace('_', '-')} does not go with it."
        )
    if scorer == "trained" and options["checkpoint"] is None:
        raise UsageError("--scorer trained is a network that is there: name it with --checkpoint.")
    return scorer


def _overridden(
    settings: dict[str, Any], variant: Variant, options: Mapping[str, Any]
) -> dict[str, Any]:
    """A variant's settings with what the command line says; what a variant varies, stays."""
    given = {k: options[k] for k in ("model", "dense", "llm", "config") if options[k] is not None}
    train = {k: options[k] for k in ("iterations", "batch_size") if options[k] is not None}
    if len(options["train_data"] or []) == 1:
        given["train_data"] = options["train_data"][0]
    joined = {**settings, **{k: v for k, v in given.items() if k not in variant.settings}}
    return {**joined, "train": {**settings.get("train", {}), **train}}


def _folders(names: Sequence[str], roots: Sequence[str] | None, option: str) -> list[str | None]:
    """The folder of each benchmark; MiniStuff and a folder given as data need none."""
    roots = list(roots or [])
    if len(roots) == len(names):
        return list(roots)
    needy = [name for name in names if name != MINISTUFF and not Path(name).is_dir()]
    if len(roots) != len(needy):
        raise UsageError(
            f"{len(roots)} folders are given with {option}, but {len(needy)} of the data sets need "
            f"one ({', '.join(needy) or 'none'}): give them in the same order."
        )
    left = iter(roots)
    return [next(left) if name in needy else None for name in names]


def _places(
    data: Sequence[str], roots: Sequence[str | None], vocab: str | None, limit: int | None
) -> tuple[Place, ...]:
    from lsmseg_model.data.benchmark import load_benchmark

    places: list[Place] = []
    for name, root in zip(data, roots, strict=True):
        vocabulary = labelled_with(name, vocab)
        found = load_benchmark(name, root, None, limit, len(vocabulary), vocabulary.name)
        twins = sum(p.benchmark.name == found.name for p in places)
        title = f"{found.name}#{twins + 1}" if twins else found.name
        places.append(Place(title, root, vocabulary, found, identity(found), name))
    return tuple(places)


def identity(benchmark: "Benchmark") -> str:
    """What tells that pictures or labels are others, without reading them: names, sizes, times."""
    files = [
        [path.name, path.stat().st_size, path.stat().st_mtime_ns]
        for pair in getattr(benchmark, "pairs", ())
        for path in pair
    ]
    return fingerprint([benchmark.name, benchmark.split, len(benchmark), files])


def _training_places(
    settings: Mapping[str, Mapping[str, Any]], options: Mapping[str, Any]
) -> dict[str, Place]:
    """The benchmarks to train on, by name; each can be opened."""
    from lsmseg_model.data.benchmark import load_benchmark

    named = options["train_data"] or []
    for name in named:
        labelled_with(name, options["vocab"])
    wanted = list(dict.fromkeys(s["train_data"] for s in settings.values()))
    data = list(named) or wanted
    roots = dict(zip(data, _folders(data, options["train_root"], "--train-root"), strict=True))
    if lacking := [name for name in wanted if name not in roots]:
        whose = next(v for v, s in settings.items() if s["train_data"] == lacking[0])
        raise UsageError(
            f"The variant {whose!r} is trained on {lacking[0]}: give --train-data {lacking[0]} "
            "--train-root DIR too, or choose others with --variant."
        )
    places = {}
    for name in wanted:
        vocabulary = labelled_with(name, options["vocab"])
        count = len(vocabulary)
        found = load_benchmark(name, roots[name], "train", None, count, vocabulary.name)
        places[name] = Place(name, roots[name], vocabulary, found, identity(found))
    return places


_Texts = Mapping[tuple[str, str], Mapping[tuple[int, str], str]]


def _texts(vocabularies: Sequence[Vocabulary], settings: Any, store: str | None) -> _Texts:
    """The descriptions by each LLM of each vocabulary that the settings need.

    Raises ConfigurationError that says which commands make what is missing, of all at once.
    """
    needed: dict[str, dict[str, None]] = {}
    for one in settings:
        wanted = [] if one["attributes"] == ["name"] else one["attributes"]
        names = cells(wanted, one.get("composition", "concat"))
        needed.setdefault(one["llm"], {}).update(dict.fromkeys(names))
    found: dict[tuple[str, str], Mapping[tuple[int, str], str]] = {}
    lacking: dict[str, None] = {}
    for vocabulary in {v.name: v for v in vocabularies}.values():
        for llm, attributes in needed.items():
            try:
                texts = load(vocabulary, llm, list(attributes), store) if attributes else {}
                found[vocabulary.name, llm] = texts
            except ConfigurationError as error:
                lacking[f"{vocabulary.name}: {error}"] = None
    if lacking:
        raise ConfigurationError(" ".join([*lacking, "Or name another LLM with --llm."]))
    return found


def _prompts(
    vocabulary: Vocabulary, settings: Mapping[str, Any], texts: _Texts, seed: int
) -> PromptSet:
    return build_prompt_set(
        texts[vocabulary.name, settings["llm"]],
        vocabulary,
        settings["attributes"],
        settings.get("composition", "concat"),
        settings["llm"],
        settings.get("control"),
        seed,
    )


def _encoders(given: Sequence[str]) -> dict[str | None, str]:
    """--encoder FILE or NAME=FILE, checked: name (None: whichever is needed) -> file."""
    found: dict[str | None, str] = {}
    for text in given:
        name, equals, path = text.partition("=")
        kind, path = (name, path) if equals and not Path(text).exists() else (None, text)
        if kind is not None:
            from lsmseg_model.encoders.registry import second_encoder

            second_encoder(kind)  # raises for an unknown name
        if path != "random" and not Path(path).is_file():
            raise ConfigurationError(f"There is no file {path}; give it with --encoder FILE.")
        found[kind] = path
    return found


def _training(
    recipe: Recipe,
    variant: Variant,
    settings: Mapping[str, Any],
    places: Mapping[str, Place],
    texts: _Texts,
    encoders: Mapping[str | None, str],
    options: Mapping[str, Any],
) -> Training:
    import torch

    from lsmseg_model.errors import CheckpointError, ConfigError
    from lsmseg_model.networks.build import build, read_network
    from lsmseg_model.training.options import TrainOptions

    here = f"{recipe.name}, {variant.name}"
    network = dict(settings.get("network", {}))
    try:
        built = read_network(settings["config"], **network)
        chosen = TrainOptions.of(settings["config"], **settings["train"])
        with torch.device("meta"):  # its parts fit together; no weights
            build(built)
    except ConfigError as error:
        raise ConfigError(f"{here}: {error}") from error
    _check_clip(built["clip"], options["pretrained"], built["name"])
    kind = built["network"].get("encoder", "none")
    encoder = encoders.get(kind, encoders.get(None))
    if kind == "none" or (kind.endswith("-tiny") and encoder is None):
        encoder = None
    elif encoder is None:
        raise CheckpointError(
            f"{here} needs the weights of {kind}: give --encoder {kind}=FILE (or {kind}=random, "
            "for a trial)."
        )
    elif kind not in encoders and len(_kinds(recipe, options)) > 1:
        raise UsageError(
            f"{recipe.name} needs several encoders ({', '.join(_kinds(recipe, options))}): say "
            f"whose weights {encoder} are, as in --encoder {kind}={encoder}."
        )
    place = places[settings["train_data"]]
    prompts = _prompts(place.vocabulary, settings, texts, options["seed"])
    same = [
        built,
        repr(chosen),
        place.identity,
        prompts.texts,
        _file(options["pretrained"]),
        _file(encoder),
        options["seed"],
        options["precision"],
    ]
    train = dict(settings["train"]) | {"iterations": chosen.iterations}
    return Training(
        settings["config"],
        network,
        train,
        place.title,
        place.root,
        prompts,
        encoder,
        fingerprint(same),
    )


def _kinds(recipe: Recipe, options: Mapping[str, Any]) -> list[str]:
    """The encoders with weights of their own that the variants name."""
    kinds = [recipe.settings(v, False).get("network", {}).get("encoder") for v in recipe.variants]
    return sorted({kind for kind in kinds if kind not in (None, "none")})


def _check_clip(clip: str | dict[str, Any], pretrained: str | None, name: str) -> None:
    """Raise CheckpointError where CLIP's weights are missing."""
    from lsmseg_model.errors import CheckpointError
    from lsmseg_model.networks.backbones.clip import WEIGHTS

    shipped = isinstance(clip, str) and (WEIGHTS / f"{clip}.safetensors").is_file()
    if pretrained is None and not shipped:
        which = clip if isinstance(clip, str) else name
        raise CheckpointError(
            f"{name} starts from weights of CLIP {which}: give the file with --pretrained FILE "
            "(or --pretrained random, for a trial of speed and memory)."
        )
    if pretrained not in (None, "random") and not Path(str(pretrained)).is_file():
        raise CheckpointError(f"no weights at {pretrained}; give CLIP's with --pretrained FILE.")


def _file(path: str | None) -> list[Any] | None:
    """What tells that a file of weights is another one, without reading gigabytes."""
    if path is None or not Path(path).is_file():
        return None if path is None else [path]
    found = Path(path).stat()
    return [str(Path(path).resolve()), found.st_size, found.st_mtime_ns]
