"""Cross-validation and repetitions: who is answered by whom, and that every figure can be computed again."""

from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import Command, write_shapes
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import average_precision_score, roc_auc_score

from mirante import Dataset
from mirante.data.splits import assign_folds
from mirante.evaluation.metrics import calibration_error
from mirante.prediction.model import Model

OPTIONS = ("--model", "8C3-MP2-16N", "--epochs", "2")


def rows_of(run: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((run / "predictions.csv").open(encoding="utf-8")))


@pytest.fixture(scope="module")
def folded(photographed: Path, mirante: Command) -> Path:
    out = photographed.parent / "run"
    words = (
        "--labels",
        "labels.csv",
        "--group-column",
        "person",
        "--folds",
        "3",
        "--sensitivity",
        "90%",
        "--prevalence",
        "2%",
    )
    done = mirante("train", photographed, *OPTIONS, *words, "--out", out, "--lang", "en")
    assert done.returncode == 0, done.stderr
    assert "180 images, out of fold" in done.stdout and "Sensitivity" in done.stdout
    return out


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_folds_cut_no_group_and_no_copies_and_share_out_the_classes(data: st.DataObject) -> None:
    count = data.draw(st.integers(30, 120))
    labels = np.array(data.draw(st.lists(st.integers(0, 2), min_size=count, max_size=count)))
    people = data.draw(st.lists(st.integers(0, 20), min_size=count, max_size=count))
    digests = [f"{label}-{row // 2}" for row, label in enumerate(labels)]
    groups = [f"{label}-{person}" for label, person in zip(labels, people, strict=True)]
    folds = assign_folds(labels, digests, groups, 5, seed=data.draw(st.integers(0, 3)))
    for names in (digests, groups):
        for name in set(names):
            assert len({int(fold) for fold, other in zip(folds, names, strict=True) if other == name}) == 1
    alone = assign_folds(labels, [str(row) for row in range(count)], None, 5)
    for label in range(3):
        sizes = np.bincount(alone[labels == label], minlength=5)
        assert sizes.max() - sizes.min() <= 1


