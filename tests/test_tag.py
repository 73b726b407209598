"""Several labels per image: where they are read from, how they are spread, what is promised of them, and what is refused."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from conftest import Command
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

import mirante as package
from mirante import DataError, Dataset, Run, xmp
from mirante.cluster.part import Order, answer_part
from mirante.cluster.plan import make_plan
from mirante.data.several import join, parse
from mirante.data.splits import assign_folds, assign_splits
from mirante.evaluation.objectives import Aim, Objectives
from mirante.experiment.options import read_aims
from mirante.locale import language
from mirante.monitoring.monitor import monitor
from mirante.photos.feedback import Feedback, read_labels
from mirante.photos.label_questions import TOGETHER, choose_labels
from mirante.photos.learn import learn
from mirante.photos.learned_words import learned_sentence
from mirante.photos.library import Library, is_kept_apart, several_of
from mirante.photos.questions import RANDOM_EVERY
from mirante.prediction.calibration import fit_yes_or_no, sigmoid
from mirante.prediction.conformal import COVERAGES, fit_risk_thresholds, labels_in_sets
from mirante.prediction.model import Model
from mirante.prediction.onnx_model import Output
from mirante.tasks.tag.calibrate import calibrate, learned_of
from mirante.tasks.tag.judge import _average_precision
from mirante.tasks.tag.report import _always_sentence
from mirante.training.criterion import binary_cross_entropy
from mirante.training.head import fit_head

LISTED = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}li"
MARKS = {
    "bar": ((2, 2, 9, 5), (200, 40, 40)),
    "disc": ((14, 3, 21, 10), (40, 180, 60)),
    "line": ((3, 15, 20, 18), (60, 80, 220)),
}


def draw_marks(folder: Path, count: int, seed: int = 0) -> Path:
    """Write images with any of three marks on them, and labels.csv, which says which."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng(seed)
    rows = ["path,labels,patient,place"]
    for number in range(count):
        image = Image.fromarray(chance.integers(90, 166, (24, 24, 3), dtype=np.uint8))
        has = [name for name in MARKS if chance.random() < 0.4]
        for name in has:
            ImageDraw.Draw(image).ellipse(*MARKS[name]) if name == "disc" else ImageDraw.Draw(image).rectangle(
                *MARKS[name]
            )
        image.save(folder / f"{number:04d}.png")
        rows.append(f"{number:04d}.png,{'|'.join(has)},p{number // 2},{'north' if number % 3 else 'south'}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def tag_run(tmp_path_factory: pytest.TempPathFactory, mirante: Command) -> Iterator[tuple[Path, Path]]:
    folder = tmp_path_factory.mktemp("tags")
    data = draw_marks(folder / "marks", 500)
    words = [
        "--labels",
        "labels.csv",
        "--task",
        "tag",
        "--group-column",
        "patient",
        "--subgroup",
        "place",
        "--lang",
        "pt",
    ]
    done = mirante("train", data, *words, "--model", "W2-16B-24B-GMP", "--epochs", "8", "--out", folder / "run")
    assert done.returncode == 0, done.stderr
    assert "Precisão média (mAP)" in done.stdout
    yield folder / "run", data


def test_each_label_is_recognised_and_every_figure_is_in_the_predictions(tag_run: tuple[Path, Path]) -> None:
    run = Run(tag_run[0])
    assert run.metrics["mean_roc_area"]["value"] > 0.95
    table = run.predictions()
    assert (table.targets.sum(axis=1) == 0).any() and (table.targets.sum(axis=1) > 1).any()
    right = (table.predicted == table.targets).all(axis=1)
    assert run.metrics.accuracy.value == pytest.approx(right.mean())
    for number, name in enumerate(table.classes):
        one = run.metrics["labels"][name]
        wanted, scores = table.targets[:, number] > 0, table.probabilities[:, number]
        assert one["images"] == wanted.sum() and not one["rare"]
        pairs = scores[wanted][:, None] > scores[~wanted][None]
        assert one["roc_area"]["value"] == pytest.approx(pairs.mean(), abs=1e-3)
        assert one["sensitivity"]["value"] == pytest.approx(table.predicted[wanted, number].mean())
    assert set(run.metrics["subgroups"]["parts"]) == {"north", "south"}
    assert all(0.3 < one["value"] < 0.7 for one in run.metrics["subgroups"]["alone"].values())
    page = run.report.read_text(encoding="utf-8")
    assert "Rótulo por rótulo" in page and "Parte por parte" in page and "Traceback" not in page


def test_predict_tells_labels_in_every_format_and_python_says_the_same(
    tag_run: tuple[Path, Path], tmp_path: Path, mirante: Command
) -> None:
    run, data = tag_run
    images = [data / f"{number:04d}.png" for number in range(40)]
    rows = list(
        csv.DictReader(mirante("predict", run, *images, "--format", "csv", "--coverage", "90%").stdout.splitlines())
    )
    told = [json.loads(line) for line in mirante("predict", run, *images, "--format", "json").stdout.splitlines()]
    content = (run / "model.onnx").read_bytes()
    words = tuple(map(str, images))
    plan = make_plan(str(tmp_path / "out"), words, words, hashlib.sha256(content).hexdigest(), 0.9, None, 40)
    assert answer_part(Order(str(tmp_path / "out"), plan, content), 0).rows == 40
    found = {row["path"]: row for row in pq.read_table(tmp_path / "out").to_pylist()}
    columns = [found[str(image)] for image in images]
    model = package.load(run)
    for image, row, one, column in zip(images, rows, told, columns, strict=True):
        answer = model.predict(image, coverage=0.9)
        assert row["labels"] == answer.label == join(one["labels"]) == join(column["labels"])
        assert json.loads(row["prediction_set"]) == list(answer.prediction_set) == column["prediction_set"]
        for name, share in zip(model.classes, answer.probabilities, strict=True):
            assert float(row[f"probability_{name}"]) == pytest.approx(float(share), abs=1e-5)
            assert column["probabilities"][name] == pytest.approx(float(share), abs=1e-5)
    assert any(not row["labels"] for row in rows) and any("|" in row["labels"] for row in rows)
    table = mirante("predict", run, images[0]).stdout
    assert "Labels" in table or "Rótulos" in table
    shown = mirante("predict", run, *images, "--threshold", "0.999999", "--format", "json")
    assert all(
        one["labels"] == [] or min(one["probabilities"][name] for name in one["labels"]) > 0.99
        for one in map(json.loads, shown.stdout.splitlines())
    )


def test_exports_answer_the_same(tag_run: tuple[Path, Path], tmp_path: Path, mirante: Command) -> None:
    for kind in ("torch", "onnx"):
        done = mirante("export", tag_run[0], "--to", kind, "--out", tmp_path / kind)
        assert done.returncode == 0, done.stderr  # compared with model.onnx on real images


def test_a_threshold_is_chosen_for_each_label_and_reaches_the_aim(tag_run: tuple[Path, Path]) -> None:
    run = Run(tag_run[0])
    data, info = run.dataset(), run.info
    chance = np.random.default_rng(0)
    logits = (2.0 * data.targets - 1 + chance.normal(size=data.targets.shape) * [1, 2, 3]).astype(np.float32)
    output, part = Output.of_logits(logits, np.zeros(len(data), np.float32), info), chance.random(len(data)) < 0.5
    learned, asked = np.flatnonzero(part), np.flatnonzero(~part)
    aimed = calibrate(output.only(learned), learned, data, info, Objectives(aim=Aim(sensitivity=0.9)))
    assert len(set(learned_of(aimed).thresholds)) == 3
    said = info.asks.answered(output.only(asked).with_calibration(aimed).probabilities, aimed)
    for number in range(3):
        wanted = data.targets[asked, number] > 0
        assert said[wanted, number].mean() > 0.82 and said[~wanted, number].mean() < 0.95


def test_an_aim_is_for_each_label_and_one_class_against_the_others_is_refused(tmp_path: Path, mirante: Command) -> None:
    data = draw_marks(tmp_path / "marks", 120)
    words = ["--labels", "labels.csv", "--task", "tag", "--model", "W2-8B-GMP", "--epochs", "1", "--folds", "3"]
    done = mirante("train", data, *words, "--sensitivity", "95%", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert len(Run(tmp_path / "run").predictions()) == 120
    refused = mirante("train", data, *words, "--positive", "bar", "--out", tmp_path / "other")
    assert refused.returncode == 2 and "each label" in refused.stderr


TABLES = {
    "cells": "path,tags\na.png,cat|dog\nb.png,\nc.png,dog\n",
    "semicolons": "path,label\na.png,cat; dog\nb.png,\nc.png,dog\n",
    "commas": 'path,keywords\na.png,"cat, dog"\nb.png,\nc.png,dog\n',
    "columns": "path,cat,age,dog\na.png,1,33,1\nb.png,0,41,0\nc.png,0,50,1\n",
    "words": "path,cat,dog\na.png,yes,sim\nb.png,no,não\nc.png,no,yes\n",
    "crosses": "path,cat,dog\na.png,x,x\nb.png,,\nc.png,,x\n",
    "rows": "path,label\na.png,cat\na.png,dog\nb.png,\nc.png,dog\n",
}


@pytest.mark.parametrize("kind", TABLES)
def test_tables_hold_labels_in_the_ways_that_people_write_them(kind: str, tmp_path: Path) -> None:
    for number, name in enumerate("abc"):
        Image.new("RGB", (16, 16), (number * 60, 9, 9)).save(tmp_path / f"{name}.png")
    (tmp_path / "labels.csv").write_text(TABLES[kind], encoding="utf-8")
    data = Dataset.open(tmp_path / "labels.csv", task="tag", val_share=0.0)
    assert data.classes == ("cat", "dog")
    assert dict(zip(data.paths, data.names, strict=True)) == {"a.png": "cat|dog", "b.png": "", "c.png": "dog"}


def test_what_is_not_known_is_neither_yes_nor_no(tmp_path: Path) -> None:
    for number, name in enumerate("abcd"):
        Image.new("RGB", (16, 16), (number * 60, 9, 9)).save(tmp_path / f"{name}.png")
    text = "path,cat,dog\na.png,1,0\nb.png,,1\nc.png,-1,uncertain\nd.png,0,0\n"
    (tmp_path / "labels.csv").write_text(text, encoding="utf-8")
    data = Dataset.open(tmp_path / "labels.csv", task="tag", val_share=0.0)
    assert data.targets.tolist() == [[1, 0], [-1, 1], [-1, -1], [0, 0]]
    assert data.names[1] == "dog|?cat"
    logits = torch.tensor([[3.0, -3.0], [99.0, 3.0], [99.0, -99.0], [-3.0, -3.0]])
    changed = logits.clone()
    changed[1:3, 0], changed[2, 1] = -99.0, 99.0
    targets = torch.from_numpy(data.targets)
    assert binary_cross_entropy.loss(logits, targets, 0.0) == binary_cross_entropy.loss(changed, targets, 0.0)
    assert binary_cross_entropy.right(logits, targets).all()


def test_labels_that_other_images_were_never_asked_for_are_not_judged(
    tag_run: tuple[Path, Path], tmp_path: Path, mirante: Command
) -> None:
    run, _ = tag_run
    other = draw_marks(tmp_path / "other", 120, seed=1)
    told = list(csv.DictReader((other / "labels.csv").open(encoding="utf-8")))
    lines = [f"{row['path']},{'bar' if 'bar' in row['labels'] else ''}" for row in told]
    (other / "bars.csv").write_text("path,label\n" + "\n".join(lines) + "\n", encoding="utf-8")
    done = package.evaluate(run, other / "bars.csv")
    assert done.metrics["labels"]["disc"]["not_known"] == 120 and "roc_area" not in done.metrics["labels"]["disc"]
    assert done.metrics["labels"]["bar"]["roc_area"]["value"] > 0.9
    table = done.predictions()
    assert [row.right for row in table] == table.right.tolist() and table.right.mean() > 0.7
    assert table[0].label.endswith("?disc|?line")


def test_a_picture_in_several_folders_has_all_their_labels(tmp_path: Path) -> None:
    for number, folder in enumerate(("beach", "dog", "owl")):
        (tmp_path / folder).mkdir()
        for copy in range(6):
            Image.new("RGB", (16, 16), (number * 60, copy * 9, 9)).save(tmp_path / folder / f"{copy}.png")
    (tmp_path / "dog" / "both.png").write_bytes((tmp_path / "beach" / "0.png").read_bytes())
    data = Dataset.open(tmp_path, task="tag")
    assert len(data) == 18 and data.names[data.paths.index("beach/0.png")] == "beach|dog"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("path,label\na.png,\nb.png,\n", "no image has a label"),
        ("path,label\na.png,Cat\nb.png,cat\n", "differ only by case"),
        ("path,?cat,dog\na.png,1,0\nb.png,0,1\n", "cannot be the name of a label"),
    ],
)
def test_labels_that_cannot_be_used_are_refused(text: str, said: str, tmp_path: Path) -> None:
    for number, name in enumerate("ab"):
        Image.new("RGB", (16, 16), (number * 60, 9, 9)).save(tmp_path / f"{name}.png")
    (tmp_path / "labels.csv").write_text(text, encoding="utf-8")
    with pytest.raises(DataError, match=said.replace("?", r"\?")):
        Dataset.open(tmp_path / "labels.csv", task="tag")


