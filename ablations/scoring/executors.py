"""Where work is done: in this process, in those that torchrun started, or on a Ray cluster.

An executor calls a function with each of some jobs and gives the results in the jobs' order; what
comes back is the same wherever it ran. Ray is an optional extra, and imported only when asked for.
A job that is lost with its machine runs again; see docs/scale.md.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from lsmseg_model.processes import Processes, processes
from lsmseg_model.pull.find import FOLDER
from lsmseg_prompts.errors import ConfigurationError, UsageError

EXECUTORS = ("local", "ray")
LOST = 10  # times that a job may be lost with its machine, or with its worker's memory

Job = TypeVar("Job")
Result = TypeVar("Result")


class Local:
    """This process. ``places``: how many jobs an executor does at once."""

    places = 1

    def map(self, function: Callable[[Job], Result], jobs: Iterable[Job]) -> Iterator[Result]:
        """`function` (of a module, not a lambda) of each job, in order."""
        return map(function, jobs)


class Ray:
    """A Ray cluster: the one of RAY_ADDRESS, one that runs here, else one of this machine alone.

    Every job computes with as many threads as this process would: numbers may depend on that.
    Raises ConfigurationError where Ray is not installed, no cluster is reached, or it has no GPU
    for ``device``.
    """

    def __init__(self, device: str = "cpu") -> None:
        try:
            import ray
        except ImportError as error:
            raise ConfigurationError(
                "Ray is not installed: run `pip install 'lsmseg-prompts[ray]'`, or leave out "
                "--executor ray."
            ) from error
        import torch

        self._ray, self._threads = ray, torch.get_num_threads()
        _connect(ray)
        gpu = device.startswith("cuda")
        alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        cpus = max((resources.get("CPU", 0) for resources in alive), default=0)
        gpus = int(ray.cluster_resources().get("GPU", 0))
        if gpu and not gpus:
            raise ConfigurationError(
                f"The Ray cluster has no GPU, which --device {device} wants: start a node with one "
                "(`ray start --num-gpus 1`), or give --device cpu."
            )
        cores = max(1, min(self._threads, int(cpus)))
        self.places = gpus if gpu else max(1, int(ray.cluster_resources().get("CPU", 1)) // cores)
        self._wants = {"num_cpus": cores, "num_gpus": int(gpu), "max_retries": LOST}

    def map(self, function: Callable[[Job], Result], jobs: Iterable[Job]) -> Iterator[Result]:
        ray = self._ray
        task = ray.remote(**self._wants)(_with_threads)
        # What is not fetched any more runs on until this process ends: cancelling a task of Ray's
        # at the moment that it completes brings the process down (2.60).
        for reference in [task.remote(self._threads, function, job) for job in jobs]:
            try:
                result = ray.get(reference)
            except ray.exceptions.RayTaskError as error:
                if isinstance(error.cause, ImportError | ray.exceptions.RayError):
                    raise ConfigurationError(
                        "The machines of the Ray cluster do not run this version of "
                        f"lsmseg-prompts ({str(error.cause).splitlines()[0]}): install it on each "
                        "of them."
                    ) from error
                raise error.cause from error
            except ray.exceptions.RayError as error:
                raise ConfigurationError(
                    f"A job on the Ray cluster was lost {LOST + 1} times, or the cluster with it "
                    f"({type(error).__name__}). What was finished is kept: run the same command "
                    "again."
                ) from error
            yield result


class Torchrun:
    """The processes that torchrun started: this first one deals out jobs, one to each at a time."""

    def __init__(self, team: Processes) -> None:
        self._team, self.places = team, team.count

    def map(self, function: Callable[[Job], Result], jobs: Iterable[Job]) -> Iterator[Result]:
        jobs = list(jobs)
        for start in range(0, len(jobs), self.places):
            some = jobs[start : start + self.places]
            yield from _round(self._team, (function, some)) or ()


@contextmanager
def first_of_torchrun(device: str = "cpu") -> Iterator[bool]:
    """Whether this process is the one that goes on: the first of torchrun's, or the only one.

    The others do the jobs that its executor deals out, and are at the end here when it is.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield True
        return
    with processes(device, "gloo", timedelta(days=30)) as team:
        if not team.first:
            while _round(team, None) is not None:
                pass
            yield False
            return
        _teams.append(team)
        try:
            yield True
        finally:
            _teams.clear()
            with suppress(Exception):  # another process may have ended: its message says why
                _round(team, None)


_teams: list[Processes] = []  # the one that this process deals out jobs to


def _round(
    team: Processes, work: tuple[Callable[[Any], Any], list[Any]] | None
) -> list[Any] | None:
    """Each process does its own of the first one's jobs; their results, None at the end."""
    work = team.gather(work)[0]
    if work is None:
        return None
    function, jobs = work
    mine: tuple[Any, Exception | None] = None, None
    if team.rank < len(jobs):
        try:
            mine = function(jobs[team.rank]), None
        except Exception as raised:
            mine = None, raised
    done = team.gather(mine)[: len(jobs)]
    for _, error in done:
        if error is not None and team.first:
            raise error
    return [result for result, _ in done]


Executor = Local | Ray | Torchrun


def open_executor(name: str, device: str = "cpu") -> Executor:
    """The executor called ``name``, one of `EXECUTORS`. Raises UsageError, ConfigurationError."""
    check_executor(name)
    if name == "ray":
        return Ray(device)
    return Torchrun(_teams[0]) if _teams else Local()


def check_executor(name: str) -> None:
    """Raise UsageError for an executor that there is not."""
    if name not in EXECUTORS:
        raise UsageError(f"There is no executor {name!r}: choose {' or '.join(EXECUTORS)}.")


def everywhere(path: str | Path | None) -> str | None:
    """A path as every machine finds it that sees the same files; a name stays one."""
    if path is not None and str(path).startswith(FOLDER):
        return f"{FOLDER}{Path(str(path).removeprefix(FOLDER)).resolve()}"
    if path is None or not Path(path).exists():
        return None if path is None else str(path)
    return str(Path(path).resolve())


def _with_threads(threads: int, function: Callable[[Any], Any], job: Any) -> Any:
    import torch

    torch.set_num_threads(threads)
    return function(job)


def _connect(ray: Any) -> None:
    if ray.is_initialized():
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}
    try:
        ray.init(address="auto", **quiet)
    except (ConnectionError, RuntimeError, ValueError) as error:
        if address := os.environ.get("RAY_ADDRESS"):
            raise ConfigurationError(
                f"No Ray cluster is reached at RAY_ADDRESS={address}: start one (`ray start "
                "--head`), or unset it to use this machine alone."
            ) from error
        ray.init(address="local", include_dashboard=False, **quiet)
