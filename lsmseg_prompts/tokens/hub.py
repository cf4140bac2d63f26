"""Counting tokens by the files of a tokenizer from the Hugging Face hub.

The files are read from a folder, or from where huggingface_hub keeps what it has fetched; nothing
is downloaded here. The library tokenizers, which transformers is built on, reads tokenizer.json;
what transformers and open_clip do around it is repeated, and the tests hold the counts against
those of open_clip's `HFTokenizer`. A tokenizer of other files is left to transformers.
"""

from __future__ import annotations

import json
import string
from collections.abc import Callable
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from lsmseg_prompts.errors import ConfigurationError
from lsmseg_prompts.tokens.clip import repaired

LOCAL = "local-dir:"
FILE, SETTINGS = "tokenizer.json", "tokenizer_config.json"
OTHERS = ("spiece.model", "tokenizer.model", "sentencepiece.bpe.model", "vocab.txt")
"""Files that transformers makes a tokenizer of where there is no tokenizer.json."""
_NO_PUNCTUATION = str.maketrans("", "", string.punctuation)


@lru_cache(maxsize=16384)
def count(tokenizer: str, clean: str, text: str) -> int:
    """How many tokens a text takes, special ones included.

    Args:
        tokenizer: a repository, or "local-dir:" and a folder.
        clean: what open_clip does first: "whitespace", "lower" or "canonicalize".
        text: the text.

    Raises:
        ConfigurationError: the files are not here or cannot be read.
    """
    return _counter(tokenizer)(cleaned(text, clean))


def cleaned(text: str, how: str) -> str:
    """A text as open_clip gives it to a tokenizer."""
    text = repaired(text)
    if how == "canonicalize":
        text = text.replace("_", " ").translate(_NO_PUNCTUATION)
    return " ".join((text if how == "whitespace" else text.lower()).split())


def cached(repository: str, name: str) -> Path | None:
    """The file of a repository where huggingface_hub keeps what it has fetched, if it is there."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(repository, name)
    except HFValidationError:
        return None
    return Path(found) if isinstance(found, str) else None


def absent(file: str, repository: str, name: str, model: str) -> ConfigurationError:
    """What is said where a file of a repository is not on this machine.

    Args:
        file: its name.
        repository: where it lies on the hub.
        name: what the user named.
        model: what `model pull` fetches it by.
    """
    return ConfigurationError(
        f"Counting the tokens of {name} takes {file} of {repository}, which is not here: "
        f"`lsmseg-prompts model pull {model}` fetches it."
    )


def check(tokenizer: str, name: str, model: str) -> None:
    """Raise ConfigurationError where the files of a tokenizer or the library are not here.

    Args:
        tokenizer: a repository, or "local-dir:" and a folder.
        name: what the user named.
        model: what `model pull` fetches the files by.
    """
    if find_spec("tokenizers") is None:
        raise ConfigurationError(
            f"Counting the tokens of {name} takes the package tokenizers: run "
            "`pip install 'lsmseg-prompts[hf]'`."
        )
    if _vocabulary(tokenizer) is not None:
        return
    if tokenizer.startswith(LOCAL):
        raise ConfigurationError(
            f"The folder {tokenizer.removeprefix(LOCAL)} has no {FILE}: put the files of the "
            "model's tokenizer there."
        )
    raise absent(FILE, tokenizer, name, model)


def tokenizer_file(tokenizer: str) -> Path:
    """The file that counts; ConfigurationError where it is not here any more."""
    path = _vocabulary(tokenizer)
    if path is None:
        raise absent(FILE, tokenizer, tokenizer, tokenizer)
    return path


def _vocabulary(tokenizer: str) -> Path | None:
    found = (_file(tokenizer, name) for name in (FILE, *OTHERS))
    return next((path for path in found if path is not None), None)


def _file(tokenizer: str, name: str) -> Path | None:
    if tokenizer.startswith(LOCAL):
        path = Path(tokenizer.removeprefix(LOCAL)) / name
        return path if path.is_file() else None
    return cached(tokenizer, name)


@lru_cache(maxsize=4)
def _counter(tokenizer: str) -> Callable[[str], int]:
    """What counts the tokens of a cleaned text."""
    from tokenizers import Tokenizer

    path = tokenizer_file(tokenizer)
    try:
        if path.name != FILE:
            return _by_transformers(path.parent)
        read = Tokenizer.from_file(str(path))
        read.no_truncation()
        read.no_padding()
        settings_path = _file(tokenizer, SETTINGS)
        settings = {} if settings_path is None else json.loads(settings_path.read_text("utf-8"))
        special = _own_special_tokens(settings)
    except Exception as error:  # the library raises Exception itself
        raise ConfigurationError(f"The tokenizer {path} cannot be read: {error}.") from error
    if special is None and read.post_processor is not None:
        return lambda text: len(read.encode(text).ids)
    return lambda text: len(read.encode(text, add_special_tokens=False).ids) + (special or 0)


def _by_transformers(folder: Path) -> Callable[[str], int]:
    from transformers import AutoTokenizer

    read = AutoTokenizer.from_pretrained(
        str(folder), local_files_only=True, trust_remote_code=False
    )
    return lambda text: len(read(text, verbose=False).input_ids)


def _own_special_tokens(settings: dict[str, object]) -> int | None:
    """How many tokens the settings put around a text; None where tokenizer.json says that."""
    flags = {"add_bos_token": "bos_token", "add_eos_token": "eos_token"}
    if not flags.keys() & settings.keys():
        return None
    return sum(bool(settings.get(flag) and settings.get(token)) for flag, token in flags.items())
