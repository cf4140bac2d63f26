"""Token budgets by name: how many tokens a text may take, and whose.

A name is a short one of budgets.json, a number (of CLIP's tokens), a model of open_clip's, whose
configuration has its context length and its tokenizer, or a folder of such a model.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lsmseg_prompts.english import excerpt, nearest
from lsmseg_prompts.errors import ConfigurationError, RefusedError, UsageError
from lsmseg_prompts.files import packaged_json, parse_json, read_named
from lsmseg_prompts.tokens import hub
from lsmseg_prompts.tokens.clip import CONTEXT_LENGTH, count_tokens, merges_file

OF_CLIP = "clip"
"""The tokenizer that most models have, and that needs no files."""
LEAST = 3
"""Tokens of the shortest text: its start, its end and one between them."""
WORDS_A_TOKEN = 0.6
"""So many plain words a token always fit: 45 in CLIP's 77 with start and end."""
LOCAL, HUB = "local-dir:", "hf-hub:"
CONFIG = "open_clip_config.json"


@dataclass(frozen=True)
class TokenBudget:
    """How many tokens of which tokenizer a text may take.

    name: as `--budget` has it. limit: the model's context length, start and end included.
    tokenizer: "clip", or whose files count: a repository, or "local-dir:" and a folder. clean: what
    open_clip does to a text before it is counted so. folder: where the files are, if neither there
    nor where huggingface_hub keeps them.
    """

    name: str
    limit: int
    tokenizer: str = OF_CLIP
    clean: str = "whitespace"
    folder: str = ""

    def count(self, text: str) -> int:
        """How many tokens `text` takes, special ones included.

        Raises ConfigurationError where the tokenizer's files are not here or cannot be read.
        """
        if self.tokenizer == OF_CLIP:
            return count_tokens(text)
        return hub.count(self.place, self.clean, text)

    @property
    def place(self) -> str:
        """Where the tokenizer's files are, as `hub` names it."""
        return LOCAL + self.folder if self.folder else self.tokenizer

    def fits(self, text: str) -> bool:
        """Whether the model reads the whole of `text`."""
        return self.count(text) <= self.limit

    def check(self, text: str, name: str) -> None:
        """Raise RefusedError for a text of the class `name` that the model would cut."""
        tokens = self.count(text)
        if tokens > self.limit:
            raise RefusedError(
                f"A text of the class {excerpt(name)!r} takes {tokens} of {self.shown} tokens and "
                f"would be cut: shorten it: {excerpt(text, 160)}"
            )

    @property
    def shown(self) -> str:
        """Whose tokens there are how many of, in a message: "CLIP's 77"."""
        return f"the {self.limit}" if self.name.isdigit() else f"{self.reader}'s {self.limit}"

    @property
    def reader(self) -> str:
        """Who reads so many, in a message: "CLIP"."""
        if self.name == OF_CLIP:
            return "CLIP"
        return "the model" if self.name.isdigit() else self.name

    @property
    def unit(self) -> str:
        """What is counted, in a message: "CLIP tokens"."""
        return "CLIP tokens" if self.tokenizer == OF_CLIP else f"tokens of {self.name}"

    @property
    def named(self) -> str | None:
        """The name as the store and files have it; None of CLIP's."""
        return None if self.name == OF_CLIP else self.name

    @property
    def tokenizer_name(self) -> str:
        """What the tokenizer is called where files say which it was."""
        return "CLIP's byte pairs, in lower case" if self.tokenizer == OF_CLIP else self.tokenizer

    @property
    def file(self) -> Path:
        """The file that counts; ConfigurationError where it is not here."""
        return merges_file() if self.tokenizer == OF_CLIP else hub.tokenizer_file(self.place)

    @property
    def described(self) -> dict[str, str | int]:
        """The budget as files and records have it."""
        return {"name": self.name, "limit": self.limit, "tokenizer": self.tokenizer}

    @property
    def words(self) -> int:
        """How many words an LLM is to write at most, so that they fit."""
        return max(1, int((self.limit - 2) * WORDS_A_TOKEN))

    def other_counts(self, text: str) -> dict[str, int]:
        """The count of a text by another tokenizer than CLIP's, as the store keeps it."""
        return {} if self.tokenizer == OF_CLIP else {self.tokenizer: self.count(text)}


