"""The backbones that a recipe compares: by name, or small ones trained for it.

A small one is lsmseg-tiny with some fields otherwise (another seed, width, context length), trained
on MiniStuff into the recipe's folder; an interrupted training goes on, a finished one is found.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from ablations.scoring.budgets import budget_for, context_budget
from lsmseg_model.networks.fields import Fields, Text, WholeOrZero, read_fields
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.files import write_whole
from lsmseg_prompts.terminal import note
from lsmseg_prompts.tokens import TokenBudget

MaybeText = Annotated[str | None, Field(strict=True, description="hold text")]
SCHEMES = ("hf-hub:", "local-dir:")


@dataclass(frozen=True)
class Small:
    """What a small backbone has otherwise than lsmseg-tiny: seed, open_clip's fields, training."""

    seed: WholeOrZero = 0
    clip: Fields = field(default_factory=dict)
    train: Fields = field(default_factory=dict)


@dataclass(frozen=True)
class Compared:
    """A backbone that scores prompts: model, pretrained and dense as of `load_backbone`.

    small: it is trained first, see `Small`.
    """

    name: Text
    model: Text = "lsmseg-tiny"
    pretrained: MaybeText = None
    dense: MaybeText = None
    small: Annotated[Small | None, Field(description="hold fields")] = None

    @property
    def budget(self) -> TokenBudget:
        """What its text tower reads. Raises as `budget_for`."""
        if self.small is None:
            return budget_for(None, self.model, self.pretrained)
        return context_budget(self.small.clip)


def read_compared(values: Any, where: str) -> Compared:
    """A backbone as a recipe's file has it. Raises ConfigError for a wrong field."""
    if isinstance(values, dict) and isinstance(values.get("small"), dict):
        small = read_fields(Small, values["small"], f"{where}, small", "a small backbone")
        values = {**values, "small": small}
    return read_fields(Compared, values, where, "a backbone")


def named(text: str) -> Compared:
    """A backbone as the command line has it: MODEL, or MODEL:TAG, MODEL:FILE, hf-hub:..."""
    scheme = next((s for s in SCHEMES if text.startswith(s)), "")
    model, _, pretrained = text.removeprefix(scheme).partition(":")
    if not model:
        raise UsageError(
            f"--backbone {text!r} names no model: give MODEL, MODEL:TAG or MODEL:FILE."
        )
    name = text if not Path(pretrained).suffix else Path(pretrained).stem
    return Compared(name, scheme + model, pretrained or None)


def ready(
    compared: Compared, folder: Path, iterations: int | None, device: str, progress: bool
) -> Compared:
    """The backbone with its weights: a small one is trained, unless it is there.

    Args:
        compared: The backbone.
        folder: Holds those that are trained, each in a folder named by its settings.
        iterations: Of a training (default: the recipe's).
        device: Where it is trained.
        progress: Show it.
    """
    if compared.small is None:
        return compared
    from lsmseg_model.predict import slug

    settings = _settings(compared.small, iterations)
    seed, text = compared.small.seed, json.dumps(settings, indent=1)
    out = folder / f"{slug(compared.name)}-{sha256(f'{seed} {text}'.encode()).hexdigest()[:8]}"
    config, weights = out / "config.json", out / f"{settings['name']}.safetensors"
    if not weights.is_file():
        import lsmseg_model
        from ablations.runs.pretraining import texts_of_ministuff

        steps = settings["train"]["iterations"]
        if progress:
            note(f"{compared.name}: a small backbone is trained first, {steps} iterations")
        write_whole(config, text)
        vocabulary, texts, told = texts_of_ministuff(seed)
        request = lsmseg_model.PretrainRequest(
            texts=texts,
            told=told,
            vocabulary_name=vocabulary,
            out=out,
            config=str(config),
            seed=seed,
            device=device,
            resume=(out / "last.pt").is_file(),
            force=True,
            progress=progress,
        )
        lsmseg_model.pretrain(request)
    return replace(compared, model=str(config), pretrained=str(weights), small=None)


def _settings(small: Small, iterations: int | None) -> dict[str, Any]:
    """lsmseg-tiny's configuration with what is otherwise."""
    from lsmseg_model.networks.backbones.load import read_config

    settings = read_config("lsmseg-tiny")
    clip = {k: {**v, **small.clip.get(k, {})} if isinstance(v, dict) else small.clip.get(k, v)
            for k, v in settings["clip"].items()}  # fmt: skip
    train = {**settings["train"], **small.train}
    if iterations is not None:
        train["iterations"] = iterations
    return {**settings, "name": "small", "clip": clip, "train": train}
