"""Classes with an order, and classes in a tree: what is measured of them, what is promised, and what is refused."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Command
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from sklearn.metrics import cohen_kappa_score

import mirante as package
from mirante import DataError, Dataset, RequestError, Run
from mirante.evaluation.objectives import Aim, Objectives
from mirante.locale import language
from mirante.model_info import ModelInfo
from mirante.prediction.conformal import fit_common_thresholds, fit_thresholds
from mirante.predictions import Predictions
from mirante.task import task_named
from mirante.tasks.classify.decision import ClassifyLearned
from mirante.tasks.classify.prediction import Prediction, track_of
from mirante.tasks.grade.calibrate import _boundaries
from mirante.tasks.grade.decision import GradeLearned, at_least, plausibility
from mirante.tasks.grade.judge import quadratic_weighted_kappa
from mirante.tasks.tree.answer import TreePrediction, table_row
from mirante.tasks.tree.decision import TreeLearned, descend, doubts_at_fault
from mirante.tasks.tree.judge import answered_levels, tree_figures
from mirante.tasks.tree.paths import distances, nodes_of
from mirante.timeline import stretches
from mirante.training.criterion import cross_entropy, ordered_cross_entropy
from mirante.training.head import fit_head

GRADES = ("none", "mild", "moderate", "severe")
LEAVES = ("long/red", "long/green", "round/dark/blue", "round/dark/grey", "round/pale")
COLOURS = {
    "red": (200, 40, 40),
    "green": (40, 170, 60),
    "blue": (50, 60, 200),
    "grey": (70, 70, 70),
    "pale": (235, 235, 235),
}


def draw_grades(folder: Path, count: int, seed: int = 0) -> Path:
    """Write images with a disc that grows with the grade, so that neighbours are easily confused, and labels.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    chance = np.random.default_rng(seed)
    rows = ["path,label,patient"]
    for number in range(count):
        grade = number % len(GRADES)
        image = Image.fromarray(chance.integers(90, 166, (24, 24, 3), dtype=np.uint8))
        reach = max(0.5, 2.0 * grade + chance.normal(0, 0.9))
        ImageDraw.Draw(image).ellipse((12 - reach, 12 - reach, 12 + reach, 12 + reach), (220, 60, 40))
        image.save(folder / f"{number:04d}.png")
        rows.append(f"{number:04d}.png,{GRADES[grade]},p{number // 2}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def draw_tree(folder: Path, each: int, seed: int = 0) -> Path:
    """Write long and round marks of several colours into nested folders."""
    chance = np.random.default_rng(seed)
    for leaf in LEAVES:
        (folder / leaf).mkdir(parents=True)
        for number in range(each):
            image = Image.fromarray(chance.integers(90, 166, (24, 24, 3), dtype=np.uint8))
            colour = tuple(
                int(one)
                for one in np.clip(np.array(COLOURS[leaf.rpartition("/")[2]]) + chance.normal(0, 45, 3), 0, 255)
            )
            x, y = chance.integers(1, 9, 2).tolist()
            if leaf.startswith("long"):
                ImageDraw.Draw(image).rectangle((x, y, x + 13, y + 3), colour)
            else:
                ImageDraw.Draw(image).ellipse((x, y, x + 9, y + 9), colour)
            image.save(folder / leaf / f"{number:03d}.png")
    return folder


@pytest.fixture(scope="module")
def grade_run(tmp_path_factory: pytest.TempPathFactory, mirante: Command) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("grades")
    data = draw_grades(folder / "discs", 480)
    words = ["--labels", "labels.csv", "--ordered", ",".join(GRADES), "--positive", "moderate", "--sensitivity", "90%"]
    words += ["--model", "W2-16B-24B-GMP", "--epochs", "6", "--group-column", "patient", "--lang", "pt"]
    done = mirante("train", data, *words, "--out", folder / "run")
    assert done.returncode == 0, done.stderr
    assert "Kappa com ponderação quadrática" in done.stdout
    return folder / "run", data


@pytest.fixture(scope="module")
def tree_run(tmp_path_factory: pytest.TempPathFactory, mirante: Command) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("trees")
    data = draw_tree(folder / "marks", 100)
    done = mirante(
        "train", data, "--tree", "--model", "W2-16B-24B-GMP", "--epochs", "6", "--folds", "3", "--out", folder / "run"
    )
    assert done.returncode == 0, done.stderr
    assert "Accuracy at level 1" in done.stdout
    return folder / "run", data


def test_the_figures_of_grades_are_those_of_the_predictions(grade_run: tuple[Path, Path]) -> None:
    run = Run(grade_run[0])
    assert run.task == "grade" and run.classes == GRADES
    predictions, told = run.predictions(), run.metrics["grades"]
    kappa = cohen_kappa_score(predictions.targets, predictions.predicted, weights="quadratic")
    assert told["quadratic_weighted_kappa"]["value"] == pytest.approx(kappa)
    gaps = predictions.predicted - predictions.targets
    assert told["mean_absolute_error"]["value"] == pytest.approx(np.abs(gaps).mean())
    assert told["quadratic_weighted_kappa"]["low"] < kappa < told["quadratic_weighted_kappa"]["high"]
    assert {gap: one["images"] for gap, one in told["by_distance"].items() if one["images"]} == {
        f"{gap:+d}" if gap else "0": int((gaps == gap).sum()) for gap in np.unique(gaps).tolist()
    }
    assert kappa > 0.8 and 0 < np.abs(gaps).max() <= 2  # neighbours are confused, the ends are not


def test_the_threshold_between_grades_is_that_of_the_aim(grade_run: tuple[Path, Path]) -> None:
    run = Run(grade_run[0])
    metrics, predictions = run.metrics, run.predictions()
    learned = run.info.learned
    assert isinstance(learned, GradeLearned)
    own = learned.boundaries[1]
    assert learned.boundaries == (min(own, 0.5), own, max(own, 0.5))
    assert predictions.decided is not None
    assert (predictions.decided == learned.decide(predictions.probabilities, GRADES)).all()
    decision = metrics["decision"]
    assert (metrics["positive"], decision["positive"]) == ("≥ moderate", "≥ moderate")
    found = (predictions.decided >= 2)[predictions.targets >= 2].mean()
    assert decision["sensitivity"]["value"] == pytest.approx(found)
    table = metrics["grades"]["boundaries"]
    assert list(table) == ["≥ mild", "≥ moderate", "≥ severe"]
    assert table["≥ moderate"]["sensitivity"]["value"] == pytest.approx(found) and found > 0.75
    report = (grade_run[0] / "report.html").read_text(encoding="utf-8")
    assert "Quão longe da verdade ficam as respostas" in report and "≥ moderate" in report and 'alt="' in report


def test_plausible_grades_follow_one_another_and_hold_what_they_promise(
    grade_run: tuple[Path, Path], mirante: Command
) -> None:
    run, data = grade_run
    done = mirante("predict", run, data, "--coverage", "95%", "--format", "json")
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    for one in answers:
        numbers = [GRADES.index(name) for name in one["prediction_set"]]
        assert numbers == list(range(numbers[0], numbers[-1] + 1)) and len(numbers) >= 1
    sets = Run(run).metrics["prediction_sets"]["0.9"]
    assert sets["coverage"]["high"] > 0.9


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 7), st.integers(0, 10_000))
def test_grades_above_any_limit_are_neighbours(grades: int, seed: int) -> None:
    shares = np.random.default_rng(seed).dirichlet(np.full(grades, 0.7), 40)
    found = plausibility(shares)
    assert (found.max(axis=1) == 1).all() and (found.argmax(axis=1) == shares.argmax(axis=1)).all()
    for limit in (0.01, 0.2, 0.5, 0.9):
        inside = np.pad((found >= limit).astype(int), ((0, 0), (1, 1)))
        assert (np.abs(np.diff(inside, axis=1)).sum(axis=1) == 2).all()
    assert at_least(shares) == pytest.approx(
        np.stack([shares[:, one:].sum(axis=1) for one in range(1, grades)], axis=1)
    )


