"""Asking the two providers questions, for the tests of what they make of the answers."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest

from lsmseg_prompts.llm import Reply, Request, make_llm
from support.scripted_http import Scripted, with_server

KEY = "sk-test-0123456789"
ASK = Request("What colour is a zebra?", max_output_tokens=100)
BOTH = pytest.mark.parametrize("name", ["openai/m", "qwen-max"])
NETWORK = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")


def said(name: str, text: Any = "Black and white.", finish: str = "stop", **more: Any) -> Any:
    """The provider's JSON for an answer."""
    message = {"role": "assistant", "content": text, **more}
    choices = [{"index": 0, "message": message, "finish_reason": finish}]
    if name.startswith("qwen"):
        usage = {"input_tokens": 9, "output_tokens": 4}
        return {"request_id": "r-1", "output": {"choices": choices}, "usage": usage}
    usage = {"prompt_tokens": 9, "completion_tokens": 4}
    return {"model": "m-2024", "choices": choices, "usage": usage}


def refused(name: str, code: str, message: str = "No.", param: str | None = None) -> Any:
    if name.startswith("qwen"):
        return {"code": code, "message": message, "request_id": "r-1"}
    return {"error": {"code": code, "message": message, "param": param, "type": "x"}}


def build(name: str, address: str, monkeypatch: pytest.MonkeyPatch, timeout: float = 10) -> Any:
    monkeypatch.setenv("OPENAI_BASE_URL", f"{address}/v1")
    monkeypatch.setenv("DASHSCOPE_HTTP_BASE_URL", f"{address}/api/v1")
    return make_llm(name, timeout=timeout)


def ask(
    name: str,
    script: list[Any],
    monkeypatch: pytest.MonkeyPatch,
    request: Request = ASK,
    timeout: float = 10,
    times: int = 1,
    tls: ssl.SSLContext | None = None,
) -> tuple[list[Reply], Scripted]:
    """Ask `times` times, one after the other."""

    async def use(server: Scripted) -> tuple[list[Reply], Scripted]:
        llm = build(name, server.address, monkeypatch, timeout)
        try:
            return [await llm.complete(request) for _ in range(times)], server
        finally:
            await llm.close()

    return with_server(script, use, tls)


def ask_at(name: str, address: str, monkeypatch: pytest.MonkeyPatch, timeout: float = 10) -> Reply:
    async def use() -> Reply:
        llm = build(name, address, monkeypatch, timeout)
        try:
            return await llm.complete(ASK)
        finally:
            await llm.close()

    return asyncio.run(use())


def bare_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy, no certificates, a key for each provider."""
    for name in NETWORK:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("LSMSEG_PROMPTS_KEY", KEY)
