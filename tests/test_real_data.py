"""Real images: X-rays with patients, photos of flowers, CIFAR-10 out of its archive. Needs MIRANTE_TEST_DATA."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from conftest import Command, write_shapes

from mirante import Dataset
from mirante.model.packages import at_hand


def test_xrays_with_labels_inside_the_archive_and_patients_never_cut(test_data: Path) -> None:
    dataset = Dataset.open(
        test_data / "chest-xray-320.tar.xz", labels="labels.csv", group="patient", classes=["no_finding", "pneumonia"]
    )
    assert len(dataset) == 1000 and dataset.channels == 1 and not dataset.skipped
    assert dataset.groups is not None and len(set(dataset.groups)) == 682
    sides: dict[str, set[str]] = {}
    for group, split in zip(dataset.groups, dataset.splits.tolist(), strict=True):
        sides.setdefault(group, set()).add(split)
    assert all(len(found) == 1 for found in sides.values())
    assert 0.10 < (dataset.splits == "test").mean() < 0.20


def test_cifar10_is_read_out_of_its_archive_once(test_data: Path) -> None:
    dataset = Dataset.open(test_data / "cifar10-images.tar.xz", val_share=0.0)
    assert {split: len(dataset.rows(split)) for split in ("train", "val", "test")} == {
        "train": 50_000,
        "val": 0,
        "test": 10_000,
    }
    assert list(dataset.paths) == sorted(dataset.paths)  # the order of the archive, whichever process was first
    dataset, pixels = dataset.load((32, 32), 3, "crop")
    assert pixels.shape == (60_000, 32, 32, 3) and not dataset.skipped
    assert 110 < float(np.asarray(pixels[::100]).mean()) < 130


def test_flowers_can_be_told_apart_and_new_ones_are_answered(test_data: Path, tmp_path: Path, mirante: Command) -> None:
    archive = test_data / "flowers-128.tar.xz"
    out = tmp_path / "run"
    done = mirante("train", archive, "--model", "16B-32B-GAP", "--epochs", "2", "--size", "32", "--out", out)
    assert done.returncode == 0, done.stderr
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["accuracy"]["low"] > 0.3  # chance is one in five
    answers = mirante("predict", out, archive, "--format", "json")
    assert len(answers.stdout.splitlines()) == 4317


@pytest.mark.skipif(not at_hand(), reason="the package with pretrained weights is not installed")
def test_pneumonia_is_told_from_healthy_lungs_of_people_never_seen(
    test_data: Path, tmp_path: Path, mirante: Command
) -> None:
    words = (
        "--labels",
        "labels.csv",
        "--group-column",
        "patient",
        "--recipe",
        "transfer",
        "--folds",
        "5",
        "--sensitivity",
        "0.9",
    )
    run = tmp_path / "run"
    done = mirante(
        "train", test_data / "chest-xray-320.tar.xz", *words, "--classes", "no_finding,pneumonia", "--out", run
    )
    assert done.returncode == 0, done.stderr
    found = json.loads((run / "metrics.json").read_text())
    assert found["one_vs_rest"]["pneumonia"]["roc_area"]["value"] >= 0.87
    assert found["ece"]["value"] <= 0.06 and 0.85 < found["decision"]["sensitivity"]["value"] < 0.94
    assert abs(found["prediction_sets"]["0.9"]["by_group"] - 0.9) < 0.03
    # other things than X-rays: nearly all are seen to be none of these
    others = mirante("predict", run, write_shapes(tmp_path / "shapes", 20), "--format", "json").stdout.splitlines()
    strange = [json.loads(line) for line in others]
    assert len(others) == 60 and np.mean([one["none_of_these"] for one in strange]) > 0.95
    assert all((one["label"] is None) == one["none_of_these"] for one in strange)
