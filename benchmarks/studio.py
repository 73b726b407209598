"""How soon the studio answers, in Chromium: its first page, what is shown after a click, 10,000 pictures scrolled through.

python benchmarks/studio.py FOLDER_OF_IMAGES     a folder of class folders with thousands of images
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from browser import ARGUMENTS, find_browser
from playwright.sync_api import Page, sync_playwright
from studio_process import Studio, start_studio

_FRAMES = """(seconds) => new Promise((done) => {
    const times = [], begun = performance.now();
    function frame(now) {
        times.push(now);
        scrollBy(0, 60);
        if (now - begun < 1000 * seconds) requestAnimationFrame(frame); else done(times);
    }
    requestAnimationFrame(frame);
})"""
_CLICK = """([what, seen]) => new Promise((done) => {
    const begun = performance.now(), target = document.querySelector(what);
    const look = () => document.querySelector(seen) ? done(performance.now() - begun) : requestAnimationFrame(look);
    target.click();
    look();
})"""


def main() -> None:
    folder = Path(sys.argv[1]).resolve()
    with tempfile.TemporaryDirectory() as root, sync_playwright() as playwright:
        studio = start_studio(Path(root))
        browser = playwright.chromium.launch(executable_path=find_browser(), args=list(ARGUMENTS))
        page = browser.new_context(viewport={"width": 1280, "height": 800}).new_page()
        page.goto(studio.address)
        go = studio.json("POST", "/api/data/open", {"location": str(folder)})["go"]
        try:
            told(page, studio, go)
        finally:
            browser.close()
            studio.kill()


def told(page: Page, studio: Studio, go: str) -> None:
    first = time.perf_counter()
    page.goto(studio.origin + go)
    page.wait_for_selector("#items img")
    print(f"collection, the first time (every image is read once): {time.perf_counter() - first:.2f} s")
    for name, address in (("first page", "/"), ("collection", go)):
        seconds = [loaded(page, studio.origin + address) for _ in range(7)]
        print(f"{name}: {statistics.median(seconds):.2f} s until it is complete (slowest of 7: {max(seconds):.2f} s)")
    page.wait_for_selector("#items img")
    page.wait_for_load_state("networkidle")
    count = page.inner_text("#shown")
    page.evaluate("document.getElementById('items').scrollIntoView()")
    for round_ in ("thumbnails made on the way", "thumbnails made before"):
        times: list[float] = page.evaluate(_FRAMES, 6)
        frames = [after - before for before, after in pairwise(times)]
        late = sum(frame > 1000 / 60 * 1.5 for frame in frames) / len(frames)
        print(
            f"{count}, scrolled, {round_}: {1000 * len(frames) / sum(frames):.0f} frames a second, {late:.1%} of them late"
        )
        page.evaluate("scrollTo(0, 0)")
        page.wait_for_timeout(500)
        page.evaluate("document.getElementById('items').scrollIntoView()")
    clicks: dict[str, tuple[str, str]] = {
        "a picture is chosen": ("#items button", "#items button[aria-pressed=true]"),
        "it is shown to get a class": ("#keys button:nth-child(2)", "#items .waiting"),
        "it has another class": ("#keys button:nth-child(3)", "#undo:not([disabled])"),
    }
    for name, (what, seen) in clicks.items():
        waited: Any = page.evaluate(_CLICK, [what, seen])
        print(f"{name}: shown after {waited:.0f} ms")


def loaded(page: Page, address: str) -> float:
    """Return the seconds until a page and its pictures are there."""
    begun = time.perf_counter()
    page.goto(address)
    return time.perf_counter() - begun


if __name__ == "__main__":
    main()
