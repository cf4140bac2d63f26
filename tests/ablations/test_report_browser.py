"""report.html in a browser: sorted, searched, printed; nothing from outside, nothing too wide."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.chromium import PROGRAM, Page, browser
from support.refined import refinement
from support.report_pages import EVIL

from ablations.report.html import report

pytestmark = pytest.mark.skipif(PROGRAM is None, reason="chromium is not installed")
CLASSES = "document.querySelector('table.classes')"
FIRST = f"[...{CLASSES}.tBodies[0].rows].filter(r => !r.hidden).map(r => r.cells[0].textContent)"


@pytest.fixture
def page(whole: Path, tmp_path: Path) -> Iterator[Page]:
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
    with browser(tmp_path / "profile") as page:
        page.size(1280)
        page.open(report(whole))
        yield page


def test_tables_are_sorted_searched_and_counted(page: Page) -> None:
    names = page.run(FIRST)
    assert len(names) == 12 and names[-1] == "sky"
    page.click("table.classes thead th:first-child button")
    up = page.run(FIRST)
    assert [n for n in up if EVIL not in n] == sorted(n for n in names if EVIL not in n)
    page.click("table.classes thead th:first-child button")
    assert page.run(FIRST) == up[::-1]
    column = page.run(
        f"[...{CLASSES}.tHead.rows[0].cells].findIndex(c => c.textContent == 'difference')"
    )
    page.click(f"table.classes thead th:nth-child({column + 1}) button")
    values = page.run(f"[...{CLASSES}.tBodies[0].rows].map(r => r.cells[{column}].textContent)")
    numbers = [float(value.split()[0]) for value in values[:-1]]
    assert numbers == sorted(numbers, reverse=True) and values[-1] == "-"
    sorts = page.run(f"[...{CLASSES}.tHead.rows[0].cells].map(c => c.getAttribute('aria-sort'))")
    assert sorts[column] == "descending" and sorts.count(None) == len(sorts) - 1
    page.click(f"table.classes thead th:nth-child({column + 1}) button")
    again = page.run(f"[...{CLASSES}.tBodies[0].rows].map(r => r.cells[{column}].textContent)")
    assert (
        again[-1] == "-" and again[0].split()[0] == values[-2].split()[0]
    )  # what is missing stays at the end

    count = f"{CLASSES}.parentElement.previousElementSibling.querySelector('output').textContent"
    assert page.run(count) == "12 rows"
    page.run(f"{CLASSES}.parentElement.previousElementSibling.querySelector('input').focus()")
    page.type("ORANGE photo")  # both words, in the name and the text
    assert sorted(page.run(FIRST)) == ["orange", "orange 1", "orange 2"]
    assert page.run(count) == "3 of 12 rows"
    page.type(" nothing has this")
    assert page.run(FIRST) == [] and page.run(count) == "0 of 12 rows"


def test_small_tables_have_no_search_box(page: Page) -> None:
    boxes = page.run("document.querySelectorAll('input[type=search]').length")
    large = "[...document.querySelectorAll('table.data')].filter(t => t.tBodies[0].rows.length > 8)"
    assert 0 < boxes == page.run(f"{large}.length")


def test_nothing_is_loaded_run_or_complained_about(page: Page) -> None:
    assert page.run("document.scripts.length") == 1
    asked = [
        event["params"]["request"]["url"]
        for event in page.events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert asked and not [url for url in asked if not url.startswith(("file:", "data:"))]
    assert not [
        event
        for event in page.events
        if event["method"]
        in ("Runtime.exceptionThrown", "Log.entryAdded", "Page.javascriptDialogOpening")
    ]
    # A script that would come in is not run.
    page.run(
        "(() => { const s = document.createElement('script'); s.textContent = 'window.bad = 1';"
        "document.body.append(s); })()"
    )
    assert page.run("window.bad") is None


@pytest.mark.parametrize("width", [1280, 800, 420])
def test_the_page_is_never_wider_than_the_window(page: Page, width: int) -> None:
    page.size(width)
    page.run("document.querySelectorAll('details').forEach(d => d.open = true)")
    wide, window = page.run(
        "[document.documentElement.scrollWidth, document.documentElement.clientWidth]"
    )
    assert wide <= window
    assert page.shot(whole=False).startswith(b"\x89PNG")


def test_it_can_be_printed(page: Page) -> None:
    printed = page.pdf()
    assert printed.startswith(b"%PDF") and len(printed) > 20_000
    page.send("Emulation.setEmulatedMedia", media="print")
    shown = "getComputedStyle(document.querySelector('{}')).display"
    assert page.run(shown.format("nav")) == page.run(shown.format(".bar")) == "none"
    assert page.run(shown.format("thead")) == "table-header-group"  # again on every sheet


def test_without_scripts_all_is_there(whole: Path, tmp_path: Path) -> None:
    with browser(tmp_path / "profile") as page:
        page.send("Emulation.setScriptExecutionDisabled", value=True)
        page.open(report(whole))
        page.send("DOM.enable")
        top = page.send("DOM.getDocument")["root"]["nodeId"]

        def count(selector: str) -> int:
            found = page.send("DOM.querySelectorAll", nodeId=top, selector=selector)
            return len(found["nodeIds"])

        assert count("button") == count("input") == 0
        assert count("table.classes tbody tr") == 4 and count("table.data") == 9
