"""The fields of configuration files: checked by pydantic, wrong ones named in a sentence.

A configuration is a dataclass whose types say what each field takes (`WHOLE`, `PAIR`, `OneOf`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from functools import cache
from typing import Annotated, Any, TypeVar, get_type_hints

from pydantic import Field, GetCoreSchemaHandler, TypeAdapter, ValidationError
from pydantic_core import CoreSchema, core_schema

from lsmseg_model.errors import ConfigError, nearest

T = TypeVar("T")


class OneOf:
    """Text that is one of some names, or matches the pattern `like`."""

    def __init__(self, *names: str, like: str | None = None) -> None:
        self.names, self.like = names, like

    def __get_pydantic_core_schema__(self, _: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        named = core_schema.literal_schema(list(self.names))
        if self.like is None:
            return named
        return core_schema.union_schema([named, core_schema.str_schema(pattern=self.like)])


# The descriptions end a sentence that begins with the field's name and "must".
Whole = Annotated[int, Field(strict=True, ge=1, description="be a whole number from 1 on")]
WholeOrZero = Annotated[int, Field(strict=True, ge=0, description="be a whole number from 0 on")]
Pair = Annotated[tuple[Whole, Whole], Field(description="be two whole numbers from 1 on")]
PairOrZero = Annotated[
    tuple[WholeOrZero, WholeOrZero], Field(description="be two whole numbers from 0 on")
]
Above = Annotated[
    float, Field(strict=True, gt=0, allow_inf_nan=False, description="be a number above 0")
]
From0 = Annotated[
    float, Field(strict=True, ge=0, allow_inf_nan=False, description="be a number from 0 on")
]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False, description="be a number")]
Switch = Annotated[bool, Field(strict=True, description="be true or false")]
Text = Annotated[str, Field(strict=True, description="hold text")]
Fields = Annotated[dict[str, Any], Field(strict=True, description="hold fields")]


def read_fields(cls: type[T], values: object, where: str, owner: str = "the network") -> T:
    """A configuration of the class `cls` from the fields of a file.

    Args:
        cls: A dataclass.
        values: The fields by name.
        where: Names the file or the configuration in messages.
        owner: What has the fields, for messages.

    Raises:
        ConfigError: For an unknown field, with the nearest right one, a missing field, or a value
            that the field does not take.
    """
    if not isinstance(values, Mapping):
        raise ConfigError(f"{where}: {owner} must hold fields, not {values!r}.")
    own = {f.name: f for f in fields(cls)}  # type: ignore[arg-type]
    for name in values:
        if name not in own:
            raise ConfigError(f"{where}: {owner} has no field {name!r}; {nearest(name, own)}")
    required = [n for n, f in own.items() if f.default is f.default_factory is MISSING]
    if missing := [name for name in required if name not in values]:
        raise ConfigError(f"{where}: {owner} lacks the field(s) {', '.join(missing)}.")
    given = {name: read_field(cls, name, value, where) for name, value in values.items()}
    try:
        return cls(**given)
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from error


def read_field(cls: type, name: str, value: object, where: str) -> Any:
    """The value of one field as the class `cls` takes it.

    Args:
        cls: A dataclass.
        name: Its field.
        value: What a file or a user says.
        where: Names the file or the configuration in messages.

    Raises:
        ConfigError: For a value that the field does not take.
    """
    adapter, words = _kind(cls, name)
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        if isinstance(words, OneOf):
            hint = nearest(str(value), words.names)
            raise ConfigError(f"{where}: {name} is {value!r}; {hint}") from error
        default = next(f.default for f in fields(cls) if f.name == name)
        example = ",".join(map(str, default)) if isinstance(default, tuple) else default
        untold = default is MISSING or default is True or not default
        such = "" if untold else f", such as {example}"
        raise ConfigError(f"{where}: {name} must {words}{such}, not {value!r}.") from error


@cache
def _kind(cls: type, name: str) -> tuple[TypeAdapter[Any], Any]:
    """What checks a field, and the words for what it takes."""
    kind = get_type_hints(cls, include_extras=True)[name]
    (words,) = kind.__metadata__
    return TypeAdapter(kind), words if isinstance(words, OneOf) else words.description
