"""The commands that repeat a run, with every option written out: defaults may change."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ablations.runs.request import AblationRequest
from lsmseg_prompts.attributes.samples import generate_options, sampled
from lsmseg_prompts.llm.bundled import LLM_NAME

if TYPE_CHECKING:
    from ablations.search.scoreboard import Candidate

PROGRAM = "lsmseg-prompts"
REPEATED = (
    "data",
    "data_root",
    "split",
    "picture",
    "words",
)  # once for every value; other lists have commas
CLASS_BY_CLASS = ("refined", "given")  # sets that are not made of attributes
UNVARIED = {
    *("attributes", "composition", "strategy", "beam_width", "orders"),
    *("missing", "all_samples"),
}
"""The options of a search among attributes, which one among words does not take."""


BESIDE = ("store", "device", "executor", "again")
"""The options that `refine` takes beside a run too."""
TAKEN = (
    *("data", "data_root", "split", "vocab", "model", "pretrained", "dense", "sam", "limit"),
    *("samples", "seed", "scorer", "checkpoint", "format", "budget"),
)
"""Those that it takes in place of one."""
OWN = ("out", "force", "again", "refinement")
"""What a run does not hand on: where its results went, and how it was refined itself."""


def command_of(name: str, request: Any, *more: str) -> str:
    """The command as it was typed, or else the call of the library that repeats the run.

    name: of the call; more: its arguments beside the request.
    """
    if Path(sys.argv[0]).stem in (PROGRAM, "cli"):
        return shlex.join([PROGRAM, *sys.argv[1:]])
    values = {f.name: v for f in fields(request) if (v := getattr(request, f.name)) is not None}
    given = ", ".join(f"{key}={value!r}" for key, value in values.items())
    first = f"ablations.{type(request).__name__}({given})"
    return f"ablations.{name}({', '.join([first, *more])})"


def commands(
    request: AblationRequest,
    llm: str,
    vocabularies: Sequence[str],
    best: "Candidate",
    directory: Path,
) -> list[dict[str, str]]:
    """``what`` and ``command`` of each step, in order; relative paths are as in the run.

    Args:
        request: What was run.
        llm: Whose descriptions.
        vocabularies: Those of the benchmarks.
        best: What was chosen.
        directory: The run directory.
    """
    if request.vary == "vocabulary":
        steps = [
            ("Both stages, the tables and this page", ablate_command(request, llm, directory)),
            ("This page alone, from run.json", ["report", str(directory)]),
        ]
        return [{"what": what, "command": shlex.join([PROGRAM, *words])} for what, words in steps]
    store = _option("store", request.store)
    names = [request.vocab] if request.vocab else dict.fromkeys(vocabularies)
    budget = _option("budget", request.token_budget.named)
    searched, chosen = ",".join(request.searched), ",".join(best.attributes)
    steps = []
    if sampled(llm)[0] != LLM_NAME:
        asked = generate_options(llm)
        for name in names:
            words = ["generate", *asked, "--vocab", name, "--attributes", searched, *store, *budget]
            steps.append((f"What the store lacks of {llm}'s descriptions of {name}", words))
    steps += _refined(request, llm, directory) or [
        ("Stages 3 and 4, the tables and this page", ablate_command(request, llm, directory))
    ]
    steps.append(("This page alone, from run.json", ["report", str(directory)]))
    if best.name in CLASS_BY_CLASS:
        file = str(directory / "best_prompts.json")
        own = ["--vocab", request.vocab] if request.vocab else []
        words = ["export", "--prompts", file, *own, "--format", "cupl", *budget, "-o", "cupl.json"]
        steps.append(("The best prompts as a file for other code, here in CuPL's format", words))
        names = []
    how = [
        "--composition",
        best.made_by,
        *store,
        *budget,
        "-o",
        f"{'-'.join(best.attributes)}.json",
    ]
    for name in names:
        words = ["export", "--attributes", chosen, "--vocab", name, "--llm", llm, *how]
        steps.append((f"The best prompts for {name} as a file", words))
    return [{"what": what, "command": shlex.join([PROGRAM, *words])} for what, words in steps]


def ablate_command(request: AblationRequest, llm: str, directory: Path) -> list[str]:
    """The words of `ablate` with all its options but those that it refuses beside the others."""
    words, without = ["ablate"], {"llm", "out", "force", "refinement"}
    if request.vary == "vocabulary":
        without |= UNVARIED
    else:
        words += ["--llm", llm]
        without.add("vary")
    if request.strategy != "beam":
        without.add("beam_width")
    for field in fields(request):
        if field.name == "attributes" and "attributes" not in without:
            words += _option(field.name, request.searched)
        elif field.name not in without:
            words += _option(field.name, getattr(request, field.name))
    return [*words, "--out", str(directory)]


def _refined(
    request: AblationRequest, llm: str, directory: Path
) -> list[tuple[str, list[str]]] | None:
    """The steps of a run that was refined: `refine`, after `ablate` where it cannot say all."""
    how = request.refinement
    if how is None:
        return None
    words = ["refine", "--rounds", str(how.rounds), "--rule", how.rule]
    words += _option("proposers", how.proposers) + _option("prompts", how.start)
    if ask := how.ask:
        name = ask.llm if isinstance(ask.llm, str) else ask.llm.name
        asked = {"llm": name, "look": ask.look, "base_url": ask.base_url, "key_file": ask.key_file}
        asked |= {"max_cost": ask.limits.max_cost, "max_calls": ask.limits.max_calls}
        words += [word for key, value in asked.items() for word in _option(key, value)]
    words += [word for key in BESIDE for word in _option(key, getattr(request, key))]
    end = ["--out", str(directory)]
    usual = AblationRequest()
    settled = [f.name for f in fields(request) if f.name not in (*BESIDE, *OWN, *TAKEN)]
    asks = (how.ask and words[words.index("--llm") + 1]) or LLM_NAME
    if llm == asks and all(_same(request, usual, name) for name in settled):
        words += [word for key in TAKEN for word in _option(key, getattr(request, key))]
        return [("Stages 3 and 4, refinement, the tables and this page", [*words, *end])]
    before = directory.with_name(f"{directory.name}-one-set")
    return [
        ("Stages 3 and 4", ablate_command(request, llm, before)),
        ("Refinement, the tables and this page", [words[0], str(before), *words[1:], *end]),
    ]


def _same(one: AblationRequest, other: AblationRequest, name: str) -> bool:
    key = "searched" if name == "attributes" else name
    return name == "llm" or getattr(one, key) == getattr(other, key)


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


def told(request: AblationRequest) -> dict[str, Any]:
    """The request as run.json has it."""
    values = {field.name: getattr(request, field.name) for field in fields(request)}
    kept = {name: value for name, value in values.items() if name not in OWN}
    return {name: str(value) if isinstance(value, Path) else value for name, value in kept.items()}
