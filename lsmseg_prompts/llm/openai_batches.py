"""OpenAI's files and batches, which Azure, Groq, vLLM and others have too."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lsmseg_prompts.errors import ConfigurationError, ProviderError
from lsmseg_prompts.llm.batches import (
    FILE_SECONDS,
    RemoteBatch,
    Result,
    Sought,
    json_lines,
    listed,
)
from lsmseg_prompts.llm.http import count

if TYPE_CHECKING:
    from lsmseg_prompts.llm.openai import OpenAIChat

FILE_POLL, FILE_POLLS = 2.0, 60  # seconds between looks at a file that is not ready, and looks
OWN_NAME = "lsmseg_prompts"  # of the metadata that says which batch of ours it is
OVER = ("completed", "expired", "cancelled", "failed")


class OpenAIBatches:
    """See `lsmseg_prompts.llm.batches.BatchService`."""

    most_requests = 50_000
    most_bytes = 190_000_000
    kept_days = 30

    def __init__(self, llm: OpenAIChat) -> None:
        self.llm = llm
        # Azure's address has the version in it, and its batches leave it out of the path.
        azure = llm.provider.name == "azure"
        self.endpoint = "/chat/completions" if azure else "/v1/chat/completions"

    def custom_id(self, batch: str, place: int) -> str:
        return str(place)

    def line(self, custom_id: str, body: dict[str, Any]) -> str:
        task = {"custom_id": custom_id, "method": "POST", "url": self.endpoint, "body": body}
        return json.dumps(task, ensure_ascii=False) + "\n"

    async def upload(self, batch: str, lines: Sequence[str]) -> str:
        return await self.upload_file(f"{batch}.jsonl", "".join(lines).encode("utf-8"))

    async def create(self, batch: str, uploaded: str) -> RemoteBatch:
        return _remote(await self.create_batch(uploaded, {OWN_NAME: batch}))

    async def look(self, remote_id: str) -> RemoteBatch:
        return _remote({"id": remote_id, **await self.retrieve_batch(remote_id)})

    async def find(self, sought: Sought) -> RemoteBatch | None:
        for remote in await self.list_batches(sought):
            about = remote.get("metadata")
            named = about.get(OWN_NAME) if isinstance(about, dict) else None
            if named is None:  # some servers keep no metadata, but the name of the file
                named = await self._name_of(remote.get("input_file_id"))
            if named == sought.batch:
                return _remote(remote)
        return None

    async def _name_of(self, file_id: Any) -> str | None:
        """The name that a file was uploaded under, without its ending."""
        try:
            about = await self.llm.fetch_json("GET", f"/files/{file_id}")
        except (ConfigurationError, ProviderError):
            return None
        return str(about.get("filename")).removesuffix(".jsonl")

    async def read(self, file: str) -> bytes:
        return await self.file_content(file)

    def results(self, data: bytes) -> Iterator[Result | None]:
        for line in json_lines(data):
            yield None if line is None else _result(line)

    # -- the wire ----------------------------------------------------------------------------

    async def upload_file(self, name: str, data: bytes) -> str:
        """Upload the input of a batch, JSON lines; returns the file's id."""
        answer = await self.llm.fetch_json(
            "POST",
            "/files",
            "id",
            FILE_SECONDS,
            data={"purpose": "batch"},
            files={"file": (name, data, "application/jsonl")},
        )
        for _ in range(FILE_POLLS):
            if answer.get("status") != "pending":  # which Azure's is at first
                break
            await asyncio.sleep(FILE_POLL)
            answer = await self.llm.fetch_json("GET", f"/files/{answer['id']}", "id")
        return str(answer["id"])

    async def create_batch(self, input_file_id: str, metadata: Mapping[str, str]) -> dict[str, Any]:
        """Start a batch over an uploaded file, to be done within a day."""
        body = {
            "input_file_id": input_file_id,
            "endpoint": self.endpoint,
            "completion_window": "24h",
            "metadata": dict(metadata),
        }
        return await self.llm.fetch_json("POST", "/batches", "id", json=body)

    async def retrieve_batch(self, batch_id: str) -> dict[str, Any]:
        """What has become of a batch."""
        return await self.llm.fetch_json("GET", f"/batches/{batch_id}", "status")

    async def list_batches(self, sought: Sought) -> list[dict[str, Any]]:
        """The account's batches that may be the one that is sought, newest first."""
        return await listed(self.llm, "/batches", "after", sought)

    async def file_content(self, file_id: str) -> bytes:
        """The bytes of an output or errors file."""
        return (await self.llm.fetch("GET", f"/files/{file_id}/content", FILE_SECONDS)).content


def _remote(given: dict[str, Any]) -> RemoteBatch:
    """A batch as `BatchService` tells of it."""
    status = str(given.get("status") or "validating")
    files = [given.get(name) for name in ("output_file_id", "error_file_id")]
    counts = given.get("request_counts")
    refused, limit = _errors(given) if status == "failed" else (None, None)
    return RemoteBatch(
        id=str(given["id"]),
        status=status,
        is_over=status in OVER,
        answered=count(counts.get("completed")) if isinstance(counts, dict) else None,
        files=tuple(file for file in files if isinstance(file, str) and file),
        refused=refused,
        token_limit=limit,
    )


def _errors(given: dict[str, Any]) -> tuple[str, int | None]:
    """Why a batch was refused, and the limit where too many tokens are in batches already."""
    errors = given.get("errors")
    data = errors.get("data") if isinstance(errors, dict) else None
    every = [e for e in data if isinstance(e, dict)] if isinstance(data, list) else []
    said = "; ".join([str(e["message"]) for e in every if e.get("message")][:3]).rstrip(". ")
    limit = None
    if any(e.get("code") == "token_limit_exceeded" for e in every) or "nqueued token" in said:
        named = re.search(r"limit:?\s*(\d[\d,]*)", said, re.I)
        limit = int(named[1].replace(",", "")) if named else 0
    return said or "no reason was given", limit


def _result(line: dict[str, Any]) -> Result | None:
    """A line of an output or errors file."""
    custom_id, answer = line.get("custom_id"), line.get("response")
    if not isinstance(custom_id, str):
        return None
    if not isinstance(answer, dict):  # expired or cancelled before it was asked
        return Result(custom_id, None, line.get("error"))
    body, identity = answer.get("body"), answer.get("request_id")
    identity = identity if isinstance(identity, str) else None
    return Result(custom_id, _status(answer.get("status_code"), body), body, identity)


def _status(given: Any, body: Any) -> int:
    """The HTTP status; where it is not one, what the body looks like."""
    if isinstance(given, str) and re.fullmatch(r"[1-5]\d\d", given.strip(), re.ASCII):
        given = int(given)
    if isinstance(given, int) and not isinstance(given, bool) and 100 <= given < 600:
        return given
    return 200 if isinstance(body, dict) and "choices" in body else 500
