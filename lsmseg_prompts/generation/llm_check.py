"""What one LLM takes, gives and costs, seen from the answers to one or two cheap questions."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, Literal

from lsmseg_prompts.errors import BudgetError, LsmsegPromptsError, ProviderError, UsageError
from lsmseg_prompts.generation.asking import Asked, ask_all
from lsmseg_prompts.generation.engine import RESUME, price_for
from lsmseg_prompts.generation.limits import Limits
from lsmseg_prompts.generation.questions import Call
from lsmseg_prompts.generation.replies import read_object
from lsmseg_prompts.generation.request import GenerationRequest
from lsmseg_prompts.generation.verdicts import judge
from lsmseg_prompts.llm.base import LLM, Reply, Request
from lsmseg_prompts.llm.capabilities import JSON_FORMATS, Capabilities
from lsmseg_prompts.llm.chat import ChatLLM
from lsmseg_prompts.store.sqlite import working_store_path
from lsmseg_prompts.store.store import Store, open_store

MOST_REQUESTS = 3
WARMTH = 0.7  # the temperature that is tried

Taken = Literal["taken", "refused", "unknown"]


@dataclass(frozen=True)
class LLMCheck:
    """What was seen of one LLM.

    sentence: its answer to the first question, a cell's. verdict: "kept", or why `generate` would
    not keep it. seconds: how long that took. thinks: whether thoughts were seen; thought_tokens:
    how many, None where the server does not count them. room:
    output tokens for thoughts that each question is sent with. output_limit: the parameter that
    limits the output. json: how it is asked for JSON: json_schema, json_object, or words alone;
    unknown where it was not asked or did not answer. is_json: whether JSON came back. rate_limits:
    the headers that name some. cell_usd: what the first question cost, all_usd: as much for
    each of `cells`; None where price or tokens are not known. requests, failed_requests,
    spent_usd: what the check took. note: why something is unknown.
    """

    llm: str
    host: str | None
    sentence: str
    verdict: str
    served_model: str | None
    seconds: float | None
    thinks: bool
    thought_tokens: int | None
    room: int
    output_limit: str | None
    temperature: Taken
    json: Literal["json_schema", "json_object", "words", "unknown"]
    is_json: bool | None
    left_out: list[str]
    rate_limits: Mapping[str, str]
    input_tokens: int | None
    output_tokens: int | None
    price: str | None
    cell_usd: float | None
    vocabulary: str
    cells: int
    all_usd: float | None
    requests: int
    failed_requests: int
    spent_usd: float | None
    note: str | None


def llm_check(llm: LLM, *, store: str | os.PathLike[str] | None = None) -> LLMCheck:
    """Ask `llm` about the color of a zebra, then about two attributes as JSON: MOST_REQUESTS.

    The second question is also the one with a temperature. Both go through the engine, so what is
    seen is what `generate` would see. The attempts are kept in `store`, if one is named.

    Raises:
        LsmsegPromptsError: UsageError for an LLM that is offline; ConfigurationError, ProviderError
            or StoreError where there is no answer.
        Interrupted: A signal stopped it.
    """
    if not isinstance(llm, ChatLLM):
        raise UsageError(f"{llm.name} is offline: there is nothing to check.")
    llm.check()
    plain, as_json = _questions()
    with nullcontext() if store is None else open_store(working_store_path(store)) as opened:
        first = _ask(llm, plain, opened, MOST_REQUESTS)
        reply = _answer(llm, first)
        left = MOST_REQUESTS - first.usage.requests
        second = _ask(llm, as_json, opened, left) if left else None
    return _seen(llm, reply, first, second)


def _verdict(reply: Reply) -> str:
    """What `generate` would make of the answer to the first question."""
    zebra = GenerationRequest().loaded_vocabulary().find("zebra")
    asked = Request("", entry=zebra, attributes=("color",))
    return judge(reply, asked, lambda attribute, text: None)["color"].fault or "kept"


def _questions() -> tuple[Request, Request]:
    """A cell's question, and one for a JSON object, with a temperature; of no cell of a store."""
    request = GenerationRequest()
    zebra = request.loaded_vocabulary().find("zebra")
    questions = request.questions()
    none: dict[str, Any] = {"vocabulary": None, "entry": None, "attributes": ()}
    plain, as_json = (
        replace(questions.first(Call(zebra, names)), template_hash=None, **none)
        for names in (("color",), ("color", "shape"))
    )
    return plain, replace(as_json, parameters={"temperature": WARMTH})


