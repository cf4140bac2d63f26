"""The application: every page's routes behind one door."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from ablations.studio.comparing import routes as comparing
from ablations.studio.runs import routes as runs
from ablations.studio.state import Studio
from ablations.studio.texts import routes as texts
from ablations.studio.trying import routes as trying
from ablations.studio.web.access import Access
from ablations.studio.web.inputs import Input, route
from ablations.studio.web.pages import asset
from ablations.studio.web.replies import error_reply


def create_app(studio: Studio) -> Starlette:
    """The application of a studio."""
    return Starlette(
        routes=routes(studio),
        middleware=[Middleware(Access, studio=studio)],
        exception_handlers={HTTPException: _not_there, Exception: _unexpected},
    )


def routes(studio: Studio) -> list[BaseRoute]:
    """Those of all pages; of a public studio only those that change nothing."""

    def tasks(given: Input) -> dict[str, Any]:
        return studio.tasks.get(given.text("id")).shown()

    def cancel(given: Input) -> dict[str, Any]:
        task = studio.tasks.get(given.text("id"))
        task.cancelled.set()
        return task.shown()

    def ready(given: Input) -> dict[str, Any]:
        """Whether the model is loaded; raises what loading it raised."""
        told = {"ready": studio.is_ready, "model": Path(studio.options.model).name}
        return {**told, "name": studio.model.name} if studio.is_ready else told

    shared: list[BaseRoute] = [
        route("GET", "/assets/{name}", lambda given: asset(given.text("name"))),
        route("GET", "/api/ready", ready),
        route("GET", "/api/tasks/{id}", tasks),
        route("POST", "/api/tasks/{id}/cancel", cancel),
    ]
    pages = (trying, comparing) if studio.options.public else (trying, comparing, texts, runs)
    return [*shared, *(one for page in pages for one in page.routes(studio))]


def _not_there(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return Response(error.detail, error.status_code, media_type="text/plain")


def _unexpected(request: Request, error: Exception) -> Response:
    return error_reply(error)
