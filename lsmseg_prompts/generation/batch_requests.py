"""The files of requests that batches are made of, and what the store keeps of them meanwhile."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from lsmseg_prompts.errors import BudgetError, ProviderError
from lsmseg_prompts.generation.cells import TRIES, CellWriter, recorded
from lsmseg_prompts.generation.engine import BATCH_PRICE, output_limit
from lsmseg_prompts.generation.limits import Limits
from lsmseg_prompts.generation.questions import Call, QuestionBuilder
from lsmseg_prompts.llm.base import Request
from lsmseg_prompts.llm.openai import OpenAIChat
from lsmseg_prompts.llm.prices import Price
from lsmseg_prompts.llm.tokens import input_tokens_bound
from lsmseg_prompts.store.sqlite import utc_now

MOST_REQUESTS = 50_000  # in one batch
MOST_BYTES = 190_000_000  # of its file

Numbered = tuple[Request, int]  # which try at its cells it is


@dataclass
class BatchFile:
    """Requests for one batch: lines of its file, and what the store keeps of each until its reply
    is there. `error` is why there is no other file behind it."""

    lines: list[str] = field(default_factory=list)
    requests: list[dict[str, Any]] = field(default_factory=list)
    size: int = 0
    error: BudgetError | None = None

    def claim(self, writer: CellWriter, host: str | None, failed_too: bool) -> str:
        """Claim the cells for a batch; returns its id.

        Raises ProviderError where another process is asking for some of them.
        """
        batch = f"{writer.ledger.run}.{uuid.uuid4().hex[:8]}"  # begins with whose it is
        cells = [(one["index"], a) for one in self.requests for a in one["attributes"]]
        row = {
            "id": batch,
            "vocabulary": writer.vocabulary.name,
            "llm": writer.llm,
            "host": host,
            "status": "creating",
            "calls": json.dumps(self.requests, ensure_ascii=False),
            "created_at": utc_now(),
        }
        with writer.store.transaction():
            writer.store.write("batches", row)
            mine, _ = writer.claim(cells, failed_too, batch)
            if len(mine) < len(cells):
                raise ProviderError(
                    "Another process asks for some of these cells right now: try again when it is "
                    "done."
                )
        return batch


def split_into_files(
    llm: OpenAIChat,
    requests: Iterable[Numbered],
    limits: Limits,
    price: Price | None,
    spent: float,
) -> Iterator[BatchFile]:
    """The requests in files that are not too large, as far as the budget goes.

    Args:
        llm: writes the requests.
        requests: each with which try it is.
        limits: the money and the number of requests.
        price: of tokens that are not in a batch; None where it is not known.
        spent: US dollars so far.
    """
    file, count = BatchFile(), 0
    for request, number in requests:
        worst = 0.0 if price is None else _worst(llm, request, price)
        if limits.max_cost is not None and spent + worst > limits.max_cost:
            file.error = BudgetError(
                f"The budget of ${limits.max_cost:g} is reached with what is submitted; the "
                "same command goes on when that is collected."
            )
            break
        if limits.max_calls is not None and count >= limits.max_calls:
            file.error = BudgetError(f"The limit of {limits.max_calls} requests is reached.")
            break
        line = _line(llm, len(file.lines), request)
        if file.lines and (len(file.lines) == MOST_REQUESTS or file.size + len(line) > MOST_BYTES):
            yield file
            file = BatchFile()
            line = _line(llm, 0, request)
        file.lines.append(line)
        file.requests.append({**_kept(request, number), "worst": worst if price else None})
        file.size, spent, count = file.size + len(line), spent + worst, count + 1
    yield file


def next_request(writer: CellWriter, questions: QuestionBuilder, call: Call) -> Numbered:
    """The request for a call, and which try it is: a follow-up where the last batch's reply would
    not do."""
    rows = writer.store.rows(
        "SELECT * FROM attempts WHERE vocabulary = ? AND class_index = ? AND llm = ? "
        "AND batch IS NOT NULL AND verdict IS NOT NULL "
        "ORDER BY id DESC LIMIT 20",
        [writer.vocabulary.name, call.entry.index, writer.llm],
    )
    for row in rows:
        asked, reply = recorded(row, writer.vocabulary)
        if not set(call.attributes) <= set(asked.attributes):
            continue
        if row["verdict"] == "accepted" or row["attempt_number"] >= TRIES:
            break  # that is over: this is a new beginning
        judged = writer.judge(asked, reply)
        verdicts = {attribute: judged[attribute] for attribute in call.attributes}
        first = verdicts[call.attributes[0]]
        if first.final or not all(verdict.fault for verdict in verdicts.values()):
            break
        number = int(row["attempt_number"]) + 1
        length = number if first.kind == "cut" else 1
        return questions.follow_up(asked, row["reply"] or "", verdicts, length), number
    return questions.first(call), 1


def _line(llm: OpenAIChat, place: int, request: Request) -> str:
    task = {"custom_id": str(place), "method": "POST", "url": "/v1/chat/completions"}
    return json.dumps({**task, "body": llm.body(request)}, ensure_ascii=False) + "\n"


def _worst(llm: OpenAIChat, request: Request, price: Price) -> float:
    """The most that a request can cost, in US dollars."""
    into = input_tokens_bound(request.messages, schema=request.schema)
    return BATCH_PRICE * price.cost(into, output_limit(llm, request))


def _kept(request: Request, number: int) -> dict[str, Any]:
    """What the store keeps of a request in a batch until its reply is there."""
    assert request.entry is not None
    return {
        "index": request.entry.index,
        "attributes": list(request.attributes),
        "prompt": request.prompt,
        "history": [list(pair) for pair in request.history],
        "hash": request.template_hash,
        "parameters": {**request.parameters, "max_output_tokens": request.max_output_tokens},
        "try": number,
    }
