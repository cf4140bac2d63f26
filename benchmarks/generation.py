"""How fast `generate` is against a local server, as ratios measured in one run.

python benchmarks/generation.py                 # all of it, about 6 minutes
python benchmarks/generation.py --cells 1539    # without the 15,354 cells

The server (tests/llm_server/, a process of its own) answers after 200 ms. The ideal time is
cells x latency / concurrency. Measured are the whole command, its start included, and the part
from the first request to the last answer; the memory at its highest; and what --rpm makes of the
rate. Beside them stand, in processes of their own: a plain AsyncOpenAI loop with a semaphore, the
same through simonw/llm's Python API (where --llm-python names a Python that has it), and OpenAI's
client one cell after the other. Those keep nothing and judge nothing.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from llm_server.client import LLMServer  # noqa: E402

ATTRIBUTES = "color,shape,size,texture,material,position,pattern,action,context"
LATENCY, CONCURRENCY = 0.2, 32
LOOP_CELLS = 60
SMALL_CELLS = 18


def generate(server: LLMServer, folder: Path, vocab: str, *options: str) -> dict[str, float]:
    """Run the command; its seconds, the seconds between first request and last answer, cells."""
    before = len(server.requests())
    command = [
        sys.executable, "-m", "cli", "-q", "generate", "--llm", "openai/test", "--base-url",
        server.url, "--vocab", vocab, "--attribute", ATTRIBUTES, "-j", str(CONCURRENCY),
        "--store", str(folder / f"{time.monotonic_ns()}.sqlite"), *options,
    ]  # fmt: skip
    began = time.perf_counter()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
    _, status, usage = _wait(process)
    assert status == 0, status
    whole = time.perf_counter() - began
    log = server.requests()[before:]
    received = sorted(entry["received"] for entry in log)
    answered = max(entry["sent"] for entry in log)
    return {
        "cells": len(log),
        "whole": whole,
        "asking": answered - received[0],
        "megabytes": usage.ru_maxrss / 1024,
        "a_minute": 60 * (len(received) - 1) / (received[-1] - received[0]),
        "worst_minute": max(sum(t <= r < t + 60 for r in received) for t in received[::50]),
    }


def _wait(process: subprocess.Popen[bytes]) -> tuple[int, int, resource.struct_rusage]:
    import os

    pid, status, usage = os.wait4(process.pid, 0)
    process.returncode = status
    return pid, status, usage


PROMPT = "Describe a {} with respect to a given color. Describe it in one sentence."
PLAIN = """
import asyncio, sys
from openai import AsyncOpenAI
url, cells, at_once = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
client = AsyncOpenAI(base_url=url, api_key="none", max_retries=0)
async def main():
    gate = asyncio.Semaphore(at_once)
    async def ask(prompt):
        async with gate:
            messages = [{"role": "user", "content": prompt}]
            await client.chat.completions.create(model="test", messages=messages)
    await asyncio.gather(*(ask(sys.argv[4].format(f"thing {i}")) for i in range(cells)))
asyncio.run(main())
"""
SIMONS = """
import asyncio, sys
import llm
from llm.default_plugins.openai_models import AsyncChat
url, cells, at_once = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
model = AsyncChat("test", model_name="test", api_base=url, key="none")
model.key = "none"
async def main():
    gate = asyncio.Semaphore(at_once)
    async def ask(prompt):
        async with gate:
            await model.prompt(prompt, stream=False).text()
    await asyncio.gather(*(ask(sys.argv[4].format(f"thing {i}")) for i in range(cells)))
asyncio.run(main())
"""


def loop(server: LLMServer, python: str, code: str, cells: int, at_once: int) -> dict[str, float]:
    """Ask so many cells by a loop of a few lines; its seconds, start included."""
    before = len(server.requests())
    began = time.perf_counter()
    command = [python, "-c", code, server.url, str(cells), str(at_once), PROMPT]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    _, status, usage = _wait(process)
    assert status == 0, status
    whole = time.perf_counter() - began
    log = server.requests()[before:]
    asking = max(e["sent"] for e in log) - min(e["received"] for e in log)
    megabytes = usage.ru_maxrss / 1024
    return {"cells": len(log), "whole": whole, "asking": asking, "megabytes": megabytes}


def things(folder: Path, cells: int) -> str:
    """A class list of which nine attributes are so many cells."""
    file = folder / "things.txt"
    file.write_text("\n".join(f"thing {i}" for i in range(cells // 9)))
    return str(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=15354, help="of the longest run")
    parser.add_argument("--rpm", type=int, default=3000)
    parser.add_argument("--llm-python", help="a Python that has the package llm")
    parser.add_argument("--small", action="store_true", help="only to see that it runs")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, LLMServer(latency=LATENCY) as server:
        folder = Path(name)
        print("| who | cells | ideal s | asking s | / ideal | whole s | / ideal | MB | a minute |")
        print("|---|---|---|---|---|---|---|---|---|")
        if arguments.small:
            _row("generate", generate(server, folder, things(folder, SMALL_CELLS)))
            _row("AsyncOpenAI", loop(server, sys.executable, PLAIN, SMALL_CELLS, CONCURRENCY))
            return
        _row("generate", generate(server, folder, "coco-stuff"))
        cells = len(ATTRIBUTES.split(",")) * 171
        _row("AsyncOpenAI", loop(server, sys.executable, PLAIN, cells, CONCURRENCY))
        if arguments.llm_python:
            found = loop(server, arguments.llm_python, SIMONS, cells, CONCURRENCY)
            _row("simonw/llm", found)
        one = loop(server, sys.executable, PLAIN, LOOP_CELLS, 1)
        _row("AsyncOpenAI, one by one", one, LATENCY * LOOP_CELLS)
        rpm = ("--rpm", str(arguments.rpm))
        found = generate(server, folder, "coco-stuff", *rpm)
        _row(f"generate {' '.join(rpm)}", found, 60 * found["cells"] / arguments.rpm)
        if arguments.cells > cells:
            _row("generate", generate(server, folder, things(folder, arguments.cells)))


def _row(who: str, found: dict[str, Any], ideal: float | None = None) -> None:
    ideal = ideal or found["cells"] * LATENCY / CONCURRENCY
    rate = ""
    if "a_minute" in found:
        rate = f"{found['a_minute']:.0f}, at most {found['worst_minute']}"
    print(
        f"| {who} | {found['cells']:,} | {ideal:.2f} | {found['asking']:.2f} | "
        f"{found['asking'] / ideal:.3f} | {found['whole']:.2f} | {found['whole'] / ideal:.3f} | "
        f"{found['megabytes']:.0f} | {rate} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
