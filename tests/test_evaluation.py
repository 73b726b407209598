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
from PIL import Image
from sklearn.metrics import f1_score, log_loss
from test_read import draw_texts

from mirante.evaluation.plots.fonts import OWN, can_draw, drawn, fonts_for, numbered
from mirante.run import Run
from mirante.tasks.classify.contrasts import Contrast
from mirante.tasks.classify.human_votes import compare_with_humans, read_human_votes
from mirante.tasks.classify.subgroups import figures_by_subgroup

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


ROOT = Path(__file__).parent.parent


def test_a_run_holds_the_files_that_it_promises(shapes_run: tuple[Path, Path]) -> None:
    run, _ = shapes_run
    names = "recipe.toml data.json history.csv model.safetensors model.json model.onnx predictions.csv metrics.json reference.npz"
    assert {path.name for path in run.iterdir()} == {
        *names.split(),
        "report.html",
        "model-card.md",
        "plots",
        "snapshots",
    }
    plots = {path.stem for path in (run / "plots").iterdir()}
    assert plots in (set(PLOTS), set(PLOTS) - {"mistakes", "dispersion"})  # without a mistake, there is none to show
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
    assert done.returncode == 2 and "'star' is not one of the model's" in done.stderr


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
    assert done.returncode == 2 and "not the ones that" in done.stderr


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
    assert done.returncode == 2 and "tested on different images" in done.stderr


def test_the_pictures_are_whole_pngs_of_a_readable_size(shapes_run: tuple[Path, Path]) -> None:
    from PIL import Image

    for path in (shapes_run[0] / "plots").iterdir():
        with Image.open(path) as image:
            image.load()
            assert image.width >= 500 and image.height >= 400, path
            assert len(np.unique(np.asarray(image.convert("L")))) > 20, path  # something is drawn


OPTIONS = ("--model", "8C3-MP2-16N", "--epochs", "2")


def rows_of(run: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((run / "predictions.csv").open(encoding="utf-8")))


def test_peoples_votes_stand_beside_the_models_doubt(
    shapes_run: tuple[Path, Path], tmp_path: Path, mirante: Command
) -> None:
    shutil.copytree(shapes_run[0], tmp_path / "run")
    with (tmp_path / "run/predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    names = ["bar", "cross", "disc"]
    voted = rows[:-1]  # nobody voted on the last one
    other = {row["path"] for row in voted[:4]}
    with (tmp_path / "votes.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", *(f"people_{name}" for name in names)])
        for row in voted:
            label = names.index(row["label"])
            said = (label + 1) % 3 if row["path"] in other else label
            shares = np.array([float(row[f"probability_{name}"]) for name in names])
            writer.writerow([row["path"], *(np.eye(3)[said] * 60 + 40 * shares)])
    done = mirante("evaluate", tmp_path / "run", "--human-votes", tmp_path / "votes.csv", "--lang", "en")
    assert done.returncode == 0, done.stderr
    people = json.loads((tmp_path / "run/metrics.json").read_text())["human_votes"]
    shares = np.array([[float(row[f"probability_{name}"]) for name in names] for row in voted])
    assert people["images"] == len(voted) and people["others_named"] == 4
    agrees = sum(int(shares[row].argmax()) == (names.index(voted[row]["label"]) + 1) % 3 for row in range(4))
    assert people["model_agrees"] == agrees
    believed = shares[np.arange(len(voted)), [names.index(row["label"]) for row in voted]]
    first = {voted[row]["path"] for row in np.argsort(believed, kind="stable")[: max(1, round(0.1 * len(voted)))]}
    assert people["in_first"]["0.1"] == pytest.approx(len(first & other) / 4)
    random = np.random.default_rng(0)
    said = random.dirichlet(np.full(3, 0.3), 400)
    alike = compare_with_humans(said, said.argmax(axis=1), 0.8 * said + 0.2 * random.dirichlet(np.ones(3), 400))
    unlike = compare_with_humans(said, said.argmax(axis=1), random.dirichlet(np.ones(3), 400))
    assert alike["rank_correlation"] > 0.7 and abs(unlike["rank_correlation"]) < 0.2
    assert alike["dispersion_where_unsure"] > alike["dispersion_where_sure"]
    assert "For 4 images, most people name another class" in (tmp_path / "run/report.html").read_text()

    for text in (
        "path,bar,cross\na,1,2\n",
        "path,bar,cross,disc\nnowhere,1,2,3\n",
        f"path,bar,cross,disc\n{rows[0]['path']},x,2,3\n",
    ):
        (tmp_path / "wrong.csv").write_text(text)
        done = mirante("evaluate", tmp_path / "run", "--human-votes", tmp_path / "wrong.csv")
        assert (done.returncode, done.stderr.strip().count("\n")) == (2, 0), done.stderr


