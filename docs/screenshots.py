"""Take a picture of every page of the studio, in build/studio/; those that documents show go to docs/images/studio/ too.

python docs/screenshots.py [FOLDER]

On the embedded digits and an image that is drawn here, so that nobody else's photo stands in the documentation. Needs a browser.
"""

from __future__ import annotations

import io
import re
import shutil
import sys
import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))
DESKTOP, PHONE = {"width": 1200, "height": 860}, {"width": 390, "height": 800}
COLOURS = 160


def main() -> None:
    from browser import ARGUMENTS, find_browser
    from playwright.sync_api import sync_playwright
    from studio_process import start_studio

    target = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "studio"
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        place = Path(folder)
        (place / "hill.png").write_bytes(draw_hill())
        digit = load_digits().images[12] * 15.9
        Image.fromarray(digit.astype(np.uint8)).save(place / "digit.png")
        studio = start_studio(place)
        studio.json("POST", "/api/data/open", {"location": "digits"})
        for name, values in {
            "digits-fast": {"recipe": "fast", "time": "10s"},
            "digits-small": {"recipe": "tutorial", "layers": "8C3-MP2-16N"},
        }.items():
            studio.json("POST", "/api/train/start", {"collection": "digits", "name": name, **values})
            studio.wait(name, "finished")
        (place / "photos").mkdir()
        for number, image in enumerate(load_digits().images[:120]):
            large = Image.fromarray((image * 15.9).astype(np.uint8)).resize((160, 160))
            large.save(place / "photos" / f"{number:03d}.png")
        studio.json("POST", "/api/photos/open", {"folder": str(place / "photos"), "run": "digits-fast"})
        studio.json("POST", "/api/photos/photos/regroup", {})
        studio.json(
            "POST", "/api/train/start", {"collection": "digits", "name": "digits-long", "recipe": "fast", "time": "5m"}
        )
        browser = playwright.chromium.launch(executable_path=find_browser(), args=list(ARGUMENTS))
        for name, viewport, lang, scheme in (
            ("", DESKTOP, "en", "light"), ("-pt", DESKTOP, "pt", "light"), ("-phone", PHONE, "pt", "dark"),
        ):  # fmt: skip
            page = browser.new_context(viewport=viewport, color_scheme=scheme).new_page()
            page.goto(studio.address)
            page.goto(f"{studio.origin}/?lang={lang}")
            for short, address in PAGES.items():
                page.goto(studio.origin + address)
                if page.locator("#sources input[type=file]").count():
                    page.set_input_files("#sources input[type=file]", str(place / "hill.png"))
                if address == "/predict":
                    page.set_input_files("#ask input[type=file]", str(place / "digit.png"))
                    page.click("[data-draw=heatmap]")
                    page.wait_for_selector(".inside img")
                if address == "/learn/training":
                    page.click("#learn")
                    page.wait_for_timeout(2500)
                page.wait_for_load_state("networkidle" if address != "/train/digits-long" else "load")
                page.wait_for_timeout(900)
                keep(page.screenshot(full_page=short not in ("data-digits", "result")), target / f"{short}{name}.png")
        studio.json("POST", "/api/train/digits-long/stop", {})
        studio.wait("digits-long", "stopped")
        studio.kill()
    shown = ROOT / "docs" / "images" / "studio"
    shown.mkdir(parents=True, exist_ok=True)
    documents = "".join(path.read_text(encoding="utf-8") for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
    for name in set(re.findall(r"images/studio/([\w-]+\.png)", documents)):
        shutil.copy(target / name, shown / name)


PAGES = {
    "home": "/", "learn": "/learn", "learn-pixels": "/learn/pixels", "learn-channels": "/learn/channels",
    "learn-convolution": "/learn/convolution", "learn-pooling": "/learn/pooling", "learn-network": "/learn/network",
    "learn-training": "/learn/training", "learn-probabilities": "/learn/probabilities", "learn-mistakes": "/learn/mistakes",
    "data": "/data", "data-digits": "/data/digits", "train": "/train?collection=digits", "training": "/train/digits-long",
    "results": "/results", "result": "/results/digits-fast", "image": "/results/digits-fast/images/3", "predict": "/predict",
    "compare": "/compare?runs=digits-fast|digits-small", "photos": "/photos", "review": "/photos/photos/review",
    "groups": "/photos/photos/groups",
}  # fmt: skip


def draw_hill(side: int = 320) -> bytes:
    """Draw a hill with a tower, from which one sees far."""
    y, x = np.mgrid[:side, :side] / side
    sky = np.stack([0.55 + 0.4 * y, 0.7 + 0.2 * y, 0.95 - 0.1 * y], axis=2)
    sky[(x - 0.74) ** 2 + (y - 0.24) ** 2 < 0.008] = (1.0, 0.85, 0.3)
    for height, colour in ((0.62, (0.45, 0.6, 0.55)), (0.72, (0.25, 0.48, 0.3))):
        sky[y > height + 0.12 * np.cos(5 * x + 9 * height)] = colour
    tower = (abs(x - 0.36) < 0.035) & (y > 0.3) & (y < 0.72)
    sky[tower] = (0.55, 0.3, 0.22)
    sky[(abs(x - 0.36) < 0.075) & (abs(y - 0.3) < 0.035)] = (0.8, 0.25, 0.2)
    noise = np.random.default_rng(0).normal(0, 0.015, sky.shape)
    buffer = io.BytesIO()
    Image.fromarray((255 * np.clip(sky + noise, 0, 1)).astype(np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()


def keep(content: bytes, path: Path) -> None:
    """Write a picture of a page in few colours: a third of the bytes, and the extractor sees no difference."""
    Image.open(io.BytesIO(content)).convert("RGB").quantize(COLOURS).save(path, optimize=True)


if __name__ == "__main__":
    main()
