"""The images of a collection: any number of them in one grid, chosen, labelled, compared, and every change undone."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from conftest import write_shapes
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from studio_process import Studio, start_studio
from test_studio_browser import shut_out, until, visitor

from mirante.files import write_file
from mirante.studio import collections, edits, listing, thumbnails
from mirante.studio.workspace import Workspace

MANY = 3000


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A studio with the small collection `shapes`, and `many` with thousands of images in two classes."""
    folder = tmp_path_factory.mktemp("gallery")
    write_shapes(folder / "shapes", 10)
    for number in range(MANY):
        kind = folder / "many" / ("dark" if number % 2 else "light")
        kind.mkdir(parents=True, exist_ok=True)
        pixels = np.full((8, 8, 3), number % 256, np.uint8)
        pixels[0, :3, 0] = number // 256, number % 256, 7
        Image.fromarray(pixels).save(kind / f"{number:04}.png")
    running = start_studio(folder)
    for name in ("shapes", "many"):
        running.json("POST", "/api/data/open", {"location": name})
    yield running
    running.kill()


def opened(browser, studio: Studio, name: str, **how: str):  # type: ignore[no-untyped-def]
    page = visitor(browser, studio, **how)
    page.goto(f"{studio.origin}/data/{name}")
    page.wait_for_selector("#items img")
    return page


def test_thousands_of_images_are_one_grid_of_which_few_are_in_the_page(browser, studio: Studio) -> None:  # type: ignore[no-untyped-def]
    page = opened(browser, studio, "many")
    assert page.inner_text("#shown") == f"Images: {MANY:,}"
    shown = "[...document.querySelectorAll('#items button')].map((one) => one.dataset.path)"
    assert page.evaluate(shown)[:2] == ["dark/0001.png", "dark/0003.png"]
    page.evaluate("scrollTo(0, document.body.scrollHeight)")
    until(page, "[...document.querySelectorAll('#items button')].some((one) => one.dataset.path === 'light/2998.png')")
    assert len(page.evaluate(shown)) < 150
    places = "[...document.querySelectorAll('#items li')].map((one) => Number(one.ariaPosInSet))"
    page.evaluate("scrollBy(0, -3000)")
    page.wait_for_timeout(300)
    assert page.evaluate(places) == sorted(page.evaluate(places))  # as a screen reader goes through them
    page.locator("#items button").first.focus()
    page.keyboard.press("End")
    assert page.evaluate("document.activeElement.dataset.path") == "light/2998.png"
    page.keyboard.press("Control+a")
    assert page.inner_text("#chosen") == f"Chosen: {MANY:,}"
    page.keyboard.press("x")  # all of them
    page.evaluate("scrollTo(0, 0)")
    until(page, "document.querySelector('#items .under').textContent === 'left out'")
    assert studio.json("GET", "/api/data/many/items?label=%09")["count"] == MANY
    page.keyboard.press("u")
    until(page, "document.querySelector('#items .under').textContent === 'dark'")
    page.keyboard.press("Home")
    assert page.evaluate("document.activeElement.dataset.path") == "dark/0001.png"
    assert page.inner_text("#chosen") == "Chosen: 1"
    assert studio.json("GET", "/api/data/many/items?label=%09")["count"] == 0
    assert page.troubles == []
    page.context.close()


