"""What a run leaves for people: tables, plots, pages. `ablations.report(directory)` writes anew."""

import sys
from pathlib import Path
from types import ModuleType


class _Report(ModuleType):
    """The room, and the library call of the command with its name."""

    def __call__(self, directory: str | Path) -> Path:
        """See `ablations.report.html.report`."""
        from ablations.report import html

        return html.report(directory)


sys.modules[__name__].__class__ = _Report
