"""The learning pages as static files: from disk and from a server, offline, in Chromium and Firefox; what learns there is a model."""

from __future__ import annotations

import base64
import functools
import http.server
import io
import itertools
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Command, draw_shape
from firefox import Firefox, find_firefox
from PIL import Image

from mirante.prediction.model import load
from mirante.studio.site import CHAPTERS, write_site

PAGES = ("index", *CHAPTERS, "lab")
ANSWERED = """() => Object.fromEntries([...document.querySelectorAll("#bars .name")].map((name) =>
    [name.textContent, name.nextElementSibling.nextElementSibling.textContent]))"""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_site(tmp_path_factory.mktemp("site") / "site").parent


@pytest.fixture
def offline(browser) -> Iterator[Any]:  # type: ignore[no-untyped-def]
    """A page without a network; its errors are in `page.errors`, the addresses that it asked for in `page.asked`."""
    context = browser.new_context(offline=True, accept_downloads=True)
    page = context.new_page()
    page.errors, page.asked = [], []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("console", lambda told: page.errors.append(told.text) if told.type == "error" else None)
    page.on("request", lambda request: page.asked.append(request.url))
    yield page
    context.close()


@pytest.mark.parametrize("lang", ["en", "pt"])
def test_every_page_works_from_disk_with_the_network_cut(site: Path, offline: Any, lang: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    axe, findings = Axe(), []
    for scheme in ("light", "dark"):
        offline.emulate_media(color_scheme=scheme)
        for name in PAGES:
            offline.goto((site / lang / f"{name}.html").as_uri())
            offline.wait_for_load_state("networkidle")
            found = axe.run(offline).response["violations"]
            findings += [f"{name} {scheme}: {one['id']} {one['nodes'][0]['html'][:150]}" for one in found]
    assert findings == []
    offline.errors.clear()  # axe asks for style sheets, which the page's policy refuses
    for name in PAGES:
        offline.goto((site / lang / f"{name}.html").as_uri())
    offline.goto((site / lang / "convolution.html").as_uri())
    until(offline, "[...document.querySelectorAll('canvas')].some((one) => one.width > 300)")
    assert offline.errors == []
    assert all(address.startswith(("file:", "data:", "blob:")) for address in offline.asked)
    assert offline.locator("html").get_attribute("lang") == {"en": "en", "pt": "pt-BR"}[lang]
    offline.click(".bar a.plain")  # the same page in the other language
    assert f"/{'pt' if lang == 'en' else 'en'}/convolution.html" in offline.url


def until(page: Any, script: str) -> None:
    """Wait until an expression is true: asked again and again, since the page's policy forbids what Playwright would do."""
    ending = time.monotonic() + 60
    while not page.evaluate(script):
        assert time.monotonic() < ending, script
        page.wait_for_timeout(50)


def train(page: Any, count: int, epochs: int) -> None:
    page.fill("#count", str(count))
    page.fill("#epochs", str(epochs))
    page.click("#train")
    page.wait_for_selector("#download:not([disabled])", timeout=90_000)


def asked(page: Any, image: Image.Image) -> dict[str, float]:
    """Return what the page answers about an image file: class → probability, as it is shown."""
    held = io.BytesIO()
    image.save(held, "PNG")
    page.evaluate("document.getElementById('bars').replaceChildren()")
    page.set_input_files("#try-input", {"name": "one.png", "mimeType": "image/png", "buffer": held.getvalue()})
    page.wait_for_selector("#bars .name")
    shown = page.evaluate(ANSWERED)
    return {name: float(share.strip(">%").replace(",", ".")) / 100 for name, share in shown.items()}


def test_digits_learned_in_the_page_are_a_model_that_gives_the_same_answers(
    site: Path, offline: Any, tmp_path: Path, mirante: Command
) -> None:
    offline.goto((site / "pt" / "lab.html").as_uri())
    train(offline, 300, 15)
    right = int(offline.inner_text("#state").partition(": ")[2].partition(" ")[0])
    assert right > 240  # of 400
    assert offline.locator("#curves polyline").count() == 2 and offline.locator("#wrong canvas").count() > 0
    with offline.expect_download() as download:
        offline.click("#download")
    download.value.save_as(tmp_path / "model.onnx")
    model = load(tmp_path / "model.onnx")
    assert model.classes == tuple("0123456789")
    random = np.random.default_rng(0)
    for number in range(4):
        pixels = random.integers(0, 256, (16, 16), dtype=np.uint8)  # at the size that the network sees
        shown = asked(offline, Image.fromarray(pixels))
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        answer = json.loads(
            mirante("predict", tmp_path / "model.onnx", tmp_path / f"{number}.png", "--format", "json").stdout
        )
        for name, share in shown.items():
            assert abs(answer["probabilities"][name] - share) < 0.00051, (number, name)
    assert offline.errors == []


def test_two_things_of_ones_own_are_learned_and_named(site: Path, offline: Any, tmp_path: Path) -> None:
    offline.goto((site / "en" / "lab.html").as_uri())
    offline.check("input[value=own]")
    offline.click("#train")
    assert "at least four images" in offline.inner_text("#says")
    files: dict[str, list[str]] = {}
    for kind in ("disc", "bar"):
        for number in range(24):
            place = tmp_path / kind / f"{number}.png"
            place.parent.mkdir(exist_ok=True)
            draw_shape(kind, number, 32).save(place)
            files.setdefault(kind, []).append(str(place))
    for number, kind in enumerate(("disc", "bar")):
        zone = offline.locator(".own-class").nth(number)
        zone.locator(".own-name").fill("dïsc “1”" if kind == "disc" else kind)
        zone.locator("input[type=file]").set_input_files(files[kind])
        until(offline, f"document.querySelectorAll('.own-count')[{number}].textContent === 'Images: 24'")
    offline.fill("#epochs", "30")
    offline.click("#train")
    offline.wait_for_selector("#download:not([disabled])", timeout=90_000)
    assert "12 images kept apart" in offline.inner_text("#honest")  # and how little that tells
    with offline.expect_download() as download:
        offline.click("#download")
    download.value.save_as(tmp_path / "model.onnx")
    model = load(tmp_path / "model.onnx")
    assert model.classes == ("dïsc “1”", "bar") and (model.info.height, model.info.channels) == (32, 3)
    shown = asked(offline, Image.open(files["disc"][3]))
    answer = model.predict(files["disc"][3])
    assert (
        abs(shown["dïsc “1”"] - min(0.999, float(answer.probabilities[0]))) < 0.00051
    )  # ">99.9%" is all that is shown


def test_a_drawing_is_answered_and_a_training_can_be_stopped(site: Path, offline: Any) -> None:
    offline.goto((site / "en" / "lab.html").as_uri())
    offline.fill("#count", "1200")
    offline.fill("#epochs", "40")
    offline.click("#train")
    until(offline, "document.getElementById('state').textContent.startsWith('Epoch 2')")
    box = offline.locator("#try-pad canvas").bounding_box()
    offline.mouse.move(box["x"] + 90, box["y"] + 30)
    offline.mouse.down()
    offline.mouse.move(box["x"] + 90, box["y"] + 150, steps=8)
    offline.mouse.up()
    offline.wait_for_selector("#bars .name")
    offline.click("#try-pad button")  # cleared, and drawn in with keys
    white = """(() => {
        const place = document.querySelector("#try-pad canvas").getContext("2d");
        return place.getImageData(0, 0, 192, 192).data.filter((value) => value > 250).length;
    })()"""
    empty = offline.evaluate(white)
    offline.focus("#try-pad canvas")
    offline.keyboard.press("ArrowUp")
    assert offline.evaluate(white) == empty and offline.is_visible("#try-pad .pen")
    for _ in range(4):
        offline.keyboard.press("Shift+ArrowDown")
    assert offline.evaluate(white) > empty + 1000
    offline.keyboard.press("Delete")
    assert offline.evaluate(white) == empty
    offline.click("#train")  # stops, and keeps what it has learned
    offline.wait_for_selector("#download:not([disabled])", timeout=60_000)
    assert offline.inner_text("#train") == "Train"
    train(offline, 100, 2)  # a new one is not ended by what the one before still had to say
    assert offline.locator("#curves circle").count() == 2 * 2
    ink = Image.new("L", (200, 300), 255)  # ink on paper, as a scan is: seen as the digits are
    ink.paste(0, (95, 60, 110, 250))
    scanned = asked(offline, ink)
    drawn = Image.new("L", (192, 192), 0)
    drawn.paste(255, (90, 1, 105, 191))
    assert scanned.keys() == asked(offline, drawn).keys()
    assert offline.errors == []


def test_a_step_in_the_page_is_a_step_of_torch(site: Path, offline: Any) -> None:
    """Three epochs of one batch with Adam: the weights are those that torch reaches from the same beginning."""
    import torch

    from mirante.model.network import build_network

    random = np.random.default_rng(1)
    images = random.integers(0, 256, (24, 16, 16, 1), dtype=np.uint8)
    targets = random.integers(0, 10, 24).tolist()
    offline.goto((site / "en" / "lab.html").as_uri())
    learned = offline.evaluate(
        """([images, targets]) => new Promise((done, fail) => {
            const worker = new Worker(URL.createObjectURL(new Blob([MIRANTE_LAB.worker], { type: "text/javascript" })));
            const ends = {};
            worker.onmessage = ({ data }) => {
                if (data.told === "failed") fail(new Error(data.reason));
                if (data.told !== "done") return;
                const plain = data.weights.map((one) => [one.shape, [...one.values]]);
                if (!ends.begin) { ends.begin = plain; learn(3); } else { done([ends.begin, plain]); }
            };
            const learn = (epochs) => worker.postMessage({ do: "learn", images: Uint8Array.from(images), targets, apart: [0],
                shape: [16, 16, 1], classes: 10, epochs, seed: 5, batch: 64 });
            learn(0);
        })""",
        [images.ravel().tolist(), targets],
    )
    begin, end = ([np.array(values, np.float32).reshape(shape) for shape, values in part] for part in learned)
    network = build_network("8C3-MP2-16C3-MP2-32N", (16, 16, 1), (10,))
    weights = list(network.parameters())
    with torch.no_grad():
        for weight, value in zip(weights, begin, strict=True):
            weight.copy_(torch.from_numpy(value))
    optimiser = torch.optim.Adam(network.parameters(), lr=0.003, eps=1e-7)
    shown = torch.from_numpy(images[1:].astype(np.float32) / 255).permute(0, 3, 1, 2)
    for _ in range(3):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(network.body(shown), torch.tensor(targets[1:])).backward()
        optimiser.step()
    for weight, value in zip(weights, end, strict=True):
        assert np.abs(weight.detach().numpy() - value).max() < 2e-4


@pytest.mark.skipif(find_firefox() is None, reason="no Firefox here, and none could be installed (tests/firefox.py)")
def test_firefox_shows_every_page_and_learns_too(site: Path, tmp_path: Path) -> None:
    firefox = Firefox()
    try:
        for name in PAGES:
            firefox.visit((site / "pt" / f"{name}.html").as_uri())
            assert "Mirante" in str(firefox.run("document.title"))
        firefox.run("document.getElementById('count').value = 300; document.getElementById('train').click()")
        done = firefox.run(
            """new Promise((done) => { const wait = () => document.getElementById("download").disabled
            ? setTimeout(wait, 200) : done(document.getElementById("state").textContent); wait(); })"""
        )
        assert int(str(done).partition(": ")[2].partition(" ")[0]) > 200  # of 400
        assert firefox.errors == []
    finally:
        firefox.close()


def test_a_web_server_and_the_model_of_a_run(
    shapes_run: tuple[Path, Path],
    tmp_path: Path,
    browser,
    mirante: Command,  # type: ignore[no-untyped-def]
) -> None:
    run, data = shapes_run
    done = mirante("studio", "--as-site", tmp_path / "site", "--run", run, "--lang", "pt")
    assert done.returncode == 0 and done.stdout.strip() == str(tmp_path / "site" / "index.html"), done.stderr
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / "site"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page = browser.new_page()
    outside = []
    page.on("request", lambda request: outside.append(request.url))
    try:
        page.goto(f"http://127.0.0.1:{server.server_port}/index.html")
        page.click("text=Português")
        page.click("nav >> text=Perguntar a um modelo")
        page.wait_for_selector("body[data-ready]", timeout=60_000)
        page.set_input_files("#files", str(data / "bar" / "000.png"))
        until(page, "document.getElementById('answers').textContent.includes('%')")
        assert "bar" in page.inner_text("#answers")
    finally:
        page.close()
        server.shutdown()
    assert all(url.startswith((f"http://127.0.0.1:{server.server_port}/", "blob:", "data:")) for url in outside)


def test_what_cannot_be_written_is_said(tmp_path: Path, mirante: Command) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    refused = {
        ("--as-site", str(tmp_path / "full")): "already exists and is not empty",
        ("--as-site", str(tmp_path / "new"), "--library", str(tmp_path / "full")): "lacks the package tfjs-core",
        ("--run", "runs/x"): "--run needs --as-site DIR.",
    }
    for words, sentence in refused.items():
        done = mirante("studio", *words)
        assert done.returncode == 2 and sentence in done.stderr, done.stderr
    assert (tmp_path / "full" / "mine.txt").read_text() == "mine"


def test_the_graphs_of_the_laboratory_have_a_place_for_each_weight() -> None:
    from mirante.studio.lab_models import lab_models

    for held in lab_models().values():
        content = base64.b64decode(held["onnx"])
        places = sorted((one["at"], 4 * int(np.prod(one["shape"]))) for one in held["weights"])
        assert all(at + length <= other for (at, length), (other, _) in itertools.pairwise(places))
        at, length = held["info"]["at"], held["info"]["length"]
        assert json.loads(content[at : at + length]) == held["info"]["value"]
