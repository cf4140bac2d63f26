"""Chromium without a window, driven by Playwright; Debian's package is enough.

A test asks for `page` (a new context, watched) or `browser` (to open contexts of its own).
Without Playwright or Chromium such tests are skipped.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Dialog, Page

NAMES = ("chromium", "chromium-browser", "google-chrome")
PROGRAM = next(filter(None, map(shutil.which, NAMES)), None)
MISSING = (
    "Playwright is not installed: pip install playwright"
    if find_spec("playwright") is None
    else f"no Chromium is installed: none of {', '.join(NAMES)}"
    if PROGRAM is None
    else ""
)
"""Why no browser can be started; empty if one can."""

ARGUMENTS = [
    "--no-sandbox",  # root has none
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
VIEWPORT = {"width": 1280, "height": 900}


def allowed(url: str) -> bool:
    """Whether a page of ours may ask for an address: a file, itself, or this machine."""
    parts = urlsplit(url)
    return parts.scheme in ("file", "data", "blob", "about") or parts.hostname == "127.0.0.1"


def watch(context: BrowserContext, complaints: list[str]) -> None:
    """Write down what no page of a context may do: complain, fail, ask, or reach outside."""

    def ask(dialog: Dialog) -> None:
        complaints.append(f"{dialog.type}: {dialog.message}")
        dialog.dismiss()

    def request(url: str) -> None:
        if not allowed(url):
            complaints.append(f"request: {url}")

    def console(message: Any) -> None:
        if message.type in ("error", "warning"):
            complaints.append(f"console {message.type}: {message.text}")

    context.on("console", console)
    context.on("weberror", lambda error: complaints.append(f"exception: {error.error}"))
    context.on("dialog", ask)
    context.on("request", lambda sent: request(sent.url))
    context.on("page", lambda page: page.on("websocket", lambda socket: request(socket.url)))


@pytest.fixture(scope="session")
def _chromium() -> Iterator[tuple[Browser, asyncio.AbstractEventLoop]]:
    """One browser for all tests of a worker, and the event loop behind its calls."""
    if MISSING:
        pytest.skip(MISSING)
    from playwright.sync_api import sync_playwright

    playwright = sync_playwright().start()
    loop = asyncio.get_running_loop()
    browser = playwright.chromium.launch(executable_path=PROGRAM, args=ARGUMENTS)
    asyncio._set_running_loop(None)
    yield browser, loop
    asyncio._set_running_loop(loop)
    browser.close()
    playwright.stop()
    asyncio._set_running_loop(None)


@pytest.fixture
def browser(_chromium: tuple[Browser, asyncio.AbstractEventLoop]) -> Iterator[Browser]:
    """The browser; what a test opens in it is closed after the test.

    Playwright leaves its event loop marked as running in this thread. That holds only while a test
    has the browser, so that all others may call asyncio.run (such a test: in another thread).
    """
    browser, loop = _chromium
    asyncio._set_running_loop(loop)
    yield browser
    for context in browser.contexts:
        context.close()
    asyncio._set_running_loop(None)


@pytest.fixture
def complaints() -> Iterator[list[str]]:
    """What the pages of `page.context` did wrong: fails the test, unless the test clears it."""
    found: list[str] = []
    yield found
    assert found == []


@pytest.fixture
def page(browser: Browser, complaints: list[str]) -> Page:
    """An empty page in a context of its own, watched; further tabs: `page.context.new_page()`."""
    context = browser.new_context(viewport=VIEWPORT)
    watch(context, complaints)
    return context.new_page()
