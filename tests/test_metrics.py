"""Every figure is what scikit-learn says it is, and every interval holds what it should."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn
from sklearn.metrics import average_precision_score, roc_auc_score

from mirante.evaluation import metrics
from mirante.evaluation.figure import Figure, Metrics
from mirante.evaluation.roc import decisions, discriminate, net_benefit
from mirante.experiment.compare import _within_noise, mcnemar


def answers(count: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(seed)
    probabilities = random.dirichlet(np.full(classes, 0.4), count).astype(np.float32)
    labels = np.where(random.random(count) < 0.6, probabilities.argmax(axis=1), random.integers(0, classes, count))
    return probabilities, labels


@given(st.integers(2, 60), st.integers(2, 7), st.integers(0, 10_000))
@settings(max_examples=30, deadline=None)
def test_figures_agree_with_scikit_learn(count: int, classes: int, seed: int) -> None:
    probabilities, labels = answers(count, classes, seed)
    predicted = probabilities.argmax(axis=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = metrics.measure(probabilities, labels, [str(number) for number in range(classes)])
        numbers = list(range(classes))
        precision, recall, f1, support = sklearn.precision_recall_fscore_support(
            labels, predicted, labels=numbers, zero_division=np.nan
        )
        balanced = sklearn.balanced_accuracy_score(labels, predicted)
    assert found["accuracy"]["value"] == pytest.approx(sklearn.accuracy_score(labels, predicted))
    assert found["balanced_accuracy"]["value"] == pytest.approx(balanced)
    wide = probabilities.astype(np.float64) / probabilities.sum(axis=1, keepdims=True, dtype=np.float64)
    assert found["log_loss"]["value"] == pytest.approx(sklearn.log_loss(labels, wide, labels=numbers), rel=1e-4)
    one_hot = np.eye(classes)[labels]
    assert found["brier"]["value"] == pytest.approx(((probabilities - one_hot) ** 2).sum(axis=1).mean(), rel=1e-5)
    assert found["confusion"] == sklearn.confusion_matrix(labels, predicted, labels=numbers).tolist()
    for number in numbers:
        mine = found["per_class"][str(number)]
        assert mine["precision"]["value"] == pytest.approx(precision[number], nan_ok=True)
        assert mine["recall"]["value"] == pytest.approx(recall[number], nan_ok=True)
        assert mine["images"] == support[number]
        if support[number] or (predicted == number).any():
            assert mine["f1"] == pytest.approx(f1[number])
    for k, figure in found["top_k"].items():
        top = np.argsort(-probabilities, axis=1, kind="stable")[:, : int(k)]
        assert figure["value"] == pytest.approx((top == labels[:, None]).any(axis=1).mean())
    wrong = predicted != labels
    if 0 < wrong.sum() < count:
        area = sklearn.roc_auc_score(wrong, metrics.entropies(probabilities))
        assert found["dispersion"]["auc_wrong_is_more_dispersed"]["value"] == pytest.approx(area)
    for key in ("accuracy", "balanced_accuracy", "log_loss", "brier"):
        assert found[key]["low"] - 1e-9 <= found[key]["value"] <= found[key]["high"] + 1e-9


def test_wilson_covers_the_truth_about_95_times_in_100() -> None:
    random = np.random.default_rng(0)
    for share in (0.5, 0.9, 0.98):
        hits = random.binomial(200, share, 4000)
        inside = [one.low <= share <= one.high for one in (metrics.wilson(int(hit), 200) for hit in hits)]
        assert 0.93 < np.mean(inside) < 0.98


@pytest.mark.parametrize("count", [12, 60, 400])
def test_the_calibration_error_lies_in_its_interval(count: int) -> None:
    """A resample holds images twice, so that its calibration error is larger: uncorrected, most intervals missed the figure."""
    for seed in range(6):
        random = np.random.default_rng(seed)
        probabilities = random.dirichlet([0.6] * 4, count)
        labels = np.array([random.choice(4, p=one) for one in probabilities])  # as well calibrated as can be
        found = metrics.measure(probabilities, labels, ("a", "b", "c", "d"))["ece"]
        assert 0 <= found["low"] <= found["value"] <= found["high"]
        assert found["low"] < 0.75 * found["value"] < found["value"] < found["high"]


def test_the_bootstrap_over_groups_is_wider_when_groups_answer_alike() -> None:
    random = np.random.default_rng(0)
    right = np.repeat(random.random(40) < 0.7, 25)
    probabilities = np.where(right[:, None], [0.9, 0.1], [0.1, 0.9])
    labels = np.zeros(1000, int)
    alone = metrics.measure(probabilities, labels, ["a", "b"])["accuracy"]
    grouped = metrics.measure(probabilities, labels, ["a", "b"], [str(row // 25) for row in range(1000)])["accuracy"]
    assert grouped["high"] - grouped["low"] > 3 * (alone["high"] - alone["low"])


def test_calibration_error_of_a_known_case() -> None:
    confidences = np.array([0.9] * 10 + [0.6] * 10)  # too sure in one bin, too careful in the other
    right = np.array([True] * 7 + [False] * 3 + [True] * 8 + [False] * 2)
    assert metrics.calibration_error(confidences, right) == pytest.approx(0.2)


def test_equal_models_are_within_the_noise_and_a_better_one_is_not() -> None:
    one = np.array([True] * 80 + [False] * 20)
    assert mcnemar(one, one) == 1.0
    assert mcnemar(one, np.roll(one, 10)) == 1.0
    worse = one.copy()
    worse[:20] = False
    assert mcnemar(one, worse) == pytest.approx(2 * 0.5**20)
    assert _within_noise([1.0, 0.03, 0.001]) == [True, False, False]
    assert _within_noise([1.0, 0.03, 0.04]) == [True, True, True]  # 0.03 × 2 is no longer below 0.05


scores_and_labels = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=2, max_size=60).filter(
    lambda rows: len({wanted for _, wanted in rows}) == 2
)


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


def test_a_test_without_a_mistake_does_not_claim_to_be_sure() -> None:
    labels = np.array([0] * 30 + [1] * 2)
    shares = np.where(np.eye(2)[labels] > 0, 0.99, 0.01)
    found = metrics.measure(shares, labels, ["many", "few"])
    assert found["balanced_accuracy"]["value"] == found["macro_f1"]["value"] == 1
    assert found["balanced_accuracy"]["low"] < 0.7 < found["accuracy"]["low"]  # two images prove little
    told = discriminate(shares[:, 1], labels == 1)
    assert told is not None and told.figures["roc_area"]["value"] == 1
    assert told.figures["roc_area"]["low"] < 0.5 and told.figures["sensitivity_at_specificity"]["0.9"]["low"] < 0.5
    assert told.figures["specificity_at_sensitivity"]["0.9"]["low"] > 0.8


def test_figures_of_classes_are_found_whatever_the_classes_are_called() -> None:
    names = ["images", "accuracy", "_hidden", "1"]
    shares, labels = answers(60, 4, 0)
    found = Metrics(metrics.measure(shares, labels, names))
    assert found.images == 60 and isinstance(found.accuracy, Figure)
    for name in names:
        one = getattr(found.per_class, name)
        assert one.recall.value == found["per_class"][name]["recall"]["value"] and one.images == one["images"]
    assert "images" in repr(found.per_class) and "accuracy" in repr(found)
    sets = metrics.set_figures(shares > 0.1, labels, names)
    assert list(sets["per_class"]) == names
