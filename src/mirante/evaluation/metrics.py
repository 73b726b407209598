"""The figures of metrics.json, each with its 95% interval, from probabilities and labels alone.

Shares (accuracy, precision, recall, top-k) have Wilson's interval; the others a percentile bootstrap over images, or
over groups if there are any. Nothing here chooses anything.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirante.auroc import auroc
from mirante.evaluation.figure import Figure

Probabilities = NDArray[np.floating]
"""(N, classes), rows summing to 1."""

BINS = 15
ANSWERED = (0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)
_RESAMPLES = 1000
_Z = 1.959963984540054  # of a normal distribution, 95% lies within this many deviations


def wilson(hits: float, count: int) -> Figure:
    """Return the share hits / count with Wilson's score interval (Wilson 1927).

    >>> wilson(8, 10)
    Figure(value=0.8, low=0.4901624..., high=0.9433178...)
    """
    if count == 0:
        return Figure(math.nan, math.nan, math.nan)
    share, per = hits / count, _Z * _Z / count
    middle, reach = share + per / 2, _Z * math.sqrt(share * (1 - share) / count + per / count / 4)
    low, high = ((middle + side * reach) / (1 + per) for side in (-1, 1))
    return Figure(share, max(low, 0.0) if hits else 0.0, min(high, 1.0) if hits < count else 1.0)


def exact(hits: int, count: int) -> Figure:
    """Return the share hits / count with the exact interval of Clopper and Pearson (1934).

    >>> exact(9, 10)
    Figure(value=0.9, low=0.5549838..., high=0.9974714...)
    """
    from scipy.special import betaincinv

    if count == 0:
        return Figure(math.nan, math.nan, math.nan)
    low = float(betaincinv(hits, count - hits + 1, 0.025)) if hits else 0.0
    high = float(betaincinv(hits + 1, count - hits, 0.975)) if hits < count else 1.0
    return Figure(hits / count, low, high)


def log_losses(probabilities: Probabilities, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the log loss of each image in nats, (N,); a probability of 0 counts as 1e-15."""
    right = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return -np.log(np.clip(right, 1e-15, 1.0))


