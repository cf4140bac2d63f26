"""`report`: the page of a run anew."""

from pathlib import Path
from typing import Annotated

from typer import Argument


def report(
    directory: Annotated[Path, Argument(help="The results of a run, such as runs/<time>.")],
) -> None:
    """Write report.html anew from the results in a folder."""
    from ablations.report import html

    print(html.report(directory))
