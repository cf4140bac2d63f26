"""Recipes as data: what an ablation varies, what it holds fixed, and what was published.

A recipe is a JSON file (`recipes/`, or a copy of the user's). It has settings for small scale,
which ship runnable, and for full scale, to which the user adds data and weights; every variant
changes some of them. docs/recipes.md has the fields. Published figures were compared with the
tables of the paper and the thesis (tests/test_recipe_files.py).
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from lsmseg_prompts.descriptions.loading import check_attributes
from lsmseg_prompts.english import nearest
from lsmseg_prompts.errors import ConfigurationError, UsageError
from lsmseg_prompts.prompts.controls import CONTROLS
from lsmseg_prompts.prompts.prompt_set import COMPOSITIONS
from lsmseg_prompts.vocabularies import benchmark_vocabulary

HERE = Path(__file__).parent
KINDS = ("prompts", "networks")
SCORERS = ("frozen", "trained", "retrain")
NUMBERS = ("latency_ms", "learnable_millions", "gflops", "training_minutes")
MEASURES = ("miou", "seen", "classes", *NUMBERS)
AVERAGE = "average"

Published = Mapping[str, Any]

# What settings and variants may say: the kind of its value, and in words.
SETTINGS: dict[str, tuple[type, str]] = {
    "data": (list, "a list of benchmarks"),
    "limit": (int, "a number of pictures"),
    "attributes": (list, "a list of attributes"),
    "composition": (str, ", ".join(COMPOSITIONS)),
    "control": (str, " or ".join(CONTROLS)),
    "llm": (str, "the name of an LLM"),
    "scorer": (str, ", ".join(SCORERS)),
    "model": (str, "the name of a CLIP"),
    "dense": (str, "the name of a last block of CLIP"),
    "config": (str, "the name of a network"),
    "network": (dict, "fields of the network"),
    "train": (dict, "fields of the training"),
    "train_data": (str, "a benchmark"),
}
OF_THE_WHOLE = ("data", "limit", "scorer", "model", "dense")  # not a variant's: they are compared
VARIED = tuple(name for name in SETTINGS if name not in OF_THE_WHOLE)
CHOICES = {"composition": COMPOSITIONS, "control": CONTROLS, "scorer": SCORERS}


@dataclass(frozen=True)
class Variant:
    """A row of a table.

    settings: what it changes. small: what it changes further at small scale, or the reason why
    it does not run there. run: False for a row that is only published. published: benchmark ->
    mIoU in %, or class (also "seen", "unseen") -> IoU; "average"; and the NUMBERS.
    """

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    small: Mapping[str, Any] | str = field(default_factory=dict)
    run: bool = True
    published: Published = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """What is varied (`variants`), what is fixed (`full`, `small`: settings), what was published.

    kind: "prompts" (one model scores many prompt sets) or "networks" (a network is trained for
    every variant). measures: of MEASURES. benchmarks: those of the published table, in its order.
    reference: the variant that the others are compared with.
    """

    name: str
    source: str
    title: str
    varies: str
    fixed: str
    kind: str
    measures: tuple[str, ...]
    reference: str
    benchmarks: tuple[str, ...]
    small: Mapping[str, Any]
    full: Mapping[str, Any]
    variants: tuple[Variant, ...]
    notes: tuple[str, ...] = ()

    def variant(self, name: str) -> Variant:
        """The variant called `name`. Raises UsageError."""
        for variant in self.variants:
            if variant.name == name:
                return variant
        known = [v.name for v in self.variants]
        raise UsageError(
            f"{self.name} has no variant {name!r}{nearest(name, known)}; it has {', '.join(known)}."
        )

    def settings(self, variant: Variant, small: bool) -> dict[str, Any]:
        """The settings that a variant runs with."""
        own = variant.small if small and not isinstance(variant.small, str) else {}
        return _joined(_joined(self.small if small else self.full, variant.settings), own)


def available() -> list[str]:
    """The names of the recipes that ship, those of the paper before those of the thesis."""
    return sorted(path.stem for path in HERE.glob("*.json"))


def recipe_path(name: str) -> Path:
    """The file of a recipe: one that ships, by its name, or a path. Raises UsageError."""
    own = Path(name)
    path = own if name.endswith(".json") else HERE / f"{name}.json"
    if not path.is_file():
        if name.endswith(".json"):
            raise UsageError(f"There is no recipe file {name}.")
        raise UsageError(
            f"There is no recipe {name!r}{nearest(name, available())}: choose "
            f"{', '.join(available())}, or a JSON file of your own."
        )
    return path


def read_recipe(name: str | Path) -> Recipe:
    """A recipe by name or file, checked as far as that needs no model and no data.

    Raises UsageError for a recipe, benchmark or attribute that does not exist, and
    ConfigurationError for fields and values that are none; both name the nearest right one.
    """
    path = recipe_path(str(name))
    try:
        values = json.loads(path.read_text("utf-8"))
    except (ValueError, OSError) as error:
        raise ConfigurationError(f"{path} is no valid JSON: {error}.") from error
    where = path.stem if path.parent == HERE else str(path)
    made = _fields(values, [f.name for f in fields(Recipe)], where)
    for name_, default in {"name": path.stem, "notes": [], "measures": ["miou"]}.items():
        made.setdefault(name_, default)
    missing = [f.name for f in fields(Recipe) if f.name not in made]
    if missing:
        raise ConfigurationError(f"{where} lacks the field(s) {', '.join(missing)}.")
    for name_ in ("measures", "benchmarks", "variants", "notes"):
        if not isinstance(made[name_], list):
            raise ConfigurationError(f"{where}: {name_} must be a list.")
    for name_ in ("name", "source", "title", "varies", "fixed", "kind", "reference"):
        if not isinstance(made[name_], str):
            raise ConfigurationError(f"{where}: {name_} must be text.")
    _one_of(made["kind"], KINDS, "kind", where)
    for measure in made["measures"]:
        _one_of(measure, MEASURES, "a measure", where)
    for benchmark in made["benchmarks"]:
        benchmark_vocabulary(benchmark)
    for scale in ("small", "full"):
        made[scale] = _settings(made[scale], f"{where}, {scale}")
    variants = tuple(_variant(v, made, where) for v in made["variants"])
    names = [variant.name for variant in variants]
    if twice := [n for n in names if names.count(n) > 1]:
        raise ConfigurationError(f"{where}: two variants are called {twice[0]!r}.")
    _one_of(made["reference"], names, "the reference", where)
    texts = {"measures", "benchmarks", "notes"}
    return Recipe(**{**made, "variants": variants, **{k: tuple(made[k]) for k in texts}})


def _variant(values: Any, recipe: Mapping[str, Any], where: str) -> Variant:
    known = ["name", "run", "small", "published", *VARIED]
    if not isinstance(values, dict) or not isinstance(values.get("name"), str):
        raise ConfigurationError(f"{where}: every variant is an object with a name.")
    here = f"{where}, variant {values['name']!r}"
    given = _fields(values, known, here)
    small = given.get("small", {})
    published = given.get("published", {})
    if not isinstance(published, dict) or not isinstance(given.get("run", True), bool):
        raise ConfigurationError(f"{here}: published must hold figures, and run be true or false.")
    for name, figure in published.items():
        _one_of(name, [*recipe["benchmarks"], AVERAGE, *NUMBERS], "published", here)
        figures = figure.values() if isinstance(figure, dict) else [figure]
        if not all(isinstance(f, int | float) and not isinstance(f, bool) for f in figures):
            raise ConfigurationError(f"{here}: what was published for {name} is no number.")
    return Variant(
        given["name"],
        _settings({k: v for k, v in given.items() if k in SETTINGS}, here),
        small if isinstance(small, str) else _settings(small, f"{here}, small", VARIED),
        given.get("run", True),
        published,
    )


def _settings(values: Any, where: str, known: Iterable[str] = tuple(SETTINGS)) -> dict[str, Any]:
    given = _fields(values, known, where)
    for name, value in given.items():
        kind, words = SETTINGS[name]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise ConfigurationError(f"{where}: {name} must be {words}, not {value!r}.")
        if name in CHOICES:
            _one_of(value, CHOICES[name], name, where)
    if given.get("attributes", ["name"]) != ["name"]:
        given["attributes"] = list(check_attributes(given["attributes"]))
    for benchmark in [*given.get("data", []), *filter(None, [given.get("train_data")])]:
        benchmark_vocabulary(benchmark)
    if given.get("limit", 1) < 1:
        raise ConfigurationError(f"{where}: limit must be at least 1.")
    return given


def _fields(values: Any, known: Iterable[str], where: str) -> dict[str, Any]:
    known = list(known)
    if not isinstance(values, dict):
        raise ConfigurationError(f"{where} must be an object with the fields {', '.join(known)}.")
    for name in values:
        if name not in known:
            raise ConfigurationError(
                f"{where}: there is no field {name!r}{nearest(name, known)}; there are "
                f"{', '.join(known)}."
            )
    return dict(values)


def _one_of(value: Any, known: Iterable[str], what: str, where: str) -> None:
    known = list(known)
    if value not in known:
        raise ConfigurationError(
            f"{where}: {what} is {value!r}{nearest(str(value), known)}; choose {', '.join(known)}."
        )


def _joined(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    """`base` changed by `own`; fields that hold fields are joined."""
    joined = {**base, **own}
    for name in ("network", "train"):
        if name in base and name in own:
            joined[name] = {**base[name], **own[name]}
    return joined
