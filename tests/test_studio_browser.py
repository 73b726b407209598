"""The studio in a real browser: the whole story from dropped images to a prediction, and what every page owes to everyone."""

from __future__ import annotations

import base64
import io
import json
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import draw_shape, write_shapes
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from studio_process import Studio, start_studio
from test_studio import QUICK, pages

from mirante.see.arithmetic import convolve, output_side, pool

SIZES = {"desktop": (1280, 800), "phone": (390, 844)}


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A studio with the collection `shapes` and two finished runs, `first` and `second`."""
    folder = tmp_path_factory.mktemp("studio")
    write_shapes(folder / "shapes", 30)
    running = start_studio(folder)
    running.json("POST", "/api/data/open", {"location": "shapes"})
    for name in ("first", "second"):
        running.json("POST", "/api/train/start", {**QUICK, "collection": "shapes", "name": name})
        running.wait(name, "finished")
    yield running
    running.kill()


def visitor(browser, studio: Studio, size: str = "desktop", lang: str = "en", scheme: str = "light"):  # type: ignore[no-untyped-def]
    """Return a page of a browser that was let in; what goes wrong in it fails the test at the end (page.troubles)."""
    width, height = SIZES[size]
    context = browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,
        permissions=["camera"],
        has_touch=size == "phone",
    )
    page = context.new_page()
    page.troubles = []
    page.on("pageerror", lambda error: page.troubles.append(str(error)))
    page.on("console", lambda one: page.troubles.append(one.text) if one.type == "error" else None)
    page.goto(studio.address)
    page.goto(f"{studio.origin}/?lang={lang}")
    return page


def until(page, expression: str, arg: object = None, timeout: float = 30_000) -> None:  # type: ignore[no-untyped-def]
    """Wait until an expression is true in the page. Playwright's own way evaluates text there, which our pages forbid."""
    end = time.monotonic() + timeout / 1000
    while not page.evaluate(expression, arg):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(50)


def shut_out(page, studio: Studio, address: str, ready: str = "true") -> list[str]:  # type: ignore[no-untyped-def]
    """Return what of a page shuts somebody out: what axe finds, what is too wide, what fails in the console."""
    from axe_playwright_python.sync_playwright import Axe

    page.troubles.clear()
    page.goto(studio.origin + address)
    page.wait_for_load_state("networkidle")
    until(page, ready)
    results = Axe().run(page, options={"resultTypes": ["violations"]})
    broken = [f"{one['id']}: {one['nodes'][0]['html'][:120]}" for one in results.response["violations"]]
    wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    if wide > 0:
        broken.append(f"{wide} pixels too wide")
    return broken + [text for text in page.troubles if "404" not in text]


def drop(page, selector: str, files: list[tuple[str, bytes]]) -> None:  # type: ignore[no-untyped-def]
    """Drop files on an element, as the browser would tell it of a drag from the desktop."""
    content = [(name, base64.b64encode(data).decode()) for name, data in files]
    page.eval_on_selector(
        selector,
        """(target, content) => {
            const transfer = new DataTransfer();
            for (const [name, data] of content) {
                const bytes = Uint8Array.from(atob(data), (one) => one.charCodeAt(0));
                transfer.items.add(new File([bytes], name, { type: "image/png" }));
            }
            const options = { dataTransfer: transfer, bubbles: true, cancelable: true };
            for (const kind of ["dragover", "drop"]) target.dispatchEvent(new DragEvent(kind, options));
        }""",
        content,
    )


def png(kind: str, seed: int) -> bytes:
    buffer = io.BytesIO()
    draw_shape(kind, seed).save(buffer, "PNG")
    return buffer.getvalue()


STORY = {
    "en": "Begin|Train on these images|Start|See the results|of {} test images right|Where did it look?|All of them",
    "pt": "Começar|Treinar com estas imagens|Começar|Ver os resultados|das {} imagens de teste certas|Para onde ele olhou?|Todas elas",
}


