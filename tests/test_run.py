"""A run is opened in one place, and what it holds is what was trained on and predicted, whatever its classes are called."""

from __future__ import annotations

import csv
import json
import pickle
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Command, model_info, write_shapes
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import mirante
from mirante import Dataset, Predictions, Recipe, RequestError, Run, RunError, train
from mirante.evaluation.objectives import Aim, Objectives
from mirante.experiment.cross_validation import OutOfFold, predict_folds
from mirante.experiment.fit_network import Choices
from mirante.model_info import ModelInfo
from mirante.prediction.onnx_model import Output
from mirante.training.recipe import names

SMALL = {"layers": "4C3-MP4-8N", "epochs": 2, "lang": "en"}


def test_a_run_holds_what_was_trained_and_predicted(shapes_run: tuple[Path, Path]) -> None:
    folder, data = shapes_run
    run = Run(folder)
    assert (run.task, run.classes, run.recipe.name) == ("classify", ("bar", "cross", "disc"), "fast")
    accuracy = run.metrics.accuracy
    assert 0 <= accuracy.low <= accuracy.value <= accuracy.high <= 1
    assert run.metrics["accuracy"]["value"] == accuracy.value and run.metrics.dispersion.right.value >= 0
    with pytest.raises(AttributeError, match="no figure 'acuracy'; available: format"):
        _ = run.metrics.acuracy
    found = run.predictions()
    assert found.right.mean() == pytest.approx(accuracy.value) and len(found) == run.metrics.images
    dataset = run.dataset()
    tested = [dataset.paths[row] for row in dataset.rows("test")]
    assert list(found.paths) == tested
    shares = run.model().predict_proba([data / path for path in tested])
    assert np.allclose(shares, found.probabilities, atol=1e-5)


def test_the_table_is_a_data_frame_for_those_who_have_pandas(shapes_run: tuple[Path, Path]) -> None:
    pd = pytest.importorskip("pandas")
    table = Run(shapes_run[0]).predictions().to_pandas()
    assert isinstance(table, pd.DataFrame) and table["probability_disc"].dtype == float
    columns = ["probability_bar", "probability_cross", "probability_disc"]
    assert np.allclose(table[columns].sum(axis=1), 1, atol=1e-5)
    assert all(label in members for label, members in zip(table["predicted"], table["prediction_set_99"], strict=True))


ODD = ("path", "label", "predicted", "confidence", "decision", "group", "fold", "none_of_these", "probability_path")


def test_classes_may_be_called_like_columns(tmp_path: Path, mirante: Command) -> None:
    data = write_shapes(tmp_path / "data", 20)
    for kind, name in zip(("bar", "cross", "disc"), ("path", "group", "label"), strict=True):
        (data / kind).rename(data / name)
    runs = [tmp_path / "one", tmp_path / "other"]
    for run, seed in zip(runs, "01", strict=True):
        words = ("--model", "4C3-MP4-8N", "--epochs", "1", "--seed", seed, "--out", run, "--lang", "en")
        assert mirante("train", data, *words).returncode == 0
    tested = json.loads((runs[0] / "metrics.json").read_text())
    done = mirante("compare", *runs, "--format", "json")
    assert done.returncode == 0, done.stderr
    ranked = json.loads(done.stdout)
    assert [one["images"] for one in ranked] == [tested["images"]] * 2
    for one in ranked:
        assert one["accuracy"] == json.loads((Path(one["run"]) / "metrics.json").read_text())["accuracy"]["value"]
    image = next((data / "path").iterdir())
    told = list(csv.DictReader(mirante("predict", runs[0], image, "--format", "csv").stdout.splitlines()))
    assert told[0]["path"] == str(image) and told[0]["label"] in ("path", "group", "label")
    shares = [float(told[0][f"probability_{name}"]) for name in ("path", "group", "label")]
    assert sum(shares) == pytest.approx(1, abs=1e-4)
    assert mirante("evaluate", runs[0]).returncode == 0


