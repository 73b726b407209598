"""Films in the studio, in a real browser: dropped, looked at, jumped through, corrected; and corrections teach."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import draw_shape, write_shapes
from film_files import write_film
from numpy.typing import NDArray
from PIL import Image
from studio_process import Studio, start_studio
from test_studio_browser import shut_out, until, visitor
from test_tag import draw_marks

import mirante as package
from mirante.photos.library import Library, labels_of, several_of

KINDS = ("bar", "cross", "disc", "bar")


def shape(kind: str, number: int) -> NDArray[np.uint8]:
    return np.asarray(draw_shape(kind, number).resize((96, 96), Image.Resampling.NEAREST).convert("RGB"))


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A studio with a run of classes, one of several labels, and a film for each."""
    folder = tmp_path_factory.mktemp("films")
    write_shapes(folder / "shapes", 40)
    package.train(folder / "shapes", "fast", layers="W2-16B-24B-GMP", epochs=6, out=folder / "runs" / "shapes")
    marks = draw_marks(folder / "marks", 200)
    words = {"task": "tag", "labels": marks / "labels.csv", "layers": "W2-16B-24B-GMP", "epochs": 6}
    package.train(marks, "fast", out=folder / "runs" / "marks", **words)
    for first, name in ((900, "shapes.mp4"), (950, "formas.mp4")):
        write_film(folder / name, [(shape(kind, first + n), 3.0) for n, kind in enumerate(KINDS)], codec="libx264")
    pictures = [np.asarray(Image.open(path).resize((96, 96), 0)) for path in sorted(marks.glob("*.png"))[:4]]
    write_film(folder / "marks.avi", [(one, 3.0) for one in pictures], codec="mjpeg", pixels="yuvj420p")
    running = start_studio(folder)
    yield running
    running.kill()


def shown(browser, studio: Studio, run: str, film: str, lang: str = "en"):  # type: ignore[no-untyped-def]
    """Return the page of a film that was just dropped on a run, once its timeline is there."""
    page = visitor(browser, studio, lang=lang)
    page.goto(f"{studio.origin}/predict?run={run}")
    page.fill("#interval", "0.5")
    with page.expect_navigation():
        page.set_input_files("#ask input[type=file]", str(studio.folder / film))
    until(page, "!document.getElementById('stretches').hidden", timeout=60_000)
    return page


def say(page, value: str) -> None:  # type: ignore[no-untyped-def]
    """Say what the first stretch is, and wait until that is kept."""
    first = "document.querySelector('#stretches tbody tr:nth-child(1) select')"
    page.evaluate(f"() => {{ {first}.dataset.old = 'yes'; }}")
    page.select_option("#stretches tbody tr:nth-child(1) select", value)
    until(page, f"{first}.dataset.old === undefined || document.querySelector('#film > .error').textContent !== ''")
    assert page.locator("#film > .error").inner_text() == ""
    assert page.evaluate(f"{first}.value") == value


@pytest.mark.parametrize(("lang", "film"), [("en", "shapes.mp4"), ("pt", "formas.mp4")])
def test_a_film_is_dropped_seen_corrected_and_teaches(browser, studio: Studio, lang: str, film: str) -> None:  # type: ignore[no-untyped-def]
    page = shown(browser, studio, "shapes", film, lang)
    answers = page.evaluate("[...document.querySelectorAll('#stretches tbody th')].map((one) => one.textContent)")
    wanted = package.load(studio.folder / "runs" / "shapes").timeline(studio.folder / film, 0.5)
    none = "none of these" if lang == "en" else "nenhuma destas"
    assert answers == [one.label or none for one in wanted] and len(answers) >= 3
    assert page.locator("#lanes button").count() == len(wanted)
    assert (
        shut_out(page, studio, page.url.removeprefix(studio.origin), "!document.getElementById('stretches').hidden")
        == []
    )
    stills = page.locator("#stretches img")
    stills.last.scroll_into_view_if_needed()
    until(
        page, "[...document.querySelectorAll('#stretches img')].every((one) => one.complete && one.naturalWidth > 50)"
    )
    page.locator("#lanes button").nth(1).click()  # Chromium without patents plays no H.264: then a picture is shown
    until(
        page,
        "(at) => document.getElementById('player').currentTime > at || !document.getElementById('still').hidden",
        wanted[1].begin,
    )
    say(page, "cross")
    page.reload()
    until(page, "document.querySelector('#stretches tbody tr:nth-child(1) select')?.value === 'cross'")
    name = page.url.rpartition("/")[2]
    frames = next((studio.folder).rglob(f"{name}.frames"))
    library = Library(frames)
    assert set(labels_of(library.answers()).values()) == {"cross"}
    assert len(library.look()[0]) == len(list(frames.glob("*.png"))) >= 3
    say(page, KINDS[0])  # and back: the last word counts
    assert set(labels_of(library.answers()).values()) == {KINDS[0]}
    status, _, text = studio.ask("GET", f"/pictures/films/{name}/subtitles")
    assert status == 200 and text.startswith(b"WEBVTT") and KINDS[0].encode() in text
    page.click("#learn button")
    said = "neither model saw" if lang == "en" else "nenhum dos dois modelos viu"
    until(page, "(text) => document.getElementById('learned').textContent.includes(text)", said, timeout=90_000)
    assert [one for one in page.troubles if "Failed to load" not in one] == []

    first = "#stretches tbody tr:nth-child(1)"  # a class that the model does not know
    page.select_option(f"{first} select", "/")
    page.fill(f"{first} input", f"hand {lang}")
    page.keyboard.press("Enter")
    until(page, "(name) => document.querySelector('#stretches tbody select')?.value === name", f"hand {lang}")
    assert set(labels_of(library.answers()).values()) == {f"hand {lang}"}
    page.click("#learn button")
    until(page, "document.getElementById('learned').textContent.length > 60", timeout=90_000)
    assert f"hand {lang}" in page.inner_text("#learned"), page.inner_text("#learned")
    page.context.close()


