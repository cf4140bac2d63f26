"""The page Texts in a browser: edit, lock, two tabs, a reload, a telephone, hostile texts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from lsmseg_prompts.curation.edits import cell, edit
from lsmseg_prompts.store.descriptions import Description
from lsmseg_prompts.store.store import open_store
from lsmseg_prompts.vocabularies import load_vocabulary

pytestmark = [pytest.mark.slow, pytest.mark.browser]

CAMVID = load_vocabulary("camvid")
FENCE = CAMVID.find("fence").index
FIRST, SECOND = "A fence is white.", "A fence is gray."
EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)> \u202efence\u202c {{7*7}} & 'x'"
FIELD, SAVE = "#editor textarea", "#editor .save"


@pytest.fixture
def studio(served: Any) -> Any:
    return served(model=SimpleNamespace(name="none"), vocab="camvid")


@pytest.fixture
def expect() -> Any:
    return pytest.importorskip("playwright.sync_api").expect


def opened(page: Any, studio: Any, attribute: str = "color", llm: str = "bundled") -> Any:
    """The page with one cell open, by a click."""
    page.goto(studio.entry(f"/texts?name=fence&attributes={attribute}&llms={llm}"))
    page.locator("#cells tr[data-key]").first.click()
    page.locator(FIELD).wait_for()
    return page


def now(studio: Any, llm: str = "bundled") -> dict[str, Any]:
    path = studio.studio.store
    row = cell(CAMVID, "fence", "color", llm, path if path.exists() else None)
    assert row is not None
    return row


def put(studio: Any, text: str | None, llm: str = "gpt-4", **more: Any) -> None:
    with open_store(studio.studio.store) as store:
        store.add_vocabulary(CAMVID)
        store.put_description(
            Description("camvid", FENCE, "color", llm, text, text and 9, **more)  # type: ignore[arg-type]
        )


def test_a_cell_is_edited_locked_and_brought_back(page: Any, studio: Any, expect: Any) -> None:
    opened(page, studio)
    shipped = page.locator(FIELD).input_value()
    page.locator(FIELD).fill("It is " + "very " * 90 + "white.")
    expect(page.locator("#counter")).to_have_class("counter soft over")
    expect(page.locator(SAVE)).to_be_disabled()
    expect(page.locator("#said")).to_contain_text("more than CLIP reads")
    page.locator(FIELD).fill(FIRST)
    expect(page.locator("#counter")).to_have_text("7 of 77 CLIP tokens")
    page.locator(FIELD).press("Control+Enter")
    expect(page.locator("#cells tr.chosen")).to_contain_text(FIRST)
    assert (now(studio)["text"], now(studio)["locked"]) == (FIRST, 1)
    page.locator("#editor .lock").click()
    expect(page.locator("#editor .lock")).to_have_text("Lock")
    assert not now(studio)["locked"]
    page.locator("#editor .undo").click()
    expect(page.locator(FIELD)).to_have_value(shipped)
    page.locator("#editor .undo").click()
    expect(page.locator(FIELD)).to_have_value(FIRST)


def test_the_second_of_two_tabs_is_told_and_loses_nothing(
    page: Any, studio: Any, expect: Any, complaints: list[str]
) -> None:
    opened(page, studio)
    other = opened(page.context.new_page(), studio)
    page.bring_to_front()
    page.locator(FIELD).fill(FIRST)
    page.locator(SAVE).click()
    expect(page.locator("#editor .chip").first).to_have_text("locked")
    other.bring_to_front()
    other.locator(FIELD).fill(SECOND)
    other.locator(SAVE).click()
    expect(other.locator(".conflict .there")).to_have_text(FIRST)
    expect(other.locator(".conflict .yours")).to_have_text(SECOND)
    assert now(studio)["text"] == FIRST
    other.locator(".keep-mine").click()
    expect(other.locator("#cells tr.chosen")).to_contain_text(SECOND)
    assert now(studio)["text"] == SECOND
    page.bring_to_front()
    expect(page.locator(FIELD)).to_have_value(SECOND, timeout=8000)  # it was not being written
    assert [one for one in complaints if "409" not in one] == []  # Chromium tells of the refusal
    complaints.clear()


def test_a_reload_in_the_middle_keeps_what_was_written(page: Any, studio: Any, expect: Any) -> None:
    opened(page, studio)
    page.locator(FIELD).fill(FIRST)
    page.reload()
    expect(page.locator(FIELD)).to_have_value(FIRST)
    edit(CAMVID, "fence", "color", SECOND, store=studio.studio.store)
    page.reload()
    expect(page.locator(".conflict .there")).to_have_text(SECOND)
    expect(page.locator(FIELD)).to_have_value(FIRST)
    page.locator(".keep-there").click()
    expect(page.locator(FIELD)).to_have_value(SECOND)
    page.reload()
    expect(page.locator(FIELD)).to_have_value(SECOND)
    expect(page.locator(".conflict")).to_have_count(0)


def test_the_keyboard_is_enough(page: Any, studio: Any, expect: Any) -> None:
    page.goto(studio.entry("/texts?name=fence&llms=bundled"))
    first = page.locator("#cells tr[data-key]").first
    first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    expect(page.locator("#editor h2").first).to_have_text("fence: shape")
    expect(page.locator(FIELD)).to_be_focused()
    page.keyboard.press("Escape")
    expect(page.locator("#editor")).to_be_hidden()
    expect(page.locator("#cells tr[data-key]").nth(1)).to_be_focused()


def test_filters_stay_after_a_reload(page: Any, studio: Any, expect: Any) -> None:
    put(studio, None, status="failed", reason="no sentence came")
    page.goto(studio.entry("/texts"))
    lines = page.locator("#cells tr[data-key]")
    expect(lines).to_have_count(50)
    expect(page.locator("#where")).to_contain_text("1 to 50 of ")
    page.locator("#next").click()
    expect(page.locator("#where")).to_contain_text("51 to 100 of ")
    page.locator("#statuses button", has_text="failed").click()
    expect(lines).to_have_count(1)
    page.reload()
    expect(lines).to_have_count(1)
    expect(lines).to_contain_text("no sentence came")
    page.locator("#search").fill("white")
    expect(page.locator("#cells")).to_have_text("No cell is like that.")
    page.locator("#statuses button", has_text="failed").click()
    page.get_by_role("button", name="tokens").click()
    expect(page.locator("th[aria-sort=ascending]")).to_contain_text("tokens")
    expect(lines.first).to_contain_text("white")


def test_on_a_telephone(page: Any, studio: Any, expect: Any) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    opened(page, studio)
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    box = page.locator("#editor").bounding_box()
    assert (box["x"], box["width"]) == (0, 390)
    page.locator(FIELD).fill(FIRST)
    page.locator(SAVE).click()
    expect(page.locator("#editor .chip").first).to_have_text("locked")
    page.get_by_label("Close").first.click()
    expect(page.locator("#cells td.text").first).to_have_text(FIRST)
    assert page.evaluate("document.documentElement.scrollWidth") == 390


def test_another_llms_text_and_what_failed(page: Any, studio: Any, expect: Any) -> None:
    put(studio, FIRST)
    put(studio, None, "o3", status="failed", reason="no sentence came")
    opened(page, studio)
    expect(page.locator("#editor .other").first).to_contain_text("gpt-4")
    page.locator("#editor .take").first.click()
    expect(page.locator(FIELD)).to_have_value(FIRST)
    assert now(studio)["taken_from"] == "gpt-4"
    opened(page, studio, llm="o3")
    expect(page.locator("#editor")).to_contain_text("no sentence came")
    expect(page.locator("#editor")).to_contain_text("generate --llm o3")


def test_hostile_texts_do_nothing(page: Any, studio: Any, expect: Any) -> None:
    put(studio, EVIL, EVIL, review=EVIL)
    put(studio, EVIL)
    put(studio, None, "o3", status="failed", reason=EVIL)
    page.goto(studio.entry("/texts?name=fence&attributes=color"))
    expect(page.locator("#cells tr[data-key]")).to_have_count(4)
    texts = page.locator("#cells td.text")
    assert texts.filter(has_text="<script>").count() == 3
    for at in range(4):
        page.locator("#cells tr[data-key]").nth(at).click()
        page.locator(FIELD).wait_for()
    page.locator(FIELD).fill(EVIL)
    expect(page.locator("#said")).to_contain_text("invisible signs")
    assert page.locator("main script, main img").count() == 0
