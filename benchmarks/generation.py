"""How fast `generate` is against a local server, as ratios measured in one run.

python benchmarks/generation.py                 # all of it, about 6 minutes
python benchmarks/generation.py --cells 1539    # without the 15,354 cells

The server (tests/llm_server/, a process of its own) answers after 200 ms. The ideal time is
cells x latency / concurrency. Measured are the whole command, its start included, and the part
from the first request to the last answer; the memory at its highest; and what --rpm makes of the
rate. Beside them stands a plain loop that asks OpenAI's client one cell after the other.
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


def loop(server: LLMServer, cells: int) -> float:
    """Cells a second of a plain sequential loop with OpenAI's own client."""
    from openai import OpenAI

    from lsmseg_prompts.templates import query
    from lsmseg_prompts.vocabularies import load_vocabulary

    client = OpenAI(base_url=server.url, api_key="none")
    began = time.perf_counter()
    for entry in load_vocabulary("coco-stuff").classes[:cells]:
        prompt = query("describe-paper").render(class_name=entry.readable, attribute="color")
        client.chat.completions.create(model="test", messages=[{"role": "user", "content": prompt}])
    return cells / (time.perf_counter() - began)


def things(folder: Path, cells: int) -> str:
    """A class list of which nine attributes are so many cells."""
    file = folder / "things.txt"
    file.write_text("\n".join(f"thing {i}" for i in range(cells // 9)))
    return str(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cells", type=int, default=15354, help="of the longest run")
    parser.add_argument("--rpm", type=int, default=3000)
    parser.add_argument("--small", action="store_true", help="only to see that it runs")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, LLMServer(latency=LATENCY) as server:
        folder = Path(name)
        few = 2 if arguments.small else LOOP_CELLS
        alone = loop(server, few)
        print(f"plain loop, {few} cells: {alone:.2f} cells a second\n")
        print("| cells | options | ideal s | asking s | / ideal | command s | / ideal | times the "
              "loop | MB | requests a minute |")  # fmt: skip
        print("|---|---|---|---|---|---|---|---|---|---|")
        if arguments.small:
            _row(generate(server, folder, things(folder, SMALL_CELLS)), alone, "")
            return
        _row(generate(server, folder, "coco-stuff"), alone, "")
        rpm = ("--rpm", str(arguments.rpm))
        _row(generate(server, folder, "coco-stuff", *rpm), alone, " ".join(rpm), arguments.rpm)
        if arguments.cells > 1539:
            _row(generate(server, folder, things(folder, arguments.cells)), alone, "")


def _row(found: dict[str, Any], alone: float, options: str, rpm: float | None = None) -> None:
    ideal = found["cells"] * LATENCY / CONCURRENCY
    if rpm is not None:
        ideal = max(ideal, 60 * found["cells"] / rpm)
    rate = f"{found['a_minute']:.0f}"
    if rpm is not None:
        rate += f" ({100 * found['a_minute'] / rpm:.1f} %, {found['worst_minute']} at worst)"
    print(
        f"| {found['cells']:,} | {options} | {ideal:.2f} | {found['asking']:.2f} | "
        f"{found['asking'] / ideal:.3f} | {found['whole']:.2f} | {found['whole'] / ideal:.3f} | "
        f"{found['cells'] / found['whole'] / alone:.1f} | {found['megabytes']:.0f} | {rate} |",
        flush=True,
    )


if __name__ == "__main__":
    main()
