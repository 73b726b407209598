"""One page from the first image to a model, in a real browser: files and webcam, a training, an honest word, an answer."""

from __future__ import annotations

import io
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import draw_shape, write_shapes
from film_files import write_film
from PIL import Image
from studio_process import start_studio
from test_studio_browser import until, visitor


@pytest.mark.parametrize(("lang", "size"), [("en", "desktop"), ("pt", "phone")])
def test_images_become_a_model_that_answers_on_one_page(browser, tmp_path: Path, lang: str, size: str) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "home").mkdir()
    files = {kind: sorted((write_shapes(tmp_path / "shapes", 14) / kind).glob("*.png")) for kind in ("bar", "disc")}
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no image")
    studio = start_studio(tmp_path / "home")
    try:
        page = visitor(browser, studio, size, lang)
        page.click("a[href='/teach'].button")
        until(page, "document.querySelectorAll('#classes .class').length === 2")
        assert page.is_disabled("#train")
        page.click("#more-classes")
        for number, (kind, paths) in enumerate(files.items()):
            page.locator("#classes .name").nth(number).fill(kind)
            page.locator("#classes input[type=file]").nth(number).set_input_files([str(path) for path in paths[:12]])
            until(page, f"document.querySelectorAll('#classes .says')[{number}].textContent.endsWith(' 12')")
        page.locator("#classes input[type=file]").nth(0).set_input_files(str(broken))
        until(page, "document.getElementById('classes-error').textContent.includes('broken.png')")
        recorder = page.locator("#classes button.record").nth(2)
        recorder.click()
        until(page, "/\\b[6-9]|\\d\\d/.test(document.querySelectorAll('#classes .says')[2].textContent)")
        recorder.click()
        until(page, "document.querySelectorAll('#classes ul')[2].children.length >= 6")
        until(page, "!document.getElementById('train').disabled")
        gathered = [path for path in (tmp_path / "home" / "images").rglob("*") if path.is_file()]
        assert {path.parent.name for path in gathered} >= {"bar", "disc"} and len(gathered) >= 30
        page.click("#train")
        until(
            page,
            "!document.getElementById('learned').hidden || document.getElementById('train-error').textContent",
            timeout=120_000,
        )
        assert page.locator("#train-error").inner_text() == ""
        honest = page.locator("#honest").inner_text()
        assert ("few images" if lang == "en" else "poucas imagens") in honest and "%" in honest
        page.set_input_files("#ask input[type=file]", str(files["bar"][13]))
        until(page, "!document.querySelector('.answer').hidden")
        assert page.locator(".answer .bars .name").count() == 3
        assert not [one for one in page.troubles if "400" not in one]
        page.context.close()
    finally:
        studio.kill()


def test_an_archive_and_a_film_become_images_of_the_class_they_are_dropped_on(browser, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "home").mkdir()
    folder = write_shapes(tmp_path / "shapes", 7)
    (folder / "bar" / "torn.png").write_bytes(b"no image")
    (folder / "bar" / "notes.txt").write_text("not an image")
    shutil.make_archive(str(tmp_path / "bars"), "zip", folder / "bar")
    pictures = [np.asarray(draw_shape("disc", seed).resize((96, 96))) for seed in range(6)]
    write_film(tmp_path / "discs.mp4", [(picture, 1.0) for picture in pictures])
    (tmp_path / "empty.zip").write_bytes(b"PK\x05\x06" + bytes(18))
    studio = start_studio(tmp_path / "home")
    try:
        page = visitor(browser, studio)
        page.goto(studio.origin + "/teach")
        choose = page.locator("#classes input[type=file]")
        for number, name in enumerate(("bar", "disc")):
            page.locator("#classes .name").nth(number).fill(name)
        choose.nth(0).set_input_files(str(tmp_path / "bars.zip"))
        until(page, "document.querySelectorAll('#classes .says')[0].textContent.endsWith(' 7')")
        until(page, "document.getElementById('classes-error').textContent.includes('bars.zip: torn.png')")
        choose.nth(1).set_input_files(str(tmp_path / "discs.mp4"))
        until(page, "document.querySelectorAll('#classes .says')[1].textContent.startsWith('Images: 6 ')")
        assert "resemble each other" in page.locator("#classes .says").nth(1).inner_text()
        until(page, "[...document.querySelectorAll('#classes ul img')].filter((one) => one.naturalWidth).length === 13")
        items = studio.json("GET", "/api/data/my%20images/items?label=disc")["items"]
        kept = [
            Image.open(io.BytesIO((tmp_path / "home/images/my images" / one["path"]).read_bytes())) for one in items
        ]
        assert [one.size for one in kept] == [(96, 96)] * 6
        for wrong, told in (("empty.zip", "there is no image in it"), ("discs.mp4.zip", "damaged")):
            (tmp_path / "discs.mp4.zip").write_bytes(b"not a zip")
            choose.nth(1).set_input_files(str(tmp_path / wrong))
            until(page, f"document.getElementById('classes-error').textContent.includes({told!r})")
        assert str(tmp_path) not in page.inner_text(
            "#classes-error"
        )  # the name that a person gave, not where it was put
        assert not list((tmp_path / "home").rglob("*.part*"))
        page.context.close()
    finally:
        studio.kill()
