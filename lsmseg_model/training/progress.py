"""What training shows while it lasts, on stderr: a bar on a terminal, elsewhere lines for a log."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic

LOG_EVERY = 30.0  # seconds between lines where stderr is no terminal
Report = Callable[[int, float], None]


@contextmanager
def loss_bar(wanted: bool, total: int, start: int) -> Iterator[Report]:
    """Called with a step and its loss; shows the loss's running mean, the rate and the time left.

    The rate is the mean over all steps since `start`, the first of this process.
    """
    if not wanted:
        yield lambda step, loss: None
    elif sys.stderr.isatty():
        with _bar(total, start) as report:
            yield report
    else:
        yield _lines(total, start)


def pace(done: int, left: int, seconds: float) -> str:
    """The rate of `done` steps in `seconds`, and how long the `left` ones take at it."""
    rate = done / max(seconds, 1e-9)
    shown = f"{rate:.1f} steps a second" if rate >= 1 else f"{60 * rate:.1f} steps a minute"
    minutes, rest = divmod(round(left / rate), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{shown}, {f'{hours}:{minutes:02}' if hours else minutes}:{rest:02} left"


def _running() -> Callable[[float], float]:
    """The running mean of the losses it is called with."""
    mean: float | None = None

    def update(loss: float) -> float:
        nonlocal mean
        mean = loss if mean is None else 0.98 * mean + 0.02 * loss
        return mean

    return update


def _lines(total: int, start: int) -> Report:
    began = last = monotonic()
    running = _running()

    def report(step: int, loss: float) -> None:
        nonlocal last
        mean, now = running(loss), monotonic()
        if now - last >= LOG_EVERY:
            last = now
            told = pace(step - start, total - step, now - began)
            print(f"Step {step} of {total}: loss {mean:.4f}, {told}", file=sys.stderr, flush=True)

    return report


@contextmanager
def _bar(total: int, start: int) -> Iterator[Report]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    began, running = monotonic(), _running()
    columns = (
        TextColumn("training"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        TextColumn("{task.fields[told]}"),
    )

    def report(step: int, loss: float) -> None:
        told = pace(step - start, total - step, monotonic() - began)
        progress.update(task, completed=step, told=f"loss {running(loss):.4f}, {told}")

    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("", total=total, completed=start, told="")
        yield report
