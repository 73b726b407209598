"""How long does a network take to learn in the page of the site, and how good is it? The browser's clock, as the page tells it.

python benchmarks/page.py
"""

from __future__ import annotations

import re
import statistics
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from record import record

from mirante.studio.site import write_site

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from browser import ARGUMENTS, find_browser

ROUNDS = 3
CASES = ((300, 12), (600, 12), (1200, 20))


def learn(page: Page, site: Path, count: int, epochs: int) -> tuple[float, float]:
    """Return the seconds that the page tells, and the share of the 400 images kept apart that are right."""
    page.goto((site / "en" / "lab.html").as_uri())
    page.fill("#count", str(count))
    page.fill("#epochs", str(epochs))
    page.click("#train")
    page.wait_for_selector("#download:not([disabled])", timeout=300_000)
    told = re.match(r"Done in ([\d.]+) s: (\d+) of (\d+)", page.inner_text("#state"))
    assert told is not None
    return float(told[1]), int(told[2]) / int(told[3])


def main() -> None:
    lines = ["| digits | epochs | seconds, median | right of 400 kept apart |", "|--:|--:|--:|--:|"]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        site = write_site(Path(folder) / "site").parent
        browser = playwright.chromium.launch(executable_path=find_browser(), args=ARGUMENTS)
        page = browser.new_page()
        for count, epochs in CASES:
            found = [learn(page, site, count, epochs) for _ in range(ROUNDS)]
            seconds = statistics.median(one for one, _ in found)
            lines.append(f"| {count:,} | {epochs} | {seconds:.1f} | {found[0][1]:.1%} |")
        browser.close()
    record(f"Learning in the page, {ROUNDS} rounds, Chromium without a graphics card", lines)


if __name__ == "__main__":
    main()