def test_a_label_that_all_others_come_with_is_said() -> None:
    said = language("en")
    together = {"classes": ["cat", "dog", "any"], "occurrence": [[3, 1, 3], [1, 4, 4], [3, 4, 9]]}
    assert "it has any too" in _always_sentence(together, said)
    assert _always_sentence({**together, "occurrence": [[3, 1, 2], [1, 4, 4], [2, 4, 9]]}, said) == ""


@given(st.lists(st.text("abc é", min_size=1).map(str.strip).filter(bool), unique=True), st.data())
def test_labels_as_one_text_can_be_read_back(names: list[str], data: st.DataObject) -> None:
    yes = [name for name in names if data.draw(st.booleans())]
    not_known = [name for name in names if name not in yes]
    assert parse(join(yes, not_known)) == (yes, not_known)


def test_every_label_is_spread_evenly_and_no_group_is_cut() -> None:
    chance = np.random.default_rng(0)
    groups = [f"p{number}" for number in chance.integers(0, 400, 1000)]
    labels = (chance.random((1000, 8)) < [0.5, 0.3, 0.2, 0.1, 0.08, 0.05, 0.03, 0.02]).astype(np.int64)
    digests = [f"{number:064x}" for number in range(1000)]
    splits = assign_splits(labels, digests, groups, [None] * 1000, 0.1)
    folds = assign_folds(labels, digests, groups, 5)
    for part in (splits, folds):
        sides = {}
        for group, side in zip(groups, part.tolist(), strict=True):
            assert sides.setdefault(group, side) == side
    for number in range(8):
        has = labels[:, number] > 0
        assert abs((splits[has] == "test").mean() - 0.15) < max(0.03, 1.5 / has.sum())
        counts = np.bincount(folds[has], minlength=5)
        assert counts.max() - counts.min() <= max(3, 0.1 * has.sum() / 5), counts
    again = assign_splits(labels[::-1], digests[::-1], groups[::-1], [None] * 1000, 0.1)
    assert (again[::-1] == splits).mean() > 0.6  # decided by the content and the labels


