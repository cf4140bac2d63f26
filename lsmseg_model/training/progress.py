"""The progress bar of training."""

from typing import Any


class LossBar:
    """A progress bar on stderr with the running loss; silent when not wanted."""

    def __init__(self, wanted: bool, total: int, start: int) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        self._progress = Progress(
            TextColumn("training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]:.4f}"),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            disable=not wanted,
        )
        self._task = self._progress.add_task("", total=total, completed=start, loss=0.0)
        self._loss: float | None = None

    def __enter__(self) -> Any:
        self._progress.__enter__()
        return self._update

    def _update(self, step: int, loss: float) -> None:
        self._loss = loss if self._loss is None else 0.98 * self._loss + 0.02 * loss
        self._progress.update(self._task, completed=step, loss=self._loss)

    def __exit__(self, *error: Any) -> None:
        self._progress.__exit__(*error)
