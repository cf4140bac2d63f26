"""What tokens cost by the providers' list prices.

A price holds on the provider's own host only: the same model elsewhere costs what that server
charges. A model without a price is never taken to be free. The bill decides.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from lsmseg_prompts.llm.providers import all_providers


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

    @property
    def shown(self) -> str:
        """The price in words."""
        dated = f"{self.source}, {self.as_of}" if self.as_of else self.source
        return (
            f"${self.input_usd_per_million:g} in, ${self.output_usd_per_million:g} out per million "
            f"tokens ({dated})"
        )


def price_of(model: str, host: str | None) -> Price | None:
    """The list price of `model`, by the provider's name for it, at the base URL `host`.

    None where no price is certain.
    """
    for provider in all_providers():
        prices = provider.prices
        if not prices or host is None or model.lower() not in prices["usd_per_million"]:
            continue
        hosts = prices.get("hosts")
        if provider.owns(host) and (hosts is None or urlsplit(host).hostname in hosts):
            into, out = prices["usd_per_million"][model.lower()]
            return Price(into, out, prices["source"], prices["as_of"])
    return None