def test_a_camera_on_which_the_model_fails_is_marked_and_the_others_are_not(tmp_path: Path, mirante: Command) -> None:
    random = np.random.default_rng(0)
    labels, parts = random.integers(0, 2, 900), np.repeat(["old", "new", "third"], 300)
    shares = np.clip(labels + random.normal(0, 0.45, 900), 0.01, 0.99)
    shares[:300] = random.uniform(0.01, 0.99, 300)  # the old camera tells nothing
    both = np.stack([1 - shares, shares], axis=1)
    right = both.argmax(1) == labels
    found = figures_by_subgroup(parts.tolist(), right, Contrast(shares, labels == 1, both.argmax(1) == 1))
    for key in ("accuracy", "roc_area", "sensitivity", "specificity"):
        assert [name for name, row in found.items() if row[key]["differs"]].count("old") == 1
        assert found["old"][key]["value"] < found["new"][key]["low"]
    quiet = figures_by_subgroup(["few"] * 5 + ["all"] * 595, right[300:], None)
    assert quiet["few"] == {"images": 5} and not quiet["all"]["accuracy"]["differs"]

    root = write_shapes(tmp_path / "shapes", 24, ("bar", "disc"))
    lines = [
        f"{kind}/{n:03d}.png,{kind},{'north' if n % 2 else 'south'}" for kind in ("bar", "disc") for n in range(24)
    ]
    (root / "labels.csv").write_text("\n".join(["path,label,hospital", *lines]))
    run = tmp_path / "run"
    words = ("--labels", "labels.csv", "--subgroup", "hospital", "--folds", "3", "--out", run, "--lang", "pt")
    done = mirante("train", root, *OPTIONS, *words)
    assert done.returncode == 0, done.stderr
    parts_of_run = json.loads((run / "metrics.json").read_text())["subgroups"]
    rows = rows_of(run)
    north = [row["label"] == row["predicted"] for row in rows if row["subgroup"] == "north"]
    assert parts_of_run["north"]["images"] == 24 and parts_of_run["north"]["accuracy"]["value"] == np.mean(north)
    assert "Os números por hospital" in (run / "report.html").read_text(encoding="utf-8")
    wrong = mirante("train", root, *OPTIONS, "--labels", "labels.csv", "--subgroup", "country")
    assert wrong.returncode == 2 and "no column named 'country' (--subgroup)" in wrong.stderr


def test_images_that_the_model_was_made_from_do_not_test_it(
    shapes_run: tuple[Path, Path], tmp_path: Path, mirante: Command
) -> None:
    run, data = Path(shutil.copytree(shapes_run[0], tmp_path / "run")), tmp_path / "moved"
    shutil.copytree(shapes_run[1], data)
    tested = len(Run(run).predictions())
    done = mirante("evaluate", run, data)
    assert done.returncode == 0 and f"Left out because they cannot be used: {240 - tested}" in done.stderr
    assert "the model was trained with it" in done.stderr
    assert json.loads((run / "evaluations/moved/metrics.json").read_text())["images"] == tested
    for path in data.rglob("*.png"):
        if f"{path.parent.name}/{path.name}" in Run(run).predictions().paths:
            path.unlink()
    done = mirante("evaluate", run, data)
    assert done.returncode == 2 and "trained with all of these images" in done.stderr


def test_evaluations_of_folders_of_one_name_stand_side_by_side(
    shapes_run: tuple[Path, Path], tmp_path: Path, mirante: Command
) -> None:
    run = Path(shutil.copytree(shapes_run[0], tmp_path / "run"))
    for number, hospital in enumerate(("one", "two")):
        write_shapes(tmp_path / hospital / "test", 6, first=1000 + 100 * number)
    for hospital in ("one", "two", "one"):
        assert mirante("evaluate", run, tmp_path / hospital / "test").returncode == 0
    assert sorted(path.name for path in (run / "evaluations").iterdir()) == ["test", "test-2"]


def test_other_images_under_the_same_names_are_not_ranked(tmp_path: Path, mirante: Command) -> None:
    for name, first in (("a", 0), ("b", 500)):
        for split, count, start in (("train", 12, first), ("test", 6, first + 100)):
            write_shapes(tmp_path / name / split, count, ("bar", "disc"), first=start)
        for split in ("train", "test"):
            for kind in ("bar", "disc"):
                for number, path in enumerate(sorted((tmp_path / name / split / kind).iterdir())):
                    path.rename(path.with_name(f"renamed{number}.png"))
        words = ("--model", "8C3-MP2-16N", "--epochs", "1", "--out", tmp_path / f"run-{name}")
        assert mirante("train", tmp_path / name, *words).returncode == 0
    done = mirante("compare", tmp_path / "run-a", tmp_path / "run-b")
    assert done.returncode == 2 and "tested on different images" in done.stderr and "(0 in common)" in done.stderr


