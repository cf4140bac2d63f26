"""What the submitting and the collecting of batches share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lsmseg_prompts.errors import ProviderError
from lsmseg_prompts.generation.cell_writer import CellWriter
from lsmseg_prompts.generation.engine import LONGEST_WAIT, RESUME, Usage
from lsmseg_prompts.generation.request import GenerationRequest
from lsmseg_prompts.generation.summary import Tally
from lsmseg_prompts.llm.batches import BatchService
from lsmseg_prompts.llm.errors import Passing
from lsmseg_prompts.llm.openai import OpenAIChat
from lsmseg_prompts.llm.prices import Price

NO_RESULT = "NoResult"
"""The `error_class` of a request whose batch ended without a result for it."""

OVER_LIMIT = "over the token limit"
"""How the status of a batch begins that was refused because of the tokens in batches already."""


@dataclass
class BatchJob:
    """The batches of one LLM and one vocabulary."""

    writer: CellWriter
    llm: OpenAIChat
    service: BatchService
    request: GenerationRequest
    on_message: Callable[[str], None]
    price: Price | None
    usage: Usage
    tally: Tally = field(default_factory=Tally)

    def under_way(self, columns: str = "*") -> list[dict[str, Any]]:
        """The batches that are not collected yet."""
        return self.writer.store.rows(
            f"SELECT {columns} FROM batches WHERE llm = ? AND vocabulary = ? AND ended_at IS NULL "
            "ORDER BY created_at",
            [self.llm.name, self.writer.vocabulary.name],
        )

    async def patiently(self, call: Callable[..., Any], *arguments: Any, again: bool = True) -> Any:
        """Call, and `again` after a wait where the failure may pass.

        Raises ProviderError where it does not.
        """
        for number in range(self.request.limits.max_retries + 1):
            try:
                return await call(*arguments)
            except Passing as failure:
                wait = failure.reply.retry_after_seconds or min(60.0, 0.5 * 2**number)
                last = number == self.request.limits.max_retries
                if last or not again or wait > LONGEST_WAIT:
                    why = (failure.reply.error_message or "it failed").rstrip(". ")
                    raise ProviderError(f"{self.llm.name}: {why}; {RESUME}.") from None
                await asyncio.sleep(wait)
        raise AssertionError