def test_images_are_chosen_with_a_frame_and_dragged_onto_a_class(browser, studio: Studio) -> None:  # type: ignore[no-untyped-def]
    page = opened(browser, studio, "shapes")
    page.select_option("#show", "disc")
    until(page, "document.querySelectorAll('#items li').length === 10")
    page.locator("#items").scroll_into_view_if_needed()
    page.evaluate("document.getElementById('tools').scrollIntoView()")
    boxes = [page.locator("#items button").nth(place).bounding_box() for place in range(10)]
    page.mouse.move(boxes[0]["x"] + 40, boxes[0]["y"] + boxes[0]["height"] + 14)  # begins beside a picture
    page.mouse.down()
    page.mouse.move(boxes[2]["x"] + 20, boxes[2]["y"] + 60, steps=4)
    page.mouse.up()
    assert page.inner_text("#chosen") == "Chosen: 3"
    pressed = "[...document.querySelectorAll('#items [aria-pressed=true]')].map((one) => one.dataset.path)"
    assert page.evaluate(pressed) == ["disc/000.png", "disc/001.png", "disc/002.png"]
    target = page.locator("[data-give='bar']").bounding_box()
    page.mouse.move(boxes[1]["x"] + 40, boxes[1]["y"] + 40)
    page.mouse.down()
    page.mouse.move(target["x"] + 10, target["y"] + 10, steps=4)
    assert page.locator("[data-give='bar'].over").count() == 1 and page.locator(".carried").inner_text() == "3"
    page.mouse.up()
    until(page, "document.querySelectorAll('#items li').length === 7")  # of those shown, three are discs no longer
    assert (
        page.inner_text("[data-give='bar']").split()[:2] == ["bar", "13"] and page.inner_text("#shown") == "Images: 7"
    )
    items = studio.json("GET", "/api/data/shapes/items?label=bar")["items"]
    assert [one["path"] for one in items if one["original"] == "disc"] == [f"disc/00{n}.png" for n in range(3)]
    assert page.evaluate(pressed) == []
    page.click("#undo")  # they come back, and are what is chosen
    until(page, "document.querySelectorAll('#items li').length === 10")
    assert page.evaluate(pressed) == ["disc/000.png", "disc/001.png", "disc/002.png"]
    page.click("#redo")
    until(page, "document.querySelectorAll('#items li').length === 7")
    page.keyboard.press("Control+z")
    until(page, "document.querySelectorAll('#items li').length === 10")
    assert page.locator("#undo").is_disabled() and page.troubles == []
    page.context.close()


def test_a_key_is_about_what_is_chosen_and_nothing_else(browser, studio: Studio) -> None:  # type: ignore[no-untyped-def]
    page = opened(browser, studio, "shapes")
    page.evaluate("document.getElementById('tools').scrollIntoView()")
    under = "[...document.querySelectorAll('#items .under')].map((one) => one.textContent)"
    button = page.locator("#items button")
    button.nth(0).click()
    page.keyboard.press("2")
    until(page, "document.querySelectorAll('#items .under')[0].textContent === 'cross (was bar)'")
    button.nth(1).click()  # only this one now
    page.keyboard.press("3")
    until(page, "document.querySelectorAll('#items .under')[1].textContent === 'disc (was bar)'")
    assert page.evaluate(under)[:3] == ["cross (was bar)", "disc (was bar)", "bar"]
    button.nth(2).click()
    button.nth(5).click(modifiers=["Shift"])
    button.nth(7).click(modifiers=["Control"])
    assert page.inner_text("#chosen") == "Chosen: 5"
    button.nth(7).click(modifiers=["Control"])  # it has the focus, but is not chosen
    page.keyboard.press("x")
    until(page, "document.querySelectorAll('#items .under')[5].textContent === 'left out'")
    assert page.evaluate(under)[2:8] == ["left out"] * 4 + ["bar"] * 2
    page.keyboard.press("u")
    until(page, "document.querySelectorAll('#items .under')[5].textContent === 'bar'")
    page.keyboard.press("u")
    until(page, "document.querySelectorAll('#items .under')[1].textContent === 'bar'")
    page.keyboard.press("1")  # about what was undone, which is chosen now, wherever the focus was
    page.keyboard.press("2")
    until(page, "document.querySelectorAll('#items .under')[1].textContent === 'cross (was bar)'")
    assert page.evaluate(under)[2:8] == ["bar"] * 6
    button.nth(3).click()
    for key, count in (("Shift+ArrowRight", 2), ("Shift+ArrowRight", 3), ("Shift+ArrowLeft", 2), ("ArrowRight", 1)):
        page.keyboard.press(key)
        assert page.inner_text("#chosen") == f"Chosen: {count}"
    page.keyboard.press("Escape")
    page.keyboard.press("Control+a")
    keys = "[...document.querySelectorAll('#keys button')].map((one) => one.innerText)"
    page.keyboard.press("3")  # all of them: the other classes are empty now, and keep their keys
    until(page, "document.querySelector('#keys button').innerText === 'bar 0 1'")
    assert page.evaluate(keys) == ["bar 0 1", "cross 0 2", "disc 30 3"]
    assert page.inner_text("#lead").startswith("30 images in 1 classes")
    page.click("[data-do='first']")
    until(page, "document.querySelector('#keys button').innerText === 'bar 10 1'")
    assert studio.json("GET", "/api/data/shapes/items")["changed"] == ""
    assert page.troubles == []
    page.context.close()