@pytest.mark.parametrize(("size", "lang"), [("desktop", "en"), ("phone", "pt")])
def test_the_whole_story(browser, tmp_path: Path, size: str, lang: str) -> None:  # type: ignore[no-untyped-def]
    """Gather two classes, train, watch the curve move, look at an answer, ask about a new image."""
    studio = start_studio(tmp_path)
    begin, to_train, start, to_results, right, looked, every = STORY[lang].split("|")
    try:
        page = visitor(browser, studio, size, lang)
        page.click("nav a[href='/data']")
        form = page.locator("form[data-action='/api/data/make']")
        form.locator("[name=name]").fill("signs")
        form.locator("[name=classes]").fill("bar, disc")
        form.get_by_role("button", name=begin).click()
        page.wait_for_url("**/data/signs")
        for kind in ("bar", "disc"):
            with page.expect_navigation():  # the page shows itself anew when all have arrived
                drop(page, f"[data-class='{kind}']", [(f"{n}.png", png(kind, n)) for n in range(40)])
            page.wait_for_load_state()
        until(page, "document.querySelectorAll('#items img').length >= 8")
        assert "80" in page.locator(".lead").inner_text()
        page.get_by_role("link", name=to_train).click()
        page.select_option("#recipe", "fast")
        page.fill("[name=time]", "12s")
        page.fill("#layers", "8C3-MP2-16C3-XX-GAP")
        until(page, "document.querySelector('#layers-pointer mark')?.textContent === 'XX'")
        page.fill("#layers", "8C3-MP2-16C3-GAP")
        page.wait_for_selector("#drawing svg polygon")
        page.get_by_role("button", name=start).click()
        page.wait_for_url("**/train/signs-fast")
        page.wait_for_selector("#accuracy polyline, #accuracy circle", timeout=60_000)
        first = page.locator("#accuracy").inner_html()
        until(page, "(first) => document.querySelector('#accuracy').innerHTML !== first", arg=first)  # it moves
        page.get_by_role("link", name=to_results).click(timeout=60_000)
        page.wait_for_selector("#items li a")
        assert right.split("{}")[0].strip() in page.locator("main").inner_text()
        page.locator(".matrix a").first.click()
        until(page, "document.querySelector('#filter [name=label]').value === 'bar'")
        page.get_by_role("button", name=every).click()
        until(page, "document.querySelector('#filter [name=label]').value === ''")
        page.locator("#items li a").first.click()
        until(page, "[...document.querySelectorAll('main img.shown')].every((one) => one.complete && one.naturalWidth)")
        page.wait_for_selector("#neighbours img")
        page.goto(f"{studio.origin}/predict")
        drop(page, ".drop", [("new.png", png("disc", 777))])
        page.wait_for_selector(".answer:not([hidden])")
        assert page.locator(".answer .label").inner_text() == "disc"
        page.get_by_role("button", name=looked).click()
        page.wait_for_selector(".inside img")
        assert page.troubles == []
    finally:
        studio.kill()


@pytest.mark.parametrize(("size", "scheme", "lang"), [("desktop", "light", "en"), ("phone", "dark", "pt")])
def test_no_page_shuts_anybody_out(browser, studio: Studio, size: str, scheme: str, lang: str) -> None:  # type: ignore[no-untyped-def]
    """axe-core finds nothing; nothing runs over the side of a phone; nothing fails in the console."""
    page = visitor(browser, studio, size, lang, scheme)
    addresses = [*pages(studio), "/compare?runs=first|second", "/no/such/page"]
    assert {address: broken for address in addresses if (broken := shut_out(page, studio, address))} == {}


def test_everything_is_reached_by_the_keyboard(browser, studio: Studio) -> None:  # type: ignore[no-untyped-def]
    page = visitor(browser, studio)
    page.goto(f"{studio.origin}/data/shapes")
    page.wait_for_selector("#items button")
    page.locator("#items button").first.focus()
    page.keyboard.press("Enter")
    assert page.locator("#tools").is_visible()
    page.goto(f"{studio.origin}/results/first")
    until(page, "document.querySelector('.people').textContent")
    people = page.locator(".people").inner_text()
    page.locator("#deciding input[type=range]").focus()
    page.keyboard.press("Home")
    until(page, f"document.querySelector('.people').textContent !== {json.dumps(people)}")
    assert " 0 missed" in page.locator(".people").inner_text()  # at 1%, of these shapes
    page.goto(f"{studio.origin}/learn/pixels")
    until(page, "document.getElementById('triple').textContent")
    before = page.locator("#triple").inner_text()
    page.locator("#whole").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#triple").inner_text() != before
    page.goto(studio.origin)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"


