"""The page Try in a browser: what a person does, by pointer and by keyboard."""

from __future__ import annotations

import base64
from concurrent.futures import Future
from io import BytesIO
from typing import Any
from urllib.parse import quote

import pytest
from PIL import Image

from ablations.studio.trying.pictures import UPLOADS

pytestmark = [pytest.mark.slow, pytest.mark.browser]

LINES = ["brick wall", "wood floor", "clock"]
DROP = """([data, name]) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type: "image/png" }));
  for (const kind of ["dragenter", "dragover", "drop"]) {
    const about = { dataTransfer: transfer, bubbles: true, cancelable: true };
    document.body.dispatchEvent(new DragEvent(kind, about));
  }
}"""
LOADED = """(video) => video.readyState > 1 || new Promise((done) => {
  video.onloadeddata = () => done(true);
})"""
PASTE = """(data) => {
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  const clipboardData = new DataTransfer();
  clipboardData.items.add(new File([bytes], "x.png", { type: "image/png" }));
  document.dispatchEvent(new ClipboardEvent("paste", { clipboardData, bubbles: true }));
}"""
CAMERA = """navigator.mediaDevices.getUserMedia = async () => {
  const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 48 });
  const context = canvas.getContext("2d");
  setInterval(() => { context.fillStyle = "#00f"; context.fillRect(0, 0, 64, 48); }, 20);
  return canvas.captureStream(30);
};"""


def address(*lines: str, **more: str) -> str:
    fields = {"phrases": "\n".join(lines or LINES), **more}
    return "/?" + "&".join(f"{name}={quote(value)}" for name, value in fields.items())


@pytest.fixture
def tried(page: Any, served: Any, tiny: Any) -> Any:
    """The page with three phrases; the studio is ``page.studio``."""
    page.studio = served(model=tiny)
    page.goto(page.studio.entry(address()))
    page.wait_for_selector("html[data-shown='1']")
    return page


def refused(complaints: list[str]) -> None:
    """The browser has noted requests that were answered with an error, and nothing else."""
    assert complaints and all("Failed to load resource" in one for one in complaints), complaints
    complaints.clear()


def drawn(page: Any) -> str:
    return str(page.evaluate("document.querySelector('#canvas').toDataURL()"))


def again(page: Any) -> None:
    """Wait until a new answer is shown."""
    count = int(page.get_attribute("html", "data-shown"))
    page.wait_for_selector(f"html[data-shown='{count + 1}']")


def phrase(page: Any, at: int) -> Any:
    return page.locator(".phrase input").nth(at)


def lines(page: Any) -> list[str]:
    return [one.input_value() for one in page.locator(".phrase input").all()]


def one_picture(colour: str = "blue") -> bytes:
    buffer = BytesIO()
    Image.new("RGB", (40, 30), colour).save(buffer, "PNG")
    return buffer.getvalue()


def test_a_phrase_is_typed_and_the_map_changes(tried: Any) -> None:
    before = drawn(tried)
    assert tried.locator("#mean b").inner_text() != "-"
    tried.click("#add")
    tried.keyboard.type("d")
    tried.wait_for_selector("#options [role=option]")
    tried.keyboard.type("onu")
    tried.wait_for_selector("#options:not([hidden]) >> text=donut")
    tried.keyboard.press("ArrowDown")
    assert phrase(tried, 3).get_attribute("aria-activedescendant") == "option-0"
    tried.keyboard.press("Enter")
    assert lines(tried) == [*LINES, "donut"] and not tried.is_visible("#options")
    tried.wait_for_selector("#ious tr:has-text('donut') td.n:text-matches('^[0-9]')")
    assert drawn(tried) != before
    tried.keyboard.press("Enter")
    tried.keyboard.press("Backspace")
    assert lines(tried) == [*LINES, "donut"]


def test_a_pixel_by_pointer_and_by_keyboard(tried: Any) -> None:
    tried.click("#canvas", position={"x": 200, "y": 40})
    tried.wait_for_selector("#best li")
    assert tried.locator("#best li b").first.inner_text() == "brick wall"
    assert "labelled brick wall" in tried.inner_text("#best h2")
    scores = [float(text) for text in tried.locator("#best li .n").all_inner_texts()]
    assert len(scores) == 3 and scores == sorted(scores, reverse=True)
    tried.keyboard.press("Escape")
    assert not tried.is_visible("#best")
    tried.focus("#canvas")
    tried.keyboard.press("Enter")
    tried.wait_for_selector("#best h2:has-text('Best at 64, 64')")
    tried.keyboard.press("Shift+ArrowDown")
    tried.wait_for_selector("#best h2:has-text('Best at 64, 65')")
    assert "at=64%2C65" in tried.url


def test_the_cost_map_of_the_phrase_under_the_cursor(tried: Any) -> None:
    plain = drawn(tried)
    tried.hover(".phrase:nth-child(3)")
    tried.wait_for_selector("#scale:visible")
    heat = drawn(tried)
    assert heat != plain and "Cosine with clock" in tried.inner_text("#here")
    asked: list[str] = []
    tried.on("request", lambda sent: asked.append(sent.url))
    tried.hover("#model")
    tried.wait_for_selector("#scale", state="hidden")
    assert drawn(tried) == plain
    phrase(tried, 0).click()
    tried.hover("#model")
    tried.keyboard.press("ArrowDown")
    tried.keyboard.press("ArrowDown")
    tried.wait_for_selector("#scale:visible")
    assert drawn(tried) == heat and sum("/api/try/map" in url for url in asked) <= 2
    tried.keyboard.type("s")
    tried.wait_for_selector("#scale", state="hidden")
    tried.click(".phrase:nth-child(1) .swatch")
    tried.hover("#model")
    assert tried.is_visible("#scale")
    tried.locator(".phrase:nth-child(1) .swatch").dispatch_event("click")  # as a finger does
    tried.wait_for_selector("#scale", state="hidden")


