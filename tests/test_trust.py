"""How far to trust an answer: folds that are fair, thresholds that reach their aim, promises that are kept, and “none of these”."""

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
from conftest import Command, model_info, write_shapes
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest
from sklearn.metrics import average_precision_score, roc_auc_score

from mirante import Dataset
from mirante.data.splits import assign_folds
from mirante.errors import RequestError
from mirante.evaluation.metrics import calibration_error, log_losses
from mirante.evaluation.objectives import Aim
from mirante.evaluation.roc import decisions, discriminate, net_benefit
from mirante.model.backbone import at_hand
from mirante.prediction.calibration import fit_calibration, fit_temperature, softmax
from mirante.prediction.conformal import fit_thresholds, prediction_sets
from mirante.prediction.model import Model
from mirante.prediction.out_of_distribution import fit_ood_threshold, fit_subspace, ood_score
from mirante.tasks.classify.decision import choose_threshold, decide
from mirante.tasks.classify.human_votes import compare_with_humans
from mirante.tasks.classify.subgroups import figures_by_subgroup

OPTIONS = ("--model", "8C3-MP2-16N", "--epochs", "2")


@pytest.fixture(scope="module")
def photographed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """180 shapes of two kinds in 56 groups, as a table; a few groups hold both kinds, and some labels are wrong."""
    root = write_shapes(tmp_path_factory.mktemp("groups") / "shapes", 90, ("bar", "disc"))
    lines = ["path,label,person"]
    for kind in ("bar", "disc"):
        for number in range(90):
            person = f"both{number // 3}" if number < 12 else f"{kind}{number // 3}"
            label = kind if number % 7 else {"bar": "disc", "disc": "bar"}[kind]  # so that no model is always right
            lines.append(f"{kind}/{number:03d}.png,{label},{person}")
    (root / "labels.csv").write_text("\n".join(lines))
    return root


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


def rows_of(run: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((run / "predictions.csv").open(encoding="utf-8")))


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
    del before["uncalibrated"]  # which predictions.csv does not hold
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
        assert (answer["label"] == "disc") == (answer["probabilities"]["disc"] >= learned.threshold - 1e-6)
        assert answer["unsure"] == (len(answer["prediction_set"]) != 1)
    always = mirante("predict", folded, photographed, "--format", "json", "--threshold", "0.000001").stdout
    assert {json.loads(line)["label"] for line in always.splitlines()} == {"disc"}


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


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--sensitivity", "1.5"), "not a share between 0 and 1"),
        (("--cost", "miss=ten"), "miss=10,false-alarm=1"),
        (("--sensitivity", "0.9", "--positive", "lion"), "no such class; they are bar, disc"),
        (("--folds", "2"), "it can be 3 to 20"),
        (("--folds", "20", "--classes", "bar,disc"), "Ask for fewer folds"),
        (("--sensitivity", "0.9", "--specificity", "0.9"), "not allowed with"),
        (("--repeats", "0"), "1 to 20"),
    ],
)
def test_what_cannot_be_decided_is_said_before_anything_is_written(
    tmp_path: Path, mirante: Command, words: tuple[str, ...], said: str
) -> None:
    data = write_shapes(tmp_path / "shapes", 10, ("bar", "disc"))
    done = mirante("train", data, *OPTIONS, *words, "--out", tmp_path / "run")
    assert done.returncode == 2 and said in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "run").exists()


scores_and_labels = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=2, max_size=60).filter(
    lambda rows: len({wanted for _, wanted in rows}) == 2
)


@given(scores_and_labels, st.floats(0.05, 0.95))
def test_a_threshold_reaches_its_aim_and_goes_no_further(rows: list[tuple[float, bool]], share: float) -> None:
    scores, wanted = np.array([one for one, _ in rows]), np.array([one for _, one in rows])
    places = [0.0, *((np.unique(scores)[1:] + np.unique(scores)[:-1]) / 2), (scores.max() + 1) / 2]

    def reached(threshold: float) -> tuple[float, float]:
        alarm = scores >= threshold
        return float(alarm[wanted].mean()), float((~alarm[~wanted]).mean())

    threshold = choose_threshold(scores, wanted, Aim(sensitivity=share))
    assert reached(threshold)[0] >= share - 1e-9
    assert all(reached(place)[0] < share for place in places if place > threshold)
    threshold = choose_threshold(scores, wanted, Aim(specificity=share))
    if scores[~wanted].max() < 1:  # a score of 1 is above every threshold
        assert reached(threshold)[1] >= share - 1e-9
    threshold = choose_threshold(scores, wanted, Aim(miss=5, false_alarm=2))

    def cost(place: float) -> int:
        alarm = scores >= place
        return 5 * int((~alarm & wanted).sum()) + 2 * int((alarm & ~wanted).sum())

    assert cost(threshold) == min(map(cost, places))


