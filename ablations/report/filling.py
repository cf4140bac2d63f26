"""Filling the templates: pages of HTML, and results in words."""

import re
from functools import cache
from typing import Any

from ablations.report.sheet import numeric, score, side, signed
from ablations.search.enough import counted


@cache
def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

    environment = Environment(
        loader=PackageLoader("ablations.report"),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(breaks=_breaks, unbroken=lambda cell: cell.replace(", ", ",\u00a0"))
    environment.globals.update(
        counted=counted, score=score, signed=signed, numeric=numeric, side=side
    )
    return environment


def _breaks(name: str) -> Any:
    """A prompt set's name that may be broken before a bracket and after a plus."""
    from markupsafe import Markup, escape

    return Markup(escape(name).replace("(", Markup("<wbr>(")).replace("+", Markup("+<wbr>")))


def fill(template: str, **values: Any) -> str:
    """A template of this folder with these values."""
    return str(_environment().get_template(template).render(**values))


def sentences(template: str, **values: Any) -> str:
    """A template of text as one paragraph."""
    return re.sub(r"\s*\n\s*", " ", fill(template, **values)).strip()