@pytest.mark.parametrize("way", ["drop", "chooser", "paste", "camera"])
def test_a_picture_of_ones_own(page: Any, served: Any, tiny: Any, way: str) -> None:
    page.add_init_script(CAMERA)
    page.studio = served(model=tiny)
    page.goto(page.studio.entry(address("sky", "grass")))
    page.wait_for_selector("html[data-shown='1']")
    data = base64.b64encode(one_picture()).decode()
    if way == "drop":
        page.evaluate(DROP, [data, "<img src=x onerror=alert(1)>.png"])
    elif way == "chooser":
        page.set_input_files(
            "#file", {"name": "../x.svg", "mimeType": "image/png", "buffer": one_picture()}
        )
    elif way == "paste":
        page.evaluate(PASTE, data)
    else:
        page.click("#camera")
        page.wait_for_selector("#lens[open] video")
        page.locator("video").evaluate(LOADED)
        page.click("#shoot")
    again(page)
    assert page.locator("#tiles [aria-pressed=true]").get_attribute("title") == "Your picture"
    assert page.is_hidden("#side") and "picture=sent-" in page.url
    assert page.locator(".phrase .share").first.inner_text() != ""


def test_a_reload_shows_the_same(tried: Any, complaints: list[str]) -> None:
    tried.evaluate(DROP, [base64.b64encode(one_picture("green")).decode(), "x"])
    again(tried)
    phrase(tried, 2).fill("zebra: black and white stripes")
    tried.locator("#attributes label", has_text="color").click()
    tried.locator("summary", has_text="Background").click()
    tried.fill("#background", "wood floor")
    tried.click("#canvas", position={"x": 90, "y": 40})
    tried.wait_for_selector("#best li")
    before = (drawn(tried), tried.url, lines(tried))
    tried.reload()
    tried.wait_for_selector("#best li")
    assert (drawn(tried), tried.url, lines(tried)) == before
    assert tried.input_value("#background") == "wood floor"
    for shade in range(UPLOADS):  # others send theirs, and push it out
        data = one_picture(f"#0000{shade:02x}")
        tried.request.post(f"{tried.studio.address}/api/try/send", data=data)
    tried.goto(before[1])
    tried.wait_for_selector("#said:has-text('does not keep this picture any more')")
    refused(complaints)


@pytest.mark.parametrize("wide", [1280, 390])
def test_it_fits_and_texts_stay_texts(tried: Any, wide: int, complaints: list[str]) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    tried.set_viewport_size({"width": wide, "height": 844})
    phrase(tried, 0).fill(hostile)
    again(tried)
    tried.click("#canvas", position={"x": 60, "y": 40})
    tried.wait_for_selector("#best li")
    tried.fill(".phrase:nth-child(2) input", hostile)
    again(tried)
    assert "named twice" in tried.inner_text(".phrase:nth-child(2) .behind")
    tried.fill(".phrase:nth-child(3) input", "zebra: " + "stripes " * 76)
    again(tried)
    tokens = tried.locator(".phrase.over .tokens")
    assert tokens.inner_text() == "78"
    red = tried.evaluate("getComputedStyle(document.documentElement).getPropertyValue('--best')")
    assert tokens.evaluate("(one) => getComputedStyle(one).color") == _rgb(red.strip())
    assert tried.locator("img[src=x]").count() == 0
    assert tried.evaluate("document.documentElement.scrollWidth") <= wide


def _rgb(colour: str) -> str:
    return f"rgb({', '.join(str(int(colour[at : at + 2], 16)) for at in (1, 3, 5))})"


def test_an_old_answer_never_replaces_a_newer_one(tried: Any) -> None:
    held: list[Any] = []

    def hold(route: Any) -> None:
        if not held:
            held.append(route)
        else:
            route.continue_()

    tried.route("**/api/try/segment", hold)
    phrase(tried, 2).fill("sky")
    tried.wait_for_timeout(100)
    assert len(held) == 1
    phrase(tried, 2).fill("donut")
    again(tried)
    after = drawn(tried)
    held[0].abort()
    tried.wait_for_timeout(100)
    assert drawn(tried) == after and tried.inner_text("#said") == ""


def test_the_page_waits_for_the_model(page: Any, served: Any, tiny: Any) -> None:
    studio = served(model=tiny)
    studio.studio._loading = Future()
    page.goto(studio.entry(address()))
    page.wait_for_selector("#frame.loading")
    page.locator("#model", has_text="loading").wait_for()
    phrase(page, 2).fill("donut")
    studio.studio._loading.set_result(tiny)
    page.wait_for_selector("html[data-shown]")
    page.wait_for_selector("#ious tr:has-text('donut')")


def test_what_is_wrong_is_said(tried: Any, complaints: list[str]) -> None:
    tried.click("#clear")
    tried.wait_for_selector("#said:has-text('Write a word')")
    tried.click("#present")
    again(tried)
    assert len(lines(tried)) == 6
    tried.locator("summary", has_text="Background").click()
    tried.fill("#background", ", ".join(lines(tried)))
    tried.wait_for_selector("#said.error:has-text('Every class is background')")
    tried.fill("#background", "")
    tried.wait_for_selector("#said:not(.error)", state="attached")
    refused(complaints)
    with tried.expect_download() as saved:
        tried.click("#download")
    assert saved.value.suggested_filename == "report-0000.png"
    assert Image.open(saved.value.path()).size == (1280, 1280)
