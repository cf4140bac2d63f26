"""Kill -9 again and again: is a reply that is on file ever asked for again?

python benchmarks/kills.py              # 100 kills, some minutes

The command `generate` runs against a local server (tests/llm_server/, a process of its own) over
OpenAI's protocol, DashScope's, and through the batch APIs of OpenAI and Anthropic. Its process
group is killed at a random time, and the same command started again until everything is there; on
every second store there are two processes. The replies have thoughts, and the room for them is
learnt by each run; some are refusals; every cell has two samples.

What the store has on file is compared with the server's log. A reply that was on its way at a kill
is lost: it counts at its highest possible cost, and is asked for again. Exit code 1 if anything
else is not as it should be.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from llm_server.client import LLMServer  # noqa: E402
from llm_server.shapes import request_id  # noqa: E402
from support import generating  # noqa: E402
from support.command_line import COMMAND, environment  # noqa: E402
from support.generating import attempts, described, rows  # noqa: E402

NAMES = [
    "zebra", "cat", "tree", "car", "dog", "bus", "boat", "bird", "cow", "horse", "sheep", "fox",
    "bear", "mouse", "clock", "fork", "spoon", "knife", "bowl", "cup", "bed", "chair", "table",
    "lamp", "door", "wall", "roof", "road", "river", "hill",
]  # fmt: skip
ATTRIBUTES, SAMPLES = ("color", "shape"), 2
OPTIONS = ("--samples", str(SAMPLES), "-j", "4", "--price-in", "2", "--price-out", "8")
RULES = [
    {"match": {"class": ["cat", "cow", "fork", "hill"], "nth": 1}, "refusal": True},
    {"thinks": {"tokens": 900}},
]
MOST_STARTS, KILLS_A_STORE = 500, 10
Cell = tuple[int, str]
Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class Scenario:
    """Who is asked, how, and in how many seconds after its beginning a command is killed."""

    name: str
    provider: str
    seconds: float
    options: tuple[str, ...] = ()
    price: float = 1.0
    codes: tuple[int, ...] = (0,)


# 5: another process asks for some of the cells of the batch right now.
BATCH: dict[str, Any] = {"options": ("--batch",), "price": 0.5, "codes": (0, 5)}
SCENARIOS = (
    Scenario("OpenAI's protocol", "openai", 0.8),
    Scenario("DashScope's protocol", "dashscope", 0.8),
    Scenario("batches, OpenAI's", "openai", 0.3, **BATCH),
    Scenario("batches, Anthropic's", "anthropic", 0.3, **BATCH),
)


@dataclass
class Found:
    """What came of a scenario; `faults` are sentences."""

    kills: int = 0
    cells: int = 0
    requests: int = 0
    on_file: int = 0
    again: int = 0
    lost: int = 0
    faults: list[str] = field(default_factory=list)


class Round:
    """One store, from nothing to everything."""

    def __init__(
        self, scenario: Scenario, server: LLMServer, names: list[str], chance: random.Random
    ) -> None:
        self.scenario, self.server, self.names, self.chance = scenario, server, names, chance
        self.kills = 0
        # When no process ran: the replies on file, and how many requests the server had had.
        self.moments: list[tuple[dict[int, str | None], int]] = []
        self.faults: list[str] = []
        self.expected = {
            (place, attribute if number == 1 else f"{attribute}#{number}")
            for place in range(len(names))
            for attribute in ATTRIBUTES
            for number in range(1, SAMPLES + 1)
        }

    def run(self, processes: int, most: int) -> None:
        """Start, kill and start again, at most so many kills, until everything is there."""
        for _ in range(MOST_STARTS):
            self.strike(processes, most)
            if not _runs():  # killed before it made the store
                continue
            made = attempts()
            kept = {row["id"]: row["reply"] for row in made if row["state"] == "ended"}
            self.moments.append((kept, len(self.server.requests())))
            if self.faults or self.expected <= described().keys():
                break
        else:
            self.faults.append("it does not come to an end")

    def strike(self, count: int, most: int) -> None:
        """Start some processes together, and kill each at a random moment after it has begun."""
        runs, size = _runs(), self.server.log.stat().st_size
        asking = self.chance.random() < 0.8  # else maybe before the first request
        processes = [self._start() for _ in range(count)]
        while any(process.poll() is None for process in processes):
            has_asked = self.server.log.stat().st_size > size
            if _runs() >= runs + count and (has_asked or not asking):
                break
            time.sleep(0.005)
        now = time.monotonic()
        ends = sorted(now + self.chance.uniform(0, self.scenario.seconds) for _ in processes)
        self.chance.shuffle(processes)
        for process, end in zip(processes, ends, strict=True):
            left = max(0.0, end - time.monotonic()) if self.kills < most else None
            try:
                _, err = process.communicate(timeout=left)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                _, err = process.communicate()
            if process.returncode == -signal.SIGKILL:
                self.kills += 1
            elif process.returncode not in self.scenario.codes:
                self.faults.append(f"exit code {process.returncode}: {err[-300:]!r}")

    def _start(self) -> subprocess.Popen[str]:
        given = generating.arguments(
            self.server, *OPTIONS, *self.scenario.options, provider=self.scenario.provider,
            attribute=",".join(ATTRIBUTES),
        )  # fmt: skip
        wanted = {**environment(), **generating.variables(self.server)}
        return subprocess.Popen(
            [*COMMAND, "-q", *given],
            env={name: value for name, value in wanted.items() if value is not None},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    # -- what came of it -----------------------------------------------------------------

    def add_to(self, found: Found) -> None:
        """Compare the store with the server's log."""
        made, calls = attempts(), self.server.requests()
        # The first reply of each cell that was accepted, or not even looked at.
        replies = [row for row in reversed(made) if row["state"] == "ended"]
        accepted = {_cell(r): r["id"] for r in replies if r["verdict"] in ("accepted", None)}
        found.kills += self.kills
        found.cells += len(self.expected)
        found.requests += len(calls)
        found.on_file += len(accepted)
        found.again += self._again(made, calls, accepted)
        found.lost += sum(row["state"] == "lost" for row in made)
        self._check_store(made)
        self._check_money(made)
        (self._check_batches if self.scenario.options else self._check_calls)(made, calls)
        found.faults += self.faults

    def _again(self, made: Rows, calls: Rows, accepted: dict[Cell, int]) -> int:
        """How many requests were for cells whose accepted reply was on file."""
        by_store = sum(row["id"] > accepted.get(_cell(row), row["id"]) for row in made)
        by_log: set[int] = set()
        for replies, requests in self.moments:
            samples = Counter(
                (self.names[index], attribute.partition("#")[0])
                for (index, attribute), number in accepted.items()
                if number in replies
            )
            by_log |= {
                call["n"]
                for call in calls[requests:]
                if samples[call["cell"]["class"], call["cell"]["attribute"]] == SAMPLES
            }
        return max(by_store, len(by_log))

    def _check_store(self, made: Rows) -> None:
        try:
            generating.whole()
        except AssertionError as error:
            self.faults.append(f"the store is not whole: {error}")
        if described().keys() != self.expected:
            self.faults.append(f"{len(described())} of {len(self.expected)} cells are done")
        kept = {row["id"]: row["reply"] for row in made if row["state"] == "ended"}
        if any(replies.items() - kept.items() for replies, _ in self.moments):
            self.faults.append("replies that were on file are gone")
        if any(row["state"] == "ended" and row["verdict"] is None for row in made):
            self.faults.append("a reply on file was never judged")

    def _check_money(self, made: Rows) -> None:
        """Each answered request at its tokens, each lost one at an upper bound."""
        paid = [row for row in made if row["state"] == "ended"]
        into, out = (sum(row[f"{way}put_tokens"] for row in paid) for way in ("in", "out"))
        exact = self.scenario.price * (2 * into + 8 * out) / 1e6
        cost = sum(row["cost_usd"] for row in paid)
        if abs(cost - exact) > 1e-9 or any(row["cost_is_bound"] for row in paid):
            self.faults.append(f"the answered requests cost ${exact:.6f}, on file is ${cost:.6f}")
        lost = [row for row in made if row["state"] == "lost"]
        if not all(row["cost_is_bound"] and row["cost_usd"] > 0 for row in lost):
            self.faults.append("a lost request is not counted at its highest possible cost")

    def _check_calls(self, made: Rows, calls: Rows) -> None:
        """Each reply on file is one answer of the server's; the others are lost requests."""
        ids = {request_id(call["n"]) for call in calls if call["status"] == 200}
        paid = [row["request_id"] for row in made if row["state"] == "ended"]
        if len(set(paid)) < len(paid) or not set(paid) <= ids:
            self.faults.append("a reply on file is none of the server's, or there twice")
        if len(calls) > len(made):
            self.faults.append(f"{len(calls)} requests were sent, {len(made)} are on file")

    def _check_batches(self, made: Rows, calls: Rows) -> None:
        """Every batch that was made is on file, and every line's result is there once."""
        if len(made) != len(calls):
            self.faults.append(f"{len(calls)} requests in batches, {len(made)} on file")
        posted = [path for method, path in self.server.others() if method == "POST"]
        created = sum(path.endswith("/batches") for path in posted)
        known = rows("SELECT count(*) AS n FROM batches WHERE remote_id IS NOT NULL")[0]["n"]
        if created != known:
            self.faults.append(f"{created} batches were made, {known} are on file")