def test_below_the_threshold_the_best_of_the_others_is_answered() -> None:
    shares = np.array([[0.5, 0.3, 0.2], [0.1, 0.1, 0.8], [0.2, 0.45, 0.35]])
    plain = model_info("abc", (8, 8, 1), "8N")
    assert decide(shares, plain).tolist() == [0, 2, 1]
    for threshold, answers in ((0.3, [0, 2, 2]), (0.9, [0, 0, 1])):
        assert decide(shares, model_info("abc", (8, 8, 1), "8N", positive="c", threshold=threshold)).tolist() == answers


def test_rare_classes_are_answered_more_often_and_their_probabilities_left_alone(
    tmp_path: Path, mirante: Command
) -> None:
    data = write_shapes(tmp_path / "data", 80, ("bar", "cross"))
    write_shapes(data, 12, ("disc",))
    words = ("train", data, "--model", "4C3-MP4-8N", "--epochs", "2", "--lang", "en")
    done = mirante(*words, "--out", tmp_path / "even")
    assert done.returncode == 0, done.stderr
    model = json.loads((tmp_path / "even/model.json").read_text())
    weights = np.array(model["learned"]["class_weights"])
    assert np.allclose(weights**2 * [80, 80, 12], (80 + 80 + 12) / 3)

    with (tmp_path / "even/predictions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    shares = np.array([[float(row[f"probability_{name}"]) for name in model["classes"]] for row in rows])
    answers = np.array([model["classes"].index(row["decision"]) for row in rows])
    labels = np.array([model["classes"].index(row["label"]) for row in rows])
    assert np.array_equal(answers, (shares * weights).argmax(axis=1))
    assert (answers == 2).sum() >= (shares.argmax(axis=1) == 2).sum()
    metrics = json.loads((tmp_path / "even/metrics.json").read_text())
    assert metrics["evened_out"]["accuracy"]["value"] == pytest.approx((answers == labels).mean())
    recalls = [(answers[labels == one] == one).mean() for one in range(3)]
    assert metrics["evened_out"]["balanced_accuracy"]["value"] == pytest.approx(np.mean(recalls))
    assert "answers with the rare ones more often" in (tmp_path / "even/report.html").read_text()

    classifier = Model(tmp_path / "even")
    found = list(classifier.predict_many(data / row["path"] for row in rows))
    assert [one.label for one in found] == [row["decision"] for row in rows]
    assert np.allclose([one.probabilities for one in found], shares, atol=1e-4)

    assert mirante(*words, "--most-probable", "--out", tmp_path / "plain").returncode == 0
    assert json.loads((tmp_path / "plain/model.json").read_text())["learned"]["class_weights"] == []
    assert "evened_out" not in json.loads((tmp_path / "plain/metrics.json").read_text())


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
    assert "For 4 images most people name another class" in (tmp_path / "run/report.html").read_text()

    for text in (
        "path,bar,cross\na,1,2\n",
        "path,bar,cross,disc\nnowhere,1,2,3\n",
        f"path,bar,cross,disc\n{rows[0]['path']},x,2,3\n",
    ):
        (tmp_path / "wrong.csv").write_text(text)
        done = mirante("evaluate", tmp_path / "run", "--human-votes", tmp_path / "wrong.csv")
        assert (done.returncode, done.stderr.strip().count("\n")) == (2, 0), done.stderr


def test_an_aim_is_one_of_three() -> None:
    for wrong in ({}, {"sensitivity": 0.9, "specificity": 0.9}, {"miss": 1.0}, {"sensitivity": 1.0}):
        with pytest.raises(RequestError):
            Aim(**wrong)


@pytest.mark.parametrize("coverage", [0.8, 0.9, 0.95])
def test_the_promised_coverage_is_kept_also_within_each_class(coverage: float) -> None:
    random = np.random.default_rng(0)
    shares = random.dirichlet(np.array([3.0, 0.4, 0.6]), 60_000)
    labels = (shares.cumsum(1) < random.random((60_000, 1))).sum(1)
    limits = fit_thresholds(shares[:20_000], labels[:20_000])
    inside = prediction_sets(shares[20_000:], limits, coverage)[np.arange(40_000), labels[20_000:]]
    assert inside.mean() == pytest.approx(coverage, abs=0.01)
    for one in range(3):
        assert inside[labels[20_000:] == one].mean() == pytest.approx(coverage, abs=0.02)


def test_a_coverage_that_few_images_cannot_prove_lets_every_class_in() -> None:
    shares = np.full((10, 2), [0.9, 0.1])
    limits = fit_thresholds(shares, np.zeros(10, dtype=np.int64))
    assert (
        prediction_sets(shares[:1], limits, 0.8).tolist() == [[True, False]]
        and prediction_sets(shares[:1], limits, 0.99).all()
    )


def test_coverage_holds_for_new_people_when_some_have_many_images() -> None:
    random = np.random.default_rng(1)
    # people of whom there are many images are easy; counting images alone would promise too much for the others
    people = np.concatenate([np.repeat(np.arange(40), 50), np.arange(40, 440)])
    given_share = np.where(people < 40, 0.95, random.uniform(0.2, 1, len(people)))
    shares = np.stack([given_share, 1 - given_share], axis=1)
    limits = fit_thresholds(shares, np.zeros(len(people), np.int64), [str(one) for one in people])
    new = random.uniform(0.2, 1, 20_000)
    kept = prediction_sets(np.stack([new, 1 - new], axis=1), limits, 0.9)[:, 0].mean()
    without = prediction_sets(
        np.stack([new, 1 - new], axis=1), fit_thresholds(shares, np.zeros(len(people), np.int64)), 0.9
    )
    assert kept > 0.86 and without[:, 0].mean() < 0.6


def test_a_shift_of_each_class_is_learned_where_one_temperature_is_not_enough() -> None:
    random = np.random.default_rng(0)
    logits = random.normal(size=(6000, 3))
    labels = (softmax(2 * logits + np.array([0.0, 1.5, -1.0])).cumsum(1) < random.random((6000, 1))).sum(1)
    temperature, vectors = fit_calibration(logits[:3000], labels[:3000])
    assert vectors is not None
    scales, shifts = vectors
    assert scales == pytest.approx([2, 2, 2], abs=0.25) and shifts - shifts[0] == pytest.approx(
        [0, 1.5, -1.0], abs=0.25
    )
    asked, right = logits[3000:], labels[3000:]

    def loss(shares: np.ndarray) -> float:
        return float(log_losses(shares, right).mean())

    assert loss(softmax(asked * scales + shifts)) < loss(softmax(asked / temperature)) - 0.1
    only = fit_calibration(logits[:40], labels[:40])
    assert only == (fit_temperature(logits[:40], labels[:40]), None)  # too few to learn six numbers from


def test_what_lies_outside_the_familiar_directions_is_strange() -> None:
    random = np.random.default_rng(0)
    basis = random.normal(size=(8, 200))
    known, other = random.normal(size=(900, 8)) @ basis, random.normal(size=(300, 200)) * 3
    known += 0.05 * random.normal(size=known.shape)
    space = fit_subspace(known[:600].astype(np.float32))
    assert space is not None
    usual, strange = ood_score(known[600:], space), ood_score(other, space)
    limit = fit_ood_threshold(usual)
    assert (usual <= limit).mean() >= 0.95 and (strange > limit).all() and strange.max() <= 1
    assert fit_subspace(known[:3].astype(np.float32)) is None and fit_ood_threshold(usual[:5]) == 1.0


@pytest.mark.parametrize("mirror", [False, True])
def test_the_exported_model_tells_the_strangeness_that_was_measured(mirror: bool, tmp_path: Path) -> None:
    from mirante.model.export import build_onnx, write_onnx
    from mirante.model.last_layer import add_ood_score, seen_as
    from mirante.model.network import build_network

    info = model_info("ab", (12, 12, 3), "8C3-MP2-12N", flip_tta=mirror, conformal_thresholds=[[0.5] * 53] * 2)
    network = build_network(info.layers, (12, 12, 3), 2, mirror)
    model = build_onnx(network, info)
    name = seen_as(model)
    assert name is not None
    space = np.linalg.qr(np.random.default_rng(0).normal(size=(12, 3)))[0].astype(np.float32)
    add_ood_score(model, name, space, mirror)
    write_onnx(model, info, tmp_path / "model.onnx")
    images = np.random.default_rng(1).integers(0, 256, (70, 12, 12, 3), dtype=np.uint8)
    found = Model(tmp_path / "model.onnx").run(images).ood_scores

    import torch

    def features(pixels: np.ndarray) -> np.ndarray:
        values = torch.from_numpy(pixels).permute(0, 3, 1, 2) / 255
        with torch.no_grad():
            return network.body[:-1](values).numpy()

    looks = [images, images[:, :, ::-1].copy()] if mirror else [images]
    assert found == pytest.approx(np.mean([ood_score(features(one), space) for one in looks], axis=0), abs=1e-5)


def test_a_model_without_held_out_images_promises_nothing(tmp_path: Path, mirante: Command) -> None:
    data = write_shapes(tmp_path / "shapes", 12, ("bar", "disc"))
    run = tmp_path / "run"
    assert mirante("train", data, "--recipe", "tutorial", "--epochs", "1", "--out", run).returncode == 0
    done = mirante("predict", run, data, "--coverage", "0.9")
    assert done.returncode == 2 and "no coverage can be promised" in done.stderr
    done = mirante("predict", run, data, "--threshold", "0.9")
    assert done.returncode == 2 and "no class of it has a threshold" in done.stderr
    done = mirante("train", data, "--recipe", "tutorial", "--sensitivity", "0.9", "--out", tmp_path / "other")
    assert done.returncode == 2 and "--folds does without" in done.stderr


@settings(max_examples=30, deadline=None)
@given(scores_and_labels)
def test_curves_areas_and_counts_are_those_of_the_field(rows: list[tuple[float, bool]]) -> None:
    scores, wanted = np.array([one for one, _ in rows]), np.array([one for _, one in rows])
    told = discriminate(scores, wanted)
    assert told is not None
    assert told.figures["roc_area"]["value"] == pytest.approx(roc_auc_score(wanted, scores))
    assert told.figures["average_precision"]["value"] == pytest.approx(average_precision_score(wanted, scores))
    came = decisions(scores >= 0.5, wanted, None)
    assert came["true_positives"] + came["false_negatives"] == wanted.sum()
    benefit = net_benefit(scores, wanted, np.array([0.5]))[0]
    assert benefit == pytest.approx((came["true_positives"] - came["false_positives"]) / len(rows))
    assert discriminate(scores, np.ones(len(rows), dtype=bool)) is None


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
    assert len(others) == 60 and np.mean([json.loads(line)["none_of_these"] for line in others]) > 0.95


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
            "3",
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
        assert len(values) == 3 and len(set(values)) == 3
        assert values[0] == pytest.approx(found["log_loss"]["value"])
        assert found["repeats"]["accuracy"]["deviation"] == pytest.approx(
            np.std(found["repeats"]["accuracy"]["values"], ddof=1)
        )
        assert "Trained 3 times with other seeds" in (run / "report.html").read_text(encoding="utf-8")


def test_a_camera_on_which_the_model_fails_is_marked_and_the_others_are_not(tmp_path: Path, mirante: Command) -> None:
    random = np.random.default_rng(0)
    labels, parts = random.integers(0, 2, 900), np.repeat(["old", "new", "third"], 300)
    shares = np.clip(labels + random.normal(0, 0.45, 900), 0.01, 0.99)
    shares[:300] = random.uniform(0.01, 0.99, 300)  # the old camera tells nothing
    both = np.stack([1 - shares, shares], axis=1)
    found = figures_by_subgroup(parts.tolist(), both, labels, both.argmax(1), 1)
    for key in ("accuracy", "roc_area", "sensitivity", "specificity"):
        assert [name for name, row in found.items() if row[key]["differs"]].count("old") == 1
        assert found["old"][key]["value"] < found["new"][key]["low"]
    quiet = figures_by_subgroup(["few"] * 5 + ["all"] * 595, both[300:], labels[300:], both[300:].argmax(1), None)
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