def test_the_test_images_that_a_source_gives_stay_out_of_the_folds(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write_shapes(tmp_path / "shapes" / split, 12, first=100 * len(split))
    dataset = Dataset.open(tmp_path / "shapes", folds=4)
    assert dataset.folds == ("fold1", "fold2", "fold3", "fold4") and len(dataset.rows("test")) == 36
    asked = dataset.asking("fold4")
    kept = [set(asked.rows(split).tolist()) for split in ("train", "val", "test")]
    assert [len(one) for one in kept] == [18, 9, 9] and not set.intersection(*kept)
    assert not any(dataset.paths[row].startswith("test/") for one in kept for row in one)
    assert len(dataset.asking("").rows("train")) == 36
    assert (dataset.redrawn(1).splits != dataset.splits).any()


def test_every_image_is_answered_once_by_a_network_that_did_not_see_its_person(folded: Path) -> None:
    rows = rows_of(folded)
    assert len({row["path"] for row in rows}) == len(rows) == 180
    folds: dict[str, set[str]] = {}
    for row in rows:
        folds.setdefault(row["group"], set()).add(row["fold"])
    assert all(len(found) == 1 for found in folds.values()) and {row["fold"] for row in rows} == {"1", "2", "3"}
    assert not (folded / "folds").exists() and not (folded / "checkpoint").exists()


def test_every_figure_of_the_folds_can_be_computed_again_from_predictions_csv(folded: Path) -> None:
    found, rows = json.loads((folded / "metrics.json").read_text()), rows_of(folded)
    disc = np.array([row["label"] == "disc" for row in rows])
    scores = np.array([float(row["probability_disc"]) for row in rows])
    told = found["one_vs_rest"]["disc"]
    assert told["roc_area"]["value"] == pytest.approx(roc_auc_score(disc, scores))
    assert told["average_precision"]["value"] == pytest.approx(average_precision_score(disc, scores))
    right = np.array([row["label"] == row["predicted"] for row in rows])
    confidence = np.array([float(row["confidence"]) for row in rows])
    assert found["ece"]["value"] == pytest.approx(calibration_error(confidence, right))
    alarm = np.array([row["decision"] == "disc" for row in rows])
    decision = found["decision"]
    assert [decision[key] for key in ("true_positives", "false_negatives", "false_positives", "true_negatives")] == [
        int(one.sum()) for one in (alarm & disc, ~alarm & disc, alarm & ~disc, ~alarm & ~disc)
    ]
    exact = binomtest(int((alarm & disc).sum()), int(disc.sum())).proportion_ci(0.95, "exact")
    assert decision["sensitivity"]["low"] == pytest.approx(exact.low, abs=1e-9)
    assert decision["sensitivity"]["high"] == pytest.approx(exact.high, abs=1e-9)
    for promised, column in (("0.9", "prediction_set_90"), ("0.95", "prediction_set_95")):
        kept = np.mean([row["label"] in json.loads(row[column]) for row in rows])
        assert found["prediction_sets"][promised]["coverage"]["value"] == pytest.approx(kept)
    surest = np.argsort(-confidence, kind="stable")[:144]
    assert found["selective_accuracy"]["0.8"]["value"] == pytest.approx(right[surest].mean())
    assert 0.02 in [row["prevalence"] for row in decision["by_prevalence"]]


def test_judging_a_folded_run_again_changes_nothing_and_speaks_portuguese(
    folded: Path, tmp_path: Path, mirante: Command
) -> None:
    copy = Path(shutil.copytree(folded, tmp_path / "run"))
    done = mirante("evaluate", copy, "--lang", "pt")
    assert done.returncode == 0, done.stderr
    again, before = (json.loads((run / "metrics.json").read_text()) for run in (copy, folded))
    assert again == before
    assert (copy / "predictions.csv").read_text() == (folded / "predictions.csv").read_text()
    page = (copy / "report.html").read_text(encoding="utf-8")
    for text in ("Antes de confiar nele", "Área sob a curva ROC", "validação cruzada", "alarmes falsos"):
        assert text in page


def test_the_model_card_has_the_metadata_of_the_hub_and_no_folder_of_the_person(folded: Path) -> None:
    yaml = (folded / "model-card.md").read_text(encoding="utf-8").split("---\n")[1]
    values = {key: json.loads(value) for key, value in (line.split(": ", 1) for line in yaml.splitlines())}
    assert values["pipeline_tag"] == "image-classification"
    result = values["model-index"][0]["results"][0]
    found = json.loads((folded / "metrics.json").read_text())
    assert {"type": "accuracy", "value": round(found["accuracy"]["value"], 4)} in result["metrics"]
    assert str(folded.parent) not in (folded / "model-card.md").read_text(encoding="utf-8")


def test_the_threshold_is_stored_and_predict_decides_by_it(folded: Path, photographed: Path, mirante: Command) -> None:
    learned = Model(folded).info.learned
    assert learned.positive == "disc" and learned.threshold is not None
    done = mirante("predict", folded, photographed, "--format", "json", "--coverage", "95%")
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == 180
    for answer in answers:
        assert (answer["nearest"] == "disc") == (answer["probabilities"]["disc"] >= learned.threshold - 1e-6)
        assert answer["unsure"] == (len(answer["prediction_set"]) != 1)
    always = mirante("predict", folded, photographed, "--format", "json", "--threshold", "0.000001").stdout
    assert {json.loads(line)["nearest"] for line in always.splitlines()} == {"disc"}


def test_folds_that_were_killed_go_on_with_the_one_they_were_at(
    photographed: Path, folded: Path, tmp_path: Path, mirante: Command
) -> None:
    out = tmp_path / "killed"
    words = ["train", photographed, *OPTIONS, "--labels", "labels.csv", "--group-column", "person", "--folds", "3"]
    command = [
        sys.executable,
        "-m",
        "mirante",
        *map(str, words),
        "--sensitivity",
        "90%",
        "--prevalence",
        "2%",
        "--out",
        str(out),
    ]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    end = time.monotonic() + 120
    while not (out / "folds" / "fold1-0.npz").exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.002)
    process.kill()
    process.wait()
    assert (out / "folds" / "fold1-0.npz").exists()
    done = mirante("train", "--resume", "--out", out)
    assert done.returncode == 0, done.stderr
    assert "fold 1 of 3" not in done.stderr
    assert (out / "predictions.csv").read_text() == (folded / "predictions.csv").read_text()


def test_repetitions_tell_how_much_chance_matters(photographed: Path, tmp_path: Path, mirante: Command) -> None:
    for folds in ("0", "3"):
        run = tmp_path / f"run{folds}"
        done = mirante(
            "train",
            photographed,
            *OPTIONS,
            "--labels",
            "labels.csv",
            "--repeats",
            "2",
            "--folds",
            folds,
            "--out",
            run,
            "--lang",
            "en",
        )
        assert done.returncode == 0, done.stderr
        found = json.loads((run / "metrics.json").read_text())
        values = found["repeats"]["log_loss"]["values"]
        assert len(values) == 2 and len(set(values)) == 2
        assert values[0] == pytest.approx(found["log_loss"]["value"])
        assert found["repeats"]["accuracy"]["deviation"] == pytest.approx(
            np.std(found["repeats"]["accuracy"]["values"], ddof=1)
        )
        for _ in "trained", "evaluated again":
            assert json.loads((run / "metrics.json").read_text())["repeats"] == found["repeats"]
            assert "Trained 2 times with other seeds" in (run / "report.html").read_text(encoding="utf-8")
            assert mirante("evaluate", run, "--lang", "en").returncode == 0