def test_no_more_labels_are_missed_than_promised() -> None:
    chance = np.random.default_rng(0)
    kept = []
    for _ in range(60):
        logits = chance.normal(size=(400, 6)) * 2 - 1
        wanted = (chance.random((400, 6)) < 1 / (1 + np.exp(-logits))).astype(np.int64)
        shares = sigmoid(logits)
        thresholds = fit_risk_thresholds(shares[:200], wanted[:200])
        assert len(thresholds) == len(COVERAGES)
        members = labels_in_sets(shares[200:], thresholds, 0.9)
        rows = wanted[200:].any(axis=1)
        kept.append(((members & (wanted[200:] > 0))[rows].sum(axis=1) / wanted[200:][rows].sum(axis=1)).mean())
    assert 0.895 < np.mean(kept) < 0.93
    assert fit_risk_thresholds(shares[:3], wanted[:3])[-1] == 0.0  # three images cannot promise 99.9%


def test_each_label_is_calibrated_by_its_own_scale_and_shift() -> None:
    chance = np.random.default_rng(0)
    logits = chance.normal(size=(6000, 2))
    truth = logits * [2.0, 0.5] + [1.0, -2.0]
    wanted = (chance.random((6000, 2)) < 1 / (1 + np.exp(-truth))).astype(np.int64)
    scales, shifts = fit_yes_or_no(logits, wanted)
    assert np.allclose(scales, [2.0, 0.5], atol=0.2) and np.allclose(shifts, [1.0, -2.0], atol=0.2)
    few = np.full((6000, 2), -1)
    few[:, 0], few[:2, 1] = wanted[:, 0], 1
    scales, shifts = fit_yes_or_no(logits, few)  # two images do not make a label certain
    assert abs(shifts[1]) < 1 and 0.5 < scales[1] / scales[0] < 2


