"""The routes of the page Texts."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import BaseRoute

from ablations.studio.state import Studio
from ablations.studio.web.inputs import Input, route
from ablations.studio.web.pages import shown


def routes(studio: Studio) -> list[BaseRoute]:
    """What the page consists of."""

    def show(given: Input) -> Response:
        return shown(studio.options, "texts.html.j2", "/texts")

    return [route("GET", "/texts", show)]
