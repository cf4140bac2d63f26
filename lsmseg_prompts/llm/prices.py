"""What tokens cost by the providers' list prices.

A price holds on the provider's own host only: the same model elsewhere costs what that server
charges. A model without a price is never taken to be free. The bill decides.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Price:
    """US dollars for a million tokens; `as_of` is the month of the price list."""

    input_usd_per_million: float
    output_usd_per_million: float
    source: str = "given on the command line"
    as_of: str | None = None

    def cost(self, input_tokens: int, output_tokens: int) -> float:
        """US dollars."""
        return (
            input_tokens * self.input_usd_per_million + output_tokens * self.output_usd_per_million
        ) / 1e6


def price_of(name: str, host: str | None) -> Price | None:
    """The list price of the model `name` at the base URL `host`.

    `name` is what `--llm` is given or the model's own name. None where no price is certain.
    """
    model = name.lower().removeprefix("openai/").removeprefix("dashscope/")
    hostname = urlsplit(host or "").hostname
    for provider in _providers():
        if hostname in provider["hosts"] and model in provider["models"]:
            into, out = provider["models"][model]
            return Price(into, out, provider["source"], provider["as_of"])
    return None


@lru_cache
def _providers() -> list[dict[str, Any]]:
    text = files("lsmseg_prompts.llm").joinpath("prices.json").read_text(encoding="utf-8")
    providers: list[dict[str, Any]] = json.loads(text)["providers"]
    return providers