@pytest.mark.parametrize(("size", "lang", "scheme"), [("desktop", "en", "dark"), ("phone", "pt", "light")])
def test_two_images_are_compared_side_by_side(browser, studio: Studio, size: str, lang: str, scheme: str) -> None:  # type: ignore[no-untyped-def]
    page = opened(browser, studio, "shapes", size=size, lang=lang, scheme=scheme)
    assert page.locator("#compare").is_disabled()
    page.locator("#items button").nth(0).click()
    page.locator("#items button").nth(1).click(modifiers=["Control"])
    page.click("#compare")
    until(page, "[...document.querySelectorAll('#two img')].filter((one) => one.naturalWidth === 24).length === 2")
    page.locator("#two button").nth(1).click()
    until(
        page,
        f"document.querySelectorAll('#two .soft')[1].textContent === '{'left out' if lang == 'en' else 'de fora'}'",
    )
    left, right = (page.locator("#two figure").nth(place).bounding_box() for place in (0, 1))
    assert abs(left["y"] - right["y"]) < 1 and right["x"] > left["x"]  # beside each other
    page.locator("#two button").nth(1).click()  # brought back
    until(
        page,
        f"document.querySelectorAll('#two .soft')[1].textContent !== '{'left out' if lang == 'en' else 'de fora'}'",
    )
    page.keyboard.press("Escape")
    assert not page.locator("#pair").is_visible()
    assert studio.json("GET", "/api/data/shapes/items?label=%09")["count"] == 0
    assert shut_out(page, studio, "/data/shapes", "document.querySelectorAll('#items img').length > 3") == []
    page.context.close()


def test_a_thumbnail_is_made_once_and_again_when_its_image_changes(tmp_path: Path) -> None:
    write_shapes(tmp_path / "shapes", 2)
    workspace = Workspace(tmp_path)
    one = collections.open_collection(workspace, str(tmp_path / "shapes"))
    first = thumbnails.thumbnail(workspace, one, "bar/000.png")
    assert Image.open(io.BytesIO(first)).size == (128, 128)
    (kept,) = (tmp_path / ".mirante" / "thumbnails").rglob("*.jpg")
    kept.write_bytes(b"made before")
    assert thumbnails.thumbnail(workspace, one, "bar/000.png") == b"made before"
    place = tmp_path / "shapes" / "bar" / "000.png"
    Image.new("RGB", (24, 24), "red").save(place)
    os.utime(place, ns=(1, 1))
    red = np.asarray(Image.open(io.BytesIO(thumbnails.thumbnail(workspace, one, "bar/000.png"))))
    assert red[..., 0].mean() > 240 > 20 > red[..., 1].mean()
    thumbnails.forget(workspace, one.name)
    assert not list((tmp_path / ".mirante" / "thumbnails").rglob("*.jpg"))
    assert Image.open(io.BytesIO(thumbnails.large(one, "bar/000.png"))).size == (24, 24)


