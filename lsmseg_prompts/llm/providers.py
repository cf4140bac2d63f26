"""Who can be asked, as data: providers.json, and a file of the user's own.

A provider is an entry: its address, the variable its key is in, its prices and its quirks. What
an entry leaves out is as the fields of `Provider` say; what a model really takes is learnt while
it is asked (capabilities.py), so an entry need not be complete.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatchcase
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit, urlunsplit

from lsmseg_prompts.errors import ConfigurationError
from lsmseg_prompts.files import packaged_json, parse_json, read_named
from lsmseg_prompts.llm.keys import OWN_KEY

PROVIDERS_VARIABLE = "LSMSEG_PROMPTS_PROVIDERS"
"""Names a file of further entries, which come before the shipped ones."""

LEVELS = ("off", "low", "medium", "high")
Level = Literal["off", "low", "medium", "high"]
THINKING_ROOM = {"off": 0, "low": 4096, "medium": 8192, "high": 20480}
"""Output tokens for thoughts, beside those for the answer, where a level is asked for."""
USUAL_ROOM = 4096


@dataclass(frozen=True)
class Provider:
    """One entry.

    name: what stands before the slash in `--llm name/model`.
    models: patterns of model names that need no such prefix.
    endpoint: the base URL; None where `endpoint_variable`, an environment variable, must name it.
    path, port: added to an address from there that has none; the port where it has no scheme.
    hosts: patterns of the hosts that the key belongs to; "*" where the server is the user's own.
    key: the environment variable of the key; key_header: a header for it beside Authorization.
    protocol: "openai" or "dashscope". token_limit: what the output limit is called.
    json: how an answer in JSON is asked for at first: json_schema, json_object or None.
    thinks, never_thinks: patterns of models that are given room for thoughts from the start.
    reasoning: for off, low, medium and high the parameters that say so: several sets are tried
    one after the other until a model takes one.
    batch: whose batch protocol it speaks, "openai" or "anthropic"; None without one.
    prices: {"as_of", "source", "usd_per_million": {model: [input, output]}}, and "hosts" where they
    hold on some of the hosts only.
    """

    name: str
    models: tuple[str, ...] = ()
    endpoint: str | None = None
    hosts: tuple[str, ...] = ()
    key: str | None = None
    key_needed: bool = True
    key_header: str | None = None
    protocol: Literal["openai", "dashscope"] = "openai"
    endpoint_variable: str | None = None
    path: str = ""
    port: int | None = None
    token_limit: str = "max_tokens"
    json: str | None = "json_schema"
    thinks: tuple[str, ...] = ()
    never_thinks: tuple[str, ...] = ()
    reasoning: Mapping[str, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    batch: Literal["openai", "anthropic"] | None = None
    prices: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_own(self) -> bool:
        """Whether its servers are the user's own, at any address."""
        return "*" in self.hosts

    def owns(self, url: str) -> bool:
        """Whether `url` is the provider's own host, which its key may be sent to."""
        try:
            host = urlsplit(url).hostname or ""
        except ValueError:  # check_url says so
            host = ""
        return _any(self.hosts, host.rstrip(".").lower())

    def room(self, model: str, level: str | None) -> int:
        """The output tokens for thoughts that are asked for at first."""
        if level is not None:
            return THINKING_ROOM[level]
        model = model.lower().rpartition("/")[2]
        return USUAL_ROOM if _any(self.thinks, model) and not _any(self.never_thinks, model) else 0

    def address(self) -> str | None:
        """The base URL: of `endpoint_variable`, else the usual one; None where there is neither."""
        given = os.environ.get(self.endpoint_variable or "")
        return _completed(given, self.path, self.port) if given else self.endpoint


def _any(patterns: Iterable[str], text: str) -> bool:
    return any(fnmatchcase(text, pattern) for pattern in patterns)


def _completed(address: str, path: str, port: int | None) -> str:
    """`address` with what people leave out of it: the scheme, the port, the path."""
    if not path and port is None:
        return address
    try:
        parts = urlsplit(address if "://" in address else f"http://{address}")
    except ValueError:  # check_url says so
        return address
    # What a server listens at is not what a client calls.
    host = re.sub(r"^(0\.0\.0\.0|\[::\])?(?=:\d|$)", "127.0.0.1", parts.netloc)
    if port is not None and "://" not in address and not re.search(r":\d+$", host):
        host = f"{host}:{port}"
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/") or path, parts.query, ""))


def all_providers() -> tuple[Provider, ...]:
    """The entries, the user's own first; raises ConfigurationError where those are not right."""
    own = os.environ.get(PROVIDERS_VARIABLE)
    return (*(_own(own) if own else ()), *shipped())


