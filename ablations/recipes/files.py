"""Recipes as data: what an ablation varies, what it holds fixed, and what was published.

A recipe is a JSON file (`recipes/`, or a copy of the user's). It has settings for small scale,
which ship runnable, and for full scale, to which the user adds data and weights; every variant
changes some of them. docs/recipes.md has the fields. Published figures were compared with the
tables of the paper and the thesis (tests/ablations/test_recipe_files.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from ablations.recipes.backbones import Compared, read_compared
from ablations.scoring.options import SCORERS
from ablations.search.enough import check_samples
from lsmseg_model.errors import ConfigError
from lsmseg_model.networks.fields import Fields, Number, OneOf, Text, Whole, read_fields
from lsmseg_prompts.descriptions.loading import check_attributes
from lsmseg_prompts.english import nearest
from lsmseg_prompts.errors import ConfigurationError, UsageError
from lsmseg_prompts.files import is_path, parse_json, read_named
from lsmseg_prompts.prompts.controls import CONTROLS
from lsmseg_prompts.prompts.prompt_set import BUILT, READ_BY_CLIP
from lsmseg_prompts.vocabularies import benchmark_vocabulary

HERE = Path(__file__).parent
KINDS = ("prompts", "networks", "backbones")
NUMBERS = (
    "latency_ms", "learnable_millions", "gflops", "training_minutes", "head_millions", "head_gmacs",
)  # fmt: skip
MEASURES = ("miou", "seen", "classes", *NUMBERS)
AVERAGE = "average"

# The descriptions end a sentence that begins with the field's name and "must".
Texts = Annotated[list[str], Field(strict=True, description="be a list of texts")]
Attributes = Annotated[list[str] | None, Field(strict=True, description="be a list of attributes")]
MaybeText = Annotated[str | None, Field(strict=True, description="hold text")]
Flag = Annotated[bool, Field(strict=True, description="be true or false")]
Pictures = Annotated[
    int | None, Field(strict=True, ge=1, description="be a number of pictures, at least 1")
]
OF_A_NETWORK = tuple(how for how in BUILT if how not in READ_BY_CLIP)


@dataclass(frozen=True)
class Varied:
    """The settings that a variant may change. Raises UsageError for a wrong attribute or benchmark.

    network, train: fields of the network and of the training. captions: what describes pictures to
    a network that wants it.
    """

    attributes: Attributes = None
    composition: Annotated[str | None, OneOf(*OF_A_NETWORK)] = None
    control: Annotated[str | None, OneOf(*CONTROLS)] = None
    llm: MaybeText = None
    config: MaybeText = None
    network: Fields = field(default_factory=dict)
    train: Fields = field(default_factory=dict)
    train_data: MaybeText = None
    captions: MaybeText = None

    def __post_init__(self) -> None:
        if self.attributes is not None and self.attributes != ["name"]:
            object.__setattr__(self, "attributes", list(check_attributes(self.attributes)))
        if self.train_data is not None:
            benchmark_vocabulary(self.train_data)

    @property
    def given(self) -> dict[str, Any]:
        """The settings that are given, by name."""
        return {
            f.name: v
            for f in fields(self)
            if f.name != "backbones" and (v := getattr(self, f.name)) not in (None, {})
        }


@dataclass(frozen=True)
class Settings(Varied):
    """All settings: those of a scale are not a variant's, whose results are compared.

    model: the name of a CLIP. dense: that of its last block. backbones: of a recipe that compares
    them.
    """

    data: Texts = field(default_factory=list)
    limit: Pictures = None
    scorer: Annotated[str | None, OneOf(*SCORERS)] = None
    model: MaybeText = None
    dense: MaybeText = None
    backbones: Annotated[list[Compared], Field(description="be a list of backbones")] = field(
        default_factory=list
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in self.data:
            benchmark_vocabulary(name)

    def changed(self, changes: Mapping[str, Any]) -> Settings:
        """These settings with others in their place; ``network`` and ``train`` are joined."""
        joined = {
            k: {**getattr(self, k), **changes[k]} for k in ("network", "train") if k in changes
        }
        return replace(self, **{**changes, **joined})


@dataclass(frozen=True)
class Variant:
    """A row of a table.

    settings: what it changes. small: what it changes further at small scale, or the reason why it
    does not run there. run: False for a row that is only published. published: benchmark -> mIoU
    in %, or class (also "seen", "unseen") -> IoU; "average"; and the NUMBERS.
    """

    name: Text
    settings: Annotated[Varied, Field(description="hold settings")] = Varied()
    small: Annotated[str | Varied, Field(description="hold settings or a reason")] = Varied()
    run: Flag = True
    published: Annotated[
        dict[str, Number | dict[str, Number]], Field(description="hold figures, each a number")
    ] = field(default_factory=dict)


@dataclass(frozen=True)
class Recipe:
    """What is varied (`variants`), what is fixed (`full`, `small`: settings), what was published.

    kind: "prompts" (one model scores many prompt sets), "backbones" (several models do) or
    "networks" (a network is trained for every variant). measures: of MEASURES. benchmarks: those
    of the published table, in its order. reference: the variant that the others are compared with.
    retrained: the published table has a network for every row, though the recipe is one of prompts.
    iterations: of the published trainings. samples: bootstrap resamples. timed: pictures whose
    latency is measured; the median counts. profiled: texts that operations are counted for.
    validated: pictures scored at the end of a training at full scale (all are scored afterwards).

    Raises UsageError for a benchmark that does not exist and for too few samples, ConfigError for
    other wrong names.
    """

    name: Text
    source: Text
    title: Text
    varies: Text
    fixed: Text
    kind: Annotated[str, OneOf(*KINDS)]
    reference: Text
    benchmarks: Texts
    small: Annotated[Settings, Field(description="hold settings")]
    full: Annotated[Settings, Field(description="hold settings")]
    variants: Annotated[list[Variant], Field(description="be a list")]
    measures: Texts = field(default_factory=lambda: ["miou"])
    notes: Texts = field(default_factory=list)
    retrained: Flag = False
    iterations: Whole = 80_000
    samples: Whole = 1000
    timed: Whole = 5
    profiled: Whole = 171
    validated: Whole = 20

    def __post_init__(self) -> None:
        check_samples(self.samples)
        for name in self.benchmarks:
            benchmark_vocabulary(name)
        names = [variant.name for variant in self.variants]
        if twice := [n for n in names if names.count(n) > 1]:
            raise ConfigError(f"two variants are called {twice[0]!r}.")
        _check_names("reference", [self.reference], names)
        _check_names("measures", self.measures, MEASURES)
        figures = (*self.benchmarks, AVERAGE, *NUMBERS)
        for variant in self.variants:
            _check_names(f"variant {variant.name!r}, published", variant.published, figures)

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
        settings = (self.small if small else self.full).changed(variant.settings.given)
        if small and isinstance(variant.small, Varied):
            settings = settings.changed(variant.small.given)
        return settings


def available() -> list[str]:
    """The names of the recipes that ship, those of the paper before those of the thesis."""
    return sorted(path.stem for path in HERE.glob("*.json"))


def recipe_path(name: str) -> Path:
    """The file of a recipe: one that ships, by its name, or a path.

    Raises UsageError for an unknown name, ConfigurationError for a file that cannot be read.
    """
    path = HERE / f"{name}.json"
    if is_path(name):
        path = Path(name)
        read_named(path, "recipe")
    elif not path.is_file():
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
        values = parse_json(read_named(path, "recipe"))
    except ValueError as error:
        raise ConfigurationError(f"{path} is not valid JSON: {error}.") from error
    if not isinstance(values, dict):
        raise ConfigurationError(f"{where} must be an object with fields.")
    try:
        read: dict[str, Any] = {
            scale: _read_scale(values[scale], f"{where}, {scale}")
            for scale in ("small", "full")
            if scale in values
        }
        if isinstance(values.get("variants"), list):
            read["variants"] = [_read_variant(one, where) for one in values["variants"]]
        return read_fields(Recipe, {"name": path.stem, **values, **read}, where, "the recipe")
    except ConfigError as error:
        raise ConfigurationError(str(error)) from error


def _read_scale(values: Any, where: str) -> Settings:
    """The settings of a scale as the file has them."""
    if isinstance(values, dict) and isinstance(values.get("backbones"), list):
        read = [read_compared(one, f"{where}, backbones") for one in values["backbones"]]
        values = {**values, "backbones": read}
    return read_fields(Settings, values, where, "a scale")


def _read_variant(values: Any, where: str) -> Variant:
    """A variant as the file has it: its settings stand beside its name."""
    if not isinstance(values, dict) or not isinstance(values.get("name"), str):
        raise ConfigError(f"{where}: every variant is an object with a name.")
    here = f"{where}, variant {values['name']!r}"
    own = {f.name for f in fields(Variant)} - {"settings"}
    read = {k: v for k, v in values.items() if k in own}
    settings = {k: v for k, v in values.items() if k not in own}
    read["settings"] = read_fields(Varied, settings, here, "a variant")
    if "small" in read and not isinstance(read["small"], str):
        read["small"] = read_fields(Varied, read["small"], f"{here}, small", "a variant")
    return read_fields(Variant, read, here, "a variant")


def _check_names(what: str, given: Iterable[str], names: Sequence[str]) -> None:
    """Raise ConfigError for a name that is not one of the names."""
    for name in given:
        if name not in names:
            raise ConfigError(
                f"{what} has {name!r}{nearest(name, names)}; choose {', '.join(names)}."
            )
