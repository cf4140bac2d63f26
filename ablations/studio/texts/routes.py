"""The routes of the page Texts."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import BaseRoute

from ablations.studio.state import Studio
from ablations.studio.texts.page import Texts
from ablations.studio.web.inputs import Input, route
from ablations.studio.web.pages import shown
from lsmseg_prompts.curation.table import STATUSES


def routes(studio: Studio) -> list[BaseRoute]:
    """What the page consists of."""
    texts = Texts(studio)

    def show(given: Input) -> Response:
        values = {"vocabularies": list(texts.vocabularies), "statuses": STATUSES}
        return shown(studio.options, "texts.html.j2", "/texts", llm=studio.options.llm, **values)

    return [
        route("GET", "/texts", show),
        route("GET", "/api/texts/table", texts.table),
        route("GET", "/api/texts/cell", texts.cell),
        route("GET", "/api/texts/now", texts.now),
        route("POST", "/api/texts/draft", texts.draft),
        route("POST", "/api/texts/edit", texts.edit),
        route("POST", "/api/texts/take", texts.take),
        route("POST", "/api/texts/undo", texts.undo),
        route("POST", "/api/texts/lock", texts.lock),
    ]
