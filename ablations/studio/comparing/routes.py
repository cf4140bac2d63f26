"""The routes of the page Compare."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute

from ablations.studio.comparing.sets import READ, PromptSets, about
from ablations.studio.comparing.side_by_side import SideBySide
from ablations.studio.comparing.splits import PUBLIC, SplitRequest, Splits
from ablations.studio.state import Studio
from ablations.studio.web.inputs import MB, Input, route
from ablations.studio.web.pages import shown
from ablations.studio.web.replies import png, png_reply

LARGEST_SET, LARGEST_PICTURE = 2 * MB, 32 * MB  # bytes that are sent
PAGE, THUMBNAIL = 24, 144  # pictures at once, and pixels of their longer sides


def routes(studio: Studio) -> list[BaseRoute]:
    """What the page consists of."""
    sets, splits = PromptSets(studio), Splits(studio)
    side_by_side = SideBySide(studio, splits)

    def show(given: Input) -> Response:
        return shown(studio.options, "compare.html.j2", "/compare", drawings=studio.drawings)

    def choices(given: Input) -> dict[str, Any]:
        parts = {name: len(one) for name, one in splits.benchmarks.items()}
        most = PUBLIC if studio.options.public else None
        return {**sets.choices(), "data": studio.benchmark.name, "splits": parts, "most": most}

    def one_set(given: Input) -> dict[str, Any]:
        return about(sets.read(given, "set"))

    def own(given: Input) -> dict[str, Any]:
        format = given.choice("format", READ, "native")
        return sets.add(given.text("name", "", most=300), given.data, format)

    def pictures(given: Input) -> dict[str, Any]:
        benchmark = splits.get(given.text("split", most=30))
        start = PAGE * given.integer("page", 0, 10**7, 0)
        some = range(start, min(start + PAGE, len(benchmark)))
        named = [{"place": place, "key": benchmark.key(place)} for place in some]
        return {"pictures": named, "total": len(benchmark), "per_page": PAGE}

    def thumbnail(given: Input) -> Response:
        return png_reply(png(side_by_side.picture(given).image, THUMBNAIL))

    def send(given: Input) -> dict[str, Any]:
        return side_by_side.add(given.data)

    def picture(given: Input) -> dict[str, Any]:
        first, second = sets.read(given, "first"), sets.read(given, "second")
        compared = side_by_side.compare(first, second, side_by_side.picture(given))
        return {**compared, "sets": [about(first), about(second)]}

    def split(given: Input) -> dict[str, Any]:
        first, second = sets.read(given, "first"), sets.read(given, "second")
        name = given.text("split", most=30)
        number = splits.limit(name, given.integer("limit", 1, 10**7, None))
        return splits.start(SplitRequest(first, second, name, number)).shown()

    return [
        route("GET", "/compare", show),
        route("GET", "/api/compare/choices", choices),
        route("POST", "/api/compare/set", one_set),
        route("POST", "/api/compare/own", own, most=LARGEST_SET, raw=True),
        route("GET", "/api/compare/pictures", pictures),
        route("GET", "/api/compare/thumbnail", thumbnail),
        route("POST", "/api/compare/send", send, most=LARGEST_PICTURE, raw=True),
        route("POST", "/api/compare/picture", picture),
        route("POST", "/api/compare/split", split),
    ]
