"""The studio: its start, its memory, and how soon an edit of a phrase is seen, in one run.

`lsmseg-prompts studio` in a process of its own: seconds until its address is printed, until a page
answers and until the model is loaded; memory then, and after the edits. In Chromium, from the key
that changes a phrase to the first frame after the changed canvas, with a few phrases and with all
classes of MiniStuff. Then, in this process, what each step of an answer takes, and the same answer
with nothing kept. Beside other programs all of it takes longer: the load is printed.

python benchmarks/studio.py [--edits 30]
python benchmarks/studio.py --start [runtime=onnx model=DIR]
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

FEW = ("brick wall", "wood floor", "clock", "traffic light", "donut")
EDIT = """async (letter) => {
  const input = document.activeElement, root = document.documentElement;
  const after = (done) => requestAnimationFrame(() => setTimeout(() => done(performance.now())));
  const shown = new Promise((done) => new MutationObserver(() => after(done))
    .observe(root, { attributeFilter: ["data-shown"] }));
  const began = performance.now();
  input.setRangeText(letter, input.value.length, input.value.length, "end");
  input.dispatchEvent(new InputEvent("input", { bubbles: true }));
  return (await shown) - began;
}"""


def memory(process: int) -> tuple[float, float, float]:
    """MB that a process holds now, held at most, and shares with no file: without libraries."""
    text = Path(f"/proc/{process}/status").read_text()
    found = [re.search(rf"{name}:\s+(\d+)", text) for name in ("VmRSS", "VmHWM", "RssAnon")]
    now, most, own = (int(one[1]) / 1024 if one else 0.0 for one in found)
    return now, most, own


def answers(address: str, path: str) -> bytes | None:
    token = address.partition("token=")[2]
    request = urllib.request.Request(address.partition("?")[0].rstrip("/") + path)
    request.add_header("authorization", f"Bearer {token}")
    try:
        with urllib.request.urlopen(request, timeout=5) as reply:
            return bytes(reply.read())
    except (urllib.error.URLError, OSError):
        return None


def start(folder: Path, *more: str) -> tuple[subprocess.Popen[str], str]:
    """The studio in a process, its address; prints how long it took."""
    began = time.perf_counter()
    words = ["studio", "--no-browser", "--port", "0", "--runs", str(folder), *more]
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout
    address = process.stdout.readline().strip()
    printed = time.perf_counter() - began
    while answers(address, "/") is None:
        time.sleep(0.02)
    page = time.perf_counter() - began
    while b'"ready": true' not in (answers(address, "/api/ready") or b""):
        time.sleep(0.05)
    ready = time.perf_counter() - began
    now, most, own = memory(process.pid)
    print(f"address after {printed:.2f} s, page after {page:.2f} s, model after {ready:.2f} s")
    print(f"idle: {now:.0f} MB (at most {most:.0f} MB), {own:.0f} MB of it not of files\n")
    return process, address


def edits(address: str, count: int) -> None:
    """Key to canvas, in Chromium."""
    from playwright.sync_api import sync_playwright

    sys.path.insert(0, "tests")
    from support.browsing import ARGUMENTS, PROGRAM

    print("| phrases | edits | key to canvas: median, ms | 9 of 10, ms | slowest, ms |")
    print("|---|---|---|---|---|")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=ARGUMENTS)
        for lines in (list(FEW), []):
            page = browser.new_page(viewport={"width": 1280, "height": 900})
            page.goto(address)
            page.wait_for_selector("html[data-shown]")
            if lines:
                page.click("#clear")
                page.locator(".phrase input").first.focus()
                page.evaluate(PASTE, "\n".join(lines))
            page.wait_for_timeout(1500)
            page.locator(".phrase input").first.focus()
            shown = len(page.locator(".phrase").all())
            times = sorted(page.evaluate(EDIT, "abcde"[at % 5]) for at in range(count))
            middle, most = statistics.median(times), times[int(0.9 * len(times))]
            print(f"| {shown} | {count} | {middle:.0f} | {most:.0f} | {times[-1]:.0f} |")
            page.close()
        browser.close()
    print()


PASTE = """(text) => {
  const clipboardData = new DataTransfer();
  clipboardData.setData("text", text);
  const about = { clipboardData, bubbles: true, cancelable: true };
  document.activeElement.dispatchEvent(new ClipboardEvent("paste", about));
}"""


def best(work: Callable[[int], Any], rounds: int = 9) -> float:
    """Milliseconds."""
    times = []
    for at in range(rounds):
        began = time.perf_counter()
        work(at)
        times.append(time.perf_counter() - began)
    return 1000 * min(times)


def steps() -> None:
    """What an answer consists of, with all classes and one phrase changed."""
    from ablations.studio.options import StudioOptions
    from ablations.studio.state import Studio
    from ablations.studio.trying.labelled import Labelled, all_classes
    from ablations.studio.trying.phrases import read_phrases
    from ablations.studio.trying.pictures import Pictures
    from ablations.studio.trying.segmenting import Trial, TryRequest, drawn
    from lsmseg_model.inference.class_prompts import ClassPrompts
    from lsmseg_model.kernels.threads import one_thread

    studio = Studio(StudioOptions())
    pictures = Pictures(studio)
    trial = Trial(studio, pictures)
    classes = all_classes(studio.benchmark, studio.vocabulary)

    def request(at: int) -> TryRequest:
        return TryRequest("report-0000", (*classes[1:], f"word {at}"))

    def alone(work: Callable[[int], Any]) -> Callable[[int], Any]:
        def done(at: int) -> None:
            with one_thread():
                work(at)

        return done

    shown = pictures.get("report-0000")
    trial.segment(request(-1))
    encoded = trial.model.encode(shown.image)
    prompts = ClassPrompts(trial.model, classes)
    decoded = encoded.decode(prompts.text)
    prediction = prompts.predict(shown.image, decoded)
    labelled = Labelled(studio, shown.labels) if shown.labels is not None else None
    assert labelled
    rows = {
        "texts and tokens": best(lambda _: read_phrases(studio, classes, (), "bundled")),
        "one text embedded": best(
            alone(lambda at: trial.model.embed([[f"a photo of a thing {at}"]]))
        ),
        "scores and label map": best(
            alone(lambda _: prompts.predict(shown.image, encoded.decode(prompts.text)))
        ),
        "IoU": best(lambda _: labelled.compared(prediction)),
        "colours, names, packing": best(
            lambda at: drawn(prediction.masks, prediction.classes, [*classes, f"one {at}"])
        ),
    }
    whole = best(lambda at: trial.segment(request(at)))
    anew = best(lambda at: Trial(studio, pictures).segment(request(100 + at)))
    print(f"| an answer with {len(classes)} phrases, one of them new | ms |")
    print("|---|---|")
    for what, took in rows.items():
        print(f"| {what} | {took:.1f} |")
    print(f"| all of it | {whole:.1f} |")
    print(f"| all of it, nothing kept | {anew:.1f} ({anew / whole:.1f} times) |\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edits", type=int, default=30)
    parser.add_argument("--start", nargs="*", help="only the start, with these options of studio")
    parser.add_argument("--small", action="store_true", help="a few edits only")
    given = parser.parse_args()
    count = 4 if given.small else given.edits
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        process, address = start(Path(folder), *(f"--{one}" for one in given.start or ()))
        try:
            if given.start is not None:
                return
            edits(address, count)
            now, most, _ = memory(process.pid)
            print(f"after the edits: {now:.0f} MB (at most {most:.0f} MB)\n")
        finally:
            process.terminate()
            process.wait()
    steps()
    print(f"load {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
