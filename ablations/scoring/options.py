"""What decides how prompt sets are scored: the options of a scorer, checked; loads no torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ablations.scoring.budgets import budget_for, budget_of_network
from ablations.scoring.executors import check_executor, everywhere
from lsmseg_model.inference.options import RunOptions, check_precision
from lsmseg_model.pull.find import is_repository
from lsmseg_model.seeds import check_seed
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.tokens import TokenBudget, find_budget

SCORERS = ("frozen", "trained", "retrain")
OWN = {
    "frozen": ("dense", "sam"),
    "trained": ("checkpoint", "format"),
    "retrain": ("config", "iterations", "encoder"),
}
"""The options that go with one scorer only."""
SPLITS = ("selection", "report")
"""What the pictures of a split are for: to select prompts on, and to report on."""
CACHE_VARIABLE = "LSMSEG_PROMPTS_CACHE"


@dataclass(frozen=True)
class ScorerOptions(RunOptions):
    """How prompt sets are scored.

    Attributes:
        scorer: "frozen" is a CLIP; "trained" the network ``checkpoint``; "retrain" trains the
            network ``config`` for each prompt set.
        model, pretrained, dense, sam: the CLIP, see `Segmenter`. pretrained is also what
            trainings start from.
        checkpoint, format: a whole network and its layout, "lsmseg" (default) or "cat-seg".
        config, iterations, encoder: the network to train, for how many steps, and the weights of
            its second encoder.
        cache: the folder that keeps features and trainings, see `cache_folder`; False: none.
        precision: in how many bits pictures go through the model, "fp32", "bf16" or "fp16".
        compile: whether torch.compile makes it faster.
        executor: where the work is done, "local" or "ray" (docs/scale.md).
        seed: of trainings, and of how pictures are dealt out to the splits.
        budget: the token budget that the texts must fit; None is that of the model.

    Raises:
        UsageError: For a scorer or an executor that does not exist, for options that go with
            another scorer, and for a seed out of range.
    """

    scorer: str = "frozen"
    model: str = "lsmseg-tiny"
    pretrained: str | None = None
    dense: str | None = None
    sam: str | None = None
    checkpoint: str | None = None
    format: str | None = None
    config: str | None = None
    iterations: int | None = None
    encoder: str | None = None
    device: str = "cpu"
    cache: str | Path | bool | None = None
    precision: str = "fp32"
    compile: bool = False
    executor: str = "local"
    seed: int = 0
    budget: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        check_precision(self.precision)
        if self.scorer not in SCORERS:
            raise UsageError(f"There is no scorer {self.scorer!r}: choose {', '.join(SCORERS)}.")
        for other, options in OWN.items():
            given = [name for name in options if getattr(self, name) is not None]
            if other != self.scorer and given:
                raise UsageError(
                    f"--{given[0]} is about the scorer {other}, not {self.scorer}: leave it out, "
                    f"or give --scorer {other}."
                )
        if self.scorer == "trained" and self.pretrained is not None:
            raise UsageError(
                "--pretrained has no effect on --checkpoint, a whole network: leave it out."
            )
        if self.scorer == "retrain" and self.model != "lsmseg-tiny":
            raise UsageError(
                "--model is a CLIP that scores; --scorer retrain trains the network --config."
            )
        if self.scorer == "trained" and self.checkpoint is None:
            raise UsageError(
                "The scorer trained scores a whole network: name it, --checkpoint FILE."
            )
        check_executor(self.executor)
        check_seed(self.seed)
        find_budget(self.budget)

    @property
    def token_budget(self) -> TokenBudget:
        """The budget that was asked for, else that of the model that reads the texts."""
        if self.scorer == "frozen":
            return budget_for(self.budget, self.model, self.pretrained)
        if self.scorer == "retrain" and self.budget is None:
            from lsmseg_model.networks.build import read_network

            return budget_of_network(read_network(self.config or "lsmseg-tiny"))
        return budget_for(self.budget)

    @property
    def cache_folder(self) -> Path | None:
        """The folder that keeps features; None: none does."""
        return cache_folder(self.cache)

    def everywhere(self) -> ScorerOptions:
        """The same options with absolute paths, for a worker that sees the same files."""
        folder = self.cache_folder
        return replace(
            self,
            model=str(everywhere(self.model)) if is_repository(self.model) else self.model,
            pretrained=everywhere(self.pretrained),
            sam=everywhere(self.sam),
            checkpoint=everywhere(self.checkpoint),
            cache=str(folder.resolve()) if folder else False,
        )


def cache_folder(option: str | Path | bool | None = None) -> Path | None:
    """Where features are kept: `option` (--cache), else $LSMSEG_PROMPTS_CACHE, else runs/cache.

    With False nowhere.
    """
    if option is False:
        return None
    named = os.environ.get(CACHE_VARIABLE) if option is None or option is True else option
    return Path(os.path.expanduser(named)) if named else Path("runs") / "cache"


def split_names(option: str | None) -> tuple[str, ...]:
    """The splits that --split names: none, one, or the two that SPLITS are for.

    Raises UsageError for anything else.
    """
    names = () if option is None else tuple(name.strip() for name in option.split(","))
    if len(names) > len(SPLITS) or len(set(names)) < len(names) or not all(names):
        raise UsageError(
            f"--split {option!r} is neither a split nor two different ones: name one, of whose "
            "pictures one half is selected on and the other reported on, or SELECTION,REPORT, "
            "such as train,val."
        )
    return names


def splits_of(data: Sequence[str], given: Sequence[str] | None) -> list[str | None]:
    """The --split of each benchmark of ``data``: one for all, or one for each.

    Raises UsageError for another number.
    """
    splits = given or (None,)
    if len(splits) not in (1, len(data)):
        raise UsageError(
            f"--split is given {len(splits)} times for {len(data)} data sets: give one for all of "
            "them, or one for each in the same order."
        )
    return [*splits] * (len(data) if len(splits) == 1 else 1)


def freeze_lists(request: Any, names: Sequence[str]) -> None:
    """Fields of a frozen request as tuples: one may be given by itself, and lists may change."""
    for name in names:
        value = getattr(request, name)
        if value is not None:
            value = (value,) if isinstance(value, str) else tuple(value)
            object.__setattr__(request, name, value)