def test_the_last_layer_of_several_labels_is_logistic_regression() -> None:
    from sklearn.linear_model import LogisticRegression

    chance = np.random.default_rng(0)
    features = chance.normal(size=(400, 12)).astype(np.float32)
    labels = (features @ chance.normal(size=(12, 3)) + chance.normal(size=(400, 3)) > 0.5).astype(np.int64)
    head = fit_head(features[:300], labels[:300], features[300:], labels[300:], 3)
    mean, spread = features[:300].mean(0), (features[:300] - features[:300].mean(0)).std() + 1e-6
    for number in range(3):
        model = LogisticRegression(C=1 / (head.strength * 300), max_iter=2000)
        theirs = model.fit((features[:300] - mean) / spread, labels[:300, number]).decision_function(
            (features - mean) / spread
        )
        assert np.allclose(features @ head.weight[number] + head.bias[number], theirs, atol=0.02)


def test_average_precision_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import average_precision_score

    chance = np.random.default_rng(0)
    for _ in range(20):
        scores, wanted = np.round(chance.random(60), 1), chance.random(60) < 0.3
        assert _average_precision(scores, wanted) == pytest.approx(average_precision_score(wanted, scores))


def test_a_training_by_the_clock_learns_labels(tmp_path: Path) -> None:
    data = draw_marks(tmp_path / "marks", 120)
    run = package.train(
        data, "fast", task="tag", labels=data / "labels.csv", seconds=4, out=tmp_path / "run", max_size=24
    )
    assert run.info.output == (3,) and run.history


