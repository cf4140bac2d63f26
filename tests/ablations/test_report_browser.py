"""report.html in a browser: sorted, searched, printed; nothing from outside, nothing too wide."""

from __future__ import annotations

import asyncio
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest
from PIL import Image
from support.browsing import VIEWPORT
from support.refined import refinement
from support.report_pages import EVIL

from ablations.report.html import report

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser
CLASSES = "document.querySelector('table.classes')"
FIRST = f"[...{CLASSES}.tBodies[0].rows].filter(r => !r.hidden).map(r => r.cells[0].textContent)"


@pytest.fixture
def page(page: Page, whole: Path) -> Page:
    """The report of a refined run with twelve classes, one of which is called by a script."""
    run = json.loads((whole / "run.json").read_text())
    classes = run["per_class"]
    for copy in range(1, 3):
        for row in classes[:4]:
            moved = -0.1 * copy if copy == 2 else 0.01
            name = f"{row['name']} {copy}"
            classes.append({**row, "name": name, "difference": row["difference"] + moved})
    classes[1] |= {"difference": None, "baseline": None, "best": None}  # in no label
    run["refinement"] = refinement()
    (whole / "run.json").write_text(json.dumps(run))
    page.goto(report(whole).resolve().as_uri())
    return page


def test_tables_are_sorted_searched_and_counted(page: Page) -> None:
    names = page.evaluate(FIRST)
    assert len(names) == 12 and names[-1] == "sky"
    page.click("table.classes thead th:first-child button")
    up = page.evaluate(FIRST)
    assert [n for n in up if EVIL not in n] == sorted(n for n in names if EVIL not in n)
    page.click("table.classes thead th:first-child button")
    assert page.evaluate(FIRST) == up[::-1]
    column = page.evaluate(
        f"[...{CLASSES}.tHead.rows[0].cells].findIndex(c => c.textContent == 'difference')"
    )
    page.click(f"table.classes thead th:nth-child({column + 1}) button")
    values = page.evaluate(
        f"[...{CLASSES}.tBodies[0].rows].map(r => r.cells[{column}].textContent)"
    )
    numbers = [float(value.split()[0]) for value in values[:-1]]
    assert numbers == sorted(numbers, reverse=True) and values[-1] == "-"
    sorts = page.evaluate(
        f"[...{CLASSES}.tHead.rows[0].cells].map(c => c.getAttribute('aria-sort'))"
    )
    assert sorts[column] == "descending" and sorts.count(None) == len(sorts) - 1
    page.click(f"table.classes thead th:nth-child({column + 1}) button")
    again = page.evaluate(f"[...{CLASSES}.tBodies[0].rows].map(r => r.cells[{column}].textContent)")
    assert (
        again[-1] == "-" and again[0].split()[0] == values[-2].split()[0]
    )  # what is missing stays at the end

    count = f"{CLASSES}.parentElement.previousElementSibling.querySelector('output').textContent"
    assert page.evaluate(count) == "12 rows"
    page.evaluate(f"{CLASSES}.parentElement.previousElementSibling.querySelector('input').focus()")
    page.keyboard.insert_text("ORANGE photo")  # both words, in the name and the text
    assert sorted(page.evaluate(FIRST)) == ["orange", "orange 1", "orange 2"]
    assert page.evaluate(count) == "3 of 12 rows"
    page.keyboard.insert_text(" nothing has this")
    assert page.evaluate(FIRST) == [] and page.evaluate(count) == "0 of 12 rows"


def test_small_tables_have_no_search_box(page: Page) -> None:
    boxes = page.evaluate("document.querySelectorAll('input[type=search]').length")
    large = "[...document.querySelectorAll('table.data')].filter(t => t.tBodies[0].rows.length > 8)"
    assert 0 < boxes == page.evaluate(f"{large}.length")


def test_nothing_is_loaded_run_or_complained_about(page: Page, complaints: list[str]) -> None:
    assert page.evaluate("document.scripts.length") == 1
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.reload()
    assert asked and not [url for url in asked if not url.startswith(("file:", "data:"))]
    assert said == complaints == []
    # A script that would come in is not run.
    page.evaluate(
        "(() => { const s = document.createElement('script'); s.textContent = 'window.bad = 1';"
        "document.body.append(s); })()"
    )
    assert page.evaluate("window.bad") is None
    assert len(complaints) == 1 and "Content Security Policy" in complaints.pop()


def test_what_a_page_may_not_do_is_noticed(page: Page, complaints: list[str]) -> None:
    page.goto("about:blank")
    page.evaluate("console.log('x'), console.warn('w'), console.error('e'), alert('a'), null")
    page.evaluate("setTimeout(() => { throw new Error('thrown') })")
    page.evaluate("fetch('http://127.0.0.2:9').catch(() => null)")
    page.context.new_page().evaluate("confirm('another tab')")
    found = " ".join(complaints)
    complaints.clear()
    for one in ("console warning: w", "console error: e", "alert: a", "exception: thrown"):
        assert one in found
    assert "request: http://127.0.0.2:9" in found and "confirm: another tab" in found
    assert "x" not in found.split()


