"""The page Compare in a browser: chosen, seen, run over a split, called off, reloaded."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any

import pytest
from support.striped_model import StripedModel

from ablations.report.run_file import FORMAT, VERSION
from lsmseg_prompts import load_vocabulary, prompt_set
from lsmseg_prompts.export.native import export_native

if TYPE_CHECKING:
    from playwright.sync_api import Page

    from lsmseg_model.segmenter import Segmenter

pytestmark = [pytest.mark.slow, pytest.mark.browser]
EVIL = "<img src=x onerror=alert(1)>\u202e"


def chosen(panel: str, page: Page) -> str:
    return page.locator(f"#{panel} .told").inner_text()


def see(page: Page, text: str) -> None:
    page.get_by_text(text, exact=False).first.wait_for()


def painted(page: Page, kind: str) -> int:
    """How many different colours the map of this kind has."""
    script = """(kind) => {
        const map = document.querySelector(`figure[data-map=${kind}] canvas`);
        const data = map.getContext("2d").getImageData(0, 0, map.width, map.height).data;
        return new Set(new Uint32Array(data.buffer)).size;
    }"""
    return int(page.evaluate(script, kind))


@pytest.mark.parametrize("width", [1280, 390])
def test_two_sets_are_chosen_and_compared(
    page: Page, served: Callable[..., Any], tiny: Segmenter, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(served(model=tiny).entry("/compare"))
    page.locator("figure[data-map=difference] canvas").wait_for()
    assert "name: 171 classes" in chosen("first", page)
    assert "color+shape+texture+pattern" in chosen("second", page)
    assert painted(page, "first") > 1 and painted(page, "truth") > 1
    assert painted(page, "difference") > 1
    assert "wrong, then right" in page.locator("#differences").inner_text()

    page.get_by_label("Second: made of").select_option("name")
    page.locator("#differences", has_text="wrong, then right 0.0 %").wait_for()
    assert painted(page, "difference") <= 2  # both are the plain name: right, or wrong alike
    page.get_by_label("Second: made of").select_option("attributes")
    for attribute in ("color", "shape", "pattern"):
        page.locator("#second").get_by_label(attribute, exact=True).uncheck()
    page.locator("#second .told", has_text="texture: 171 classes").wait_for()
    page.get_by_role("button", name="selection-0005").click()
    page.locator("#maps:not(.working)").wait_for()
    page.locator("figure[data-map=first] .layers").hover()
    assert re.search(r"At \d+, \d+: first: .+; second: .+; labelled: .+", page.inner_text("#pixel"))

    page.locator("#limit").select_option("25")
    page.get_by_role("button", name="Compare", exact=True).click()
    page.locator("#summary").wait_for()
    assert "On 25 pictures of ministuff (selection)" in page.inner_text("#summary")
    assert page.locator("#means tbody tr").count() == 3
    assert page.locator("#classes tbody tr:not(.both-texts)").count() == 30
    page.get_by_role("button", name="Show all 40").click()
    assert page.locator("#classes tbody tr:not(.both-texts)").count() == 40
    page.locator("#classes th button").first.click()
    assert "first: a photo of a" in page.locator("#classes tr.both-texts").first.inner_text()
    page.get_by_label("only those whose interval").check()
    assert 0 < page.locator("#classes tbody tr:not(.both-texts)").count() < 40
    page.locator("#differ button").nth(1).click()
    place = re.search(r"place=(\d+)", page.locator("#differ img").nth(1).get_attribute("src") or "")
    assert place is not None
    page.wait_for_url(re.compile(rf"place={place[1]}(&|$)"))
    assert page.evaluate("document.documentElement.scrollWidth") == width

    before = page.inner_text("#summary")
    page.reload()
    page.locator("#summary").wait_for()
    assert page.inner_text("#summary") == before
    assert "texture: 171 classes" in chosen("second", page)


def test_called_off_and_reloaded_in_the_middle(page: Page, served: Callable[..., Any]) -> None:
    go = Event()
    model = StripedModel()
    page.goto(served(model=model).entry("/compare"))
    page.locator("figure[data-map=difference] canvas").wait_for()

    def wait() -> None:
        if model.encoded > 3:
            go.wait(30)

    model.on_encode = wait
    page.locator("#limit").select_option("25")
    page.get_by_role("button", name="Compare", exact=True).click()
    page.locator("#progress-text", has_text="counting pixels").wait_for()
    assert page.get_by_role("button", name="Compare", exact=True).is_disabled()
    page.reload()
    page.locator("#progress-text", has_text="counting pixels").wait_for()
    page.get_by_role("button", name="Cancel").click()
    go.set()
    see(page, "The comparison was called off.")
    assert "task=" not in page.url
    page.get_by_role("button", name="Compare", exact=True).click()
    page.locator("#summary").wait_for()


def test_a_task_that_is_gone(page: Page, served: Callable[..., Any], complaints: list[str]) -> None:
    page.goto(served(model=StripedModel()).entry("/compare?task=gone&place=1e9&split=x&limit=-1"))
    see(page, "There is no such task in this studio any more")
    page.locator("figure[data-map=difference] canvas").wait_for()
    complaints.clear()  # the browser's own note of the status 400


def test_hostile_names_and_files_do_nothing(
    page: Page, served: Callable[..., Any], tmp_path: Path, complaints: list[str]
) -> None:
    exported = export_native(
        prompt_set("coco-stuff", ["shape"]), load_vocabulary("coco-stuff"), tmp_path / "shape.json"
    )
    evil = json.loads(exported.read_text())
    evil["name"] = evil["llm"] = EVIL
    evil["__proto__"] = {"polluted": "yes"}
    record = {"format": FORMAT, "version": VERSION, "best": {"prompts": EVIL}}
    for name in (EVIL, EVIL.rstrip("\u202e"), "__proto__", "a-long-name" * 20):
        run = tmp_path / "runs" / name
        run.mkdir(parents=True)
        (run / "run.json").write_text(json.dumps({**record, "model": {"name": EVIL}}))
        (run / "best_prompts.json").write_text(json.dumps(evil))
    hostile = json.dumps({"kind": "run", "run": "../../etc", "file": EVIL, "__proto__": {"a": 1}})
    opened = served(model=StripedModel())
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto(opened.entry("/compare"))
    page.goto(f"{opened.address}/compare?first={hostile}")
    page.locator("#first .error", has_text="There is no run").wait_for()
    page.get_by_label("First: made of").select_option("name")
    page.get_by_label("Second: made of").select_option("run")
    page.locator("#second .told", has_text="onerror").wait_for()
    page.locator("figure[data-map=second] figcaption", has_text="onerror").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == 390

    page.get_by_label("First: made of").select_option("own")
    name = "<script>alert(1)<\\script>.json"
    page.locator("#first input[type=file]").set_input_files(
        {"name": name, "mimeType": "application/json", "buffer": json.dumps(evil).encode()}
    )
    page.locator("#first .told", has_text="onerror").wait_for()
    page.locator("#first input[type=file]").set_input_files(
        {"name": name, "mimeType": "application/json", "buffer": b'{"__proto__": 1}'}
    )
    see(page, "is not a prompt set")
    page.locator("#limit").select_option("25")
    page.get_by_role("button", name="Compare", exact=True).click()
    page.locator("#summary", has_text="onerror").wait_for()
    assert page.locator("main script, main img[src=x]").count() == 0
    assert page.evaluate("({}).polluted ?? 'no'") == "no"
    alarms = [one for one in complaints if "status of 4" not in one]
    complaints.clear()
    assert alarms == []


def test_ones_own_picture(page: Page, served: Callable[..., Any], tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (60, 40), "green").save(tmp_path / "green.png")
    page.goto(served(model=StripedModel()).entry("/compare"))
    page.locator("figure[data-map=truth] canvas").wait_for()
    page.locator("#picture").set_input_files(tmp_path / "green.png")
    page.locator("figure[data-map=truth]").wait_for(state="detached")
    assert page.locator("figure[data-map=first] canvas").get_attribute("width") == "60"
    assert "different" in page.locator("#differences").inner_text()
