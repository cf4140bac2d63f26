"""The page Runs in a browser: a command started, watched, stopped, and the page loaded again."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lsmseg_model.files import PROGRESS
from lsmseg_model.progress_file import ProgressFile
from lsmseg_prompts.store.store import open_store

pytestmark = [pytest.mark.slow, pytest.mark.browser]

EVIL = "<img src=x onerror=alert(1)>"
LONG = 120_000  # milliseconds that a busy machine may take


@pytest.fixture
def opened(served: Any, tiny: Any) -> Any:
    """A studio with one run, whose name and texts are HTML, and a training that goes on."""
    studio = served(model=tiny)
    runs = studio.studio.runs
    (runs / EVIL).mkdir(parents=True)
    scores = {"report": {"all": {"value": 0.5}}}
    record = {"format": "lsmseg-prompts/run", "summary": EVIL, "command": f"lsmseg-prompts {EVIL}"}
    record["best"] = {"prompts": EVIL, "scores": scores}
    (runs / EVIL / "run.json").write_text(json.dumps(record))
    script = "<script>parent.document.title = 'reached'; fetch('/api/runs/now')</script>"
    (runs / EVIL / "report.html").write_text(f"<h1>The page</h1>{script}")
    with open_store(studio.studio.store) as store:
        store.add_evaluation(
            benchmark="ministuff", model="tiny", prompt_set=EVIL, run=EVIL, split="report",
            pictures=200, subset="all", miou=0.5,
        )  # fmt: skip
    return studio


@pytest.fixture
def training(opened: Any) -> ProgressFile:
    folder: Path = opened.studio.runs / "net"
    folder.mkdir()
    file = ProgressFile(folder / PROGRESS, "train")
    for step in range(1, 6):
        file.loss(step, 3.0 / step)
    file.update("training", 5, 100)
    return file


def test_what_goes_on_is_shown_as_it_goes(page: Any, opened: Any, training: ProgressFile) -> None:
    page.goto(opened.entry("/runs"))
    card = page.locator(".going")
    card.get_by_text("5 of 100").wait_for()
    assert "loss 0.600 at step 5" in card.locator("svg").text_content()
    assert card.locator(".stop").count() == 0  # it was not started here
    training.loss(6, 0.25)
    training.update("training", 50, 100)
    training.write()
    card.get_by_text("50 of 100").wait_for()
    assert "loss 0.250 at step 6" in card.locator("svg").text_content()
    assert card.locator("progress").evaluate("bar => bar.value") == 0.5
    training.remove()
    page.get_by_text("Nothing runs in this folder").wait_for()


def test_a_command_is_started_watched_and_stopped(page: Any, opened: Any) -> None:
    page.goto(opened.entry("/runs?command=ablate"))
    page.locator("#field-limit").wait_for()
    for name, value in {"attributes": "color", "limit": "20", "out": "mine"}.items():
        page.fill(f"#field-{name}", value)
    page.locator("#preview", has_text="/mine").wait_for()
    shown = page.locator("#preview").text_content()
    assert shown.startswith(
        "lsmseg-prompts ablate --llm=bundled --attributes=color --limit=20 --out="
    )
    page.click("#go")
    card = page.locator(".going")
    card.locator("strong", has_text="mine").wait_for(timeout=LONG)
    page.reload()
    assert card.locator("pre.words").text_content() == shown
    card.locator(".stop").click()
    page.get_by_text("It was asked to stop").wait_for()
    card.wait_for(state="detached", timeout=LONG)
    page.locator("#jobs .chip", has_text="stopped").wait_for()
    page.locator("#jobs details summary").click()
    page.locator("#jobs pre", has_text="what was finished is kept").wait_for()
    assert not (opened.studio.runs / "mine" / "run.json").exists()


def test_a_bound_of_the_cost_is_asked_for(page: Any, opened: Any, complaints: list[str]) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(opened.entry("/runs?command=generate"))
    page.fill("#field-llm", "gpt-4")
    page.locator("#price", has_text="give Cost limit").wait_for()
    assert page.locator("#go").is_disabled()
    page.fill("#field-max_cost", "0.5")
    page.locator("#go:enabled").wait_for()
    shown = page.locator("#preview").text_content()
    assert "--max-cost=0.5" in shown
    page.click("#copy")
    page.get_by_text("Copied.").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == shown
    page.fill("#field-llm", "--help")
    page.locator("#wrong", has_text="--llm cannot be").wait_for()
    assert page.locator("#go").is_disabled()
    assert complaints and all("400" in one for one in complaints)
    complaints.clear()


@pytest.mark.parametrize("width", [1280, 390])
def test_a_run_with_its_report_apart_from_the_studio(
    page: Any, opened: Any, complaints: list[str], width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(opened.entry("/runs"))
    page.locator("#results a", has_text="img src").wait_for()
    page.locator("#board th", has_text="img src").wait_for()
    assert page.locator("main img").count() == 0
    wide = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(wide) == 0
    page.locator("#results a").first.click()
    frame = page.frame_locator("iframe")
    frame.locator("h1", has_text="The page").wait_for()
    assert page.title() != "reached" and page.locator("main img").count() == 0
    assert page.evaluate(wide) == 0
    assert complaints and all("report.html" in c or "script" in c for c in complaints)
    complaints.clear()  # that the script in the report was not let run


def test_filters_of_the_leaderboard_stay_after_a_reload(page: Any, opened: Any) -> None:
    with open_store(opened.studio.store) as store:
        store.add_evaluation(
            benchmark="camvid", model="tiny", prompt_set="color", split="report", pictures=20,
            subset="all", miou=0.25, run="r",
        )  # fmt: skip
    page.goto(opened.entry("/runs"))
    page.locator("#board tbody tr").nth(1).wait_for()
    page.select_option("#filters [name=benchmark]", "camvid")
    page.locator("#board:not(:has(tr:nth-child(2))) tbody td", has_text="camvid").wait_for()
    page.reload()
    page.locator("#board:not(:has(tr:nth-child(2))) tbody td", has_text="camvid").wait_for()
    assert page.locator("#filters [name=benchmark]").input_value() == "camvid"


def test_what_all_rows_share_is_said_once(page: Any, opened: Any) -> None:
    with open_store(opened.studio.store) as store:
        for prompts, model in (("ensemble(color+shape)", "tiny"), ("name", "tiny")):
            store.add_evaluation(
                benchmark="camvid", model=model, prompt_set=prompts, split="report", pictures=20,
                subset="all", miou=0.25, run="r",
            )  # fmt: skip
    page.goto(opened.entry("/runs?by-benchmark=camvid"))
    page.locator("#shared", has_text="Benchmark: camvid; Model: tiny; Pictures: 20").wait_for()
    heads = page.locator("#board thead th").all_inner_texts()
    assert "Benchmark" not in heads and "Run" in heads
    assert page.locator("#board th", has_text="ensemble(color+shape)").locator("wbr").count() == 2