def test_a_thumbnail_that_cannot_be_kept_is_shown_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, content: bytes) -> None:
        write_file(path, lambda part: (_ for _ in ()).throw(OSError(28, "No space left on device")))

    write_shapes(tmp_path / "shapes", 1)
    workspace = Workspace(tmp_path)
    one = collections.open_collection(workspace, str(tmp_path / "shapes"))
    monkeypatch.setattr(thumbnails, "write_bytes", full)
    assert Image.open(io.BytesIO(thumbnails.thumbnail(workspace, one, "bar/000.png"))).size == (128, 128)
    assert not list((tmp_path / ".mirante" / "thumbnails").rglob("*.jpg"))


def test_images_of_an_archive_are_shown_small_and_whole(tmp_path: Path) -> None:
    import shutil

    write_shapes(tmp_path / "shapes", 2)
    shutil.make_archive(str(tmp_path / "packed"), "zip", tmp_path / "shapes")
    workspace = Workspace(tmp_path)
    one = collections.open_collection(workspace, str(tmp_path / "packed.zip"))
    assert Image.open(io.BytesIO(thumbnails.thumbnail(workspace, one, "bar/000.png"))).size == (128, 128)
    assert Image.open(io.BytesIO(thumbnails.large(one, "disc/001.png"))).size == (24, 24)


PATHS = [f"{kind}/00{number}.png" for kind in ("bar", "cross", "disc") for number in range(2)]
STEPS = st.lists(
    st.tuples(st.lists(st.sampled_from(PATHS), min_size=1, max_size=3), st.sampled_from(["bar", "new", None, ""])),
    max_size=8,
)


@settings(max_examples=40, deadline=None)
@given(several=st.booleans(), steps=STEPS)
def test_every_change_can_be_undone_and_made_again(
    tmp_path_factory: pytest.TempPathFactory, several: bool, steps
) -> None:  # type: ignore[no-untyped-def]
    folder = tmp_path_factory.mktemp("undo")
    write_shapes(folder / "shapes", 2)
    workspace = Workspace(folder)
    name = collections.open_collection(workspace, str(folder / "shapes")).name
    collections.allow_several(workspace, name, several)

    def state() -> tuple[dict[str, str | None], dict[str, str], tuple[str, ...]]:
        one = collections.read_collection(workspace, name)
        return one.edits, one.aside, one.labels

    states = [state()]
    for paths, label in steps:
        if several and label:
            edits.give_label(workspace, name, paths, label, True)
        else:
            edits.edit(workspace, name, paths, label)
        if state() != states[-1]:
            states.append(state())
    for before in reversed(states[:-1]):
        assert edits.undo(workspace, name) and state() == before
    assert edits.undo(workspace, name) == [] and state() == states[0]
    for after in states[1:]:
        assert edits.redo(workspace, name) and state() == after
    assert edits.redo(workspace, name) == []


def test_a_change_after_an_undo_cannot_be_overtaken_by_what_was_undone(tmp_path: Path) -> None:
    write_shapes(tmp_path / "shapes", 2)
    workspace = Workspace(tmp_path)
    name = collections.open_collection(workspace, str(tmp_path / "shapes")).name
    edits.edit(workspace, name, ["bar/000.png"], "disc")
    edits.undo(workspace, name)
    edits.edit(workspace, name, ["bar/000.png"], "cross")
    assert edits.redo(workspace, name) == []
    assert collections.read_collection(workspace, name).edits == {"bar/000.png": "cross"}


