"""Recipes as data: what an ablation varies, what it holds fixed, and what was published.

A recipe is a JSON file (`recipes/`, or a copy of the user's). It has settings for small scale,
which ship runnable, and for full scale, to which the user adds data and weights; every variant
changes some of them. docs/recipes.md has the fields. Published figures were compared with the
tables of the paper and the thesis (tests/ablations/test_recipe_files.py).
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    ValidationError,
)

from ablations.scoring.options import SCORERS
from lsmseg_prompts.descriptions.loading import check_attributes
from lsmseg_prompts.english import nearest
from lsmseg_prompts.errors import ConfigurationError, UsageError
from lsmseg_prompts.prompts.controls import CONTROLS
from lsmseg_prompts.prompts.prompt_set import COMPOSITIONS
from lsmseg_prompts.vocabularies import benchmark_vocabulary

HERE = Path(__file__).parent
KINDS = ("prompts", "networks")
NUMBERS = ("latency_ms", "learnable_millions", "gflops", "training_minutes")
MEASURES = ("miou", "seen", "classes", *NUMBERS)
AVERAGE = "average"


def _choice(*names: str) -> AfterValidator:
    def check(value: str) -> str:
        _check_name(value, names)
        return value

    return AfterValidator(check)


def _check_name(value: str, names: Collection[str]) -> None:
    """Raise ValueError, the end of a sentence, for a value that is not one of the names."""
    if value not in names:
        raise ValueError(f"is {value!r}{nearest(value, names)}; choose {', '.join(names)}.")


def _attributes(names: list[str]) -> list[str]:
    return names if names == ["name"] else list(check_attributes(names))


def _benchmark(name: str) -> str:
    benchmark_vocabulary(name)
    return name


Attributes = Annotated[list[str], AfterValidator(_attributes)]
Benchmark = Annotated[str, AfterValidator(_benchmark)]


class _Fields(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


# A field's description ends a sentence that begins with its name and "must be".
class Varied(_Fields):
    """The settings that a variant may change."""

    attributes: Attributes | None = Field(default=None, description="a list of attributes")
    composition: Annotated[str, _choice(*COMPOSITIONS)] = "concat"
    control: Annotated[str, _choice(*CONTROLS)] | None = None
    llm: str | None = Field(default=None, description="the name of an LLM")
    config: str | None = Field(default=None, description="the name of a network")
    network: dict[str, Any] = Field(default={}, description="fields of the network")
    train: dict[str, Any] = Field(default={}, description="fields of the training")
    train_data: Benchmark | None = Field(default=None, description="a benchmark")


class Settings(Varied):
    """All settings: those of a scale are not a variant's, whose results are compared."""

    data: list[Benchmark] = Field(default=[], description="a list of benchmarks")
    limit: int | None = Field(default=None, ge=1, description="a number of pictures, at least 1")
    scorer: Annotated[str, _choice(*SCORERS)] | None = None
    model: str | None = Field(default=None, description="the name of a CLIP")
    dense: str | None = Field(default=None, description="the name of a last block of CLIP")

    def changed(self, changes: Mapping[str, Any]) -> Settings:
        """These settings with others in their place; ``network`` and ``train`` are joined."""
        joined = {
            k: {**getattr(self, k), **changes[k]} for k in ("network", "train") if k in changes
        }
        return self.model_copy(update={**changes, **joined})


