"""Who can be asked: the providers, under which names and where, whose keys are set, what it costs.

Nothing is sent, and the value of a key is never read into what is shown.
"""

from __future__ import annotations

import os
from typing import Any

from lsmseg_prompts.english import nearest
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.llm.keys import shown_url
from lsmseg_prompts.llm.prices import price_of
from lsmseg_prompts.llm.providers import Provider, all_providers, at
from lsmseg_prompts.llm.registry import USUAL


def llm_list(provider: str | None = None) -> list[dict[str, Any]]:
    """The providers, a row each; of one that is named its models and their prices.

    Raises UsageError where there is no such provider.
    """
    providers = all_providers()
    if provider is None:
        return [_provider_row(one) for one in providers]
    found = next((one for one in providers if one.name == provider.lower()), None)
    if found is None:
        near = nearest(provider, (one.name for one in providers))
        raise UsageError(
            f"There is no provider {provider!r}{near}: `lsmseg-prompts llm list` shows all."
        )
    return _model_rows(found)


def _provider_row(provider: Provider) -> dict[str, Any]:
    url = provider.address()
    here = at(provider, url) if url is not None else provider
    models = provider.prices.get("usd_per_million", {})
    return {
        "provider": provider.name,
        "asked_as": _asked_as(provider),
        "address": None if url is None else shown_url(url),
        "address_variable": provider.endpoint_variable,
        "key": here.key,
        "key_set": bool(os.environ.get(here.key or "", "").strip()),
        "key_needed": here.key_needed,
        "reasoning": list(here.reasoning),
        "batch": here.batch,
        "priced": sum(price_of(model, url) is not None for model in models),
        "prices_of": provider.prices.get("as_of"),
    }


def _asked_as(provider: Provider) -> list[str]:
    """What may be written after --llm: patterns of names, and the provider's own prefix."""
    names = list(dict.fromkeys(pattern.replace("?*", "*") for pattern in provider.models))
    usual = f"{provider.name}/"
    prefixed = next((name for name in USUAL if name.startswith(usual)), f"{usual}<model>")
    return [*(name for name in names if f"{name}*" not in names), prefixed]


def _model_rows(provider: Provider) -> list[dict[str, Any]]:
    prices = provider.prices
    return [
        {
            "provider": provider.name,
            "model": model,
            "usd_per_million_in": into,
            "usd_per_million_out": out,
            "as_of": prices["as_of"],
            "source": prices["source"],
            "only_at": list(prices.get("hosts", ())),
        }
        for model, (into, out) in prices.get("usd_per_million", {}).items()
    ]