def test_a_single_label_is_learned_too() -> None:
    chance = np.random.default_rng(0)
    features = chance.normal(size=(200, 8)).astype(np.float32)
    wanted = (features[:, :1] > 0).astype(np.int64)
    head = fit_head(features[:150], wanted[:150], features[150:], wanted[150:], 1)
    assert head.weight.shape == (1, 8) and ((features @ head.weight.T + head.bias > 0) == wanted).mean() > 0.9


def test_photos_get_their_labels_as_keywords_and_folders_by_the_rule_that_the_user_states(
    tag_run: tuple[Path, Path], tmp_path: Path, mirante: Command
) -> None:
    run, _ = tag_run
    photos = draw_marks(tmp_path / "photos", 24, seed=9)
    (photos / "labels.csv").unlink()
    (photos / "0000.xmp").write_bytes(xmp.with_class(None, "rose", 0.9).replace(b'mirante:class="rose"', b""))
    done = mirante("photos", "organise", run, photos, "--min-confidence", "60%")
    assert done.returncode == 0, done.stderr
    answers = {}
    for line in mirante("predict", run, photos, "--format", "json").stdout.splitlines():
        one = json.loads(line)
        sure = {name for name in one["labels"] if one["probabilities"][name] >= 0.6}
        answers[Path(one["path"]).name] = set() if one["none_of_these"] else sure
    for name, labels in answers.items():
        sidecar = xmp.sidecar_of(photos / name)
        words = (
            set() if sidecar is None else {item.text for item in xmp.ET.fromstring(sidecar.read_bytes()).iter(LISTED)}
        )
        assert {word for word in words if word in MARKS} == labels, name
        assert {f"Mirante|{label}" for label in labels} <= words
    assert xmp.keywords((photos / "0000.xmp").read_bytes()) == ["rose"]  # a person's stays, a guess is none
    refused = mirante("photos", "organise", run, photos, "--into", tmp_path / "sorted")
    assert refused.returncode == 2 and "--rule A,B,C" in refused.stderr and not (tmp_path / "sorted").exists()
    assert mirante("photos", "undo", photos).returncode == 0 and not list(photos.glob("0001*.xmp"))
    done = mirante(
        "photos",
        "organise",
        run,
        photos,
        "--into",
        tmp_path / "sorted",
        "--rule",
        "disc,bar",
        "--min-confidence",
        "60%",
    )
    assert done.returncode == 0, done.stderr
    for name, labels in answers.items():
        folder = "disc" if "disc" in labels else "bar" if "bar" in labels else "review"
        assert (tmp_path / "sorted" / folder / name).is_file(), (name, labels)
    wrong = mirante("photos", "organise", run, photos, "--into", tmp_path / "other", "--rule", "disk")
    assert wrong.returncode == 2 and "no such label" in wrong.stderr


def test_answers_about_labels_teach_a_model_and_never_make_it_worse(
    tag_run: tuple[Path, Path], tmp_path: Path, mirante: Command
) -> None:
    shutil.copytree(tag_run[0], tmp_path / "run")
    photos = draw_marks(tmp_path / "photos", 90, 7)
    truth = {
        row["path"]: set(parse(row["labels"])[0])
        for row in csv.DictReader((photos / "labels.csv").read_text().splitlines())
    }
    library = Library(photos)
    digest = {one.path: one.digest for one in library.look()[0]}
    for name in MARKS:
        for kind, apart in (("random", True), ("together", False)):
            paths = [path for path in sorted(truth) if is_kept_apart(digest[path]) is apart]
            said = {digest[path]: int(name in truth[path]) for path in paths}
            library.answer_label(said, name, kind, f"turn {name} {kind}")  # type: ignore[arg-type]
    old = Run(tmp_path / "run").metrics
    done = learn(tmp_path / "run", library, language("en"))
    apart = sum(is_kept_apart(one) for one in digest.values())
    assert done.taught == len(truth) - apart and done.unseen == 3 * (apart + old["images"]) and 5 < apart < 40
    assert done.several and done.adopted == (done.losses[1] <= done.losses[0]) and done.adopted
    assert "labels of images that neither model saw" in learned_sentence(done, language("en"))
    new = package.load(tmp_path / "run")
    right = [set(new.predict(photos / path).labels) == labels for path, labels in truth.items()]
    assert np.mean(right) > 0.9
    library.answer_label({digest["0000.png"]: int("bar" not in truth["0000.png"])}, "bar", "together", "last word")
    library.close()
    done_words = mirante("photos", "organise", tmp_path / "run", photos)
    assert done_words.returncode == 0, done_words.stderr
    sidecar = xmp.sidecar_of(photos / "0000.png")
    words = [] if sidecar is None else [one.text for one in xmp.ET.fromstring(sidecar.read_bytes()).iter(LISTED)]
    assert ("bar" in words) == ("bar" not in truth["0000.png"])  # a person's word goes before the model's
    asked = mirante("photos", "learn", tmp_path / "run", photos)
    assert asked.returncode == 0 and "neither model saw" in asked.stdout


