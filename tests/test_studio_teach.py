"""One page from the first image to a model, in a real browser: files and webcam, a training, an honest word, an answer."""

from __future__ import annotations

from pathlib import Path

import pytest
from conftest import write_shapes
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
            until(page, f"document.querySelectorAll('#classes .says')[{number}].textContent.startsWith('12 ')")
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