class Variant(Varied):
    """A row of a table: the settings that it changes, and more.

    small: what it changes further at small scale, or the reason why it does not run there. run:
    False for a row that is only published. published: benchmark -> mIoU in %, or class (also
    "seen", "unseen") -> IoU; "average"; and the NUMBERS.
    """

    name: str
    small: Annotated[
        Annotated[str, Tag("reason")] | Annotated[Varied, Tag("settings")],
        Discriminator(lambda value: "reason" if isinstance(value, str) else "settings"),
    ] = Varied()
    run: bool = Field(default=True, description="true or false")
    published: dict[str, Any] = Field(default={}, description="an object of figures")

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that it changes."""
        return {k: getattr(self, k) for k in Varied.model_fields if k in self.model_fields_set}


class Recipe(_Fields):
    """What is varied (`variants`), what is fixed (`full`, `small`: settings), what was published.

    kind: "prompts" (one model scores many prompt sets) or "networks" (a network is trained for
    every variant). measures: of MEASURES. benchmarks: those of the published table, in its order.
    reference: the variant that the others are compared with. retrained: the published table has a
    network for every row, though the recipe is one of prompts. iterations: of the published
    trainings. samples: bootstrap resamples. timed: pictures whose latency is measured; the median
    counts. profiled: texts that operations are counted for. validated: pictures scored at the end
    of a training at full scale (all are scored afterwards).
    """

    name: str = ""
    source: str
    title: str
    varies: str
    fixed: str
    kind: Annotated[str, _choice(*KINDS)]
    measures: list[Annotated[str, _choice(*MEASURES)]] = Field(
        default=["miou"], description="a list"
    )
    reference: str
    benchmarks: list[Benchmark] = Field(description="a list")
    small: Settings
    full: Settings
    variants: list[Variant] = Field(description="a list")
    notes: list[str] = Field(default=[], description="a list")
    retrained: bool = Field(default=False, description="true or false")
    iterations: int = Field(default=80_000, ge=1, description="a number of steps, at least 1")
    samples: int = Field(default=1000, ge=1, description="a number of resamples, at least 1")
    timed: int = Field(default=5, ge=1, description="a number of pictures, at least 1")
    profiled: int = Field(default=171, ge=1, description="a number of texts, at least 1")
    validated: int = Field(default=20, ge=1, description="a number of pictures, at least 1")

    def variant(self, name: str) -> Variant:
        """The variant called `name`. Raises UsageError."""
        for variant in self.variants:
            if variant.name == name:
                return variant
        names = [v.name for v in self.variants]
        raise UsageError(
            f"{self.name} has no variant {name!r}{nearest(name, names)}; it has {', '.join(names)}."
        )

    def settings(self, variant: Variant, small: bool) -> Settings:
        """The settings that a variant runs with."""
        settings = (self.small if small else self.full).changed(variant.settings)
        if small and isinstance(variant.small, Varied):
            own = {k: getattr(variant.small, k) for k in variant.small.model_fields_set}
            settings = settings.changed(own)
        return settings


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
    ConfigurationError for a wrong field or value; both name the nearest right one.
    """
    path = recipe_path(str(name))
    where = path.stem if path.parent == HERE else str(path)
    try:
        values = json.loads(path.read_text("utf-8"))
    except (ValueError, OSError) as error:
        raise ConfigurationError(f"{path} is not valid JSON: {error}.") from error
    try:
        recipe = Recipe.model_validate(values)
    except ValidationError as error:
        raise ConfigurationError(_sentence(error, values, where)) from error
    if not recipe.name:
        recipe = recipe.model_copy(update={"name": path.stem})
    _check_names(recipe, where)
    return recipe


def _check_names(recipe: Recipe, where: str) -> None:
    """Raise ConfigurationError for names of variants and of figures that do not fit together."""
    names = [variant.name for variant in recipe.variants]
    if twice := [n for n in names if names.count(n) > 1]:
        raise ConfigurationError(f"{where}: two variants are called {twice[0]!r}.")
    try:
        _check_name(recipe.reference, names)
    except ValueError as error:
        raise ConfigurationError(f"{where}: the reference {error}") from None
    for variant in recipe.variants:
        here = f"{where}, variant {variant.name!r}"
        for name, figure in variant.published.items():
            try:
                _check_name(name, [*recipe.benchmarks, AVERAGE, *NUMBERS])
            except ValueError as error:
                raise ConfigurationError(f"{here}: a published figure's name {error}") from None
            figures = figure.values() if isinstance(figure, dict) else [figure]
            if not all(isinstance(f, int | float) and not isinstance(f, bool) for f in figures):
                raise ConfigurationError(f"{here}: what was published for {name} is not a number.")


def _sentence(error: ValidationError, values: Any, where: str) -> str:
    """The first thing that is wrong, where, and the nearest right name; unknown fields first."""
    first = min(error.errors(), key=lambda e: e["type"] != "extra_forbidden")
    missing = [str(e["loc"][-1]) for e in error.errors() if e["type"] == "missing"]
    place = [part for part in first["loc"] if part not in ("reason", "settings")]
    model: type[BaseModel] = Recipe
    if len(place) > 1 and place[0] in ("small", "full"):
        model, where = Settings, f"{where}, {place.pop(0)}"
    elif len(place) > 1 and place[0] == "variants":
        variant = values["variants"][place[1]]
        if not isinstance(variant, dict) or not isinstance(variant.get("name"), str):
            return f"{where}: every variant is an object with a name."
        model, where = Variant, f"{where}, variant {variant['name']!r}"
        place = place[2:]
        if len(place) > 1 and place[0] == "small":
            model, where = Varied, f"{where}, {place.pop(0)}"
    fields = list(model.model_fields)
    if first["type"] == "extra_forbidden":
        name = str(place[-1])
        hint = nearest(name, fields)
        return f"{where}: there is no field {name!r}{hint}; there are {', '.join(fields)}."
    if missing:
        return f"{where} lacks the field(s) {', '.join(missing)}."
    if first["type"] == "value_error":
        return f"{where}: {place[0]} {first['ctx']['error']}"
    if not place or first["type"] == "model_type":
        below = "".join(f", {part}" for part in place)
        return f"{where}{below} must be an object with fields."
    words = model.model_fields[str(place[0])].description or "text"
    return f"{where}: {place[0]} must be {words}, not {first['input']!r}."
