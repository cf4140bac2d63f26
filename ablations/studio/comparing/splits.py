"""Two prompt sets over a split, in the background."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any

from ablations.runs.compare_prompts import compare_prompts, holds
from ablations.scoring.options import cache_folder
from ablations.scoring.splits import BenchmarkSource, Part
from ablations.studio.state import Studio
from ablations.studio.trying.kept import Kept
from ablations.studio.web.inputs import Input
from ablations.studio.web.tasks import Cancelled, Task
from lsmseg_prompts.errors import UsageError
from lsmseg_prompts.prompts.prompt_set import PromptSet

if TYPE_CHECKING:
    from ablations.scoring.frozen import Scorer
    from lsmseg_model.data.benchmark import Benchmark

WHAT = "comparison over a split"
PUBLIC = 50  # pictures that a stranger may have compared
SHOWN = 24  # pictures of which it is told where the sets differ most
SCORERS = 3  # that are kept with their features


@dataclass(frozen=True)
class SplitRequest:
    """Two prompt sets, and the first so many pictures of a split that they are compared on."""

    first: PromptSet
    second: PromptSet
    split: str
    number: int


class Splits:
    """The parts of the data, as `ablate` divides them, and comparisons over them."""

    def __init__(self, studio: Studio) -> None:
        self.studio = studio
        self._scorers: Kept[tuple[str, int], Scorer] = Kept(SCORERS)
        self._starting = Lock()
        self._turn = Lock()  # one comparison at a time; another waits, and can be called off

    @cached_property
    def benchmarks(self) -> dict[str, Benchmark]:
        """The pictures to choose prompts on, and those to report on.

        Where the data cannot be divided all are one part, "all".
        """
        options, vocabulary = self.studio.options, self.studio.vocabulary
        where = options.data, options.data_root, vocabulary.name, len(vocabulary)
        try:
            return BenchmarkSource(*where, named=options.split).splits()
        except UsageError:
            return {"all": self.studio.benchmark}

    def get(self, name: str) -> Benchmark:
        """A part by its name. Raises UsageError where there is none."""
        return self.benchmarks[Input({"split": name}).choice("split", list(self.benchmarks))]

    def limit(self, split: str, wanted: int | None) -> int:
        """How many pictures are compared. Raises UsageError for more than a stranger may have."""
        there = len(self.get(split))
        number = there if wanted is None else min(wanted, there)
        if self.studio.options.public and number > PUBLIC:
            raise UsageError(f"Here at most {PUBLIC} pictures are compared: choose fewer.")
        return number

    def start(self, request: SplitRequest) -> Task:
        """Compare in the background.

        Raises UsageError where strangers have a comparison going on already.
        """
        tasks, public = self.studio.tasks, self.studio.options.public
        with self._starting:
            if public and any(task.what == WHAT for task in tasks.running()):
                raise UsageError("Another comparison is going on: wait until it is over.")
            work = lambda task: self.compare(task, request)  # noqa: E731
            return tasks.start(WHAT, work)

    def compare(self, task: Task, request: SplitRequest) -> dict[str, Any]:
        """What the page shows of `compare_prompts`; the task is told how far it is."""
        split, number = request.split, request.number
        task.total = 2 * number
        task.message = "waiting for the model" if not self.studio.is_ready else "waiting"
        with self._one_at_a_time(task):
            began = time.monotonic()
            scorer = self._scorer(split, number)
            task.message = "looking at the pictures"
            scorer.encode_pictures(lambda done, _: task.progress(done, 2 * number))
            task.message = "counting pixels"
            found = compare_prompts(
                request.first,
                request.second,
                scorer,
                on_progress=lambda done, _: task.progress(number + done, 2 * number),
            )
            told = asdict(found)
            for row in (*told["means"].values(), *told["classes"]):
                row["holds"] = holds(row)
            told["shown"] = told["shown"][:SHOWN]
            return told | {
                "summary": found.summary,
                "no_interval": found.no_interval,
                "part": split,
                "seconds": time.monotonic() - began,
            }

    @contextmanager
    def _one_at_a_time(self, task: Task) -> Iterator[None]:
        while not self._turn.acquire(timeout=0.2):
            if task.cancelled.is_set():
                raise Cancelled
        try:
            yield
        finally:
            self._turn.release()

    def _scorer(self, split: str, number: int) -> Scorer:
        """That of the first so many pictures of a split; features of the last ones are kept."""
        from ablations.scoring.count_store import CountStore, MemoryCountStore, SqliteCountStore
        from ablations.scoring.loaded import scorer_of

        public = self.studio.options.public
        counts: CountStore
        counts = MemoryCountStore() if public else SqliteCountStore(self.studio.store)
        scorer = self._scorers.get((split, number))
        if scorer is None:
            whole = self.get(split)
            part = Part(whole, range(number), whole.split)
            cache = None if public else cache_folder()
            scorer = scorer_of(self.studio.model, part, counts, cache, self.studio.lock)
        scorer.count_store = counts  # those in memory are not kept: strangers send any number
        return self._scorers.put((split, number), scorer)
