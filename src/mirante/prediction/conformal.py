"""Prediction sets: the classes that an image may well be of, so that the true one is among them as often as promised.

Split conformal prediction (Vovk, Gammerman, Shafer 2005) with one minus the probability as the score (Sadinle, Lei, Wasserman, "Least
ambiguous set-valued classifiers with bounded error levels", JASA 2019): a class is in the set when its probability reaches its
threshold. Each class has thresholds of its own where enough held-out images of it are known, so the promise holds within the class
too.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

COVERAGES = np.concatenate([np.arange(50, 100) / 100, [0.995, 0.998, 0.999]])
"""The coverages for which thresholds are kept; what lies between takes the next larger one."""

_LEAST_PER_CLASS = (
    100  # held-out images, or groups: with fewer, a class shares its thresholds with the other classes that have few
)


def fit_thresholds(
    probabilities: NDArray[np.floating], labels: NDArray[np.int64], groups: Sequence[str] | None = None
) -> tuple[tuple[float, ...], ...]:
    """Return the thresholds, (classes, len(COVERAGES)), that held-out images set; 0 where that much cannot be promised.

    probabilities (N, classes), labels (N,). Each group counts once, however many images it has, so the promise is for an image
    of a person not seen before.
    """
    given = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    numbers = np.arange(len(labels)) if groups is None else np.unique(np.array(groups), return_inverse=True)[1]
    classes = probabilities.shape[1]
    units = np.array([len(np.unique(numbers[labels == one])) for one in range(classes)])
    few = units < _LEAST_PER_CLASS
    shared = _class_thresholds(given[few[labels]], numbers[few[labels]])
    own = [
        shared if few[one] else _class_thresholds(given[labels == one], numbers[labels == one])
        for one in range(classes)
    ]
    return tuple(tuple(float(threshold) for threshold in thresholds) for thresholds in own)


def fit_risk_thresholds(
    probabilities: NDArray[np.floating], wanted: NDArray[np.int64], groups: Sequence[str] | None = None
) -> tuple[float, ...]:
    """Return, for each of COVERAGES, the probability from which a label is in the set, so that it holds this share of the labels.

    probabilities, wanted (N, labels), 1 where an image has a label. The mean share of an image's labels that are missed is then at
    most 1 - coverage, among images that have labels: conformal risk control (Angelopoulos, Bates, Fisch, Lei, Schuster, ICLR
    2024). Each group counts once. 0 where that much cannot be promised.
    """
    has = wanted > 0
    rows = np.flatnonzero(has.any(axis=1))
    if not len(rows):
        return (0.0,) * len(COVERAGES)
    numbers = (
        np.arange(len(rows))
        if groups is None
        else np.unique(np.array([groups[row] for row in rows.tolist()]), return_inverse=True)[1]
    )
    images, labels = np.nonzero(has[rows])
    share = 1 / has[rows].sum(axis=1)[images] / np.bincount(numbers)[numbers[images]]  # of the loss of its group
    given = probabilities[rows][images, labels].astype(np.float64)
    order = np.argsort(given, kind="stable")
    units = len(np.unique(numbers))
    # what is lost when the threshold is just above each of these probabilities; the group asked about may lose all
    lost = (np.cumsum(share[order]) + 1) / (units + 1)
    thresholds = []
    for coverage in COVERAGES:
        place = int(np.searchsorted(lost, 1 - coverage + 1e-12, side="right"))  # so many labels may be missed
        allowed = 1 / (units + 1) <= 1 - coverage + 1e-12
        thresholds.append(float(given[order][min(place, len(given) - 1)]) if allowed else 0.0)
    return tuple(thresholds)


def fit_common_thresholds(given: NDArray[np.floating], groups: Sequence[str] | None = None) -> tuple[float, ...]:
    """Return, for each of COVERAGES, the value that this share of new images, or groups, reaches, as these (N,) do; 0 where it is
    not known.
    """
    numbers = np.arange(len(given)) if groups is None else np.unique(np.array(groups), return_inverse=True)[1]
    return tuple(_class_thresholds(np.asarray(given, np.float64), numbers).tolist())


def labels_in_sets(
    probabilities: NDArray[np.floating], thresholds: Sequence[float], coverage: float
) -> NDArray[np.bool_]:
    """Return which labels (N, labels) are in each set, so that `coverage` of an image's labels are, on average."""
    return prediction_sets(probabilities, [thresholds] * probabilities.shape[1], coverage)


def _class_thresholds(given: NDArray[np.float64], units: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return, for each coverage, the probability that this share of the units reaches."""
    if not len(given):
        return np.zeros(len(COVERAGES))
    order = np.argsort(-given, kind="stable")
    weight = 1 / np.bincount(units)[units[order]]  # an image of a group of n counts 1/n
    reached = np.cumsum(weight) / (weight.sum() + 1)  # the image asked about is one more unit
    place = np.searchsorted(reached, COVERAGES - 1e-9)
    return np.where(place < len(given), given[order][np.minimum(place, len(given) - 1)], 0.0)


def prediction_sets(
    probabilities: NDArray[np.floating], thresholds: Sequence[Sequence[float]], coverage: float
) -> NDArray[np.bool_]:
    """Return which classes (N, classes) are in each prediction set, so that the true one is among them in `coverage` of the cases."""
    column = int(np.searchsorted(COVERAGES, coverage - 1e-9))
    if column == len(COVERAGES):
        return np.ones(probabilities.shape, dtype=bool)
    reached: NDArray[np.bool_] = probabilities >= np.array([one[column] for one in thresholds]) * (1 - 1e-6)
    return reached