def test_labels_of_a_film_have_a_lane_each_and_can_be_denied(browser, studio: Studio) -> None:  # type: ignore[no-untyped-def]
    page = shown(browser, studio, "marks", "marks.avi")
    labels = page.evaluate("[...document.querySelectorAll('#stretches tbody th')].map((one) => one.textContent)")
    assert page.locator("#lanes .lane").count() == len(set(labels))
    until(page, "document.getElementById('player').hidden")  # no browser plays an AVI: a picture is shown instead
    page.locator("#lanes button").first.click()
    until(page, "document.getElementById('still').naturalWidth > 50")
    say(page, "0")
    library = Library(next(studio.folder.rglob("marks.frames")))
    told = several_of(library.answers())
    assert told and all(one[labels[0]].has == 0 for one in told.values())
    with page.expect_navigation():
        page.on("dialog", lambda dialog: dialog.accept())
        page.click("form[data-action$='/forget'] button")
    assert (studio.folder / "marks.avi").is_file() and not [
        one for one in studio.folder.rglob("marks.avi") if one.parent != studio.folder
    ]
    page.context.close()


def test_films_of_one_name_are_kept_apart_and_nothing_of_a_forgotten_one_is_left(studio: Studio) -> None:
    def show(film: str, name: str) -> str:
        content = (studio.folder / film).read_bytes()
        went = studio.json("POST", f"/api/films?run=shapes&interval=0.5&filename={name}", content)["go"]
        own = str(went).rpartition("/")[2]
        end = time.monotonic() + 60
        while (found := studio.json("GET", f"/api/films/{own}"))["state"] != "done":
            assert time.monotonic() < end and found["state"] == "running", found
            time.sleep(0.1)
        return own

    write_film(studio.folder / "other.mp4", [(shape("disc", 950), 3.0), (shape("bar", 951), 3.0)], codec="libx264")
    first, second = show("shapes.mp4", "clip.mp4"), show("other.mp4", "clip.MOV")
    assert first != second
    frames = {}
    for own in (first, second):
        one = studio.json("GET", f"/api/films/{own}")["stretches"][0]
        at = {"begin": one["begin"], "end": one["end"]}
        found = studio.json("POST", f"/api/films/{own}/correct", {**at, "label": "cross", "has": None})
        assert found["stretches"][0]["corrected"] == "cross"
        frames[own] = {path.read_bytes() for path in next(studio.folder.rglob(f"{own}.frames")).glob("*.png")}
        for wrong in (
            {"begin": 500, "end": 900},
            {"begin": 10**400, "end": 1},
            {**at, "label": ["x"]},
            {**at, "has": 1},
        ):
            status, _, text = studio.ask(
                "POST", f"/api/films/{own}/correct", {**at, "label": "bar", "has": None, **wrong}
            )
            assert status == 400 and b"Traceback" not in text
        back = studio.json("POST", f"/api/films/{own}/correct", {**at, "label": "", "has": None})
        assert back["stretches"][0]["corrected"] is None
    assert not frames[first] & frames[second]
    studio.json("POST", f"/api/films/{first}/forget", {})
    assert not [path for path in studio.folder.rglob("*") if path.name.partition(".")[0] == first]
    assert show("other.mp4", "clip.mp4") == first
    assert studio.json("GET", f"/api/films/{second}")["state"] == "done"


def test_what_is_no_film_is_refused_with_a_sentence(studio: Studio) -> None:
    noise = np.random.default_rng(0)  # not the system's: some bytes in a thousand look like sound
    for name, content, told in (
        ("notes.txt", b"hello", "not a film"),
        (".mp4", b"", "not a film that can be read"),
        ("broken.mp4", noise.bytes(4000), "not a film that can be read"),
        ("../../evil.mp4", noise.bytes(400), "not a film that can be read"),
    ):
        status, _, text = studio.ask("POST", f"/api/films?run=shapes&filename={name}", content)
        assert status == 400 and told in text.decode(), text
    assert studio.ask("GET", "/films/nothing")[0] == 404
    assert studio.ask("GET", "/pictures/films/..%2f..%2fetc/video")[0] == 404
    assert not list(Path(studio.folder).rglob("evil*"))