def test_other_tests_of_a_worker_may_run_a_loop(_chromium: object) -> None:
    asyncio.run(asyncio.sleep(0))


@pytest.mark.parametrize("width", [1280, 800, 420, 390])
def test_the_page_is_never_wider_than_the_window(page: Page, width: int) -> None:
    page.set_viewport_size({**VIEWPORT, "width": width})
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    wide, window = page.evaluate(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert wide <= window
    assert page.screenshot().startswith(b"\x89PNG")


def test_it_can_be_printed(page: Page) -> None:
    printed = page.pdf(prefer_css_page_size=True)
    assert printed.startswith(b"%PDF") and len(printed) > 20_000
    page.emulate_media(media="print")
    shown = "getComputedStyle(document.querySelector('{}')).display"
    assert page.evaluate(shown.format("nav")) == page.evaluate(shown.format(".bar")) == "none"
    assert page.evaluate(shown.format("thead")) == "table-header-group"  # again on every sheet


@pytest.mark.slow
def test_what_the_search_box_leaves_out_is_printed(page: Page) -> None:
    page.locator(".bar input").last.fill("nothing has this")
    table = (
        "[...document.querySelectorAll('table.data')].find(t => [...t.rows].some(r => r.hidden))"
    )
    shown = f"[...({table}).tBodies[0].rows].filter(r => r.offsetHeight > 0).length"
    many = page.evaluate(f"({table}).tBodies[0].rows.length")
    assert many > 8 and page.evaluate(shown) == 0
    page.emulate_media(media="print")
    assert page.evaluate(shown) == many


@pytest.mark.slow
def test_a_phone_shows_rows_with_names_and_keeps_the_first_column(page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    row = f"{CLASSES}.tBodies[0].rows[1]"
    left, right, under = page.evaluate(
        f"[...{row}.cells].slice(-2).flatMap(c => [c.getBoundingClientRect().left])"
        f".concat({CLASSES}.getBoundingClientRect().right, {row}.cells[0].offsetWidth)"
    )[1:]
    assert left < 40 and right <= 390 and under > 300  # one below the other
    label = f"getComputedStyle({row}.cells[2], '::before').content"
    assert "pictures" in page.evaluate(label)
    page.click("table.classes thead th:first-child button")  # heads sort here too
    names = page.evaluate(FIRST)
    assert [n for n in names if EVIL not in n] == sorted(n for n in names if EVIL not in n)

    wide = "[...document.querySelectorAll('.scroll:has(table.data:not(.stacked))')]"
    wide += ".find(s => s.scrollWidth > s.clientWidth + 30)"
    first = f"({wide}).querySelector('tbody th').getBoundingClientRect().left"
    before = page.evaluate(first)
    page.evaluate(f"({wide}).scrollLeft = 30")
    assert page.evaluate(f"({wide}).scrollLeft") == 30 and page.evaluate(first) == before


# What a text's colour is on: the nearest background that is not clear.
CONTRASTS = """() => {
  const parts = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const light = (colour) => parts(colour).slice(0, 3).map((v) => v / 255)
    .map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (e) => {
    for (; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if (parts(colour).length === 3) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const found = {};
  for (const e of document.body.querySelectorAll("*")) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());
    if (!own || !e.checkVisibility()) continue;
    const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x);
    found[`${e.tagName} ${e.className} ${e.parentElement.className}`] = (a + 0.05) / (b + 0.05);
  }
  return found;
}"""


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_in_either_scheme(page: Page, scheme: Literal["light", "dark"]) -> None:
    page.emulate_media(color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
    found = page.evaluate(CONTRASTS)
    assert len(found) > 30
    assert {name: ratio for name, ratio in found.items() if ratio < 4.5} == {}  # AA
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") is (scheme == "light")


@pytest.mark.slow
def test_plots_are_turned_round_in_the_dark(page: Page) -> None:
    """The middle of a plot's white edge is the page's own colour; print stays light."""
    page.emulate_media(color_scheme="dark")
    plot = page.locator("figure.plot img").first
    with Image.open(io.BytesIO(plot.screenshot())) as shot:
        corner = shot.convert("RGB").getpixel((2, 2))
        darkest = min(shot.convert("L").getdata())
        assert max(shot.convert("L").getdata()) > 150  # what is drawn
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert f"rgb{corner}" == ground and darkest >= 15
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert plot.evaluate("e => getComputedStyle(e).filter") == "none"


def test_without_scripts_all_is_there(browser: Browser, whole: Path) -> None:
    page = browser.new_context(java_script_enabled=False).new_page()
    page.goto(report(whole).resolve().as_uri())

    def count(selector: str) -> int:
        return page.locator(selector).count()

    assert count("button") == count("input") == 0
    assert count("table.classes tbody tr") == 4 and count("table.data") == 9