def _ask(llm: LLM, question: Request, store: Store | None, requests: int) -> Asked:
    limits = Limits(concurrency=1, max_calls=requests, max_retries=requests - 1)
    asked = ask_all(llm, [question], purpose="describe", store=store, limits=limits)
    if asked.error is not None and not isinstance(asked.error, LsmsegPromptsError):
        raise asked.error  # a signal
    return asked


def _answer(llm: ChatLLM, asked: Asked) -> Reply:
    """The reply to the first question; raises where there is none."""
    if isinstance(asked.error, BudgetError):
        known = llm.capabilities
        why = "nothing came back"
        if known.refused:
            why = f"it refused {', '.join(sorted(known.refused))}"
        elif known.room:
            why = f"its thoughts took all of the room ({known.room:,} tokens and more)"
        raise ProviderError(
            f"{llm.name} gave no answer in {MOST_REQUESTS} requests: {why}; see --reasoning and -o."
        )
    if asked.error is not None:  # nothing came back before, and there is nothing to go on with
        raise type(asked.error)(str(asked.error).replace(f"; {RESUME}", ""))
    reply = asked.replies[0]
    if reply.text is None or not reply.said.strip():
        ended = f" ({reply.finish_reason})" if reply.finish_reason else ""
        empty = f"its answer is empty{ended}"
        why = empty if reply.text is not None else reply.failure.rstrip(". ")
        raise ProviderError(f"{llm.name} did not answer the question about a zebra: {why}.")
    return reply


def _seen(llm: ChatLLM, reply: Reply, first: Asked, second: Asked | None) -> LLMCheck:
    known = llm.capabilities
    price = price_for(llm, Limits())
    into, out = reply.input_tokens, reply.output_tokens
    cell = None
    if price is not None and into is not None and out is not None:
        cell = price.cost(into, out)
    whole = GenerationRequest()
    cells = len(whole.wanted_cells())
    usages = [asked.usage for asked in (first, second) if asked is not None]
    spent = [usage.cost_usd for usage in usages if usage.cost_usd is not None]
    answered = None if second is None else second.replies.get(0)
    if answered is not None and answered.text is None:
        answered = None
    return LLMCheck(
        llm=llm.name,
        host=llm.host,
        sentence=" ".join(reply.said.split()),
        verdict=_verdict(reply),
        served_model=reply.served_model,
        seconds=reply.duration_seconds,
        thinks=reply.thinks,
        thought_tokens=reply.reasoning_tokens,
        room=known.room,
        output_limit=known.token_name,
        temperature=_temperature(known, answered),
        json=_json(llm, answered),
        is_json=None if answered is None else read_object(answered.said) is not None,
        left_out=llm.left_out(),
        rate_limits=dict(reply.limits),
        input_tokens=into,
        output_tokens=out,
        price=None if price is None else price.shown,
        cell_usd=cell,
        vocabulary=str(whole.vocabulary),
        cells=cells,
        all_usd=None if cell is None else cell * cells,
        requests=sum(usage.requests for usage in usages),
        failed_requests=sum(usage.failed_requests for usage in usages),
        spent_usd=sum(spent) if spent else None,
        note=_note(second, answered),
    )


def _temperature(known: Capabilities, answered: Reply | None) -> Taken:
    if "temperature" in known.refused:
        return "refused"
    return "unknown" if answered is None else "taken"


def _json(
    llm: ChatLLM, answered: Reply | None
) -> Literal["json_schema", "json_object", "words", "unknown"]:
    form = JSON_FORMATS[llm.capabilities.json_format]
    if answered is None:
        return "unknown"
    return "json_schema" if form == "json_schema" else "json_object" if form else "words"


def _note(second: Asked | None, answered: Reply | None) -> str | None:
    """Why the second question has no answer."""
    if answered is not None:
        return None
    if second is None or isinstance(second.error, BudgetError):
        return f"the check ends after {MOST_REQUESTS} requests"
    if second.error is not None:
        return str(second.error).rstrip(".")
    return second.replies[0].failure.rstrip(". ")
