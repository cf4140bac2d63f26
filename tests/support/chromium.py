"""Chromium without a window, driven over its DevTools protocol; Debian's package is enough."""

import asyncio
import base64
import json
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp

PROGRAM = shutil.which("chromium") or shutil.which("chromium-browser")
SECONDS = 120


class Page:
    """One page; every call waits for the answer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, socket: Any) -> None:
        self._loop, self._socket, self._number = loop, socket, 0
        self.events: list[dict[str, Any]] = []

    def send(self, method: str, until: str | None = None, **parameters: Any) -> dict[str, Any]:
        """The result of a command; with ``until``, once that event has come after it."""
        return self._loop.run_until_complete(
            asyncio.wait_for(self._send(method, until, parameters), SECONDS)
        )

    async def _send(self, method: str, until: str | None, parameters: Any) -> dict[str, Any]:
        self._number += 1
        number, waiting, answer = self._number, until, None
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        while answer is None or waiting:
            message = json.loads((await self._socket.receive()).data)
            if message.get("id") == number:
                assert "error" not in message, message
                answer = message["result"]
            elif "method" in message:
                self.events.append(message)
                waiting = None if message["method"] == waiting else waiting
        return answer

    def open(self, path: Path) -> None:
        self.send("Page.enable")
        self.send("Runtime.enable")
        self.send("Log.enable")
        self.send("Network.enable")
        self.send("Page.navigate", until="Page.loadEventFired", url=path.resolve().as_uri())

    def run(self, expression: str) -> Any:
        """The value of an expression of JavaScript in the page."""
        answer = self.send("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def size(self, width: int, height: int = 900) -> None:
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def click(self, selector: str) -> None:
        """A click of the mouse on the middle of the first element."""
        x, y = self.run(
            f"(() => {{ const e = document.querySelector({json.dumps(selector)});"
            "e.scrollIntoView({block: 'center'}); const r = e.getBoundingClientRect();"
            "return [r.x + r.width / 2, r.y + r.height / 2]; })()"
        )
        for kind in ("mousePressed", "mouseReleased"):
            self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def type(self, text: str) -> None:
        self.send("Input.insertText", text=text)

    def shot(self, whole: bool = True) -> bytes:
        """The page as PNG."""
        answer = self.send("Page.captureScreenshot", captureBeyondViewport=whole, format="png")
        return base64.b64decode(answer["data"])

    def pdf(self) -> bytes:
        return base64.b64decode(self.send("Page.printToPDF", preferCSSPageSize=True)["data"])


@contextmanager
def browser(folder: Path) -> Iterator[Page]:
    """A page of a browser of its own, whose profile lies in ``folder``; ended at the end."""
    assert PROGRAM
    arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
    arguments += ["--remote-debugging-port=0", f"--user-data-dir={folder}", "--no-first-run"]
    arguments += ["--disable-background-networking", "--disable-component-update", "about:blank"]
    process = subprocess.Popen(
        [PROGRAM, *arguments], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True
    )
    loop = asyncio.new_event_loop()
    try:
        assert process.stderr
        for line in process.stderr:
            if "DevTools listening on " in line:
                break
        else:
            raise AssertionError("chromium did not start")
        port = line.split("127.0.0.1:")[1].split("/")[0]

        async def connect() -> tuple[aiohttp.ClientSession, Any]:
            session = aiohttp.ClientSession()
            async with session.get(f"http://127.0.0.1:{port}/json") as answer:
                targets = await answer.json()
            address = next(t["webSocketDebuggerUrl"] for t in targets if t["type"] == "page")
            return session, await session.ws_connect(address, max_msg_size=0)

        session, socket = loop.run_until_complete(connect())
        yield Page(loop, socket)
        loop.run_until_complete(socket.close())
        loop.run_until_complete(session.close())
    finally:
        process.terminate()
        process.communicate()
        loop.close()
