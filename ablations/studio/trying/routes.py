"""The routes of the page Try."""

from __future__ import annotations

from typing import Any

import numpy as np
from starlette.responses import Response
from starlette.routing import BaseRoute

from ablations.studio.state import Studio
from ablations.studio.trying.labelled import Labelled, all_classes
from ablations.studio.trying.phrases import choices, suggested_names
from ablations.studio.trying.pictures import Pictures
from ablations.studio.trying.segmenting import Trial, TryRequest, drawn
from ablations.studio.web.inputs import MB, Input, route
from ablations.studio.web.pages import shown
from ablations.studio.web.replies import png_reply

LARGEST = 32 * MB  # bytes of a picture that is sent
PHRASES, FOR_STRANGERS = 2000, 200  # at most; of a public studio those of the benchmark or so many


def routes(studio: Studio) -> list[BaseRoute]:
    """What the page consists of."""
    pictures = Pictures(studio)
    trial = Trial(studio, pictures)

    def show(given: Input) -> Response:
        return shown(studio.options, "try.html.j2", "/", **choices(studio))

    def page(given: Input) -> dict[str, Any]:
        return pictures.page(given.integer("page", 0, 10**7, 0))

    def names(given: Input) -> dict[str, Any]:
        classes = all_classes(studio.benchmark, studio.vocabulary)
        return suggested_names() | {"classes": classes, "vocabulary": studio.vocabulary.name}

    def send(given: Input) -> dict[str, Any]:
        return pictures.add(given.data)

    def picture(given: Input) -> Response:
        return png_reply(pictures.png(given.text("name")))

    def thumbnail(given: Input) -> Response:
        return png_reply(pictures.thumbnail(given.text("name")))

    def labels(given: Input) -> dict[str, Any]:
        one = pictures.get(given.text("name"))
        if one.labels is None:
            return {"map": None}
        labelled = Labelled(studio, one.labels)
        there = [int(at) for at in np.unique(labelled.positions) if at >= 0]
        few = np.full(len(labelled.names) + 1, -1)
        few[there] = np.arange(len(there))
        return drawn(few[labelled.positions], [labelled.names[at] for at in there])

    def asked(given: Input) -> TryRequest:
        few = max(FOR_STRANGERS, len(all_classes(studio.benchmark, studio.vocabulary)))
        return request_of(given, few if studio.options.public else PHRASES)

    def segment(given: Input) -> dict[str, Any]:
        return trial.segment(asked(given))

    def cost_map(given: Input) -> dict[str, Any]:
        return trial.cost_map(asked(given), given.integer("place", 0, PHRASES))

    def pixel(given: Input) -> dict[str, Any]:
        x, y = (given.integer(name, 0, 10**6) for name in ("x", "y"))
        return {"x": x, "y": y, "best": trial.best_at(asked(given), x, y)}

    return [
        route("GET", "/", show),
        route("GET", "/api/try/pictures", page),
        route("GET", "/api/try/names", names),
        route("POST", "/api/try/send", send, most=LARGEST, raw=True),
        route("GET", "/api/try/picture", picture),
        route("GET", "/api/try/thumbnail", thumbnail),
        route("GET", "/api/try/labels", labels),
        route("POST", "/api/try/segment", segment),
        route("POST", "/api/try/map", cost_map),
        route("POST", "/api/try/pixel", pixel),
    ]


def request_of(given: Input, phrases: int) -> TryRequest:
    """What the page shows, from the fields of a request with at most so many phrases."""
    return TryRequest(
        given.text("picture"),
        tuple(given.texts("lines", most=phrases)),
        tuple(given.texts("attributes", [], most=20)),
        given.text("llm", "bundled", most=200),
        tuple(name for name in map(str.strip, given.texts("background", [], most=100)) if name),
        given.number("threshold", -1, 1, None),
    )
