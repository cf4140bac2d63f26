"""The step from parsed options to requests: what is not given is the request's own default."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import typer

import cli
from ablations import AblationRequest, RecipeRequest
from ablations.commands.options import given, request_from
from lsmseg_model.data.check import DataCheckRequest
from lsmseg_model.data.prepare import DataPrepareRequest
from lsmseg_model.data.pull import DataPullRequest
from lsmseg_model.errors import UsageError
from lsmseg_model.evaluate import EvaluateRequest
from lsmseg_model.predict import PredictRequest
from lsmseg_model.training.options import (
    PretrainOptions,
    PretrainRequest,
    TrainOptions,
    TrainRequest,
)
from lsmseg_prompts.generation.limits import Limits
from lsmseg_prompts.generation.request import GenerationRequest


def context(words: str) -> typer.Context:
    """What the command line `words` is parsed into."""
    command, rest = typer.main.get_command(cli.app), words.split()
    while below := getattr(command, "commands", None):
        command = below[rest.pop(0)]
    return command.make_context("", rest)  # type: ignore[return-value]


CASES: dict[str, tuple[type[Any], dict[str, Any], str, str]] = {
    # words: the request, the fields that the command fills in, the fields that no option fills,
    # the options that are not fields
    "ablate": (
        AblationRequest, {"llm": "bundled", "data": "ministuff", "cache": None},
        "refinement",
        "json no_cache",
    ),
    "run": (
        AblationRequest, {},
        "data data_root split model pretrained dense sam attributes composition missing "
        "all_samples limit samples rule "
        "strategy beam_width orders seed picture device cache again scorer checkpoint format "
        "config iterations encoder executor vary words calibrate "
        "precision batch_size workers compile budget "
        "refinement",
        "refine json",
    ),
    "refine": (
        AblationRequest, {"llm": "bundled", "data": ["ministuff"], "rule": "interval"},
        "attributes composition missing all_samples strategy beam_width orders picture cache "
        "config iterations "
        "encoder vary words calibrate precision batch_size workers compile refinement",
        "run rounds proposers prompts look base_url key_file reasoning option max_cost max_calls "
        "json",
    ),
    "recipes run table4": (
        RecipeRequest, {"recipe": "table4"}, "recipe variants", "name variant no_cache json format"
    ),
    "generate": (
        GenerationRequest, {"template": "describe-paper"},
        "vocabulary llms attributes cells parameters limits",
        "vocab llm attribute pairs base_url key_file reasoning option system wording temperature "
        "concurrency rpm tpm timeout max_retries max_cost max_calls price_in price_out dry_run "
        "probe json captions data data_root split detailed",
    ),
    "train --out o": (
        TrainRequest, {"texts": [], "vocabulary_name": "v", "changes": {}},
        "texts vocabulary_name options test_texts test_split tensorboard progress class_names",
        "vocab prompts llm store iterations batch_size accumulate lr clip ignored evaluate_every "
        "checkpoint_every json",
    ),
    "pretrain --out o": (
        PretrainRequest, {"texts": [], "vocabulary_name": "v"},
        "texts vocabulary_name options progress workers told",
        "vocab prompts llm store iterations batch_size lr token_table json",
    ),
    "evaluate": (
        EvaluateRequest, {"prompts": None, "scales": (1.0,)}, "similarity left_out",
        "vocab attributes composition llm missing all_samples budget without_classes store json",
    ),
    "predict a.png b.png": (
        PredictRequest, {"scales": (1.0,)}, "texts out cache",
        "classes_file output prompts attributes llm store json",
    ),
    "data check --data camvid": (
        DataCheckRequest, {"class_names": [], "workers": 1}, "class_names", "vocab json"
    ),
    "data pull --data voc-20": (DataPullRequest, {"workers": 1}, "", "dry_run json"),
    "data prepare --data pc-59 --from f": (
        DataPrepareRequest, {"class_names": [], "workers": 1}, "class_names", "json"
    ),
}  # fmt: skip
GIVEN = {  # what the words above say
    "train --out o": {"out": Path("o")},
    "pretrain --out o": {"out": Path("o")},
    "evaluate": {"data": "ministuff"},
    "predict a.png b.png": {"pictures": [Path("a.png"), Path("b.png")]},
    "data check --data camvid": {"data": "camvid"},
    "data pull --data voc-20": {"data": "voc-20", "out": Path("datasets")},
    "data prepare --data pc-59 --from f": {"data": "pc-59", "source": Path("f")},
}


@pytest.mark.parametrize("words", CASES)
def test_what_is_not_given_is_the_requests_own_default(words: str) -> None:
    kind, filled_in, _, _ = CASES[words]
    request = request_from(kind, context(words), **filled_in)
    assert request == kind(**filled_in, **GIVEN.get(words, {}))


@pytest.mark.parametrize("words", CASES)
def test_every_option_is_a_field_or_named_here(words: str) -> None:
    """A renamed field or option would otherwise be left out without a word."""
    kind, _, no_option, no_field = CASES[words]
    names, parsed = {field.name for field in fields(kind)}, set(context(words).params)
    assert names - parsed == set(no_option.split())
    assert parsed - names == set(no_field.split())


@pytest.mark.parametrize(
    ("words", "kind", "names"),
    [
        ("train --out o", TrainOptions,
         "iterations batch_size accumulate lr clip ignored evaluate_every checkpoint_every"),
        ("pretrain --out o", PretrainOptions, "iterations batch_size lr token_table"),
    ],
)  # fmt: skip
def test_options_of_the_recipe_of_a_training(words: str, kind: type[Any], names: str) -> None:
    assert given(kind, context(words)) == dict.fromkeys(names.split())


@pytest.mark.parametrize("seed", [-1, 2**32])
def test_a_seed_that_a_library_would_refuse_in_the_middle_is_refused(seed: int) -> None:
    training: dict[str, Any] = {"texts": [["a"]], "vocabulary_name": "v", "out": Path("o")}
    for make in (
        lambda: AblationRequest(seed=seed),
        lambda: RecipeRequest("table4", seed=seed),
        lambda: TrainRequest(seed=seed, **training),
        lambda: PretrainRequest(seed=seed, **training),
    ):
        with pytest.raises(UsageError, match=f"from 0 to 4294967295, not {seed}"):
            make()


def test_one_string_is_not_read_letter_by_letter() -> None:
    assert PredictRequest(pictures="a.png").pictures == ("a.png",)
    with pytest.raises(UsageError, match="not one string each"):
        TrainRequest(texts=["a sky"], vocabulary_name="v", out="o")  # type: ignore[arg-type]
    assert TrainRequest(texts=[["a"]], vocabulary_name="v", out="o").out == Path("o")  # type: ignore[arg-type]


def test_limits_of_a_generation() -> None:
    assert request_from(Limits, context("generate")) == Limits()
    assert given(Limits, context("generate")).keys() == {f.name for f in fields(Limits)} - {"price"}


def test_a_path_is_text_where_the_request_takes_text_and_what_is_named_stands_first() -> None:
    request = request_from(
        AblationRequest, context("ablate --store s --out o --llm a --data d --limit 3"), llm="c"
    )
    assert (request.store, request.out) == ("s", Path("o"))
    assert (request.llm, request.limit, request.data) == ("c", 3, ("d",))
    with pytest.raises(TypeError, match="nonsense"):
        request_from(AblationRequest, context("ablate"), nonsense=1)
