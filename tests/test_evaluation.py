"""The report is one page that holds all it shows, in the person's language; other data are judged beside it."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from browser import ARGUMENTS, find_browser
from conftest import Command, write_shapes
from sklearn.metrics import f1_score, log_loss

PLOTS = (
    "samples",
    "curves",
    "predictions",
    "confusion",
    "mistakes",
    "reliability",
    "dispersion",
    "thresholds",
    "heatmaps",
)


@pytest.fixture(scope="module")
def portuguese(shapes_run: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory, mirante: Command) -> Path:
    """The same run with its report made anew in Portuguese."""
    run = Path(shutil.copytree(shapes_run[0], tmp_path_factory.mktemp("pt") / "run"))
    done = mirante("evaluate", run, "--lang", "pt")
    assert done.returncode == 0, done.stderr
    assert "Acurácia" in done.stdout and "Relatório" in done.stdout
    return run


def test_a_run_holds_the_files_that_it_promises(shapes_run: tuple[Path, Path]) -> None:
    run, _ = shapes_run
    names = "recipe.toml data.json history.csv model.safetensors model.json model.onnx predictions.csv metrics.json"
    assert {path.name for path in run.iterdir()} == {
        *names.split(),
        "report.html",
        "model-card.md",
        "plots",
        "snapshots",
    }
    plots = {path.stem for path in (run / "plots").iterdir()}
    assert plots in (set(PLOTS), set(PLOTS) - {"mistakes"})
    data = json.loads((run / "data.json").read_text())
    assert len(data["files"]) == 240 and data["files"][0][0] == "bar/000.png"
    assert next(csv.reader((run / "history.csv").open())) == [
        "epoch", "step", "seconds", "lr", "train_loss", "train_accuracy", "val_loss", "val_accuracy"
    ]  # fmt: skip


def test_every_figure_can_be_computed_again_from_predictions_csv(shapes_run: tuple[Path, Path]) -> None:
    run, _ = shapes_run
    found = json.loads((run / "metrics.json").read_text())
    rows = list(csv.DictReader((run / "predictions.csv").open()))
    labels, predicted = [row["label"] for row in rows], [row["predicted"] for row in rows]
    shares = np.array([[float(row[f"probability_{name}"]) for name in found["classes"]] for row in rows])
    assert found["images"] == len(rows)
    assert found["accuracy"]["value"] == pytest.approx(np.mean(np.array(labels) == predicted))
    assert found["macro_f1"]["value"] == pytest.approx(f1_score(labels, predicted, average="macro"))
    again = log_loss(labels, shares / shares.sum(axis=1, keepdims=True), labels=found["classes"])
    assert found["log_loss"]["value"] == pytest.approx(again, abs=1e-5)


def test_validation_images_set_the_temperature(shapes_run: tuple[Path, Path]) -> None:
    model = json.loads((shapes_run[0] / "model.json").read_text())
    assert model["learned"]["temperature"] != 1.0 and 0.05 < model["learned"]["temperature"] < 20


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))


@pytest.mark.parametrize("language", ["en", "pt"])
def test_the_report_is_self_contained_and_describes_its_pictures(
    shapes_run: tuple[Path, Path], portuguese: Path, language: str
) -> None:
    run = portuguese if language == "pt" else shapes_run[0]
    text = (run / "report.html").read_text(encoding="utf-8")
    page = _Page(text)
    assert not {"script", "link", "iframe", "object"} & {tag for tag, _ in page.tags}
    assert not re.findall(r"https?://", text)
    pictures = [attributes for tag, attributes in page.tags if tag == "img"]
    assert len(pictures) == len(list((run / "plots").iterdir()))
    for picture in pictures:
        assert (picture["src"] or "").startswith("data:image/png;base64,")
        assert len(picture["alt"] or "") > 30 and "{" not in (picture["alt"] or "")
    assert dict(page.tags)["html"]["lang"] == ("pt-BR" if language == "pt" else "en")
    words = (
        ("Acurácia balanceada", "Matriz", "Épocas", "não estavam no treino")
        if language == "pt"
        else ("Balanced accuracy",)
    )
    assert all(word in text for word in words)


def test_a_browser_shows_the_report_on_a_desk_and_on_a_phone(portuguese: Path) -> None:
    executable = find_browser()
    if executable is None:
        assert not os.environ.get("CI"), "CI must have a browser: python tests/browser.py installs one"
        pytest.skip("NO BROWSER here: python tests/browser.py installs one")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=list(ARGUMENTS))
        for width in (1200, 360):
            page = browser.new_page(viewport={"width": width, "height": 800})
            problems: list[str] = []
            page.on("console", lambda message, problems=problems: problems.append(message.text))
            page.on(
                "request",
                lambda sent, problems=problems: problems.append(sent.url) if sent.url.startswith("http") else None,
            )
            page.goto((portuguese / "report.html").as_uri())
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.evaluate("[...document.images].every(image => image.naturalWidth > 100)")
            assert page.locator("h1").inner_text() == "run"
            assert not problems
        browser.close()


def test_names_from_strangers_cannot_enter_the_page(tmp_path: Path, mirante: Command) -> None:
    data = write_shapes(tmp_path / "data", 40, ("bar", "disc"))
    (data / "bar").rename(data / "<b onclick=x> $x$ & co")
    done = mirante("train", data, "--model", "4C3-GAP", "--epochs", "1", "--out", tmp_path / "<i>")
    assert done.returncode == 0, done.stderr
    text = (tmp_path / "<i>" / "report.html").read_text(encoding="utf-8")
    assert "<b onclick" not in text and "&lt;b onclick" in text and "<i>" not in text


def test_other_data_are_judged_into_a_folder_of_their_own(
    shapes_run: tuple[Path, Path], tmp_path: Path, mirante: Command
) -> None:
    run = Path(shutil.copytree(shapes_run[0], tmp_path / "run"))
    before = (run / "metrics.json").read_bytes()
    other = write_shapes(tmp_path / "other", 20, ("bar", "disc"), first=500)
    done = mirante("evaluate", run, other, "--format", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["images"] == 40
    assert (run / "evaluations" / "other" / "report.html").exists() and (run / "metrics.json").read_bytes() == before
    strange = write_shapes(tmp_path / "strange", 5, ("cross", "disc"))
    (strange / "cross").rename(strange / "star")
    done = mirante("evaluate", run, strange)
    assert done.returncode == 2 and "'star' is none of the model's" in done.stderr


def test_test_images_that_have_changed_are_not_evaluated_as_if_they_had_not(
    shapes_run: tuple[Path, Path], tmp_path: Path, mirante: Command
) -> None:
    run = Path(shutil.copytree(shapes_run[0], tmp_path / "run"))
    data = Path(shutil.copytree(shapes_run[1], tmp_path / "shapes"))
    stored = json.loads((run / "data.json").read_text())
    tested = next(path for path, _, _, split in stored["files"] if split == "test")
    (data / tested).unlink()
    stored["location"] = str(data)
    (run / "data.json").write_text(json.dumps(stored))
    done = mirante("evaluate", run)
    assert done.returncode == 2 and "not those that" in done.stderr


def test_compare_ranks_and_marks_what_is_within_the_noise(
    shapes_run: tuple[Path, Path], tmp_path: Path, mirante: Command
) -> None:
    run, data = shapes_run
    twin = shutil.copytree(run, tmp_path / "twin")
    poor = tmp_path / "poor"
    assert (
        mirante(
            "train", data, "--model", "MP5-2N", "--epochs", "1", "--learning-rate", "1e-9", "--out", poor
        ).returncode
        == 0
    )
    done = mirante("compare", poor, run, twin, "--format", "json", "--out", tmp_path / "ranking.png")
    assert done.returncode == 0, done.stderr
    ranked = json.loads(done.stdout)
    assert [one["run"] for one in ranked] == [str(run), str(twin), str(poor)]
    assert [one["within_noise"] for one in ranked] == [True, True, False] and ranked[1]["p_value"] == 1.0
    assert ranked[0]["images_per_second"] > 0 and ranked[0]["parameters"] > ranked[2]["parameters"] > 0
    assert (tmp_path / "ranking.png").read_bytes()[:4] == b"\x89PNG"
    table = mirante("compare", poor, run, twin, "--lang", "pt").stdout
    assert "dentro do ruído" in table and "p < 0,0001" in table
    other = write_shapes(tmp_path / "other", 20)
    assert (
        mirante("train", other, "--model", "4C3-GAP", "--epochs", "1", "--out", tmp_path / "elsewhere").returncode == 0
    )
    done = mirante("compare", run, tmp_path / "elsewhere")
    assert done.returncode == 2 and "tested on other images" in done.stderr


def test_the_pictures_are_whole_pngs_of_a_readable_size(shapes_run: tuple[Path, Path]) -> None:
    from PIL import Image

    for path in (shapes_run[0] / "plots").iterdir():
        with Image.open(path) as image:
            image.load()
            assert image.width >= 500 and image.height >= 400, path
            assert len(np.unique(np.asarray(image.convert("L")))) > 20, path  # something is drawn
