"""The routes of the page Compare."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import BaseRoute

from ablations.studio.state import Studio
from ablations.studio.web.inputs import Input, route
from ablations.studio.web.pages import shown


def routes(studio: Studio) -> list[BaseRoute]:
    """What the page consists of."""

    def show(given: Input) -> Response:
        return shown(studio.options, "compare.html.j2", "/compare")

    return [route("GET", "/compare", show)]
