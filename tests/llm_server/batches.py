"""OpenAI's Files and Batch interfaces, for the tests' LLM server: kept in memory.

A batch ends when it has been looked at `polls` times (script: batch.polls, 1). Its lines meet the
same rules as calls do. A line whose rule is `hang` is in neither file; those that fail, and with
batch.expire_after those left over, are in the error file. The order of lines is turned around.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

from llm_server.rules import Answer, Script

Ask = Callable[[dict[str, Any], str], Answer]  # a line's body and its batch's id

_EXPIRED = {
    "code": "batch_expired",
    "message": "This request could not be executed before the completion window expired.",
}


class Batches:
    """All files and batches; every method gives (HTTP status, body)."""

    def __init__(self, ask: Ask) -> None:
        self.ask = ask
        self.gone: set[str] = set()
        self.files: dict[str, tuple[dict[str, Any], bytes]] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.polls: dict[str, int] = {}

    def upload(self, content_type: str, body: bytes) -> tuple[int, Any]:
        """POST /v1/files: the form's fields `purpose` and `file`."""
        boundary = content_type.partition("boundary=")[2].strip('"').encode()
        fields: dict[str, bytes] = {}
        name = "file.jsonl"
        for part in body.split(b"--" + boundary)[1:-1]:
            head, _, data = part.partition(b"\r\n\r\n")
            words = dict(
                word.strip().split("=", 1)
                for word in head.decode().replace("\r\n", ";").split(";")
                if "=" in word
            )
            fields[words["name"].strip('"')] = data.removesuffix(b"\r\n")
            name = words.get("filename", name).strip('"')
        if "file" not in fields or fields.get("purpose") != b"batch":
            return 400, _invalid("file and purpose=batch are required.")
        return 200, self._keep(fields["file"], name, "batch")

    def _keep(self, data: bytes, name: str, purpose: str) -> dict[str, Any]:
        number = f"file-{len(self.files) + 1:024d}"
        about = {
            "id": number,
            "object": "file",
            "bytes": len(data),
            "created_at": int(time.time()),
            "filename": name,
            "purpose": purpose,
            "status": "processed",
        }
        self.files[number] = about, data
        return about

    def file(self, number: str) -> tuple[int, Any]:
        return (200, self.files[number][0]) if number in self.files else (404, _absent(number))

    def content(self, number: str) -> tuple[int, Any]:
        if number in self.gone or number not in self.files:
            return 404, _absent(number)
        return 200, self.files[number][1]

    def delete(self, number: str) -> tuple[int, Any]:
        if self.files.pop(number, None) is None:
            return 404, _absent(number)
        return 200, {"id": number, "object": "file", "deleted": True}

    def create(self, given: bytes, script: Script) -> tuple[int, Any]:
        """POST /v1/batches."""
        body = json.loads(given)
        if body.get("input_file_id") not in self.files:
            return 400, _invalid(f"Invalid file id: {body.get('input_file_id')}", "input_file_id")
        if body.get("completion_window") != "24h":
            return 400, _invalid("completion_window must be 24h.", "completion_window")
        now = int(time.time())
        batch: dict[str, Any] = {
            "id": f"batch_{len(self.batches) + 1:024d}",
            "object": "batch",
            "endpoint": body.get("endpoint"),
            "errors": None,
            "input_file_id": body["input_file_id"],
            "completion_window": "24h",
            "status": "validating",
            "output_file_id": None,
            "error_file_id": None,
            "created_at": now,
            "expires_at": now + 86_400,
            "request_counts": {"total": 0, "completed": 0, "failed": 0},
            "metadata": None if script.batch.get("nameless") else body.get("metadata"),
        }
        self.batches[batch["id"]] = batch
        self.polls[batch["id"]] = 0
        return 200, batch

    def get(self, number: str, script: Script) -> tuple[int, Any]:
        """GET /v1/batches/{id}; the look that ends it already shows the end."""
        batch = self.batches.get(number)
        if batch is None:
            return 404, _absent(number)
        if batch["status"] in ("validating", "in_progress", "cancelling"):
            self.polls[number] += 1
            if self._is_over_limit(batch, script.batch):
                pass
            elif batch["status"] == "cancelling":
                self._run(batch, script.batch.get("expire_after", 0), "cancelled")
            elif self.polls[number] < script.batch.get("polls", 1):
                batch["status"] = "in_progress"
                batch["in_progress_at"] = int(time.time())
            else:
                self._finish(batch, script.batch)
        return 200, batch

    def list(self, query: dict[str, str]) -> tuple[int, Any]:
        """GET /v1/batches: newest first."""
        every = list(reversed(self.batches.values()))
        if after := query.get("after"):
            names = [batch["id"] for batch in every]
            every = every[names.index(after) + 1 :] if after in names else []
        page = every[: int(query.get("limit", 20))]
        return 200, {
            "object": "list",
            "data": page,
            "first_id": page[0]["id"] if page else None,
            "last_id": page[-1]["id"] if page else None,
            "has_more": len(page) < len(every),
        }

    def cancel(self, number: str) -> tuple[int, Any]:
        batch = self.batches.get(number)
        if batch is None:
            return 404, _absent(number)
        if batch["status"] not in ("validating", "in_progress"):
            return 409, _invalid(f"Cannot cancel a batch with status '{batch['status']}'.")
        batch.update(status="cancelling", cancelling_at=int(time.time()))
        return 200, batch

    def _is_over_limit(self, batch: dict[str, Any], wanted: dict[str, Any]) -> bool:
        limit = wanted.get("token_limit")
        if limit is None:
            return False
        lines = self.files[batch["input_file_id"]][1].splitlines()
        tokens = sum(len(str(json.loads(line)["body"]["messages"])) // 4 for line in lines)
        if tokens <= limit:
            return False
        message = (f"Enqueued token limit reached for m in organization org-x. Limit: {limit:,} "
                   "enqueued tokens. Please try again once some in_progress batches have been "
                   "completed.")  # fmt: skip
        error = {"code": "token_limit_exceeded", "line": None, "param": None, "message": message}
        batch["errors"] = {"object": "list", "data": [error]}
        batch.update(status="failed", failed_at=int(time.time()))
        return True

    def _finish(self, batch: dict[str, Any], wanted: dict[str, Any]) -> None:
        end = wanted.get("end", "completed")
        if end == "failed":
            error = {"code": "invalid_json_line", "line": 1, "param": None, "message": "Bad line."}
            batch["errors"] = {"object": "list", "data": [error]}
            batch.update(status="failed", failed_at=int(time.time()))
            return
        self._run(batch, wanted.get("expire_after"), **{**wanted, "end": end})

    def _run(self, batch: dict[str, Any], until: int | None, end: str, **wanted: Any) -> None:
        lines = [json.loads(x) for x in self.files[batch["input_file_id"]][1].splitlines() if x]
        good: list[dict[str, Any]] = []
        bad: list[dict[str, Any]] = []
        for place, line in enumerate(lines):
            out = {
                "id": f"batch_req_{place:024d}",
                "custom_id": line["custom_id"],
                "response": None,
                "error": None,
            }
            if until is not None and place >= until:
                bad.append({**out, "error": _EXPIRED})
                continue
            answer = self.ask(line["body"], batch["id"])
            if answer.manner == "hang":
                continue
            if answer.manner != "send":
                answer = Answer(b'{"error": {"message": "Server error."}}', status=500)
            try:
                body = json.loads(answer.body)
            except ValueError:
                body = answer.body.decode(errors="replace")
            out["response"] = {
                "status_code": answer.status,
                "request_id": f"req_{place:032x}",
                "body": body,
            }
            (good if answer.status == 200 else bad).append(out)
        for kind, rows in (("output", good), ("error", bad)):
            if rows and not wanted.get("empty"):
                data = json_lines(rows, wanted if kind == "output" else {})
                about = self._keep(data, f"{batch['id']}_{kind}.jsonl", "batch_output")
                batch[f"{kind}_file_id"] = about["id"]
                if kind in wanted.get("missing", ()):
                    self.gone.add(about["id"])
        batch["request_counts"] = {
            "total": len(lines), "completed": len(good), "failed": len(bad)
        }  # fmt: skip
        batch["status"] = end
        batch[f"{end}_at"] = int(time.time())


def json_lines(rows: list[dict[str, Any]], wanted: dict[str, Any]) -> bytes:
    """The rows, turned around, with what is to be wrong with the file."""
    lines = [json.dumps(row, ensure_ascii=False) for row in reversed(rows)]
    lines = [*wanted.get("junk", ()), *lines, *(lines if wanted.get("twice") else ())]
    data = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogatepass")
    return b"\xef\xbb\xbf" + data if wanted.get("bom") else data


def _invalid(message: str, param: str | None = None) -> dict[str, Any]:
    kind = "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": param, "code": None}}


def _absent(number: str) -> dict[str, Any]:
    return _invalid(f"No such object: {number}", "id")
