"""The studio in pictures: mosaics, right and wrong answers, a confusion matrix of pictures, people as figures, a map of images."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from studio_process import Studio, start_studio
from test_studio_browser import shut_out, until, visitor

from mirante.run import Run
from mirante.studio.layout import two_dimensions


@pytest.fixture(scope="module")
def filled(shapes_run: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Studio]:
    """A studio with a collection and a finished run of its images."""
    run, data = shapes_run
    home = tmp_path_factory.mktemp("home")
    (home / "runs").mkdir()
    shutil.copytree(run, home / "runs" / "shapes")
    studio = start_studio(home)
    studio.json("POST", "/api/data/open", {"location": str(data)})
    yield studio
    studio.kill()


def test_a_mosaic_takes_from_every_class_and_a_sample_from_right_and_wrong(
    filled: Studio, shapes_run: tuple[Path, Path]
) -> None:
    found = filled.json("GET", "/api/data/shapes/mosaic")
    assert len(found["paths"]) == 12 and {path.split("/")[0] for path in found["paths"]} == {"bar", "cross", "disc"}
    rows = {row.path: row for row in Run(shapes_run[0]).predictions()}
    sample = filled.json("GET", "/api/results/shapes/sample")
    for kind, right in (("right", True), ("wrong", False)):
        assert len(sample[kind]) == min(6, sum(row.right is right for row in rows.values()))
        assert all(rows[one["path"]].right is right and rows[one["path"]].number == one["row"] for one in sample[kind])
    cells = {
        (one["label"], one["predicted"]): one["path"]
        for one in filled.json("GET", "/api/results/shapes/cells")["cells"]
    }
    assert set(cells) == {(row.label, row.predicted) for row in rows.values()}
    for cell, path in cells.items():
        assert rows[path].confidence == max(
            row.confidence for row in rows.values() if (row.label, row.predicted) == cell
        )


def test_a_folder_without_labels_has_no_mosaic_and_no_error(filled: Studio, shapes_run: tuple[Path, Path]) -> None:
    filled.json("POST", "/api/data/open", {"location": str(shapes_run[1] / "bar")})
    assert filled.json("GET", "/api/data/bar/mosaic") == {"paths": [], "count": 0, "classes": 0}


def test_a_thousand_people_are_those_of_the_sentence(filled: Studio) -> None:
    for at in (0.05, 0.5, 0.95):
        told = filled.json("GET", f"/api/results/shapes/threshold?class=bar&at={at}&prevalence=0.1")
        people = told["people"]
        assert sum(people.values()) == 1000 and min(people.values()) >= 0 and people["found"] + people["missed"] == 100
        for kind in ("found", "missed", "alarms"):
            assert f"{people[kind]} " in told["sentence"], told


def test_neighbours_stay_neighbours_on_the_map() -> None:
    random = np.random.default_rng(0)
    groups = np.repeat(np.arange(4), 25)
    features = random.normal(0, 0.3, (100, 64)) + 4 * np.eye(64)[groups]
    places = two_dimensions(features)
    assert places.shape == (100, 2) and places.min() >= 0 and places.max() <= 1
    far = np.linalg.norm(places[:, None] - places[None], axis=2)
    np.fill_diagonal(far, np.inf)
    assert (groups[far.argmin(1)] == groups).all()
    assert (two_dimensions(features) == places).all()  # the same map each time
    for few in range(4):
        assert two_dimensions(features[:few]).shape == (few, 2)


@pytest.mark.parametrize("size", ["desktop", "phone"])
@pytest.mark.parametrize("lang", ["en", "pt"])
def test_home_results_and_map_show_pictures(browser, filled: Studio, lang: str, size: str) -> None:  # type: ignore[no-untyped-def]
    page = visitor(browser, filled, size, lang)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        assert shut_out(page, filled, "/", "document.querySelectorAll('.mosaic img').length > 12") == []
        assert shut_out(page, filled, "/results/shapes", "document.querySelector('.people').textContent !== ''") == []
        assert (
            shut_out(page, filled, "/results/shapes/map", "document.getElementById('map').dataset.ready === 'yes'")
            == []
        )
    page.goto(filled.origin + "/")
    until(page, "[...document.querySelectorAll('.mosaic img')].filter((one) => one.naturalWidth).length > 6")
    assert page.locator(".interval rect.range").count() == 1
    page.goto(filled.origin + "/results/shapes")
    page.click("#show-pictures")
    until(page, "document.querySelectorAll('#matrix img').length >= 3")
    page.click("#show-pictures")
    until(page, "document.querySelectorAll('#matrix img').length === 0")
    page.goto(filled.origin + "/results/shapes/map")
    until(page, "document.getElementById('map').dataset.ready === 'yes'")
    points = filled.json("GET", "/api/results/shapes/map")["points"]
    page.select_option("#true-class", "disc")
    page.evaluate(
        "(() => { const one = document.getElementById('low'); one.value = 60; one.dispatchEvent(new Event('input')); })()"
    )
    found = [one for one in points if one["path"].split("/")[-2] == "disc" and one["confidence"] >= 0.6]
    until(page, f"document.getElementById('state').textContent.startsWith('{len(found)} ')")
    until(page, f"document.querySelectorAll('#in-view li').length === {len(found)}")
    page.select_option("#answer", "bar")  # filters combine
    until(
        page,
        f"document.getElementById('state').textContent.startsWith('{sum(one['predicted'] == 'bar' for one in found)} ')",
    )
    page.reload()
    until(page, "document.getElementById('map').dataset.ready === 'yes'")
    page.focus("#map")
    page.keyboard.press("ArrowRight")
    until(page, "document.querySelector('#near img')?.naturalWidth > 0")
    page.keyboard.press("+")
    page.keyboard.press("Enter")
    page.wait_for_url("**/results/shapes/images/*")
    page.context.close()


def test_a_training_shows_its_network_and_kernels_that_change(browser, filled: Studio) -> None:  # type: ignore[no-untyped-def]
    asked = {"collection": "shapes", "name": "watched", "recipe": "tutorial", "layers": "8C3-64C5-64C5-MP2-16N"}
    filled.json("POST", "/api/train/start", asked)
    page = visitor(browser, filled, "desktop", "en")
    page.goto(filled.origin + "/train/watched")
    seen = set()
    for _ in range(1800):  # a network whose epochs take seconds, left when two pictures of its kernels were seen
        if not page.evaluate("document.getElementById('kernels').hidden"):
            seen.add(page.evaluate("document.getElementById('kernels').toDataURL()"))
        if len(seen) > 1:
            break
        page.wait_for_timeout(100)
    assert len(seen) > 1 and page.evaluate("document.getElementById('kernels').width") == 31
    until(page, "document.querySelector('#drawing svg') !== null")
    page.click("#stop")
    until(page, "document.getElementById('resume').checkVisibility()")
    assert shut_out(page, filled, "/train/watched", "document.querySelector('#drawing svg') !== null") == []
    page.context.close()


def test_the_kernels_of_a_training_are_those_of_its_run(filled: Studio) -> None:
    asked = {"collection": "shapes", "name": "short", "recipe": "tutorial", "layers": "8C3-MP2-16N"}
    filled.json("POST", "/api/train/start", asked)
    filled.wait("short", "finished")
    final = filled.json("GET", "/api/train/short")
    assert final["layers"] == "8C3-MP2-16N" and np.shape(final["kernels"]["values"]) == (8, 3, 3, 3)
    kept = Run(filled.folder / "runs" / "short").snapshots[-1].kernels
    assert np.allclose(final["kernels"]["values"], kept, atol=1e-4)


def test_a_map_of_texts_or_labels_is_refused_in_a_sentence(filled: Studio) -> None:
    status, _, body = filled.ask("GET", "/api/results/nothing/map")
    assert status == 400 and b"nothing" in body