@given(
    st.lists(
        st.one_of(st.sampled_from(ODD), st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), min_size=1)),
        min_size=2,
        max_size=6,
        unique=True,
    ),
    st.integers(0, 99),
)
def test_any_table_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], seed: int
) -> None:
    random, count, classes = np.random.default_rng(seed), 7, len(names)
    shares = random.dirichlet(np.ones(classes), count).astype(np.float32)
    table = Predictions(
        "classify",
        tuple(names),
        tuple(f'{names[0]}/{row}, "odd".png' for row in range(count)),
        targets=random.integers(0, classes, count),
        predicted=shares.argmax(axis=1),
        confidences=shares.max(axis=1),
        probabilities=shares,
        decided=random.integers(0, classes, count),
        prediction_sets={0.9: random.random((count, classes)) < 0.5},
        out_of_distribution=random.random(count) < 0.5,
        groups=tuple(random.choice(names, count).tolist()),
        folds=random.integers(0, 3, count),
    )
    file = tmp_path_factory.mktemp("table") / "predictions.csv"
    table.write(file)
    again = Predictions.read(file, model_info(names, (8, 8, 3), "8N"))
    for name in ("targets", "predicted", "probabilities", "decided", "folds", "out_of_distribution", "confidences"):
        assert np.array_equal(getattr(again, name), getattr(table, name)), name
    assert (again.paths, again.groups, again.classes) == (table.paths, table.groups, table.classes)
    assert np.array_equal(again.prediction_sets[0.9], table.prediction_sets[0.9])