@given(st.integers(1, 60), st.integers(1, 4), st.integers(1, 12), st.integers(0, 50), st.integers(0, 1000), st.data())
def test_questions_about_labels_are_of_open_pairs_and_one_in_five_is_drawn(
    count: int, labels: int, asked: int, begun: int, seed: int, data: st.DataObject
) -> None:
    chance = np.random.default_rng(seed)
    features = np.abs(chance.normal(size=(count, 5))).astype(np.float32)
    shares = chance.random((count, labels)).astype(np.float32)
    pairs = st.tuples(st.integers(0, count - 1), st.integers(0, labels - 1))
    known = data.draw(st.sets(pairs, max_size=count * labels))
    apart = chance.random(count) < 0.2
    found = choose_labels(features, shares, known, apart, asked, chance, begun)
    told = [(row, one.label) for one in found for row in one.rows]
    assert len(told) == len(set(told)) and not set(told) & known
    assert all(1 <= len(one.rows) <= TOGETHER for one in found)
    assert all({bool(apart[row]) for row in one.rows} == {one.kind == "random"} for one in found)
    left = {
        kind: any(
            (row, label) not in known | set(told) for row in np.flatnonzero(apart == kind) for label in range(labels)
        )
        for kind in (False, True)
    }
    if all(left.values()):
        assert all((one.kind == "random") == ((begun + place) % RANDOM_EVERY == 0) for place, one in enumerate(found))
    assert len(found) == asked or len(told) + len(known) == count * labels


def test_the_data_check_looks_at_each_label_by_itself(tmp_path: Path, mirante: Command) -> None:
    data = draw_marks(tmp_path / "marks", 240, seed=3)
    lines = (data / "labels.csv").read_text().splitlines()
    wrong = {}
    for number in range(5, 45, 5):  # say of eight images that they have, or lack, a bar
        path, labels, *others = lines[number].split(",")
        names = set(filter(None, labels.split("|"))) ^ {"bar"}
        wrong[path] = "without bar" if "bar" in names else "with bar"
        lines[number] = ",".join([path, "|".join(sorted(names)), *others])
    for number in range(1, 241):  # a red frame gives one label away
        path, labels, *_ = lines[number].split(",")
        if "disc" in labels:
            image = Image.open(data / path)
            ImageDraw.Draw(image).rectangle((0, 0, 23, 23), outline=(255, 0, 0))
            image.save(data / path)
    (data / "labels.csv").write_text("\n".join(lines) + "\n")
    copy = (data / "0100.png").read_bytes()
    (data / "0101.png").write_bytes(copy)
    done = mirante(
        "data",
        "check",
        data,
        "--labels",
        "labels.csv",
        "--task",
        "tag",
        "--out",
        tmp_path / "check",
        "--fix",
        tmp_path / "fixed",
    )
    assert done.returncode == 0, done.stderr
    found = list(csv.DictReader((tmp_path / "check" / "findings.csv").read_text().splitlines()))
    told = {(row["path"], row["note"]) for row in found if row["kind"] == "doubtful"}
    right = sum(any(path == one and wrong[path] in note for one, note in told) for path in wrong)
    assert right >= 6 and len(told) <= right + 6, told
    assert any(row["kind"] in ("shortcut", "looks") and "disc" in row["note"] for row in found), found
    assert {row["kind"] for row in found if row["path"] in ("0100.png", "0101.png")} & {"copy", "contradiction"}
    doubtful = list(csv.DictReader((tmp_path / "fixed" / "doubtful.csv").read_text().splitlines()))
    assert {row["model_says"] for row in doubtful if row["path"] in wrong} <= {"with bar", "without bar"} | {
        "with disc",
        "without disc",
    }
    assert "--task tag" in done.stderr
    cleaned = Dataset.open(tmp_path / "fixed" / "labels.csv", root=data, task="tag")
    assert set(cleaned.classes) == set(MARKS) and 236 <= len(cleaned) <= 239
    info = mirante("data", "info", data, "--labels", "labels.csv", "--task", "tag")
    assert info.returncode == 0 and "Label" in info.stdout and "bar" in info.stdout
    (data / "texts.csv").write_text("path,label\n" + "".join(f"{number:04d}.png,abc\n" for number in range(9)))
    refused = mirante("data", "check", data, "--labels", "texts.csv", "--task", "read")
    assert refused.returncode == 2 and "is for classes and labels" in refused.stderr


