"""Answers are confirmed and corrected where they are read, on the page Predict, and the model learns from them."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from conftest import draw_shape
from studio_process import Studio, start_studio
from test_photos_learn import rings
from test_studio_browser import until, visitor
from test_tag import tag_run  # noqa: F401 (a fixture)

from mirante.photos.library import Library, labels_of, several_of
from mirante.run import Run


@pytest.fixture(scope="module")
def studio(
    shapes_run: tuple[Path, Path],
    tag_run: tuple[Path, Path],  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Studio]:
    """A studio with a run of classes and one of several labels."""
    folder = tmp_path_factory.mktemp("corrected")
    for name in ("shapes-en", "shapes-pt"):
        shutil.copytree(shapes_run[0], folder / "runs" / name)
    shutil.copytree(tag_run[0], folder / "runs" / "marks")
    running = start_studio(folder)
    yield running
    running.kill()


def ask(page, path: Path) -> None:  # type: ignore[no-untyped-def]
    page.set_input_files("#ask input[type=file]", str(path))
    until(
        page,
        f"document.querySelector('#ask .asked').alt === '{path.name}' && !document.querySelector('.drop').ariaBusy",
    )


def labels_said(studio: Studio, name: str) -> dict[str, str | None]:
    """Return digest → the class that stands among the corrections of a run."""
    library = Library(studio.folder / "corrections" / name)
    try:
        return labels_of(library.answers())
    finally:
        library.close()


def keep(page, said: str | None, count: int) -> str:  # type: ignore[no-untyped-def]
    """Say what the image shows, None to confirm the answer; return what the page says then."""
    if said is not None:
        page.fill("#correct input", said)
    page.click("#correct button")
    until(page, f"document.getElementById('kept').textContent.includes('{count}')")
    return str(page.inner_text("#kept"))


@pytest.mark.parametrize(("lang", "new"), [("en", "New to the model: ring."), ("pt", "Novo para o modelo: ring.")])
def test_an_answer_is_confirmed_or_corrected_and_a_new_class_is_learned(
    browser, studio: Studio, tmp_path: Path, lang: str, new: str
) -> None:  # type: ignore[no-untyped-def]
    run = studio.folder / "runs" / f"shapes-{lang}"
    page = visitor(browser, studio, lang=lang)
    page.goto(f"{studio.origin}/predict?run={run.name}")
    assert page.is_hidden("#correct")
    draw_shape("disc", 700).save(tmp_path / "disc.png")
    ask(page, tmp_path / "disc.png")
    assert page.input_value("#correct input") == "disc"
    assert not Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    assert new not in keep(page, None, 1)
    (tmp_path / "table.csv").write_text("no image")
    page.set_input_files("#ask input[type=file]", str(tmp_path / "table.csv"))
    until(page, "document.querySelector('#ask .error').textContent.includes('table.csv')")
    assert page.is_hidden("#ask .answer") and page.is_hidden("#ask .asked")  # which were of the image before
    page.evaluate(
        """(bytes) => {
            const dropped = new DataTransfer();
            const image = (name) => new File([new Uint8Array(bytes)], name, { type: "image/png" });
            for (const name of ["disc.png", "other.png"]) dropped.items.add(image(name));
            document.querySelector("#ask .drop").dispatchEvent(new DragEvent("drop", { dataTransfer: dropped, bubbles: true }));
        }""",
        list((tmp_path / "disc.png").read_bytes()),
    )
    first = "this is the first of 2" if lang == "en" else "este é o primeiro de 2"
    until(page, "(text) => document.querySelector('#ask .error').textContent.includes(text)", first)
    assert page.is_visible("#ask .answer")
    rings(tmp_path / "rings", 6)
    for number, path in enumerate(sorted((tmp_path / "rings").iterdir())):
        ask(page, path)
        assert not page.inner_text("#kept")
        assert new in keep(page, " ring ", number + 2)
    assert sorted(filter(None, labels_said(studio, run.name).values())) == ["disc", *["ring"] * 6]
    page.click("#kept a")
    page.click("#learn button")
    until(page, "document.getElementById('learned').textContent.length > 60", timeout=120_000)
    assert "ring" in page.inner_text("#learned"), page.inner_text("#learned")
    assert Run(run).classes == ("bar", "cross", "disc", "ring")

    page.click("a[href$='/answers']")  # what was said is looked at again, and changed
    until(page, "document.querySelectorAll('#items img').length === 7")
    assert not Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    page.select_option("#show", "ring")
    until(page, "document.querySelectorAll('#items img').length === 6")
    page.locator("#items button").first.click()
    wrong = page.locator("#items button").first.get_attribute("data-path")
    said = labels_said(studio, run.name)
    page.fill("#to", "Bar")
    page.click("#say button")
    until(page, "document.querySelectorAll('#items img').length === 5")
    assert labels_said(studio, run.name) == said | {wrong: "bar"}
    page.click("#undo")
    until(page, "document.querySelectorAll('#items img').length === 6")
    assert labels_said(studio, run.name) == said

    page.goto(f"{studio.origin}/results/{run.name}")
    page.click(f"a[href='/results/{run.name}/versions']")
    learned = page.locator("tbody tr").nth(1).inner_text()
    assert ("7 confirmed photos" if lang == "en" else "7 fotos confirmadas") in learned, learned
    assert not Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    page.fill("[name=why]", "the rings were wrong")
    page.click("form[data-action] button")
    page.wait_for_selector("tbody tr:nth-child(3)")
    assert "the rings were wrong" in page.locator("tbody tr").nth(1).inner_text()
    assert Run(run).classes == ("bar", "cross", "disc")
    assert len(page.troubles) == 1  # the table that is no image


def test_of_several_labels_all_are_said_at_once(browser, studio: Studio, tag_run: tuple[Path, Path]) -> None:  # type: ignore[no-untyped-def]  # noqa: F811
    page = visitor(browser, studio, lang="en")
    page.goto(f"{studio.origin}/predict?run=marks")
    first, second = sorted(tag_run[1].glob("*.png"))[:2]
    ask(page, first)
    assert page.is_visible("#several")
    keep(page, "bar | stripes", 1)
    ask(page, second)
    keep(page, "", 2)
    library = Library(studio.folder / "corrections" / "marks")
    said = [{label for label, one in found.items() if one.has} for found in several_of(library.answers()).values()]
    library.close()
    assert sorted(said, key=len) == [set(), {"bar", "stripes"}]

    page.goto(f"{studio.origin}/photos/marks/answers")
    page.locator("#items button").last.click()  # the first photo that was answered
    page.select_option("#to", "stripes")
    page.click("#say [data-has='-1']")
    until(page, "[...document.querySelectorAll('.under')].at(-1).textContent === 'bar, stripes: not sure'")
    assert not Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
    library = Library(studio.folder / "corrections" / "marks")
    answered = several_of(library.answers())
    library.close()
    (changed,) = (labels for labels in answered.values() if "bar" in labels and labels["bar"].has == 1)
    assert changed["stripes"].has == -1 and changed["stripes"].kind == "chosen"


def test_what_cannot_be_meant_is_refused_and_nothing_is_kept(studio: Studio) -> None:
    before = sorted((studio.folder / "corrections").rglob("*.png"))
    buffer = io.BytesIO()
    draw_shape("bar", 3).save(buffer, "PNG")
    shown = buffer.getvalue()
    for run, content, label in (
        ("shapes-en", b"nonsense", "bar"),
        ("shapes-en", shown, "a%2Fb"),
        ("shapes-en", shown, ""),
        ("shapes-en", shown, "None%20of%20these"),  # which a model answers by itself
        ("shapes-pt", shown, "nenhuma%20destas"),
        ("marks", shown, "bar%7C%3Fdisc"),  # bar, and disc is not known: what is not named would count as a no
    ):
        assert studio.ask("POST", f"/api/results/{run}/correct?label={label}", content)[0] == 400, label
    assert sorted((studio.folder / "corrections").rglob("*.png")) == before
