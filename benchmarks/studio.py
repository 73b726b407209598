"""The studio: from Enter to the first page, and how long a widget takes for a frame of 512×512 pixels, in Chromium.

python benchmarks/studio.py
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from record import record

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
FRAMES = 60
FRAME = """
async ({ kernel, stride, padding, times }) => {
  const { convolve, show } = await import("/static/maths.js");
  const canvas = document.createElement("canvas"), side = 512;
  const pixels = new Uint8ClampedArray(side * side * 4).map(() => 256 * Math.random());
  const taken = [];
  for (let n = 0; n < times; n++) {
    const began = performance.now();
    const result = convolve(pixels, side, side, kernel.map((one) => one + n / 1000), 3, stride, padding);
    canvas.width = result.width;
    canvas.height = result.height;
    const place = canvas.getContext("2d"), made = place.createImageData(result.width, result.height);
    show(result, made.data);
    place.putImageData(made, 0, 0);
    taken.push(performance.now() - began);
  }
  return taken;
}
"""


def main() -> None:
    from browser import ARGUMENTS, find_browser
    from playwright.sync_api import sync_playwright
    from studio_process import start_studio

    starts, pages, lines = [], [], []
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find_browser(), args=list(ARGUMENTS))
        for number in range(5):
            began = time.monotonic()
            studio = start_studio(Path(folder))
            starts.append(time.monotonic() - began)
            page = browser.new_context().new_page()
            page.goto(studio.address)
            pages.append(time.monotonic() - began)
            if number < 4:
                studio.kill()
        lines.append(
            f"From Enter to the first answer {median(starts):.2f} s, to the first page in the browser {median(pages):.2f} s."
        )
        timing = "() => performance.getEntriesByType('navigation')[0].loadEventEnd"
        for address in ("/", "/learn/convolution", "/data", "/train"):
            page.goto(studio.origin + address, wait_until="load")
            page.wait_for_function(f"({timing})() > 0")
            lines.append(f"Page {address}: {page.evaluate(timing):.0f} ms.")
        for name, stride, padding in (("stride 1, no padding", 1, 0), ("stride 1, padding 1", 1, 1)):
            options = {
                "kernel": [-1, -1, -1, -1, 8, -1, -1, -1, -1],
                "stride": stride,
                "padding": padding,
                "times": FRAMES,
            }
            page.evaluate(FRAME, options)  # as a hand on the knob finds it: compiled, and the page come to rest
            taken = sorted(page.evaluate(FRAME, options))
            lines.append(
                f"A frame of 512×512, three channels, {name}: median {median(taken):.1f} ms, 95% within {taken[-3]:.1f} ms."
            )
        studio.kill()
        browser.close()
    record("The studio", lines)


if __name__ == "__main__":
    main()