CLIP = TokenBudget(OF_CLIP, CONTEXT_LENGTH)
"""CLIP's 77: what texts are written for where no other budget is named."""


def find_budget(name: str | None, folder: Path | None = None) -> TokenBudget:
    """The budget of a name; None is CLIP's.

    Args:
        name: as `--budget` has it.
        folder: where the files of its tokenizer are, if not where they usually are.

    Raises:
        UsageError: there is none of that name.
        ConfigurationError: the files of its tokenizer, or of its folder, are not here.
    """
    if name is None or name == OF_CLIP:
        return CLIP
    if name.isascii() and name.isdigit():
        if int(name) < LEAST:
            raise UsageError(
                f"A budget of {name} tokens has no room for a word: give {LEAST} or more."
            )
        return _plain(TokenBudget(str(int(name)), int(name)))
    short = _short_names().get(name)
    if short is not None and "limit" in short:
        return TokenBudget(name, short["limit"])
    if name.startswith(LOCAL):  # it is kept, and read from another folder too
        name = LOCAL + str(Path(name.removeprefix(LOCAL)).expanduser().resolve())
    model = short["model"] if short else name
    text = _config(model).get("text_cfg", {})
    source = text.get("hf_tokenizer_name")
    if source is not None and model.startswith(LOCAL):
        source = model
    if text.get("tokenizer_mode"):
        raise ConfigurationError(
            f"{name} reads texts in a mode of its own ({text['tokenizer_mode']}), whose tokens "
            "cannot be counted here: give a number with --budget."
        )
    options = text.get("tokenizer_kwargs") or {}
    clean = options.get("clean", "whitespace")
    limit = text.get("context_length", CONTEXT_LENGTH)
    if not source:
        return _plain(TokenBudget(name, limit))
    budget = TokenBudget(name, limit, source, clean, "" if folder is None else str(folder))
    hub.check(budget.place, name, model)
    return budget


def budget_names() -> list[str]:
    """The short names of budgets."""
    return list(_short_names())


def _plain(budget: TokenBudget) -> TokenBudget:
    """A budget of CLIP's tokens; that of 77 under its own name, whatever model has it."""
    return CLIP if budget.limit == CLIP.limit else budget


@cache
def _short_names() -> dict[str, Any]:
    return dict(packaged_json("lsmseg_prompts.tokens", "budgets.json"))


def _config(model: str) -> dict[str, Any]:
    """open_clip's configuration of a model: its own, a folder's, or one fetched from the hub."""
    if model.startswith(LOCAL):
        return _read(Path(model.removeprefix(LOCAL)) / CONFIG)
    if model.startswith(HUB):
        repository = model.removeprefix(HUB)
        path = hub.cached(repository, CONFIG)
        if path is None:
            raise hub.absent(CONFIG, repository, model, model)
        return _read(path)
    names = {path.stem: path for path in _model_configs().glob("*.json")}
    path = names.get(model.replace("/", "-"))
    if path is None:
        shown = ", ".join(budget_names())
        raise UsageError(
            f"There is no token budget {model!r}{nearest(model, [*budget_names(), *names])}: give "
            f"a number, {shown}, a model of open_clip's, or local-dir:FOLDER."
        )
    return _read(path)


def _model_configs() -> Path:
    """The folder of the configurations that open_clip carries; importing it would import torch."""
    package = find_spec("open_clip")
    assert package is not None and package.origin is not None
    return Path(package.origin).with_name("model_configs")


def _read(path: Path) -> dict[str, Any]:
    try:
        config = parse_json(read_named(path, "model configuration"))
        return dict(config.get("model_cfg", config))
    except (ValueError, TypeError, AttributeError):
        raise ConfigurationError(
            f"{path} is not a configuration of open_clip's: it holds no JSON object of a model."
        ) from None
