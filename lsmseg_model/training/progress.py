"""The progress bar of training."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def loss_bar(wanted: bool, total: int, start: int) -> Iterator[Callable[[int, float], None]]:
    """A bar on stderr, called with a step and its loss, of which it shows the running mean."""
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    running: float | None = None

    def update(step: int, loss: float) -> None:
        nonlocal running
        running = loss if running is None else 0.98 * running + 0.02 * loss
        progress.update(task, completed=step, loss=running)

    with Progress(
        TextColumn("training"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.4f}"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        disable=not wanted,
    ) as progress:
        task = progress.add_task("", total=total, completed=start, loss=0.0)
        yield update