def test_a_dataset_is_used_as_it_is(tmp_path: Path, mirante: Command) -> None:
    opened = Dataset.open(write_shapes(tmp_path / "data", 40), val_share=0.25)
    splits = opened.splits.copy()
    splits[opened.rows("test")[::2]] = "train"  # half of the test images train as well
    changed = replace(opened, splits=splits).only([path for path in opened.paths if not path.startswith("cross")])
    changed = replace(changed, classes=("bar", "disc"), output=(2,), targets=np.minimum(changed.targets, 1))
    run = train(changed, out=tmp_path / "run", **SMALL)
    tested = {changed.paths[row] for row in changed.rows("test")}
    assert set(run.predictions().paths) == tested and run.classes == ("bar", "disc")
    again = Run(tmp_path / "run").dataset()
    assert again.fingerprint == changed.fingerprint and np.array_equal(again.targets, changed.targets)
    assert mirante("evaluate", run.path).returncode == 0
    assert Run(run.path).metrics.accuracy == run.metrics.accuracy
    with pytest.raises(RequestError, match="classes: not allowed with a Dataset, which is used as is"):
        train(opened, classes=["bar", "disc"], out=tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_an_option_that_there_is_not_is_named(shapes: Path, tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="epoch: there is no such option; did you mean epochs"):
        train(shapes, epoch=3, out=tmp_path / "run")  # type: ignore[call-arg]
    with pytest.raises(RequestError, match="time and epochs exclude each other"):
        train(shapes, epochs=3, time="5m", out=tmp_path / "run")
    with pytest.raises(RequestError, match="'soon' is not a time"):
        train(shapes, time="soon", out=tmp_path / "run")


def test_runs_of_another_format_are_refused_in_a_sentence(shapes_run: tuple[Path, Path], tmp_path: Path) -> None:
    run = Path(shutil.copytree(shapes_run[0], tmp_path / "run"))
    for written, words in ((1, "an older Mirante .*; train it again"), (99, "a newer Mirante .*; update this one")):
        for name in ("model.json", "metrics.json", "data.json"):
            values = json.loads((shapes_run[0] / name).read_text())
            (run / name).write_text(json.dumps({**values, "format": written}))
        for read in (lambda: Run(run).info, lambda: Run(run).metrics, lambda: Run(run).dataset()):
            with pytest.raises(RunError, match=words):
                read()


def test_an_image_that_cannot_be_read_can_be_skipped(shapes_run: tuple[Path, Path], tmp_path: Path) -> None:
    model, good = mirante.load(shapes_run[0]), shapes_run[1] / "bar" / "000.png"
    (tmp_path / "bad.png").write_bytes(b"junk")
    asked = [good, tmp_path / "bad.png", good.read_bytes()]
    with pytest.raises(mirante.ImageError, match=r"bad\.png: not an image"):
        list(model.predict_many(asked))
    first, skipped, last = model.predict_many(asked, errors="skip")
    assert isinstance(skipped, mirante.Skipped) and skipped.path == str(tmp_path / "bad.png")
    assert first.label == last.label and first.path == str(good) and last.path is None
    with pytest.raises(ValueError, match="must be 'raise' or 'skip'"):
        next(model.predict_many(asked, errors="ignore"))  # type: ignore[arg-type]


def test_a_model_is_opened_once_for_each_use(
    shapes_run: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    import onnxruntime

    from mirante.cli import main
    from mirante.serving.app import create_app
    from mirante.serving.settings import Settings

    opened = []
    session = onnxruntime.InferenceSession
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda *a, **k: opened.append(a) or session(*a, **k))
    with pytest.raises(SystemExit):
        main(["predict", str(shapes_run[0]), str(shapes_run[1] / "bar" / "001.png")])
    assert len(opened) == 1 and "bar" in capfd.readouterr().out
    create_app(Settings((str(shapes_run[0]),)))
    assert len(opened) == 2
    with pytest.raises(SystemExit):
        main(["predict", str(shapes_run[0]), str(shapes_run[1] / "bar")])  # many: once more, for each core by itself
    assert len(opened) == 4


def test_a_row_is_found_from_either_end_and_none_beyond(shapes_run: tuple[Path, Path]) -> None:
    found = Run(shapes_run[0]).predictions()
    assert found[-1] == found[len(found) - 1] == list(found)[-1]
    with pytest.raises(IndexError):
        _ = found[len(found)]


def test_no_option_is_ignored_in_silence(shapes_run: tuple[Path, Path]) -> None:
    folder, data = shapes_run
    with pytest.raises(RequestError, match="sensitivity: there is no such option"):
        mirante.tune(data, sensitivity=0.9, trials=1)
    with pytest.raises(RequestError, match="folds: not an option of evaluate"):
        mirante.evaluate(folder, data, folds=3)
    with pytest.raises(RequestError, match="folds: not an option of check"):
        mirante.check(data, folds=3)
    with pytest.raises(ValueError, match="errors='oops'"):
        mirante.load(folder).predict_many([], errors="oops")


def test_what_a_fold_is_answered_with_was_learned_without_it(tmp_path: Path) -> None:
    """Neither other labels in a fold nor what was learned of all folds before changes how that fold is answered."""
    dataset = Dataset.open(write_shapes(tmp_path / "data", 40, ("bar", "disc")), folds=3)
    rows, folds = np.arange(len(dataset)), np.arange(len(dataset)) % 3
    random = np.random.default_rng(0)
    logits = random.normal(0, 1, (len(rows), 2)).astype(np.float32)
    logits[rows, dataset.targets] += 1
    info = model_info(dataset.classes, (24, 24, 3), "8N")
    scores = np.zeros(len(rows), np.float32)

    def answered(info: ModelInfo, dataset: Dataset) -> Predictions:
        known = OutOfFold(rows, Output.of_logits(logits, scores, info), folds, Choices(0, False))
        return predict_folds(known, dataset, info, Objectives())

    usual = answered(info, dataset).probabilities
    wrong = np.where(folds == 0, 1 - dataset.targets, dataset.targets)
    other = answered(info, replace(dataset, targets=wrong)).probabilities
    assert (other[folds == 0] == usual[folds == 0]).all() and (other[folds == 1] != usual[folds == 1]).any()
    learned = info.asks.calibrate(Output.of_logits(logits * 5, scores, info), rows, dataset, info, Objectives())
    assert learned.learned != info.learned
    assert (answered(learned, dataset).probabilities == usual).all()


def test_the_recipes_are_called_as_they_are_asked_for() -> None:
    for name in names():
        assert Recipe.load(name).name == name


def test_groups_and_subgroups_that_a_dataset_was_given_are_kept(tmp_path: Path) -> None:
    data = Dataset.open(write_shapes(tmp_path / "shapes", 12, ("bar", "disc")))
    sides = tuple("left" if row % 2 else "right" for row in range(len(data)))
    data = replace(data, groups=tuple(f"person{row // 2}" for row in range(len(data))), subgroups=sides)
    run = mirante.train(data, layers="8C3-MP2-16N", epochs=1, out=tmp_path / "run")
    again = Run(run.path).dataset()
    assert (again.groups, again.subgroups) == (data.groups, data.subgroups)
    before = run.metrics["balanced_accuracy"], set(run.metrics["subgroups"])
    found = mirante.evaluate(run.path).metrics
    assert (found["balanced_accuracy"], set(found["subgroups"])) == before


def test_without_training_images_there_is_a_sentence(tmp_path: Path) -> None:
    data = Dataset.open(write_shapes(tmp_path / "shapes", 12, ("bar", "disc")))
    tests = [data.paths[row] for row in data.rows("test")]
    with pytest.raises(RequestError, match="no training images"):
        mirante.train(data.only(tests), layers="8C3-MP2-16N", epochs=1, out=tmp_path / "run")


def test_the_recipe_file_of_a_run_asks_for_all_that_the_run_was_asked(tmp_path: Path) -> None:
    data, small = write_shapes(tmp_path / "shapes", 20), {"layers": "8C3-MP2-16N", "epochs": 1}
    asked = {"size": 20, "fit": "pad", "sensitivity": 0.9, "positive": "disc", "classes": ["bar", "disc"], "folds": 3}
    first = mirante.train(data, **small, **asked, repeats=2, out=tmp_path / "first")
    again = mirante.train(data, first.path / "recipe.toml", out=tmp_path / "again")
    assert again.metrics == first.metrics and again.info == first.info and again.objectives == first.objectives
    other = mirante.train(data, first.path / "recipe.toml", specificity=0.8, repeats=1, size=16, out=tmp_path / "other")
    assert other.info.size == (16, 16) and other.classes == ("bar", "disc")
    assert other.objectives.aim == Aim(specificity=0.8) and other.objectives.repeats == 1


@pytest.mark.parametrize(
    "options",
    [
        {"size": "32"},
        {"size": (32,)},
        {"size": 32.0},
        {"repeats": "2"},
        {"sensitivity": "much"},
        {"even": "no"},
        {"lang": "fr"},
    ],
)
def test_options_of_a_wrong_kind_are_said(shapes: Path, tmp_path: Path, options: dict[str, Any]) -> None:
    with pytest.raises(RequestError, match=r"must be|whole number|not a share"):
        mirante.train(shapes, layers="8C3-MP2-16N", epochs=1, out=tmp_path / "run", positive="disc", **options)


def test_numbers_of_numpy_are_numbers(shapes: Path, tmp_path: Path) -> None:
    run = mirante.train(shapes, layers="8C3-MP2-16N", epochs=np.int64(1), size=np.int64(16), out=tmp_path / "run")
    assert run.info.size == (16, 16) and run.recipe.epochs == 1


def test_a_table_that_was_edited_is_not_a_runs_own(shapes_run: tuple[Path, Path], tmp_path: Path) -> None:
    run = Run(shutil.copytree(shapes_run[0], tmp_path / "run"))
    file = run.path / "predictions.csv"
    header, *lines = file.read_text(encoding="utf-8").splitlines()
    cells = lines[0].split(",")
    cells[2] = next(name for name in run.classes if name != cells[2])
    file.write_text("\n".join([header, ",".join(cells), *lines[1:]]) + "\n", encoding="utf-8")
    with pytest.raises(RunError, match="damaged"):
        run.predictions()


def test_what_is_no_choice_is_said(shapes_run: tuple[Path, Path], tmp_path: Path) -> None:
    run, data = Run(shapes_run[0]), shapes_run[1]
    model, image = mirante.load(run), data / "bar" / "000.png"
    pixels = np.asarray(Image.open(image))
    for wrong in (
        lambda: mirante.export(run, "tflite", out=tmp_path / "out"),
        lambda: mirante.organise(run, data, tmp_path / "out", how="mv"),
        lambda: mirante.organise(run, data, tmp_path / "out", min_confidence=90),
        lambda: mirante.compare(str(run.path)),
        lambda: mirante.train(data, out=tmp_path / "out", model="8C3"),
        lambda: mirante.train(data, out=tmp_path / "out", classes="bar,disc"),
        lambda: mirante.Recipe.load("fast", epoch=1),
        lambda: model.predict([image]),
        lambda: model.predict(None),
        lambda: model.predict_proba(image),
        lambda: model.predict_proba(pixels),
        lambda: model.predict_many(str(image)),
    ):
        with pytest.raises(RequestError, match=r"must be|list|one image|did you mean layers|not a field"):
            wrong()
    assert not (tmp_path / "out").exists()
    assert model.predict_proba([pixels, image]).shape == (2, 3)
    again = pickle.loads(pickle.dumps(model))
    assert np.array_equal(again.predict(image).probabilities, model.predict(image).probabilities)


def test_shares_may_be_written_as_on_the_command_line(shapes: Path, tmp_path: Path) -> None:
    asked = {"sensitivity": "90%", "prevalence": "2%", "positive": "disc"}
    run = mirante.train(shapes, layers="8C3-MP2-16N", epochs=1, out=tmp_path / "run", **asked)
    assert (run.objectives.aim, run.objectives.prevalence) == (Aim(sensitivity=0.9), 0.02)
    decided = run.predictions().decided
    assert decided is not None
    right = (decided == run.predictions().targets).mean()
    assert run.metrics.decision.accuracy.value == pytest.approx(right)
    page = (run.path / "report.html").read_text(encoding="utf-8")
    assert "the plots below are for the most probable class" in page


def test_overwriting_a_run_removes_nothing_that_a_training_did_not_write(
    shapes_run: tuple[Path, Path], tmp_path: Path, mirante: Command
) -> None:
    run = tmp_path / "run"
    shutil.copytree(shapes_run[0], run)
    shutil.copytree(shapes_run[1], run / "data")
    words = ["train", run / "data", "--model", "4C3-8N", "--epochs", "1", "--out", run, "--overwrite"]
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    done = mirante(*words, "--lang", "en")
    assert done.returncode == 2 and "holds data, which no training writes" in done.stderr
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    (run / "data").rename(tmp_path / "data")
    mirante("dossier", run)
    refused = mirante("train", tmp_path / "data", *words[2:], "--lang", "en")
    assert (
        refused.returncode == 2 and "holds dossier" in refused.stderr and (run / "dossier" / "answers.toml").is_file()
    )
    shutil.rmtree(run / "dossier")
    (run / "earlier").mkdir()  # what people taught
    assert mirante("train", tmp_path / "data", *words[2:]).returncode == 2
    (run / "earlier").rmdir()
    (run / ".DS_Store").write_bytes(b"seen")
    assert mirante("train", tmp_path / "data", *words[2:]).returncode == 0


def test_two_processes_on_one_run_are_kept_apart(shapes: Path, tmp_path: Path, mirante: Command) -> None:
    """The second one gets a sentence, and touches nothing; the lock of one that was killed is gone with it."""
    run = tmp_path / "run"
    words = [
        sys.executable,
        "-m",
        "mirante",
        "train",
        str(shapes),
        "--model",
        "8C3-GAP",
        "--epochs",
        "1000",
        "--out",
        str(run),
    ]
    first = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        wait(lambda: (run / "checkpoint" / "latest.json").exists())
        for second in (("train", shapes, "--out", run, "--overwrite"), ("train", "--resume", "--out", run)):
            done = mirante(*second)
            assert done.returncode == 2 and "another process is writing this run; wait until" in done.stderr, (
                done.stderr
            )
        assert first.poll() is None and (run / "checkpoint" / "latest.json").exists()
    finally:
        first.kill()
        first.wait()
    assert mirante("train", shapes, "--model", "8C3-GAP", "--epochs", "1", "--out", run, "--overwrite").returncode == 0


def wait(until: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.05)