def wavering(count: int, seed: int = 0) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return probabilities of five grades that are right about themselves, and grades drawn from them."""
    chance = np.random.default_rng(seed)
    centre, width = chance.uniform(-0.5, 4.5, count), chance.uniform(0.3, 1.5, count)
    shares = np.exp(-((np.arange(5) - centre[:, None]) ** 2) / (2 * width[:, None] ** 2))
    shares /= shares.sum(axis=1, keepdims=True)
    return shares, (shares.cumsum(axis=1) < chance.random((count, 1))).sum(axis=1)


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95, 0.99])
def test_intervals_of_grades_keep_the_promise(coverage: float) -> None:
    shares, labels = wavering(40_000)
    learned = GradeLearned(conformal_thresholds=fit_thresholds(plausibility(shares[:20_000]), labels[:20_000]))
    inside = learned.sets(shares[20_000:], tuple("abcde"), coverage)
    kept = inside[np.arange(20_000), labels[20_000:]].mean()
    assert coverage - 0.01 < kept < coverage + 0.03  # a grade filled in between others may hold more than promised


def test_kappa_is_that_of_scikit_learn() -> None:
    chance = np.random.default_rng(0)
    for grades in (2, 3, 6):
        answers, targets = chance.integers(0, grades, 200), chance.integers(0, grades, 200)
        expected = cohen_kappa_score(targets, answers, weights="quadratic")
        assert quadratic_weighted_kappa(answers, targets, grades) == pytest.approx(expected)
    assert np.isnan(quadratic_weighted_kappa(np.zeros(3, np.int64), np.zeros(3, np.int64), 3))


def test_the_loss_knows_the_order() -> None:
    targets = torch.tensor([0])
    near, far = torch.tensor([[0.0, 3.0, 0.0, 0.0]]), torch.tensor([[0.0, 0.0, 0.0, 3.0]])
    assert float(cross_entropy.loss(near, targets, 0.0)) == pytest.approx(float(cross_entropy.loss(far, targets, 0.0)))
    assert (
        float(ordered_cross_entropy.loss(far, targets, 0.0)) > float(ordered_cross_entropy.loss(near, targets, 0.0)) + 1
    )


def test_aims_are_for_each_boundary_or_for_the_one_that_is_named() -> None:
    task = task_named("grade")
    aim = Objectives(aim=Aim(sensitivity=0.9))
    assert task.require_objectives(aim, GRADES).positive is None
    assert task.require_objectives(Objectives(positive="severe"), GRADES).positive == "severe"
    with pytest.raises(RequestError, match="every image has at least this grade"):
        task.require_objectives(Objectives(positive="none"), GRADES)
    learned = GradeLearned(boundaries=(0.5, 0.2, 0.5))
    shares = np.array([[0.6, 0.1, 0.2, 0.1], [0.6, 0.25, 0.1, 0.05], [0.2, 0.1, 0.1, 0.6], [0.4, 0.5, 0.1, 0.0]])
    assert learned.decide(shares, GRADES).tolist() == [2, 0, 3, 1]


def test_an_order_must_name_every_grade(tmp_path: Path, mirante: Command) -> None:
    data = draw_grades(tmp_path / "discs", 80)
    table = data / "labels.csv"

    def refused(told: str, **options: object) -> None:
        with pytest.raises(DataError, match=told):
            Dataset.open(data, labels=table, **options)  # type: ignore[arg-type]

    refused("class 'moderate' has no place in the order", ordered=["none", "mild", "severe"])
    refused("no image of grade 'critical'", ordered=[*GRADES, "critical"])
    refused("the order of the grades is not known", task="grade")
    refused("is for --task grade", ordered=list(GRADES), task="tag")
    left = Dataset.open(data, labels=table, ordered=list(GRADES), classes=["severe", "none", "mild"])
    assert left.classes == ("none", "mild", "severe") and len(left) == 60
    numbered = (
        table.read_text()
        .replace(",none,", ",10,")
        .replace(",mild,", ",2,")
        .replace(",moderate,", ",9,")
        .replace(",severe,", ",30,")
    )
    (data / "numbers.csv").write_text(numbered)
    assert Dataset.open(data, labels=data / "numbers.csv", task="grade").classes == ("2", "9", "10", "30")
    done = mirante("train", data, "--labels", "labels.csv", "--ordered", "none,mild", "--out", tmp_path / "run")
    assert done.returncode == 2 and "--ordered" in done.stderr and "Traceback" not in done.stderr


def test_a_model_of_grades_is_evaluated_exported_and_given_another_threshold(
    grade_run: tuple[Path, Path], tmp_path: Path, mirante: Command
) -> None:
    run, _ = grade_run
    more = draw_grades(tmp_path / "more", 60, seed=5)
    done = mirante("evaluate", run, more, "--labels", "labels.csv", "--format", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["grades"]["quadratic_weighted_kappa"]["value"] > 0.6
    lines = {}
    for threshold in ("1%", "99%"):
        done = mirante("predict", run, more, "--threshold", threshold, "--format", "csv")
        assert done.returncode == 0, done.stderr
        lines[threshold] = [GRADES.index(row["nearest"]) for row in csv.DictReader(done.stdout.splitlines())]
    assert all(low >= high for low, high in zip(lines["1%"], lines["99%"], strict=True)) and lines["1%"] != lines["99%"]
    done = mirante("export", run, "--to", "onnx", "--out", tmp_path / "exported")
    assert done.returncode == 0, done.stderr


def test_the_last_layer_of_grades_is_free_along_their_order() -> None:
    chance = np.random.default_rng(0)
    severity = chance.normal(size=600)
    features = chance.normal(size=(600, 40)).astype(np.float32)
    features[:, 0] += 1.2 * severity
    labels = np.clip(np.round(1.2 * severity + 1.5), 0, 3).astype(np.int64)
    errors = {}
    for criterion in (cross_entropy, ordered_cross_entropy):
        head = fit_head(
            features[:60], labels[:60], features[:0], labels[:0], 4, slopes=criterion.slopes, along=criterion.along
        )
        answers = (features[60:] @ head.weight.T + head.bias).argmax(axis=1)
        errors[criterion] = np.abs(answers - labels[60:]).mean()
    assert errors[ordered_cross_entropy] < errors[cross_entropy]


def test_the_classes_of_nested_folders_are_paths(tree_run: tuple[Path, Path]) -> None:
    run = Run(tree_run[0])
    assert run.task == "tree" and set(run.classes) == set(LEAVES)
    told, predictions = run.metrics["tree"], run.predictions()
    names = np.array([name.split("/")[0] for name in run.classes])
    long = predictions.probabilities[:, names == "long"].sum(axis=1) > 0.5
    right = (long == (names[predictions.targets] == "long")).mean()
    assert told["levels"]["1"]["accuracy"]["value"] == pytest.approx(right)
    assert told["levels"]["3"]["accuracy"]["value"] == pytest.approx(predictions.right.mean())
    assert told["levels"]["1"]["nodes"] == 2 and told["levels"]["2"]["nodes"] == 4
    assert told["wrong"] == int((~predictions.right).sum()) >= told["siblings"] + told["wrong_at_top"]
    for promised, one in told["promises"].items():
        assert one["kept"]["high"] >= float(promised)
        assert sum(level["images"] for level in one["by_level"].values()) == len(predictions)
    report = (tree_run[0] / "report.html").read_text(encoding="utf-8")
    assert "Level by level" in report and "name a sibling of the true class" in report


def test_a_tree_is_answered_as_deep_as_can_be_promised(tree_run: tuple[Path, Path], mirante: Command) -> None:
    run, data = tree_run
    classes = Run(run).classes
    places = {name for one in classes for name in (one, one.rpartition("/")[0], one.split("/")[0])}
    depths = {}
    for coverage in ("80%", "99%"):
        done = mirante("predict", run, data, "--coverage", coverage, "--format", "json")
        assert done.returncode == 0, done.stderr
        answers = [one for line in done.stdout.splitlines() if not (one := json.loads(line))["none_of_these"]]
        for one in answers:
            inside = [name for name in classes if one["label"] is None or (name + "/").startswith(one["label"] + "/")]
            assert sorted(inside) == sorted(one["prediction_set"]) and (one["label"] is None or one["label"] in places)
            if one["label"] is not None:
                assert one["confidence"] == pytest.approx(sum(one["probabilities"][name] for name in inside), abs=1e-4)
        depths[coverage] = np.mean([0 if one["label"] is None else one["label"].count("/") + 1 for one in answers])
    assert depths["99%"] < depths["80%"]
    table = mirante("predict", run, data, "--coverage", "99%").stdout
    assert re.search(r"(long|round|round/dark), kind unknown", table)
    plain = mirante("predict", run, data / "round/pale", "--format", "json").stdout.splitlines()
    assert {json.loads(line)["nearest"] for line in plain} <= set(classes)


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95, 0.99])
def test_the_place_that_is_answered_holds_the_truth_as_often_as_promised(coverage: float) -> None:
    chance = np.random.default_rng(0)
    classes = ("a/b/c", "a/b/d", "a/e", "f/g", "f/h/i", "f/h/j", "k")
    shares = chance.dirichlet(np.full(len(classes), 0.25), 40_000)
    labels = (shares.cumsum(axis=1) < chance.random((40_000, 1))).sum(axis=1).clip(max=len(classes) - 1)
    limits = fit_common_thresholds(doubts_at_fault(shares[:20_000], labels[:20_000], classes))
    inside = TreeLearned(doubt_limits=limits).sets(shares[20_000:], classes, coverage)
    kept = inside[np.arange(20_000), labels[20_000:]].mean()
    assert abs(kept - coverage) < 0.01
    path, _ = descend(shares[20_000:], nodes_of(classes))
    level, whole = answered_levels(inside, classes)
    assert (whole == (inside.sum(axis=1) == 1)).all() and len(np.unique(level)) > 1
    assert (path[:, 0] >= 0).all()


def test_what_is_no_tree_is_refused(tmp_path: Path) -> None:
    data = draw_tree(tmp_path / "marks", 6)
    with pytest.raises(DataError, match="no class lies in another one"):
        Dataset.open(data / "long", task="tree")
    Image.new("RGB", (24, 24)).save(data / "round" / "dark" / "loose.png")
    with pytest.raises(DataError, match="'round/dark' has images of its own and holds 'round/dark/blue'"):
        Dataset.open(data, task="tree", lenient=True)
    rows = "path,label\n" + "".join(
        f"long/red/{number:03d}.png,a / b\nlong/green/{number:03d}.png,/a/c/\n" for number in range(6)
    )
    (data / "table.csv").write_text(rows)
    assert Dataset.open(data, labels=data / "table.csv", task="tree").classes == ("a/b", "a/c")


def test_distances_in_a_tree_are_counted_from_the_true_class_up() -> None:
    classes = ("animal/bird/owl", "animal/bird/wren", "animal/fish", "stone")
    assert distances(classes).tolist() == [[0, 1, 2, 3], [1, 0, 2, 3], [1, 1, 0, 2], [1, 1, 1, 0]]


def test_python_knows_both_tasks(tmp_path: Path) -> None:
    data = draw_grades(tmp_path / "discs", 120)
    run = package.train(
        data,
        labels=data / "labels.csv",
        ordered=GRADES,
        layers="8C3-MP2-16N",
        epochs=1,
        sensitivity=0.8,
        out=tmp_path / "run",
    )
    assert run.task == "grade" and len(run.info.learned.boundaries) == 3  # type: ignore[attr-defined]
    again = Run(run.path).dataset()
    assert again.classes == GRADES and again.task == "grade"


def test_thresholds_between_grades_keep_the_aim_whatever_the_others_say(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    shares = chance.dirichlet(np.full(4, 0.6), 4000)
    targets = (shares.cumsum(axis=1) < chance.random((4000, 1))).sum(axis=1).clip(max=3)
    upper = at_least(shares)
    for aim, side in ((Aim(sensitivity=0.9), True), (Aim(specificity=0.9), False)):
        for positive in (None, "mild", "moderate", "severe"):
            boundaries = _boundaries(upper, targets, GRADES, Objectives(positive=positive, aim=aim))
            assert boundaries == sorted(boundaries)
            answers = GradeLearned(boundaries=tuple(boundaries)).decide(shares, GRADES)
            for grade in range(1, 4) if positive is None else [GRADES.index(positive)]:
                assert ((answers >= grade) == (upper[:, grade - 1] >= boundaries[grade - 1])).all()
                wanted = targets >= grade
                kept = (answers >= grade)[wanted].mean() if side else (answers < grade)[~wanted].mean()
                assert kept >= 0.9 - 1e-9
    none = _boundaries(upper[targets < 3], targets[targets < 3], GRADES, Objectives(aim=Aim(sensitivity=0.9)))
    assert none[2] == 0.5  # nothing to choose it by


def test_grades_that_are_numbers_are_in_the_order_of_numbers(tmp_path: Path) -> None:
    data = draw_grades(tmp_path / "discs", 80)
    text = (data / "labels.csv").read_text()
    for name, number in zip(GRADES, ("-2", "-1", "0", "10"), strict=True):
        text = text.replace(f",{name},", f",{number},")
    (data / "numbers.csv").write_text(text)
    assert Dataset.open(data, labels=data / "numbers.csv", task="grade").classes == ("-2", "-1", "0", "10")
    composed = (data / "labels.csv").read_text().replace(",mild,", ",me\u0301dio,")
    (data / "accents.csv").write_text(composed)
    order = ["none", "m\u00e9dio", "moderate", "severe"]
    assert Dataset.open(data, labels=data / "accents.csv", ordered=order).classes == tuple(order)


def test_the_timeline_of_grades_says_what_the_frames_say() -> None:
    shares = np.array([0.6, 0.1, 0.2, 0.1], np.float32)
    frames = [Prediction(GRADES, shares, f"f.mp4#t={number}", 2) for number in range(6)]  # decided by a threshold
    found = stretches("f.mp4", list(range(6)), 6.0, [track_of(frames)], True)
    assert [one.label for one in found] == ["moderate"] and found[0].confidence == pytest.approx(0.2)


def test_siblings_lie_right_below_the_same_node() -> None:
    classes = ("animal/bird/owl", "animal/bird/wren", "animal/fish", "stone")
    pairs = ((0, 1), (1, 0), (3, 0), (2, 0), (0, 3), (1, 2), (0, 0))
    targets, predicted = (np.array(side) for side in zip(*pairs, strict=True))
    predictions = Predictions(
        "tree", classes, tuple(map(str, range(len(pairs)))), targets, predicted, np.ones(len(pairs), np.float32),
        np.eye(4, dtype=np.float32)[predicted],
    )  # fmt: skip
    found = tree_figures(predictions)
    assert (found["wrong"], found["siblings"], found["wrong_at_top"]) == (6, 2, 2)
    assert found["levels"]["1"]["accuracy"]["value"] == pytest.approx(5 / 7)
    assert found["severity"]["value"] == pytest.approx((1 / 3 + 1 / 3 + 1 + 1 / 2 + 1 + 2 / 3) / 7)


def test_an_image_of_something_else_is_none_of_these_and_not_unsure() -> None:
    classes = ("a/b", "a/c", "d/e")
    found = TreePrediction(classes, np.array([0.4, 0.2, 0.4], np.float32), None, 0, 0.99, True, classes)
    assert found.to_dict()["label"] is None and found.nearest == "a/b"
    cells = [cell.strip() for _, cell in table_row(found, language("en"))]
    assert cells[0] == "none of these"
    unsure = TreePrediction(classes, np.array([0.4, 0.2, 0.4], np.float32), None, 0, 0.1, False, classes)
    assert unsure.label is None and unsure.confidence is None
    assert next(cell.strip() for _, cell in table_row(unsure, language("en"))) == "unsure"


def test_names_that_only_look_alike_are_refused_in_orders_and_trees(tmp_path: Path) -> None:
    data = draw_grades(tmp_path / "discs", 80)
    with pytest.raises(DataError, match=r"class 'sever' \(--classes\) has no place in the order"):
        Dataset.open(data, labels=data / "labels.csv", ordered=list(GRADES), classes=["none", "sever"])
    text = (data / "labels.csv").read_text()
    for number, name in enumerate(GRADES):
        text = text.replace(f",{name},", f",{number}.0,")
    (data / "floats.csv").write_text(text)
    assert Dataset.open(data, labels=data / "floats.csv", ordered=["3", "2", "1", "0"]).classes == ("3", "2", "1", "0")
    rows = [f"{number:04d}.png,{('animal/bird', 'Animal/fish', 'stone/grey')[number % 3]}" for number in range(60)]
    (data / "tree.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    with pytest.raises(DataError, match="differ only by case or spaces"):
        Dataset.open(data, labels=data / "tree.csv", task="tree")


def test_the_python_of_a_handed_on_model_answers_as_the_model_does() -> None:
    classes = ("a", "b", "c", "d")
    chance = np.random.default_rng(0)
    shares = chance.dirichlet(np.full(4, 0.7), 200).astype(np.float32)
    scores = chance.random(200).astype(np.float32)
    kinds = (
        ("classify", ClassifyLearned(ood_threshold=0.9)),
        ("classify", ClassifyLearned(ood_threshold=0.9, positive="b", threshold=0.2)),
        ("classify", ClassifyLearned(class_weights=(1.0, 2.0, 0.5, 3.0))),
        ("grade", GradeLearned(ood_threshold=0.9, boundaries=(0.3, 0.5, 0.6))),
    )
    for task, learned in kinds:
        info = ModelInfo(task, classes, 8, 8, 3, "crop", "8N", (4,), learned=learned)
        expected = learned.decide(shares, classes)
        for row in range(200):
            names = {"answers": {"ood_score": scores[row : row + 1]}, "probabilities": shares[row], "CLASSES": classes}
            label, sure = eval(info.asks.in_python(info), names)
            assert label == (None if scores[row] > learned.ood_limit else classes[expected[row]]), task
            assert sure == pytest.approx(float(shares[row, expected[row]]))
