"""What batch APIs have in common: requests go up together, and their results come back in a day.

openai_batches.py and anthropic_batches.py are the two that there are; a provider's entry says
which one it has.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from lsmseg_prompts.llm.http import storable

if TYPE_CHECKING:
    from lsmseg_prompts.llm.openai import OpenAIChat

FILE_SECONDS = 600.0
"""The least time given to the upload or download of a batch's requests or results."""

CLOCKS_DIFFER = 3600.0
"""Seconds by which the provider's clock may differ from ours."""


@dataclass(frozen=True)
class RemoteBatch:
    """What a provider says of a batch.

    id: None where it is not known yet whether the batch was created. answered: how many requests
    the provider says it answered; None where it does not say. files: where the results are.
    refused: why it was refused as a whole. token_limit: where it was refused because too many
    tokens are in batches already, the most there may be; 0 where that is not told.
    """

    id: str | None
    status: str
    is_over: bool = False
    answered: int | None = None
    files: tuple[str, ...] = ()
    refused: str | None = None
    token_limit: int | None = None


@dataclass(frozen=True)
class Result:
    """What became of one request: `body` in the shape of a chat completion, or an error.

    status: the HTTP status; None where it was never asked, and so is not charged.
    """

    custom_id: str
    status: int | None
    body: Any = None
    request_id: str | None = None


@dataclass(frozen=True)
class Sought:
    """A batch whose creation was cut off: its own id, when (ISO 8601), how many requests.

    known: the provider's ids of batches that are others.
    """

    batch: str
    since: str
    requests: int
    known: frozenset[str] = frozenset()

    def may_be(self, created: float | None) -> bool:
        """Whether a batch that was created then (Unix seconds) may be it."""
        begin = datetime.fromisoformat(self.since).timestamp() - CLOCKS_DIFFER
        return created is None or created >= begin


class BatchService(Protocol):
    """A provider's batch API. `Passing` is raised for what another try may mend.

    most_requests, most_bytes: of one batch. kept_days: how long its results can be had.
    """

    most_requests: int
    most_bytes: int
    kept_days: int

    def custom_id(self, batch: str, place: int) -> str:
        """What a request is called: by the batch it is in and its place there."""

    def line(self, custom_id: str, body: dict[str, Any]) -> str:
        """A request as a line of JSON; `body` is that of a chat completion."""

    async def upload(self, batch: str, lines: Sequence[str]) -> Any:
        """Send the lines on, where that is not done by `create`; returns what `create` takes."""

    async def create(self, batch: str, uploaded: Any) -> RemoteBatch:
        """Start a batch: from here on it may cost money."""

    async def look(self, remote_id: str) -> RemoteBatch:
        """What has become of a batch; raises Gone for one that is not there."""

    async def find(self, sought: Sought) -> RemoteBatch | None:
        """A batch whose creation was cut off; None where the provider never got it."""

    async def read(self, file: str) -> bytes:
        """A file of results; raises Gone for one that is not there."""

    def results(self, data: bytes) -> Iterator[Result | None]:
        """The results in a file, in any order; None for a line that is not one."""


def json_lines(data: bytes) -> Iterator[dict[str, Any] | None]:
    """The objects of a JSON Lines file; None for a line that is not one.

    What no store takes is made harmless: halves of surrogate pairs, endless numbers.
    """
    text = data.decode("utf-8-sig", "replace")  # some files begin with a byte order mark
    for line in text.split("\n"):  # not splitlines: a text may hold other line ends
        if not line.strip():
            continue
        try:
            value = json.loads(line, parse_int=_number)
            if "\\u" in line:
                value = json.loads(storable(json.dumps(value, ensure_ascii=False)))
        except (ValueError, RecursionError):
            value = None
        yield value if isinstance(value, dict) else None


def _number(digits: str) -> int | None:
    return int(digits) if len(digits) < 16 else None


def seconds(created: Any) -> float | None:
    """Unix seconds of a time that a provider names, as a number or as ISO 8601."""
    if isinstance(created, int | float) and not isinstance(created, bool):
        return float(created)
    try:
        when = datetime.fromisoformat(str(created))
    except ValueError:
        return None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


async def listed(
    llm: OpenAIChat,
    path: str,
    after: str,
    sought: Sought,
    headers: Mapping[str, str | None] | None = None,
) -> list[dict[str, Any]]:
    """The account's batches that may be the one that is sought, newest first.

    Args:
        llm: whose account.
        path: of the list.
        after: the parameter that asks for the page after a batch.
        sought: what is looked for.
        headers: of each call.
    """
    found: list[dict[str, Any]] = []
    params: dict[str, Any] = {"limit": 100}
    seen: set[str] = set()
    while True:
        answer = await llm.fetch_json("GET", path, params=params, headers=headers)
        data = answer.get("data")
        page = [b for b in data if isinstance(b, dict)] if isinstance(data, list) else []
        new = [b for b in page if sought.may_be(seconds(b.get("created_at")))]
        found += [b for b in new if isinstance(b.get("id"), str) and b["id"] not in sought.known]
        last = page[-1].get("id") if page else None
        if len(new) < len(page) or not answer.get("has_more") or last is None or last in seen:
            return found
        seen.add(str(last))
        params = {**params, after: last}
