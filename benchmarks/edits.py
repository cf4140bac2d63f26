"""Two clients edit while `generate` runs beside them: is anything lost, and how long does it take?

python benchmarks/edits.py              # 10 seconds, 25 edits a second each
python benchmarks/edits.py --small      # 2 seconds

Each client is a process that calls `store_edit`, 25 times a second, on the cells that `generate` is
asking for (a local server, tests/llm_server/), both on the same ones. Exit code 1 if an edit is
neither in the store nor in its history, a cell is without a text, or the store is not whole.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from llm_server.client import LLMServer  # noqa: E402
from support import generating  # noqa: E402
from support.command_line import COMMAND, environment  # noqa: E402

VOCABULARY, ATTRIBUTES = "coco-stuff", ("color", "shape")
LLM = generating.MODEL["openai"]
A_SECOND, EDITED = 25, 10  # edits of each client; classes that they edit


@dataclass(frozen=True)
class Measured:
    """What came of it; `seconds` are those of each edit, `faults` are sentences."""

    seconds: list[float]
    wall: float
    generated: int
    faults: list[str]

    def __str__(self) -> str:
        times = sorted(1000 * one for one in self.seconds)
        late = times[int(0.95 * len(times))]
        return (
            f"{len(times)} edits in {self.wall:.1f} s beside {self.generated} generated cells: "
            f"median {statistics.median(times):.1f} ms, 95 % within {late:.1f} ms, longest "
            f"{times[-1]:.1f} ms; {len(self.faults)} faults"
        )


def client(name: str, store: str, seconds: float, begin: Any, told: Any) -> None:
    """Edit a cell every 1 / A_SECOND seconds; tells how long each took."""
    from lsmseg_prompts import load_vocabulary, open_store, store_draft, store_edit

    store_draft(VOCABULARY, "zebra", "color", "A zebra.")  # the tokenizer is read once
    classes = load_vocabulary(VOCABULARY).classes[:EDITED]
    took: list[float] = []
    with open_store(store) as held:  # as the studio does: see ablations/studio/texts/page.py
        held.rows("SELECT 1 FROM llms LIMIT 1")
        begin.wait()
        start = time.monotonic()
        for number in range(round(seconds * A_SECOND)):
            time.sleep(max(0.0, start + number / A_SECOND - time.monotonic()))
            entry = classes[number % EDITED]
            attribute = ATTRIBUTES[number // EDITED % 2]
            text = f"A {entry.readable} was edit {number} of {name}."
            began = time.monotonic()
            store_edit(VOCABULARY, entry.name, attribute, text, LLM, store)
            took.append(time.monotonic() - began)
    told.put(took)


def measure(folder: Path, seconds: float) -> Measured:
    """Edit for so many seconds, a store in a folder, beside a `generate` that takes longer."""
    store = folder / "s.sqlite"
    context = multiprocessing.get_context("spawn")
    begin, told = context.Barrier(3), context.Queue()
    with LLMServer() as server:
        cells = len(ATTRIBUTES) * 171
        server.reset([], latency=4 * (seconds + 1) / cells)
        from lsmseg_prompts import open_store

        open_store(store).close()
        names = ("one", "two")
        clients = [
            context.Process(target=client, args=(name, str(store), seconds, begin, told))
            for name in names
        ]
        for one in clients:
            one.start()
        asked = generating.arguments(
            server, "-j", "4", vocab=VOCABULARY, store=store, attribute=",".join(ATTRIBUTES)
        )
        env = {**environment(), **generating.variables(server)}
        run = subprocess.Popen(
            [*COMMAND, *asked, "-q"],
            cwd=folder,
            env={k: v for k, v in env.items() if v is not None},
            stdout=subprocess.DEVNULL,  # its table
        )
        generating.wait_for(lambda: len(server.requests()) > 5)
        begin.wait()
        start = time.monotonic()
        times = [one for _ in clients for one in told.get(timeout=60 + 10 * seconds)]
        wall = time.monotonic() - start
        for one in clients:
            one.join()
        faults = [] if run.poll() is None else ["generate ended before the edits did"]
        code = run.wait(timeout=300)
    faults += [f"generate ended with {code}"] * (code != 0)
    found, generated = _faults(store, [round(seconds * A_SECOND)] * len(names), names)
    return Measured(times, wall, generated, faults + found)


def _faults(store: Path, edits: list[int], names: tuple[str, ...]) -> tuple[list[str], int]:
    """What is not as it should be, and how many cells were generated."""
    from lsmseg_prompts import load_vocabulary

    vocabulary = load_vocabulary(VOCABULARY)
    faults = []
    whole = generating.rows("PRAGMA integrity_check", store=store)
    if whole != [{"integrity_check": "ok"}]:
        faults.append(f"the store is not whole: {whole}")
    history = generating.rows("SELECT * FROM edits ORDER BY id", store=store)
    entered = {row["new_text"] for row in history}
    for name, number in zip(names, edits, strict=True):
        wanted = {f"edit {at} of {name}." for at in range(number)}
        there = {text.partition(" was ")[2] for text in entered}
        faults += [f"lost: {one}" for one in sorted(wanted - there)]
    last = {(row["class_index"], row["attribute"]): row["new_text"] for row in history}
    cells = generating.described(store)
    faults += [f"{cell} is {cells.get(cell)}, not {text}" for cell, text in last.items()
               if cells.get(cell) != text]  # fmt: skip
    lacking = {(e.index, a) for e in vocabulary for a in ATTRIBUTES} - cells.keys()
    faults += [f"{cell} has no text" for cell in sorted(lacking)]
    now: dict[tuple[int, str], str] = {}  # edited cells are locked: nothing else changes them
    for row in history:
        cell = row["class_index"], row["attribute"]
        if cell in now and row["old_text"] != now[cell]:
            faults.append(f"the edit {row['id']} replaced another text than the last one")
        now[cell] = row["new_text"]
    return faults, len(cells) - len(last)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--small", action="store_true", help="two seconds, to see that it runs")
    small = parser.parse_args().small
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        found = measure(Path(folder), 2 if small else 10)
    print(found)
    for fault in found.faults[:20]:
        print(fault)
    sys.exit(bool(found.faults))


if __name__ == "__main__":
    main()
