"""Fixtures that tests of the language side share: the LLM server, and `generate` against it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from llm_server.client import LLMServer
from support.command_line import Outcome
from support.generating import STORE, arguments, keyless, variables


@pytest.fixture(scope="session")
def _llm_server() -> Iterator[LLMServer]:
    with LLMServer() as running:
        yield running


@pytest.fixture
def server(_llm_server: LLMServer) -> LLMServer:
    """The LLM server, as new: one process for all tests, with a script and a log for each."""
    _llm_server.reset()
    return _llm_server


@pytest.fixture
def generate(call: Callable[..., Outcome]) -> Callable[..., Outcome]:
    """Run `generate` in this process; the exit code must be `code`, where one is given.

    generate(server, "--redo", provider="dashscope", env={"OPENAI_API_KEY": "x"}, code=0)
    """

    def run(
        server: LLMServer | str,
        *more: str,
        code: int | None = None,
        env: dict[str, str] | None = None,
        store: Path = STORE,
        **options: Any,
    ) -> Outcome:
        command = arguments(server, *more, store=store, **options)
        outcome = call(*command, env=variables(server, **(env or {})))
        keyless(store, outcome.out, outcome.err)
        assert "Traceback" not in outcome.err, outcome.err
        if code is not None:
            assert outcome.code == code, (outcome.code, outcome.out, outcome.err)
        return outcome

    return run
