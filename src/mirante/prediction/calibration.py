"""Probabilities that mean what they say: logits are scaled by numbers fitted on images that the network was not trained on.

Temperature scaling has one number for all classes, vector scaling a scale and a shift for each: Guo, Pleiss, Sun, Weinberger,
"On Calibration of Modern Neural Networks", ICML 2017, section 4.2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vectors = tuple[NDArray[np.float64], NDArray[np.float64]]
"""Scales (classes,) and shifts (classes,)."""

_PARTS = 5
_LEAST_PER_CLASS = 20  # held-out images of each class, below which two numbers per class are not tried

_HELD = 2.0  # how strongly the temperature is held: as by a few images


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return probabilities (…, classes) from logits (…, classes), computed in double precision."""
    wide = logits.astype(np.float64)
    shares = np.exp(wide - wide.max(axis=-1, keepdims=True))
    return np.asarray(shares / shares.sum(axis=-1, keepdims=True), np.float32)


def sigmoid(logits: NDArray[np.floating]) -> NDArray[np.float32]:
    """Return the probability of yes for each logit, computed in double precision."""
    from scipy.special import expit

    return np.asarray(expit(logits.astype(np.float64)), np.float32)


def fit_yes_or_no(logits: NDArray[np.floating], wanted: NDArray[np.int64]) -> Vectors:
    """Return scales and shifts of least log loss for yes or no to each label (Platt 1999), each held near one scale for all labels.

    logits (N, labels), wanted (N, labels) 1 yes, 0 no, -1 not known. The hold weighs as much as a few images, so that a rare label
    is not believed on their word alone. Scales are above 0.
    """
    from scipy.optimize import minimize

    wide, known, yes = logits.astype(np.float64), wanted >= 0, wanted > 0

    def losses(column: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
        lost: NDArray[np.float64] = np.logaddexp(0, np.where(right, -column, column))
        return float(lost.sum())

    common = minimum(lambda scale: losses(scale * wide[known], yes[known]) + _HELD * float(np.log(scale)) ** 2)
    scales, shifts = np.empty(wide.shape[1]), np.empty(wide.shape[1])
    for number in range(wide.shape[1]):
        own, right = wide[known[:, number], number], yes[known[:, number], number]

        def loss(values: NDArray[np.float64], own: Any = own, right: Any = right) -> float:
            held = _HELD * float(values @ values)
            return losses(common * float(np.exp(values[0])) * own + values[1], right) + held

        log_scale, shifts[number] = minimize(loss, np.zeros(2), method="L-BFGS-B", bounds=[(-3, 3), (-20, 20)]).x
        scales[number] = common * np.exp(log_scale)
    return scales, shifts


def fit_calibration(
    logits: NDArray[np.floating], labels: NDArray[np.int64], of_one: bool = True
) -> tuple[float, Vectors | None]:
    """Return the temperature, and scales and shifts where these give the lower log loss on images they were not fitted on.

    logits (N, classes), labels (N,). The comparison is a five-part cross-validation.

    of_one  whether one network answered them all. What all logits of an image have in common changes no probability, and is another
            in each network: scales by class, which would make a difference of it, are then not tried.
    """
    temperature = fit_temperature(logits, labels)
    if not of_one or np.bincount(labels, minlength=logits.shape[1]).min() < _LEAST_PER_CLASS:
        return temperature, None
    part = np.arange(len(labels)) % _PARTS
    simple = vector = 0.0
    for number in range(_PARTS):
        taught, asked = part != number, part == number
        found = fit_temperature(logits[taught], labels[taught])
        scales, shifts = fit_vectors(logits[taught], labels[taught], found)
        simple += _log_loss(logits[asked] / found, labels[asked])
        vector += _log_loss(logits[asked] * scales + shifts, labels[asked])
    return temperature, fit_vectors(logits, labels, temperature) if vector < simple else None


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    """Return the temperature that gives the least log loss, between 0.05 and 20, held near 1 while there are few images.

    A dozen images that are all answered rightly would ask for a temperature of nearly 0, and make every answer a certainty.

    logits (N, classes), labels (N,). The loss is convex in the inverse temperature.

    >>> rng = np.random.default_rng(0)
    >>> logits = rng.normal(size=(4000, 5))
    >>> shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    >>> labels = (shares.cumsum(1) < rng.random((4000, 1))).sum(1)
    >>> 0.9 < fit_temperature(logits, labels) < 1.1 and 2.7 < fit_temperature(3 * logits, labels) < 3.3
    True
    """
    if len(labels) == 0:
        return 1.0
    wide = logits.astype(np.float64)
    wide = wide - wide.max(axis=1, keepdims=True)
    right = wide[np.arange(len(labels)), labels]

    def loss(inverse: float) -> float:
        lost = np.mean(np.log(np.exp(inverse * wide).sum(axis=1)) - inverse * right)
        return float(lost + _HELD * np.log(inverse) ** 2 / len(labels))

    return 1 / minimum(loss)


def fit_power(products: NDArray[np.floating], right: NDArray[np.bool_]) -> float:
    """Return the power, between 0.05 and 20, that turns products of probabilities into the probability that all answers are right.

    products (N,) of the probabilities of each image's answers; right (N,), whether all of them are right. Mistakes in one image
    are not independent, so the product itself is too low or too high. The loss is convex in the power; its targets are Platt's
    ("Probabilistic outputs for support vector machines", 1999), so that images without a mistake do not claim certainty.

    >>> rng = np.random.default_rng(0)
    >>> products = rng.uniform(0.2, 1, 4000)
    >>> 1.9 < fit_power(products**0.5, rng.random(4000) < products) < 2.1
    True
    """
    if len(right) == 0:
        return 1.0
    logs = np.log(np.clip(products.astype(np.float64), 1e-12, 1 - 1e-9))
    hits = int(right.sum())
    wanted = np.where(right, (hits + 1) / (hits + 2), 1 / (len(right) - hits + 2))

    def loss(power: float) -> float:
        scaled = power * logs
        return float(np.mean(-wanted * scaled - (1 - wanted) * np.log(-np.expm1(scaled))))

    return minimum(loss)


def minimum(loss: Callable[[float], float]) -> float:
    """Return where a convex function is smallest between 0.05 and 20."""
    from scipy.optimize import minimize_scalar

    return float(minimize_scalar(loss, bounds=(0.05, 20.0), method="bounded", options={"xatol": 1e-6}).x)


def fit_vectors(logits: NDArray[np.floating], labels: NDArray[np.int64], temperature: float) -> Vectors:
    """Return the scales and shifts of least log loss, starting from the temperature's; logits (N, classes), labels (N,)."""
    from scipy.optimize import minimize

    wide, classes = logits.astype(np.float64), logits.shape[1]
    wanted = np.eye(classes)[labels]

    def loss(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scaled = wide * values[:classes] + values[classes:]
        scaled -= scaled.max(axis=1, keepdims=True)
        total = np.log(np.exp(scaled).sum(axis=1))
        gap = (np.exp(scaled - total[:, None]) - wanted) / len(labels)
        return float((total - (scaled * wanted).sum(axis=1)).mean()), np.concatenate([(gap * wide).sum(0), gap.sum(0)])

    start = np.concatenate([np.full(classes, 1 / temperature), np.zeros(classes)])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 200}).x
    return found[:classes], found[classes:]


def _log_loss(logits: NDArray[np.floating], labels: NDArray[np.int64]) -> float:
    shares = softmax(logits)[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(shares.astype(np.float64), 1e-15)).sum())