def test_the_webcam_gathers_images(browser, studio: Studio) -> None:  # type: ignore[no-untyped-def]
    studio.json("POST", "/api/data/make", {"name": "camera", "classes": "me, wall"})
    page = visitor(browser, studio)
    page.goto(f"{studio.origin}/data/camera")
    record = page.locator("[data-class='me'] button.record")
    record.click()
    until(page, "/\\d/.test(document.querySelector(\"[data-class='me'] .says\").textContent)")
    page.wait_for_timeout(600)
    with page.expect_navigation():
        record.click()
    page.wait_for_selector("#items img")
    assert studio.json("GET", "/api/data/camera/items?label=me")["count"] >= 2
    assert page.troubles == []


def test_images_change_class_in_the_page(browser, studio: Studio) -> None:  # type: ignore[no-untyped-def]
    page = visitor(browser, studio)
    page.goto(f"{studio.origin}/data/shapes")
    page.select_option("#show", "cross")
    until(page, "document.querySelectorAll('#items li').length === 30")
    page.locator("#items button").nth(0).click()
    page.locator("#items button").nth(1).click(modifiers=["Control"])
    page.fill("#to", "bar")
    page.press("#to", "Enter")
    until(page, "document.getElementById('shown').textContent === 'Images: 28'")
    assert studio.json("GET", "/api/data/shapes/items?label=bar")["count"] == 32
    studio.json("POST", "/api/data/shapes/edit", {"paths": ["cross/000.png", "cross/001.png"], "do": "take back"})
    assert studio.json("GET", "/api/data/shapes/items?label=bar")["count"] == 30


def test_the_quiz_can_be_got_wrong(browser, studio: Studio) -> None:  # type: ignore[no-untyped-def]
    page = visitor(browser, studio)
    for address in pages(studio):
        if address.startswith("/learn/"):
            page.goto(studio.origin + address)
            marks = []
            for choice in page.locator(".question input").all():
                choice.check()
                marks.append(
                    (choice.get_attribute("data-right"), page.locator(".question output").get_attribute("class"))
                )
            assert len(marks) >= 3 and sorted(right for right, _ in marks).count("yes") == 1, address
            assert all(said == ("right" if right == "yes" else "wrong") for right, said in marks)


@pytest.fixture(scope="module")
def arithmetic(browser, studio: Studio):  # type: ignore[no-untyped-def]
    page = visitor(browser, studio)
    page.goto(f"{studio.origin}/learn")
    page.evaluate("import('/static/maths.js').then((found) => { window.maths = found; })")
    until(page, "window.maths")
    return page


sides = st.integers(1, 12)


@given(sides, sides, st.integers(1, 5), st.integers(1, 4), st.integers(0, 3), st.integers(0, 99))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_browsers_convolution_is_pythons(
    arithmetic, height: int, width: int, k: int, stride: int, padding: int, seed: int
) -> None:  # type: ignore[no-untyped-def]
    random = np.random.default_rng(seed)
    image = random.integers(0, 256, (height, width, 4), np.uint8)
    kernel = random.normal(size=(k, k))
    theirs = arithmetic.evaluate(
        "([pixels, width, height, kernel, k, stride, padding]) => { const found = maths.convolve(pixels, width, height, kernel, k,"
        " stride, padding); return found && [found.height, found.width, [...found.values]]; }",
        [image.ravel().tolist(), width, height, kernel.ravel().tolist(), k, stride, padding],
    )
    if min(height, width) + 2 * padding < k:
        assert theirs is None
        return
    mine = convolve(image[:, :, :3], kernel, stride, padding)
    assert theirs[:2] == list(mine.shape[:2]) == [output_side(side, k, stride, padding)[0] for side in (height, width)]
    assert np.allclose(np.reshape(theirs[2], mine.shape), mine, atol=1e-2)


