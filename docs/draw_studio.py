"""The four pages of the studio, as the README shows them.

python docs/draw_studio.py docs [RUNS]

RUNS, by default runs, is a folder that holds a run of `lsmseg-prompts run`. Needs Chromium and the
extras [studio] and [test].
"""

import argparse
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import uvicorn
from PIL import Image
from playwright.sync_api import Page, sync_playwright

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from ablations.studio.app import create_app
from ablations.studio.options import StudioOptions
from ablations.studio.serve import address_of, listen
from ablations.studio.state import Studio

SIZE = {"width": 1280, "height": 860}
PHRASES = (
    "tree", "road", "clock", "traffic light", "fire hydrant",
    "zebra: a photo of a zebra with black and white stripes",
)  # fmt: skip


@contextmanager
def served(options: StudioOptions) -> Iterator[str]:
    """The address of a studio, with its token, while this lasts."""
    studio = Studio(options)
    studio.load()
    listener = listen(options)
    server = uvicorn.Server(uvicorn.Config(create_app(studio), log_level="warning", ws="none"))
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    yield f"{address_of(listener, options.host)}/?token={studio.token}"
    server.should_exit = True
    thread.join(10)


def draw_try(page: Page) -> None:
    """A phrase of one's own among plain words, its cost map under the cursor."""
    page.locator("#tiles button").nth(1).click()
    page.click("#clear")
    for at, phrase in enumerate(PHRASES):
        if at:
            page.click("#add")
        page.locator("#phrases input").last.fill(phrase)
    page.keyboard.press("Escape")
    page.wait_for_timeout(1500)
    page.locator("#canvas").click(position={"x": 330, "y": 420})
    page.wait_for_timeout(800)


def draw_compare(page: Page) -> None:
    """Two sets on one picture, and where they differ."""
    page.locator("#tiles button").nth(6).click()
    page.wait_for_timeout(1500)
    page.locator("#one").scroll_into_view_if_needed()
    page.evaluate("document.querySelector('#maps').scrollIntoView({block: 'center'})")
    page.wait_for_timeout(500)


def draw_texts(page: Page) -> None:
    """The cells of one class, one of them open."""
    page.fill("#name", "zebra")
    page.wait_for_timeout(1500)
    page.locator("#cells tr").first.click()
    page.wait_for_timeout(1500)


def draw_runs(page: Page) -> None:
    """What was run and scored, and what can be started."""
    page.select_option("#command", "ablate")
    page.wait_for_timeout(1500)


PAGES: dict[str, Callable[[Page], Any]] = {
    "": draw_try,
    "compare": draw_compare,
    "texts": draw_texts,
    "runs": draw_runs,
}


def main() -> None:
    """Write studio_try.png, studio_compare.png, studio_texts.png and studio_runs.png."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("runs", type=Path, nargs="?", default=Path("runs"))
    parser.add_argument("--small", action="store_true", help="the page Try only")
    given = parser.parse_args()
    program = shutil.which("chromium") or shutil.which("google-chrome")
    store = None if given.small else str(given.runs / "attribute_store.sqlite")
    options = StudioOptions(port=0, runs=given.runs, store=store)
    with served(options) as address, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        page = browser.new_page(viewport=SIZE)
        page.goto(address)
        for path, draw in list(PAGES.items())[: 1 if given.small else None]:
            page.goto(address.replace("/?", f"/{path}?"))
            page.locator("#model", has_text="lsmseg-tiny").wait_for()
            page.locator("#model:not(.working)").wait_for()
            page.wait_for_timeout(2000)
            draw(page)
            picture = Image.open(BytesIO(page.screenshot()))
            file = given.folder / f"studio_{path or 'try'}.png"
            picture.convert("RGB").quantize(256, dither=Image.Dither.NONE).save(file, optimize=True)
            print(file)
        browser.close()


if __name__ == "__main__":
    main()
