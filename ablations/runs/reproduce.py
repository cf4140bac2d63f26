"""The commands that repeat a run, with every option written out: defaults may change."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lsmseg_prompts.llm.bundled import LLM_NAME

PROGRAM = "lsmseg-prompts"
REPEATED = (
    "data",
    "data_root",
    "picture",
)  # options given once for every value; other lists have commas


def commands(
    settings: Mapping[str, Any],
    llm: str,
    vocabularies: Sequence[str],
    best: Sequence[str],
    directory: Path,
) -> list[dict[str, str]]:
    """``what`` and ``command`` of each step, in order; relative paths are as in the run.

    settings: the arguments of `runs.ablate.ablate`, filled in. best: the chosen attributes.
    """
    store = _option("store", settings.get("store"))
    steps = []
    if llm != LLM_NAME:
        named = ",".join(settings["attributes"])
        steps += [
            _step(
                f"What the store lacks of {llm}'s descriptions of {name}",
                ["generate", "--llm", llm, "--vocab", name, "--attributes", named, *store],
            )
            for name in dict.fromkeys(vocabularies)
        ]
    steps.append(
        _step("Stages 3 and 4, the tables and this page", ablate_command(settings, llm, directory))
    )
    steps.append(_step("This page alone, from run.json", ["report", str(directory)]))
    steps += [
        _step(
            f"The best prompts for {name} as a file",
            [
                *("export", "--attributes", ",".join(best), "--vocab", name, "--llm", llm),
                *_option("composition", settings.get("composition")),
                *store,
                *("-o", f"{'-'.join(best)}.json"),
            ],
        )
        for name in dict.fromkeys(vocabularies)
    ]
    return steps


def ablate_command(settings: Mapping[str, Any], llm: str, directory: Path) -> list[str]:
    """The words of `ablate` with all its options."""
    words = ["ablate", "--llm", llm]
    for key, value in settings.items():
        if key not in ("llm", "llms", "out", "progress"):
            words += _option(key, value)
    return [*words, "--out", str(directory)]


def _option(key: str, value: Any) -> list[str]:
    """An option's words; nothing for what was left out."""
    flag = f"--{key.replace('_', '-')}"
    if value is False and key == "cache":
        return ["--no-cache"]
    if value is None or value is False:
        return []
    if value is True:
        return [flag]
    if isinstance(value, list | tuple):
        values = [str(one) for one in value]
        if key in REPEATED:
            return [word for one in values for word in (flag, one)]
        return [flag, ",".join(values)] if values else []
    return [flag, str(value)]


def _step(what: str, words: Sequence[str]) -> dict[str, str]:
    return {"what": what, "command": shlex.join([PROGRAM, *words])}