def _cell(row: dict[str, Any]) -> Cell:
    return row["class_index"], row["attribute"]


def _runs() -> int:
    """How many runs have begun on the store."""
    try:
        return int(rows("SELECT count(*) AS n FROM runs")[0]["n"])
    except sqlite3.Error:  # there is no store yet
        return 0


def torment(scenario: Scenario, server: LLMServer, kills: int, names: list[str]) -> Found:
    """Store after store, until so many kills are done."""
    found, chance, number = Found(), random.Random(scenario.name), 0
    while found.kills < kills and not found.faults:
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)  # where tests/support/generating.py looks for the store
            generating.classes(*names)
            server.reset(RULES, latency=0.05, batch={"polls": 2, "twice": True})
            turn = Round(scenario, server, names, chance)
            turn.run(1 + number % 2, min(KILLS_A_STORE, kills - found.kills))
            turn.add_to(found)
            os.chdir(ROOT)
        number += 1
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100, help="in all, shared out evenly")
    parser.add_argument("--small", action="store_true", help="only to see that it runs")
    given = parser.parse_args()
    kills, names = (4, NAMES[:3]) if given.small else (given.kills, NAMES)
    faults = []
    print("| | kills | cells | requests | accepted replies on file | asked again | lost requests "
          "| s |\n|---|---|---|---|---|---|---|---|")  # fmt: skip
    with LLMServer() as server:
        for place, scenario in enumerate(SCENARIOS):
            began = time.perf_counter()
            share = (kills + place) // len(SCENARIOS)
            found = torment(scenario, server, share, names)
            print(f"| {scenario.name} | {found.kills} | {found.cells:,} | {found.requests:,} | "
                  f"{found.on_file:,} | {found.again} | {found.lost} | "
                  f"{time.perf_counter() - began:.0f} |", flush=True)  # fmt: skip
            again = [f"{found.again} replies on file were asked for again"] if found.again else []
            faults += [f"{scenario.name}: {fault}" for fault in again + found.faults]
    print("\n".join(faults), file=sys.stderr)
    sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