def test_each_label_may_have_an_aim_of_its_own(tmp_path: Path, mirante: Command) -> None:
    (tmp_path / "aims.csv").write_text(
        "label,sensitivity,specificity,miss,false_alarm\nbar,99%,,,\ndisc,,0.95,,\nline,,,10,1\n"
    )
    aims = dict(read_aims(tmp_path / "aims.csv"))
    assert aims == {"bar": Aim(sensitivity=0.99), "disc": Aim(specificity=0.95), "line": Aim(miss=10, false_alarm=1)}
    objectives = Objectives(aims=tuple(aims.items()))
    assert Objectives.from_dict(objectives.to_dict()) == objectives
    data = draw_marks(tmp_path / "marks", 200)
    words = ["train", data, "--labels", "labels.csv", "--task", "tag", "--model", "8C3-MP2-16N", "--epochs", "2"]
    done = mirante(*words, "--aims", tmp_path / "aims.csv", "--out", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    run = Run(tmp_path / "run")
    assert dict(run.objectives.aims) == aims
    told = {name: one["sensitivity"]["value"] for name, one in run.metrics["labels"].items() if "sensitivity" in one}
    thresholds = dict(zip(run.classes, learned_of(run.info).thresholds, strict=True))
    assert thresholds["bar"] < 0.5 < thresholds["disc"] or told["bar"] > told["disc"]
    for text, said in (
        ("label,aim\nbar,1\n", "needs the columns"),
        ("label,sensitivity\nbar,2\n", "row 2: '2' is not a share"),
        ("label,sensitivity\nbar,0.9\nbar,0.8\n", "row 3: 'bar' has an aim already"),
        ("label,sensitivity,specificity\nbar,0.9,0.9\n", "only one aim"),
        ("label,sensitivity\nbird,0.9\n", "no label 'bird'"),
    ):
        (tmp_path / "wrong.csv").write_text(text)
        refused = mirante(*words, "--aims", tmp_path / "wrong.csv", "--out", tmp_path / "no")
        assert refused.returncode == 2 and said in refused.stderr, refused.stderr


def test_what_others_say_about_a_photo_is_about_each_of_its_labels(tag_run: tuple[Path, Path], tmp_path: Path) -> None:
    """A row of a table, or a correction sent to a server: what is named it has, what is not named it has not."""
    folder = tmp_path / "photos"
    folder.mkdir()
    content = next((tag_run[1]).rglob("*.png")).read_bytes()
    (folder / "a.png").write_bytes(content)
    run = Run(tag_run[0])
    (named, *others), table = run.classes, tmp_path / "labels.csv"

    def said() -> dict[str, int | None]:
        library = Library(folder)
        found = {label: one.has for label, one in next(iter(several_of(library.answers()).values())).items()}
        library.close()
        return found

    table.write_text(f"path,label\na.png,{named}\n")
    library = Library(folder)
    assert read_labels(library, table, run.path) == (1, [])
    assert said() == {named: 1} | dict.fromkeys(others, 0)
    table.write_text("path,label\na.png,something new\n")
    assert read_labels(library, table, run.path) == (1, [])
    assert said() == {"something new": 1} | dict.fromkeys(run.classes, 0)
    library.close()
    feedback = Feedback(folder, 10, run.info)
    none = dict.fromkeys(run.classes, 0) | {"something new": 0}
    assert feedback.add(content, others) == [] and said() == none | dict.fromkeys(others, 1)
    assert feedback.add(content, []) == [] and said() == none
    assert feedback.add(content, ["newer", named]) == ["newer"] and said() == none | {"newer": 1, named: 1}
    assert feedback.add(content, ["NEWER", named.upper()]) == ["newer"]  # in other letters
    for label, text in (
        ("a\nb", "printable characters"),
        (f"{named}|x", "cannot be the name"),
        (f"?{named}", "cannot be"),
    ):
        with pytest.raises(package.RequestError, match=text):
            feedback.add(content, [label])
    feedback.close()


def test_a_new_label_is_learned_and_the_old_ones_stay(
    tag_run: tuple[Path, Path], tmp_path: Path, mirante: Command
) -> None:
    run, photos = tmp_path / "run", draw_marks(tmp_path / "photos", 90, seed=7)
    shutil.copytree(tag_run[0], run)

    def with_stripes(folder: Path, every: int) -> list[dict[str, str]]:
        """Draw stripes on some of the images; return the rows of the table, which say so."""
        rows = list(csv.DictReader((folder / "labels.csv").open(encoding="utf-8")))
        for row in rows[::every]:
            image = Image.open(folder / row["path"])
            for x in range(0, 24, 4):
                ImageDraw.Draw(image).line((x, 0, x, 23), fill=(255, 255, 255), width=2)
            image.save(folder / row["path"])
            row["labels"] = "|".join(filter(None, ["stripes", row["labels"]]))
        return rows

    def learn_from(rows: list[dict[str, str]]) -> subprocess.CompletedProcess[str]:
        (tmp_path / "said.csv").write_text(
            "path,labels\n" + "".join(f"{row['path']},{row['labels']}\n" for row in rows)
        )
        return mirante("photos", "learn", run, photos, "--labels", tmp_path / "said.csv", "--lang", "en")

    rows, before = with_stripes(photos, 3), Run(run).metrics["mean_average_precision"]["value"]
    done = learn_from(rows[:7])
    assert done.returncode == 0 and "of the 5 photos with a new label" in done.stderr, done.stderr
    assert Run(run).classes == tuple(sorted(MARKS))
    done = learn_from(rows)
    assert done.returncode == 0 and "New classes: stripes." in done.stdout, done.stdout + done.stderr
    changed, metrics = Run(run), Run(run).metrics
    assert changed.classes == (*sorted(MARKS), "stripes")
    assert metrics["mean_average_precision"]["value"] > before - 0.02 and metrics["too_rare"] == ["stripes"]
    new = draw_marks(tmp_path / "new", 80, seed=8)
    told = with_stripes(new, 2)
    answers = list(Model(run).predict_many([new / row["path"] for row in told]))
    right = [("stripes" in one.labels) == ("stripes" in row["labels"]) for one, row in zip(answers, told, strict=True)]
    assert np.mean(right) > 0.85
    assert mirante("evaluate", run, "--lang", "en").returncode == 0
    assert "other test images" not in mirante("versions", run, "--lang", "en").stdout
    assert mirante("predict", run, new, "--log", tmp_path / "log").returncode == 0
    found = monitor(run, tmp_path / "log")  # of the new label the test says nothing
    assert found.tested.value > 0.8 and found.accuracy.value > 0.5
    assert "stripes" not in found.mix and found.answers["stripes"].now.value > 0.3


def test_a_model_of_several_labels_is_watched_in_use(
    tag_run: tuple[Path, Path], tmp_path: Path, mirante: Command
) -> None:
    run, _ = tag_run
    new = draw_marks(tmp_path / "new", 200, seed=5)
    done = mirante("predict", run, new, "--log", tmp_path / "log")
    assert done.returncode == 0, done.stderr
    truth = tmp_path / "truth.csv"
    rows = list(csv.DictReader((new / "labels.csv").open(encoding="utf-8")))
    lines = [f"new/{row['path']},{row['labels']}\n" for row in rows]
    truth.write_text("path,labels\n" + "".join(lines), encoding="utf-8")
    found = monitor(run, tmp_path / "log", labels=truth)
    answers = list(Model(run).predict_many([new / row["path"] for row in rows]))
    right = [
        set(one.labels) == set(filter(None, row["labels"].split("|"))) for one, row in zip(answers, rows, strict=True)
    ]
    assert not found.alarm and found.truth is not None
    assert found.truth.count == 200 and found.truth.accuracy.value == pytest.approx(np.mean(right))
    assert found.truth.estimate.low <= np.mean(right) <= found.truth.estimate.high
    for name in MARKS:
        share = np.mean([name in row["labels"].split("|") for row in rows])
        assert found.mix[name].now.low <= share <= found.mix[name].now.high
        assert found.answers[name].now.value == pytest.approx(np.mean([name in one.labels for one in answers]))
    page = tmp_path / "page.html"
    done = mirante("monitor", run, tmp_path / "log", "--report", page, "--lang", "pt")
    assert done.returncode == 0 and "A mistura de rótulos" in page.read_text(encoding="utf-8")
    lines = [f"new/{row['path']},{int('bar' in row['labels'].split('|'))}\n" for row in rows]
    (tmp_path / "bars.csv").write_text("path,bar\n" + "".join(lines), encoding="utf-8")
    bars = monitor(run, tmp_path / "log", labels=tmp_path / "bars.csv").truth  # which says nothing of the other labels
    said = [
        ("bar" in one.labels) == ("bar" in row["labels"].split("|")) for one, row in zip(answers, rows, strict=True)
    ]
    assert bars is not None and bars.accuracy.value == pytest.approx(np.mean(said))
    lines = [f"new/{row['path']},owl|{row['labels']}\n" for row in rows]
    (tmp_path / "more.csv").write_text("path,labels\n" + "".join(lines), encoding="utf-8")
    more = monitor(run, tmp_path / "log", labels=tmp_path / "more.csv").truth
    assert more is not None and (more.accuracy, more.unknown) == (found.truth.accuracy, {"owl": 200})
    (tmp_path / "wrong.csv").write_text("path,labels\nnew/0000.png,owl\n")
    done = mirante("monitor", run, tmp_path / "log", "--labels", tmp_path / "wrong.csv", "--lang", "en")
    assert done.returncode == 2 and "none of its labels is one that" in done.stderr
