"""The words of a command made of a form, each value checked.

A value never becomes an option of its own: each is checked, and is handed over as --option=value.
What keys and addresses are used is settled by the studio's own environment, not by a form.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from ablations.studio.runs.startable import COMMANDS, Field
from ablations.studio.state import Studio
from lsmseg_prompts.errors import UsageError

PROGRAM = "lsmseg-prompts"
LONGEST = 300  # signs of a value
_LLM = re.compile(r"[\w][\w.:/@+#-]*")
_NAMES = re.compile(r"[^\W_][\w ,.:+*()#'-]*")
_FOLDER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,79}")
_STORED = ("generate", "ablate", "refine", "run", "train", "pretrain", "recipes run")


def forms(studio: Studio) -> list[dict[str, Any]]:
    """The commands with their fields, for the page."""
    usual = {"llm": studio.options.llm, "vocab": studio.options.vocab, "out": new_folder(studio)}
    found = []
    for command in COMMANDS.values():
        fields = []
        for field in command.fields:
            default = field.default
            if field.name in usual and (default is not None or field.name != "llm"):
                default = usual[field.name] or default
            fields.append(
                {
                    **{key: getattr(field, key) for key in ("name", "label", "kind", "help")},
                    **{key: getattr(field, key) for key in ("required", "low", "high")},
                    "default": default,
                    "choices": choices(studio, field),
                }
            )
        found.append({"name": command.name, "does": command.does, "fields": fields})
    return found


def choices(studio: Studio, field: Field) -> list[str]:
    """What a choice is between."""
    if not isinstance(field.choices, str):
        return list(field.choices)
    if field.choices == "data":
        return list(dict.fromkeys([studio.options.data, "ministuff"]))
    if field.choices == "vocabularies":
        from lsmseg_prompts.vocabularies import available_vocabularies

        own = [studio.options.vocab] if studio.options.vocab else []
        return list(dict.fromkeys([*own, *available_vocabularies()]))
    if field.choices == "recipes":
        from ablations.recipes.files import available as recipes

        return recipes()
    if field.choices == "networks":
        from lsmseg_model.networks.build import available as networks

        return networks()
    from ablations.runs.folders import list_results

    return [one.name for one in list_results(studio.runs) if one.kind == "run"]


def new_folder(studio: Studio) -> str:
    """A name for a folder of results that is not taken."""
    stamp = datetime.now().astimezone().strftime("%Y-%m-%dT%H-%M-%S")
    name, number = stamp, 1
    while (studio.runs / name).exists():
        number += 1
        name = f"{stamp}-{number}"
    return name


def words_of(studio: Studio, name: str, values: Mapping[str, Any]) -> list[str]:
    """The words of a command, without the program's name, of what a form says.

    Args:
        studio: Whose store, data and model it uses.
        name: Of the command.
        values: Of its fields; what is missing or empty is left to the command.

    Raises:
        UsageError: For another command or field, and a value that does not fit.
    """
    command = COMMANDS.get(name)
    if command is None:
        raise UsageError(f"The studio does not start {name[:40]!r}: choose {', '.join(COMMANDS)}.")
    known = {field.name: field for field in command.fields}
    for key in values:
        if key not in known:
            raise UsageError(f"{name} has no field {key[:40]!r} here: load the page again.")
    words, first = [], []
    for field in command.fields:
        texts = checked(studio, field, values.get(field.name))
        if field.kind == "flag":
            words += [field.flag] if texts else []
        elif field.kind == "folder":
            words += [f"{field.flag}={studio.runs / text}" for text in texts]
        elif field.first:
            is_run = field.choices == "runs"
            first += [str(studio.runs / text) if is_run else text for text in texts]
        else:
            words += [f"{field.flag}={text}" for text in texts]
    if any(word.startswith("-") for word in first):
        raise UsageError("The folder of runs begins with -: open the studio with ./ before it.")
    return [*name.split(), *first, *words, *_fixed(studio, name, values)]


def shown(words: list[str]) -> str:
    """The command as one types it."""
    return shlex.join([PROGRAM, *words])


def checked(studio: Studio, field: Field, value: Any) -> list[str]:
    """The value of a field as texts, of which most have one; none where it is empty.

    Args:
        studio: Whose choices.
        field: The field.
        value: What the form says.

    Raises:
        UsageError: For a value that does not fit.
    """
    if value is None or value == "" or value is False:
        if field.required:
            raise UsageError(f"Give {field.flag}: {field.help}.")
        return []
    if field.kind == "flag":
        if value is not True:
            raise UsageError(f"{field.flag} is a yes or a no.")
        return ["yes"]
    if field.kind in ("integer", "number"):
        return [_number(field, value)]
    if not isinstance(value, str) or len(value) > LONGEST or not value.isprintable():
        raise UsageError(f"{field.flag} has to be a text of at most {LONGEST} letters.")
    text = value.strip()
    if field.kind == "choice":
        if text not in choices(studio, field):
            raise UsageError(f"{field.flag}: there is no {text!r} to choose; load the page again.")
        return [text]
    parts = [part.strip() for part in text.split(",")]
    if not field.several:
        parts = [",".join(filter(None, parts))]
    right = {"llm": _LLM, "names": _NAMES, "folder": _FOLDER}[field.kind]
    for part in parts:
        if not right.fullmatch(part):
            raise UsageError(f"{field.flag} cannot be {part!r}: use letters, numbers and - . _.")
    return parts


def _number(field: Field, value: Any) -> str:
    try:
        number = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not field.low <= number <= field.high:
        raise UsageError(
            f"{field.flag} has to be a number from {field.low:g} to {field.high:,.0f}."
        )
    if field.kind == "integer":
        if number != int(number):
            raise UsageError(f"{field.flag} has to be a whole number.")
        return str(int(number))
    return f"{number:.10f}".rstrip("0").rstrip(".")


def _fixed(studio: Studio, name: str, values: Mapping[str, Any]) -> list[str]:
    """What the studio was opened with and the command takes too."""
    options, words = studio.options, []
    if name in _STORED:
        words.append(f"--store={studio.store}")
    has_data = "data" in {field.name for field in COMMANDS[name].fields}
    data = values.get("data") or "ministuff"
    if has_data and data == options.data and options.data_root is not None:
        words.append(f"--data-root={options.data_root}")
    if name == "ablate" and options.checkpoint is not None:
        words += ["--scorer=trained", f"--checkpoint={options.checkpoint}"]
        words += [f"--format={options.format}"]
    elif name == "ablate" and options.runtime == "torch":
        for key in ("model", "pretrained", "dense", "sam"):
            value = getattr(options, key)
            if value is not None and value != type(options).__dataclass_fields__[key].default:
                words.append(f"--{key}={value}")
    return words


def price_in_words(name: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """What asking costs, and what bound is missing: {asks, price, needs}.

    ``needs``: the field that has to be filled in, so that no mistake costs more than one meant to
    spend; None where nothing is missing.

    Args:
        name: Of the command.
        values: Of its fields.

    Raises:
        UsageError, ConfigurationError: For an LLM that does not exist.
    """
    from lsmseg_prompts.generation.engine import price_for
    from lsmseg_prompts.generation.limits import Limits
    from lsmseg_prompts.llm import make_llm

    asks = values.get("llm") if name in ("generate", "refine", "run") else None
    if not isinstance(asks, str) or not _LLM.fullmatch(asks):
        return {"asks": False, "price": "", "needs": None}
    llm = make_llm(asks)
    if llm.free:
        return {"asks": False, "price": "", "needs": None}
    price = price_for(llm, Limits())
    told = "the price is not known" if price is None else price.shown
    bound = "max_calls" if price is None else "max_cost"
    takes = bound in {field.name for field in COMMANDS[name].fields}
    there = values.get(bound) not in (None, "") or values.get("dry_run") is True
    return {"asks": True, "price": told, "needs": None if there or not takes else bound}


def start_words(studio: Studio, name: str, values: Mapping[str, Any]) -> list[str]:
    """`words_of` for a command that is started: with a bound of what it may cost.

    Args:
        studio: Whose store, data and model it uses.
        name: Of the command.
        values: Of its fields.

    Raises:
        UsageError: What `words_of` raises, and for an LLM that costs money without a bound.
    """
    words = words_of(studio, name, values)
    if name == "run" and price_in_words(name, values)["asks"]:
        raise UsageError("run takes no bound of what it costs: use generate first, then run.")
    if needed := price_in_words(name, values)["needs"]:
        raise UsageError(
            f"Give --{needed.replace('_', '-')}: the studio starts nothing that may cost more than "
            "you meant to spend."
        )
    out = next((word.partition("=")[2] for word in words if word.startswith("--out=")), None)
    if out is not None and Path(out).exists() and "--resume" not in words and name != "recipes run":
        raise UsageError(f"{out} exists: name another folder.")
    return words
