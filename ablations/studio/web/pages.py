"""Pages made from templates, and the style and scripts beside them."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import Any

from starlette.responses import HTMLResponse, Response

from ablations.studio.options import StudioOptions

TABS = {"/": "Try", "/compare": "Compare", "/texts": "Texts", "/runs": "Runs"}
PUBLIC = ("/", "/compare")
"""The pages that strangers may see: nothing is written there, and nothing started."""

TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


@cache
def _environment() -> Any:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("ablations.studio"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda share: "-" if share is None else f"{100 * share:.1f}"
    return environment


def filled(template: str, **values: Any) -> str:
    """A template of this folder with these values, as text."""
    return str(_environment().get_template(template).render(**values))


def page(template: str, status: int = 200, **values: Any) -> Response:
    """A template of this folder with these values."""
    return HTMLResponse(filled(template, **values).encode("utf-8", "replace"), status)


def shown(options: StudioOptions, template: str, here: str, **values: Any) -> Response:
    """A page with the tabs above it; ``here`` is its own path."""
    tabs = {path: name for path, name in TABS.items() if path in PUBLIC or not options.public}
    return page(template, tabs=tabs, here=here, public=options.public, **values)


@cache
def assets() -> dict[str, tuple[bytes, str]]:
    """Style and scripts by their names, with their media types."""
    found = {}
    for file in files("ablations.studio").joinpath("assets").iterdir():
        kind = TYPES.get(file.name.rpartition(".")[2])
        if kind is not None:
            found[file.name] = (file.read_bytes(), kind)
    return found


def asset(name: str) -> Response:
    """A file of the folder assets."""
    if name not in assets():
        return Response("There is no such file.", 404, media_type="text/plain")
    data, kind = assets()[name]
    return Response(data, media_type=kind, headers={"cache-control": "no-cache"})