@given(sides, sides, st.integers(1, 6), st.sampled_from(["max", "average"]), st.integers(0, 99))
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_browsers_pooling_is_pythons(arithmetic, height: int, width: int, size: int, kind: str, seed: int) -> None:  # type: ignore[no-untyped-def]
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 4), np.uint8)
    theirs = arithmetic.evaluate(
        "([pixels, width, height, size, kind]) => { const found = maths.pool(pixels, width, height, size, kind); "
        "return found && [...found.values]; }",
        [image.ravel().tolist(), width, height, size, kind],
    )
    if min(height, width) < size:
        assert theirs is None
        return
    mine = pool(image[:, :, :3], size, kind)  # type: ignore[arg-type]
    assert np.allclose(np.reshape(theirs, mine.shape), mine, atol=1e-3)


@given(st.lists(st.floats(-30, 30), min_size=1, max_size=9), st.floats(0.1, 10))
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_browsers_softmax_is_softmax(arithmetic, logits: list[float], temperature: float) -> None:  # type: ignore[no-untyped-def]
    theirs = arithmetic.evaluate("([logits, temperature]) => maths.softmax(logits, temperature)", [logits, temperature])
    powers = np.exp((np.array(logits) - max(logits)) / temperature)
    assert np.allclose(theirs, powers / powers.sum())


def test_a_kernel_learns_in_the_browser(browser, studio: Studio) -> None:  # type: ignore[no-untyped-def]
    page = visitor(browser, studio)
    page.goto(f"{studio.origin}/learn/training")
    page.wait_for_selector("#goal-numbers td")
    page.click("#learn")
    until(page, "document.querySelector('#losses polyline')")
    until(page, "/Learned/.test(document.getElementById('state').textContent)", timeout=60_000)
    learned, goal = (
        page.eval_on_selector_all(f"#{name}-numbers td", "(cells) => cells.map((one) => Number(one.textContent))")
        for name in ("learned", "goal")
    )
    assert np.allclose(learned, goal, atol=0.06)
    page.fill("#rate", "0")  # a rate of 1: far too large
    page.click("#restart")
    page.click("#learn")
    until(page, "/blown up/.test(document.getElementById('state').textContent)")
    assert page.troubles == []


def test_augmentation_is_switched_on_and_its_curve_appears(browser, studio: Studio) -> None:  # type: ignore[no-untyped-def]
    page = visitor(browser, studio)
    page.goto(f"{studio.origin}/learn/augmentation")
    until(page, "document.getElementById('changed').naturalWidth > 100")
    told = page.locator("#told").inner_text()
    assert "mirror, rotate 15" in told
    page.check("input[value=grey]")
    page.fill("[data-amount=grey]", "1")
    until(page, "/grey 1/.test(document.getElementById('told').textContent)")
    for name in ("mirror", "rotate", "grey"):
        page.uncheck(f"input[value={name}]")
    assert page.locator("#changed").is_hidden()
    page.check("input[value=shift]")
    page.select_option("#collection", "shapes")
    page.click("#train")
    until(page, "document.querySelectorAll('#runs tbody tr').length === 2")
    finished = "document.getElementById('state').textContent === '' && document.querySelectorAll('#kept polyline').length === 2"
    until(page, finished, timeout=120_000)
    assert page.locator("#runs tbody tr").nth(0).inner_text().startswith("none")
    assert page.locator("#runs button").inner_text() == "shift 2" and "%" in page.locator("#runs tbody").inner_text()
    asked = {"collection": "shapes", "augment": "shift 2"}
    assert studio.json("POST", "/api/augment/train", asked) == {"words": "shift 2"}  # both are there already
    plain, other = studio.json("GET", "/api/augment/runs?collection=shapes")["runs"]
    assert (plain["words"], other["words"]) == ("none", "shift 2")
    for one, words in ((plain, []), (other, ["shift 2"])):
        assert one["state"] == "finished" and [epoch["epoch"] for epoch in one["epochs"]] == list(range(1, 13))
        recipe = tomllib.loads((studio.folder / "runs" / one["name"] / "recipe.toml").read_text())["recipe"]
        assert recipe["augment"] == words and recipe["val_share"] == 0.5
    assert page.troubles == []