def test_labels_that_have_changed_are_not_evaluated_as_if_they_had_not(tmp_path: Path, mirante: Command) -> None:
    data = write_shapes(tmp_path / "shapes", 12, ("bar", "disc"))
    rows = [f"{path.parent.name}/{path.name},{path.parent.name}" for path in sorted(data.rglob("*.png"))]
    (data / "labels.csv").write_text("\n".join(["path,label", *rows]))
    words = ("--labels", "labels.csv", "--model", "8C3-MP2-16N", "--epochs", "1", "--out", tmp_path / "run")
    assert mirante("train", data, *words).returncode == 0
    swapped = [row.replace(",bar", ",x").replace(",disc", ",bar").replace(",x", ",disc") for row in rows]
    (data / "labels.csv").write_text("\n".join(["path,label", *swapped]))
    done = mirante("evaluate", tmp_path / "run")
    assert done.returncode == 2 and "or their labels are not the ones that" in done.stderr


def test_each_person_has_one_vote(tmp_path: Path) -> None:
    votes = tmp_path / "votes.csv"
    votes.write_text("\n".join(["path,bar,disc", *["a.png,1,0"] * 9, "a.png,0,1", "b.png,3,1"]))
    found = read_human_votes(votes, ["a.png", "b.png", "c.png"], ["bar", "disc"])
    assert found[:2].tolist() == [[0.9, 0.1], [0.75, 0.25]] and np.isnan(found[2]).all()


def test_names_that_no_font_here_can_draw_are_numbered_and_the_report_says_so(tmp_path: Path, mirante: Command) -> None:
    """苹果 where no font with Chinese is installed, and قط, which plots would write backwards."""
    write_shapes(tmp_path / "data", 20, ("bar", "disc"))
    (tmp_path / "data" / "bar").rename(tmp_path / "data" / "قط")
    (tmp_path / "data" / "disc").rename(tmp_path / "data" / "苹果")
    done = mirante("train", "data", "--model", "4C3-GAP", "--epochs", "1", "--out", "run", "--lang", "en", cwd=tmp_path)
    assert done.returncode == 0 and "Glyph" not in done.stderr and "font" not in done.stderr.lower()
    report = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    named = [name for name in ("قط", "苹果") if not can_draw(name)]
    assert "قط" in named  # whatever is installed
    assert all(
        f"{('قط', '苹果').index(name) + 1} {name}" in report.partition("plots show their numbers")[2] for name in named
    )
    with numbered(("قط", "苹果", "maçã")):
        assert (drawn("قط"), drawn("maçã")) == ("#1", "maçã")
    assert fonts_for("maçã") == [OWN] and drawn("قط") == "قط"


def shows_something(plot: Path) -> bool:
    """Tell whether a plot has content: colours of data, or greys of images, and not only paper, axes and words."""
    pixels = np.asarray(Image.open(plot).convert("RGB")).astype(int)
    spread = np.ptp(pixels, axis=2)
    greys = pixels[spread < 12].mean(axis=1).astype(int)
    images = (
        np.bincount(greys, minlength=256)[20:215] > 30
    )  # levels between ink and paper that edges of letters have few of
    return (
        int((spread > 60).sum()) > 400
        or int((spread > 15).sum()) > 5_000
        or int(images.sum()) > 60
        or (pixels < 250).any(axis=2).mean() > 0.1
    )


@pytest.mark.parametrize(
    "words",
    [
        ("train", "shapes", "--model", "8C3-GAP", "--epochs", "2", "--folds", "3"),
        ("train", "shapes", "--recipe", "transfer", "--epochs", "0"),
        ("train", "texts", "--task", "read", "--epochs", "2"),
    ],
    ids=["folds", "pretrained", "texts"],
)
def test_no_report_has_a_plot_without_content(tmp_path: Path, mirante: Command, words: tuple[str, ...]) -> None:
    write_shapes(tmp_path / "shapes", 30)
    if "texts" in words:
        draw_texts(tmp_path / "texts", 60)
    done = mirante(*words, "--out", "run", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    plots = sorted((tmp_path / "run").rglob("*.png"))
    assert len([one for one in plots if "snapshots" not in one.parts]) >= 4
    assert [one.name for one in plots if "snapshots" not in one.parts and not shows_something(one)] == []
    report = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert str(tmp_path) not in report
    content = (tmp_path / "run" / "model.onnx").read_bytes()
    assert (
        str(ROOT).encode() not in content and b"site-packages" not in content
    )  # torch notes lines of code, with their paths
