"""What is answered, given probabilities: thresholds that reach an aim, classes that are rare."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from conftest import Command, model_info, write_shapes
from hypothesis import given
from hypothesis import strategies as st

from mirante.errors import RequestError
from mirante.evaluation.objectives import Aim
from mirante.prediction.model import Model
from mirante.prediction.thresholds import choose_threshold
from mirante.tasks.classify.decision import decide

OPTIONS = ("--model", "8C3-MP2-16N", "--epochs", "2")


scores_and_labels = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=2, max_size=60).filter(
    lambda rows: len({wanted for _, wanted in rows}) == 2
)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--sensitivity", "1.5"), "not a share between 0 and 1"),
        (("--cost", "miss=ten"), "miss=10,false-alarm=1"),
        (("--sensitivity", "0.9", "--positive", "lion"), "no such class; the classes are bar, disc"),
        (("--folds", "2"), "must be from 3 to 20"),
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


def test_an_aim_is_one_of_three() -> None:
    for wrong in ({}, {"sensitivity": 0.9, "specificity": 0.9}, {"miss": 1.0}, {"sensitivity": 1.0}):
        with pytest.raises(RequestError):
            Aim(**wrong)