@pytest.mark.parametrize("lang", ["en", "pt"])
def test_the_findings_of_the_check_are_decided_with_one_key_each(browser, tmp_path: Path, lang: str) -> None:  # type: ignore[no-untyped-def]
    root, random = tmp_path / "shapes", np.random.default_rng(0)
    for kind in ("bar", "disc"):  # patches of colour, no two of them alike
        (root / kind).mkdir(parents=True)
        for number in range(24):
            patches = np.kron(random.integers(0, 256, (6, 6, 3)), np.ones((8, 8, 1))).astype(np.uint8)
            Image.fromarray(patches).save(root / kind / f"{number:03d}.png")
    (root / "disc" / "copy.png").write_bytes((root / "bar" / "003.png").read_bytes())  # a contradiction
    (root / "disc" / "twin.png").write_bytes((root / "disc" / "005.png").read_bytes())
    (root / "bar" / "torn.png").write_bytes((root / "bar" / "001.png").read_bytes()[:90])
    begin, decided, kept = {
        "en": ("Check these images", "are decided", "kept"),
        "pt": ("Verificar estas imagens", "estão decididos", "mantido"),
    }[lang]
    running = start_studio(tmp_path)
    try:
        running.json("POST", "/api/data/open", {"location": "shapes"})
        page = visitor(browser, running, lang=lang)
        page.goto(f"{running.origin}/data/shapes/check")
        page.get_by_role("button", name=begin).click()
        until(page, "!document.getElementById('finding').hidden", timeout=120_000)
        findings = running.json("GET", "/api/data/shapes/check")["findings"]
        contradiction = {"bar/003.png", "disc/copy.png"}
        assert {one["path"] for one in findings[0]["pictures"]} == contradiction
        assert any("torn.png" in one["pictures"][0]["path"] for one in findings if one["title"] == "Cannot be used")
        page.keyboard.press("x")  # of a contradiction both leave
        until(page, "document.getElementById('place').textContent.match(/ 2 /)")
        page.keyboard.press("u")
        until(page, "document.getElementById('place').textContent.match(/ 1 /)")
        assert left_out(running) == set()
        page.keyboard.press("x")
        until(page, "document.getElementById('place').textContent.match(/ 2 /)")
        assert left_out(running) == contradiction
        assert page.locator("#state").inner_text() == "" and page.locator("#finding .error").inner_text() == ""
        page.goto(f"{running.origin}/data/shapes/check")  # a reload forgets nothing
        together = [one for one in findings if len(one["pictures"]) > 1]
        twins = next(one for one in together if "disc/twin.png" in {shown["path"] for shown in one["pictures"]})
        gone = {picture["path"] for picture in twins["pictures"] if picture["goes"]}
        assert len(gone) == len(twins["pictures"]) - 1  # one of the copies stays
        for _ in range(len(findings) - 1):
            until(page, "!document.getElementById('finding').hidden")
            pictures = page.locator("#pictures")
            twin = "disc/twin.png" in pictures.inner_html() and pictures.locator("li").count() > 1
            before = page.locator("#place").inner_text()
            page.keyboard.press("x" if twin else "k")
            until(page, f"document.getElementById('place').textContent !== {json.dumps(before)}")
        until(page, f"document.getElementById('state').textContent.includes({json.dumps(decided)})")
        assert left_out(running) == contradiction | gone
        page.keyboard.press("u")
        until(page, f"!document.getElementById('state').textContent.includes({json.dumps(decided)})")
        page.keyboard.press("k")
        until(page, f"document.getElementById('place').textContent.includes({json.dumps(kept)})")
        assert [one for one in page.troubles if "404" not in one] == []  # the torn image has no thumbnail
        assert running.ask("POST", "/api/data/shapes/check/decide", {"number": 999, "do": "keep"})[0] == 400
        assert running.ask("POST", "/api/data/shapes/check/decide", {"number": 0, "do": "burn"})[0] == 400
        page.context.close()
    finally:
        running.kill()
    assert (root / "disc" / "twin.png").exists()  # the files stay


def left_out(studio: Studio) -> set[str]:
    """Return the images of the collection `shapes` that take no part in trainings."""
    edits = json.loads((studio.folder / ".mirante" / "collections" / "shapes.json").read_text(encoding="utf-8"))[
        "edits"
    ]
    return {path for path, label in edits.items() if label is None}