@lru_cache
def shipped() -> tuple[Provider, ...]:
    """The entries of providers.json."""
    return tuple(map(_entry, packaged_json("lsmseg_prompts.llm", "providers.json")["providers"]))


def _own(name: str) -> tuple[Provider, ...]:
    wanted = "it is JSON like lsmseg_prompts/llm/providers.json"
    try:
        given = parse_json(read_named(Path(name), "file of providers"))
        return tuple(map(_entry, given["providers"]))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
        raise ConfigurationError(
            f"The file of providers {name}, which {PROVIDERS_VARIABLE} names, cannot be used "
            f"({type(error).__name__}: {error}): {wanted}."
        ) from None


def _entry(given: dict[str, Any]) -> Provider:
    """An entry, its lists made tuples; ValueError for a field that is not one or not right."""
    known = {one.name for one in fields(Provider)}
    for name, value in given.items():
        if name not in known:
            raise ValueError(f"{name!r} is not a field of an entry")
        if not _FORMS.get(name, _text_or_none)(value):
            raise ValueError(f"{name} cannot be {str(value)[:60]!r}")
    if not re.fullmatch(r"[a-z][a-z0-9-]*", str(given["name"])):
        raise ValueError(f"the name {given['name']!r} is not small letters and digits")
    entry: Any = {k: tuple(v) if isinstance(v, list) else v for k, v in given.items()}
    if prices := entry.get("prices"):
        models = {model.lower(): price for model, price in prices["usd_per_million"].items()}
        entry["prices"] = {**prices, "usd_per_million": models}
    return Provider(**entry)


def _text(value: object) -> bool:
    return isinstance(value, str)


def _text_or_none(value: object) -> bool:
    return value is None or isinstance(value, str)


def _texts(value: object) -> bool:
    return isinstance(value, list) and all(map(_text, value))


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e6


def _levels(value: object) -> bool:
    return isinstance(value, dict) and all(
        level in LEVELS and isinstance(sets, list) and all(isinstance(one, dict) for one in sets)
        for level, sets in value.items()
    )


def _prices(value: object) -> bool:
    return isinstance(value, dict) and (
        _text(value.get("as_of"))
        and _text(value.get("source"))
        and _texts(value.get("hosts", []))
        and isinstance(models := value.get("usd_per_million"), dict)
        and all(isinstance(p, list) and len(p) == 2 and all(map(_number, p))
                for p in models.values())
    )  # fmt: skip


_FORMS: dict[str, Callable[[object], bool]] = {
    **dict.fromkeys(("models", "hosts", "thinks", "never_thinks"), _texts),
    **dict.fromkeys(("path", "token_limit"), _text),
    "key_needed": lambda value: isinstance(value, bool),
    "protocol": lambda value: value in ("openai", "dashscope"),
    "batch": lambda value: value in (None, "openai", "anthropic"),
    "json": lambda value: value in (None, "json_schema", "json_object"),
    "port": lambda value: value is None or (isinstance(value, int) and 0 < value < 65536),
    "reasoning": _levels,
    "prices": _prices,
}
"""What the fields may hold; the others are a text, or null."""


# -- finding one -------------------------------------------------------------------------


def named(name: str) -> tuple[Provider, str] | None:
    """The provider and the model that the name after `--llm` stands for; None where it is none."""
    if re.search(r"[\s,]", name):
        return None
    prefix, slash, model = name.partition("/")
    providers = all_providers()
    for provider in providers:
        if slash and prefix.lower() == provider.name:
            return (provider, model) if model else None
    lower = name.lower()
    for provider in providers:
        if not slash and _any(provider.models, lower) and not lower.endswith("-"):
            return provider, lower
    return None


def owner(url: str) -> Provider | None:
    """The provider whose own host `url` is."""
    return next((p for p in all_providers() if not p.is_own and p.owns(url)), None)


def called(name: str) -> Provider:
    """The shipped entry of this name."""
    return next(provider for provider in shipped() if provider.name == name)


def at(provider: Provider, url: str) -> Provider:
    """What holds of `provider` at another address: whose quirks, and whose key.

    A key is for the hosts it belongs to: at a stranger's address the only one that is sent is
    that in the variable LSMSEG_PROMPTS_KEY, or in a file that is named.
    """
    if provider.owns(url):
        return provider
    if (other := owner(url)) is not None:
        return replace(other, protocol=provider.protocol)
    if provider.name == "openai":  # the prefix of whatever speaks its protocol
        return called("compatible")
    return replace(
        provider, key=OWN_KEY, key_needed=False, key_header=None, hosts=("*",), prices={}
    )