def brier_scores(probabilities: Probabilities, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the Brier score of each image, (N,): the squared distance to the one-hot label, from 0 to 2."""
    wanted = np.eye(probabilities.shape[1])[labels]
    squares: NDArray[np.float64] = ((probabilities.astype(np.float64) - wanted) ** 2).sum(axis=1)
    return squares


def entropies(probabilities: Probabilities) -> NDArray[np.float64]:
    """Return how dispersed each image's probabilities are, (N,): entropy over its largest value, from 0 to 1."""
    wide = np.clip(probabilities.astype(np.float64), 1e-15, 1.0)
    spread: NDArray[np.float64] = -(wide * np.log(wide)).sum(axis=1) / math.log(probabilities.shape[1])
    return spread


def calibration_error(confidences: NDArray[np.floating], right: NDArray[np.bool_]) -> float:
    """Return the expected calibration error with 15 bins of equal width (Guo et al. 2017, equation 3)."""
    bins = _bins(confidences)
    gaps = np.bincount(bins, confidences.astype(np.float64) - right, BINS)
    return float(np.abs(gaps).sum() / len(right))


def confusion_matrix(labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: int) -> NDArray[np.int64]:
    """Return (classes, classes) counts; rows are true classes, columns predicted ones."""
    return np.bincount(labels * classes + predicted, minlength=classes**2).reshape(classes, classes)


def measure(
    probabilities: Probabilities,
    labels: NDArray[np.int64],
    classes: Sequence[str],
    groups: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Return everything that metrics.json holds about the answers to N labelled images."""
    count, predicted = len(labels), probabilities.argmax(axis=1)
    right = predicted == labels
    confidences = probabilities.max(axis=1)
    dispersion = entropies(probabilities)
    losses, briers = log_losses(probabilities, labels), brier_scores(probabilities, labels)

    def interval(statistic: Callable[[NDArray[np.int64]], float]) -> dict[str, float]:
        return bootstrap(statistic, count, groups)

    def mean_of(values: NDArray[np.floating], where: NDArray[np.bool_]) -> dict[str, float]:
        def statistic(rows: NDArray[np.int64]) -> float:
            chosen = values[rows][where[rows]]
            return float(chosen.mean()) if len(chosen) else math.nan

        return interval(statistic)

    everywhere = np.ones(count, dtype=bool)
    order = np.argsort(-probabilities, axis=1, kind="stable")
    ranks = (order == labels[:, None]).argmax(axis=1)
    return {
        "images": count,
        "classes": list(classes),
        **answer_figures(predicted, labels, classes, groups),
        "log_loss": mean_of(losses, everywhere),
        "brier": mean_of(briers, everywhere),
        "ece": bootstrap(lambda rows: calibration_error(confidences[rows], right[rows]), count, groups, biased=True),
        "top_k": {
            str(k): wilson(int((ranks < k).sum()), count).to_dict() for k in (1, 2, 3, 5) if k == 1 or k < len(classes)
        },
        "dispersion": {
            "right": mean_of(dispersion, right),
            "wrong": mean_of(dispersion, ~right),
            "confidence_right": mean_of(confidences, right),
            "confidence_wrong": mean_of(confidences, ~right),
            "auc_wrong_is_more_dispersed": interval(lambda rows: auroc(dispersion[rows], ~right[rows])),
        },
        "reliability": reliability(confidences, right),
        "selective_accuracy": selective_accuracy(confidences, right),
        "intervals": "95%; Wilson for shares, otherwise percentile bootstrap of "
        f"{_RESAMPLES} resamples over {'images' if groups is None else 'groups'}",
    }


def answer_figures(
    answered: NDArray[np.int64], labels: NDArray[np.int64], classes: Sequence[str], groups: Sequence[str] | None = None
) -> dict[str, Any]:
    """Return the figures that need only the answers, class numbers (N,), and no probabilities."""
    count, right = len(labels), answered == labels
    matrix = confusion_matrix(labels, answered, len(classes))

    def interval(statistic: Callable[[NDArray[np.int64]], float]) -> dict[str, float]:
        return bootstrap(statistic, count, groups, units)

    units = units_of(labels, groups)
    known = np.bincount(labels, minlength=len(classes)) > 0  # a class without test images has no figure of its own
    return {
        "accuracy": share_right(right, groups),
        "balanced_accuracy": interval(lambda rows: _balanced(labels[rows], right[rows])),
        "macro_f1": interval(lambda rows: _macro_f1(labels[rows], answered[rows], known)),
        "per_class": {name: _class_figures(matrix, number) for number, name in enumerate(classes)},
        "confusion": matrix.tolist(),
    }


def share_right(right: NDArray[np.bool_], groups: Sequence[str] | None) -> dict[str, float]:
    """Return the share of N answers that are right, with Wilson's interval, or a bootstrap over groups if there are any."""
    if groups is None:
        return wilson(int(right.sum()), len(right)).to_dict()
    return bootstrap(lambda rows: float(right[rows].mean()), len(right), groups, len(set(groups)))


def reliability(confidences: NDArray[np.floating], right: NDArray[np.bool_]) -> list[dict[str, float]]:
    """Return, for each of 15 bins of confidence with images in it, its mean confidence and its share of right answers."""
    bins = _bins(confidences)
    found = []
    for number in range(BINS):
        inside = bins == number
        if inside.any():
            share = wilson(int(right[inside].sum()), int(inside.sum()))
            found.append(
                {"confidence": float(confidences[inside].mean()), "images": int(inside.sum()), **share.to_dict()}
            )
    return found


def selective_accuracy(confidences: NDArray[np.floating], right: NDArray[np.bool_]) -> dict[str, dict[str, float]]:
    """Return share answered → accuracy of the answers, when only the most confident ones are given."""
    order = np.argsort(-confidences, kind="stable")
    hits = np.cumsum(right[order])
    found = {}
    for share in ANSWERED:
        count = max(1, round(share * len(right)))
        found[f"{share:g}"] = {
            "images": count,
            "min_confidence": float(confidences[order[count - 1]]),
            **wilson(int(hits[count - 1]), count).to_dict(),
        }
    return found


def set_figures(
    sets: NDArray[np.bool_], labels: NDArray[np.int64], classes: Sequence[str], groups: Sequence[str] | None = None
) -> dict[str, Any]:
    """Return the figures of prediction sets (N, classes): coverage, overall, per class and by group, and set sizes.

    by_group  the mean over groups of the share of a group's images whose class is in its set
    """
    covered, sizes = sets[np.arange(len(labels)), labels], sets.sum(axis=1)
    found = {
        "coverage": wilson(int(covered.sum()), len(labels)).to_dict(),
        "per_class": {classes[one]: float(covered[labels == one].mean()) for one in np.unique(labels)},
        "mean_size": float(sizes.mean()),
        "singleton_share": float((sizes == 1).mean()),
        "empty_share": float((sizes == 0).mean()),
    }
    if groups is not None:
        units = np.unique(np.array(groups), return_inverse=True)[1]
        found["by_group"] = float((np.bincount(units, covered) / np.bincount(units)).mean())
    return found


def bootstrap(
    statistic: Callable[[NDArray[np.int64]], float],
    count: int,
    groups: Sequence[str] | None,
    units: float | None = None,
    biased: bool = False,
) -> dict[str, float]:
    """Return a statistic of `count` images, given their rows, and its interval over the resamples.

    units   for a share: how many images or groups it is worth (see `widened`)
    biased  a resample, which holds images twice, has a larger figure than the images have: the interval is moved back by the mean
            difference
    """
    values = np.array([statistic(rows) for rows in _resamples(count, groups)])
    values = values[~np.isnan(values)]
    low, high = np.quantile(values, [0.025, 0.975]) if len(values) else (math.nan, math.nan)
    value = statistic(np.arange(count))
    if biased and len(values):
        excess = float(values.mean()) - value
        low, high = max(0.0, min(value, low - excess)), max(value, high - excess)
    found = Figure(value, float(low), float(high))
    return (found if units is None else widened(found, units)).to_dict()


def widened(figure: Figure, units: float) -> Figure:
    """Return a share with Wilson's interval for this many images or groups, if no resample changed it.

    A bootstrap of answers that are all right, or of one group, knows nothing else, and its interval would have no width.

    >>> widened(Figure(1.0, 1.0, 1.0), 2)
    Figure(value=1.0, low=0.3423802..., high=1.0)
    """
    if figure.low != figure.high:
        return figure
    count = max(1, int(units))
    return wilson(figure.value * count, count)


def units_of(labels: NDArray[np.int64], groups: Sequence[str] | None) -> float:
    """Return how many images, or groups, the mean over classes of N labelled images is worth: each class counts the same.

    >>> units_of(np.array([0, 0, 0, 0, 1, 1, 1, 1]), None), units_of(np.array([0, 0, 0, 0, 0, 0, 1, 1]), None)
    (8.0, 6.0)
    """
    named = np.arange(len(labels)) if groups is None else np.unique(np.array(groups), return_inverse=True)[1]
    counts = [len(np.unique(named[labels == one])) for one in np.unique(labels)]
    return len(counts) ** 2 / sum(1 / count for count in counts)


def _bins(confidences: NDArray[np.floating]) -> NDArray[np.int64]:
    return np.minimum((confidences * BINS).astype(np.int64), BINS - 1)


def _class_figures(matrix: NDArray[np.int64], number: int) -> dict[str, Any]:
    hits, true, named = int(matrix[number, number]), int(matrix[number].sum()), int(matrix[:, number].sum())
    f1 = 2 * hits / (true + named) if true + named else math.nan
    return {
        "images": true,
        "predicted": named,
        "precision": wilson(hits, named).to_dict(),
        "recall": wilson(hits, true).to_dict(),
        "f1": f1,
    }


def _balanced(labels: NDArray[np.int64], right: NDArray[np.bool_]) -> float:
    counts = np.bincount(labels)
    hits = np.bincount(labels, right)
    return float((hits[counts > 0] / counts[counts > 0]).mean())


def _macro_f1(labels: NDArray[np.int64], predicted: NDArray[np.int64], known: NDArray[np.bool_]) -> float:
    """Return the mean F1 of the classes that are known (classes,)."""
    true, named = np.bincount(labels, minlength=len(known)), np.bincount(predicted, minlength=len(known))
    hits = np.bincount(labels[labels == predicted], minlength=len(known))
    present = (true + named > 0) & known
    return float((2 * hits[present] / (true + named)[present]).mean())


def _resamples(count: int, groups: Sequence[str] | None) -> Iterator[NDArray[np.int64]]:
    """Yield the rows of each bootstrap resample; the draw depends only on the number of images or groups."""
    for counts in resampled_counts(count, groups):
        yield np.repeat(np.arange(count), counts)


def resampled_counts(count: int, groups: Sequence[str] | None) -> Iterator[NDArray[np.int64]]:
    """Yield for each bootstrap resample how often each of `count` images is in it, (count,); groups are drawn whole."""
    random = np.random.default_rng(0)
    numbers = np.arange(count) if groups is None else np.unique(np.array(groups), return_inverse=True)[1]
    units = int(numbers.max()) + 1
    for _ in range(_RESAMPLES):
        yield np.bincount(random.integers(0, units, units), minlength=units)[numbers]