def test_labels_given_the_other_way_are_no_classes_and_a_label_brings_an_image_back_as_it_was(tmp_path: Path) -> None:
    write_shapes(tmp_path / "shapes", 2)
    workspace = Workspace(tmp_path)
    name = collections.open_collection(workspace, str(tmp_path / "shapes")).name
    collections.allow_several(workspace, name, True)
    edits.give_label(workspace, name, ["bar/000.png"], "spot", True)
    edits.edit(workspace, name, ["bar/000.png"], None)
    edits.give_label(workspace, name, ["bar/000.png"], "disc", True)
    one = collections.read_collection(workspace, name)
    assert {item.path: item.label for item in listing.listing(one).items}["bar/000.png"] == "bar|spot|disc"
    edits.reset(workspace, name, ["bar/000.png"])
    one = collections.read_collection(workspace, name)
    assert one.edits == {} and one.aside == {}
    collections.allow_several(workspace, name, False)
    assert list(listing.listing(collections.read_collection(workspace, name)).counts) == ["bar", "cross", "disc"]


def test_images_that_were_added_together_go_and_come_back_as_one_change(
    browser, studio: Studio, tmp_path: Path
) -> None:  # type: ignore[no-untyped-def]
    """Undo leaves out what was added and touches no file; an image that is added once more is in its class again."""
    write_shapes(tmp_path / "shapes", 3)
    bars, discs = (sorted((tmp_path / "shapes" / kind).iterdir()) for kind in ("bar", "disc"))
    studio.json("POST", "/api/data/make", {"name": "added", "classes": "ball, other"})
    page = visitor(browser, studio)
    page.goto(f"{studio.origin}/data/added")

    def add(files: list[Path], count: int) -> None:
        with page.expect_navigation():
            page.locator("#collection input[type=file]").nth(0).set_input_files([str(file) for file in files])
        until(page, f"document.querySelectorAll('#items img').length === {count}")

    def left_out() -> list[bool]:
        items = studio.json("GET", "/api/data/added/items?label=")["items"]
        return [item["left_out"] for item in items if item["label"] == "ball" or item["left_out"]]

    add(discs, 3)
    add(bars[:2], 5)
    page.locator("#undo").click()
    until(page, "!document.getElementById('redo').disabled")
    assert sorted(left_out()) == [False] * 3 + [True] * 2
    page.locator("#redo").click()
    until(page, "document.getElementById('redo').disabled")
    assert left_out() == [False] * 5
    studio.json("POST", "/api/data/added/undo", {})
    studio.json("POST", "/api/data/added/undo", {})
    assert left_out() == [True] * 5 and len(list((studio.folder / "images" / "added" / "ball").iterdir())) == 5
    add(bars, 6)  # two of them once more
    assert sorted(left_out()) == [False] * 3 + [True] * 3
    studio.json("POST", "/api/data/added/undo", {})
    assert left_out() == [True] * 6
    for new, known in (("a", []), ([1], []), ([], None)):
        assert studio.ask("POST", "/api/data/added/added", {"new": new, "known": known})[0] == 400


def test_what_a_person_said_of_an_image_survives_its_being_added_again(tmp_path: Path) -> None:
    """With several labels, those that were given by hand; and what was said while the upload still ran."""
    workspace = Workspace(tmp_path)
    name = collections.make_collection(workspace, "mine", ["ball"]).name
    content = io.BytesIO()
    Image.new("RGB", (9, 9), "red").save(content, "PNG")
    path, new = collections.add_image(workspace, name, "ball", "a.png", content.getvalue())
    assert new
    edits.edit(workspace, name, [path], "other")
    edits.added(workspace, name, [path], [])

    def label() -> str | None:
        return listing.listing(collections.read_collection(workspace, name)).items[0].label

    assert label() == "other"
    edits.undo(workspace, name)
    assert collections.read_collection(workspace, name).edits == {path: None}
    edits.redo(workspace, name)
    assert label() == "other"
    collections.allow_several(workspace, name, True)
    edits.give_label(workspace, name, [path], "spot", True)
    assert collections.add_image(workspace, name, "ball", "a.png", content.getvalue()) == (path, False)
    edits.added(workspace, name, [], [path])
    assert label() == "ball|spot"
    edits.edit(workspace, name, [path], None)
    edits.added(workspace, name, [], [path])
    assert collections.read_collection(workspace, name).edits.get(path, "") is not None
