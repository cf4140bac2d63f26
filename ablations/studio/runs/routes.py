"""The routes of the page Runs."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import asdict
from functools import cache
from importlib.resources import files
from typing import Any

from starlette.responses import FileResponse, Response
from starlette.routing import BaseRoute

from ablations.runs import folders, live
from ablations.runs.directory import REPORT
from ablations.runs.leaderboard import COLUMNS, SCORES, leaderboard
from ablations.studio.runs import commands
from ablations.studio.runs.jobs import Jobs
from ablations.studio.state import Studio
from ablations.studio.web.inputs import Input, route
from ablations.studio.web.pages import shown
from lsmseg_prompts.errors import UsageError

FILTERS = ("benchmark", "model", "llm")
MOST_ROWS = 500
MOST_RESULTS = 300
INLINE = (".png",)
ALONE = "sandbox; default-src 'none'; frame-ancestors 'none'"
"""The policy of a file that a run left: nothing in it may run or load anything."""


def routes(studio: Studio) -> list[BaseRoute]:
    """What the page consists of."""
    return [*_pages(studio), *_results(studio), *_jobs(studio)]


def _pages(studio: Studio) -> list[BaseRoute]:
    def show(given: Input) -> Response:
        return shown(studio.options, "runs.html.j2", "/runs")

    def one(given: Input) -> Response:
        return shown(studio.options, "run.html.j2", "/runs", name=given.text("run", most=500))

    return [route("GET", "/runs", show), route("GET", "/runs/one", one)]


def _results(studio: Studio) -> list[BaseRoute]:
    """The leaderboard, the runs, and their files."""

    def board(given: Input) -> dict[str, Any]:
        if not studio.store.is_file():
            return {"rows": [], "choices": {}, "splits": []}
        every = leaderboard(store=studio.store, split=None)
        chosen = {name: given.text(name, None) or None for name in FILTERS}
        rows = leaderboard(
            store=studio.store,
            **chosen,
            split=given.text("split", "report") or None,
            top=given.integer("top", 1, MOST_ROWS, 50),
            sort=given.choice("sort", COLUMNS, "miou"),
        )
        known = {name: sorted({r[name] for r in every if r[name]}) for name in FILTERS}
        splits = sorted({row["split"] for row in every if row["split"]} - {"report", "selection"})
        return {"rows": rows, "choices": known, "splits": splits, "scores": SCORES}

    def results(given: Input) -> dict[str, Any]:
        found = folders.list_results(studio.runs)
        rows = [{**asdict(one), "path": str(one.path)} for one in found[:MOST_RESULTS]]
        return {"results": rows, "count": len(found), "folder": str(studio.runs)}

    def one(given: Input) -> dict[str, Any]:
        result = folders.find_result(studio.runs, given.text("run"))
        there = folders.list_files(result.path).items()
        listed = [{"name": name, "bytes": path.stat().st_size} for name, path in there]
        curve = folders.training_curve(result.path) if result.kind == "training" else {}
        return {**asdict(result), "path": str(result.path), "files": listed, **curve}

    def file(given: Input) -> Response:
        run, _, name = given.text("path").rpartition("/")
        path = folders.find_file(folders.find_result(studio.runs, run), name)
        suffix = path.suffix.lower()
        is_report = name == REPORT
        policy = _report_policy() if is_report else ALONE
        return FileResponse(
            path,
            media_type=folders.KINDS[suffix],
            filename=name,
            content_disposition_type="inline" if is_report or suffix in INLINE else "attachment",
            headers={"content-security-policy": policy},
        )

    return [
        route("GET", "/api/runs/leaderboard", board),
        route("GET", "/api/runs/results", results),
        route("GET", "/api/runs/one", one),
        route("GET", "/runs/files/{path:path}", file),
    ]


def _jobs(studio: Studio) -> list[BaseRoute]:
    """What goes on, and commands started and stopped."""
    jobs = Jobs(studio.runs)

    def now(given: Input) -> dict[str, Any]:
        told = [jobs.shown(job) for job in jobs.all()]
        by_process = {job["pid"]: job["id"] for job in told if job["state"] == "running"}
        going = []
        for one in live.activity(studio.runs, studio.store):
            own = by_process.get(one.pid) if one.state == "running" else None
            folder = None if one.folder is None else str(one.folder)
            going.append({**asdict(one), "folder": folder, "job": own})
        busy = any(one["state"] == "running" for one in (*going, *told))
        return {"activity": going, "jobs": told, "busy": busy}

    def forms(given: Input) -> dict[str, Any]:
        return {"commands": commands.forms(studio)}

    def preview(given: Input) -> dict[str, Any]:
        name, values = given.text("command"), values_of(given)
        words = commands.words_of(studio, name, values)
        return {"command": commands.shown(words), **commands.price_in_words(name, values)}

    def start(given: Input) -> dict[str, Any]:
        words = commands.start_words(studio, given.text("command"), values_of(given))
        return jobs.shown(jobs.start(words))

    def stop(given: Input) -> dict[str, Any]:
        return jobs.shown(jobs.stop(given.text("job")))

    def log(given: Input) -> dict[str, Any]:
        job = jobs.get(given.text("job"))
        return {**jobs.shown(job), **jobs.tail(job)}

    return [
        route("GET", "/api/runs/now", now),
        route("GET", "/api/runs/commands", forms),
        route("POST", "/api/runs/preview", preview),
        route("POST", "/api/runs/start", start),
        route("POST", "/api/runs/stop", stop),
        route("GET", "/api/runs/log", log),
    ]


def values_of(given: Input) -> dict[str, Any]:
    """The values of a form. Raises UsageError where they are not an object."""
    values = given.fields.get("values", {})
    if not isinstance(values, dict):
        raise UsageError("The field values has to be an object.")
    return values


@cache
def _report_policy() -> str:
    """The policy of a report in a frame: the one script that we ship may run, apart from us."""
    from ablations.report.html import SCRIPT  # it brings torch, which no page needs to open

    script = files("ablations.report").joinpath("templates", SCRIPT).read_bytes()
    digest = base64.b64encode(hashlib.sha256(script).digest()).decode("ascii")
    return (
        f"sandbox allow-scripts; default-src 'none'; img-src data:; style-src 'unsafe-inline'; "
        f"script-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    )
