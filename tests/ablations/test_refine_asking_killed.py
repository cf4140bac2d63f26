"""kill -9 in the middle of a refinement that asks an LLM, then the same command."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from llm_server.client import LLMServer
from support.asked_world import PLANTED, STORE, but_ids, helpful, helps, refine, state
from support.command_line import ROOT, environment
from support.generating import rows, wait_for, whole
from support.scripted_llm import Scripted

from benchmarks.planted import NAMES

RULES = [
    {
        "match": {"contains": f'The class: "{name}"'},
        "reply": json.dumps({"sentences": [helpful(name, one) for one in PLANTED]}),
    }
    for name in NAMES
]


@pytest.mark.slow
@pytest.mark.process
def test_the_same_state_as_without_kills(tmp_path: Path) -> None:
    uninterrupted, _ = refine(Scripted(helps, "openai/test-model"), path=tmp_path / "other.sqlite")
    with LLMServer(RULES, latency=0.1) as server:
        command = [sys.executable, "-m", "tests.support.asked_world", server.url]
        env = {**environment(), "OPENAI_API_KEY": "sk-1",
               "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}  # fmt: skip
        for number in (1, 6, 14):
            running = subprocess.Popen(command, env=env)
            wait_for(lambda: len(server.requests()) >= number)  # noqa: B023
            running.send_signal(signal.SIGKILL)
            assert running.wait() == -signal.SIGKILL
        before = rows("SELECT * FROM attempts WHERE state = 'ended' ORDER BY id", store=STORE)
        done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
        assert but_ids(done.stdout.strip()) == but_ids(repr(state(uninterrupted)))
        requests = len(server.requests())
    after = rows("SELECT * FROM attempts ORDER BY id", store=STORE)
    ended = [row["question"] for row in after if row["state"] == "ended"]
    assert len(set(ended)) == len(ended) == 2 * len(NAMES)  # each question was answered once
    kept = {row["id"]: row["reply"] for row in after}
    assert before and all(kept[row["id"]] == row["reply"] for row in before)
    lost = [row for row in after if row["state"] == "lost"]
    assert requests <= len(ended) + len(lost)
    whole(STORE)
