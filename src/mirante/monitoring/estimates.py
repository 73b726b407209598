"""What can be said about answers without knowing the truth: how the mix of classes moved, and how many are probably right.

The mix: the class shares that make the probabilities of images in use most likely, by expectation maximisation (Saerens, Latinne,
Decaestecker 2002; with calibrated probabilities Alexandari, Kundaje, Shrikumar, ICML 2020). The share of right answers: that of the
test images, plus how much the mean confidence has changed since (Guillory et al., "Predicting with confidence on unseen
distributions", ICCV 2021). Intervals are bootstraps of the images in use and of the test images.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mirante.evaluation.figure import Figure

_DRAWS = 400
_STEPS = 200
_LEAST_CHANGE = 1e-5


def class_mix(
    probabilities: NDArray[np.floating],
    before: NDArray[np.floating],
    tested: NDArray[np.floating],
    targets: NDArray[np.int64],
) -> list[Figure]:
    """Return the share of each class among images in use, with its interval.

    probabilities (N, classes) of images in use, before (classes,) the shares that calibrated them; tested (M, classes) and
    targets (M,) of the test images, whose own chance widens the interval.
    """
    rng = np.random.default_rng(0)
    value = _mix(probabilities, before)
    drawn = []
    for _ in range(_DRAWS):
        rows = rng.integers(0, len(probabilities), len(probabilities))
        some = rng.integers(0, len(tested), len(tested))
        # what the same estimate gets wrong on test images that are drawn again
        truth = np.bincount(targets[some], minlength=len(before)) / len(some)
        drawn.append(_mix(probabilities[rows], before) - (_mix(tested[some], before, 20) - truth))
    low, high = np.quantile(np.clip(drawn, 0, 1), [0.025, 0.975], axis=0)
    return [
        Figure(float(one), float(min(a, one)), float(max(b, one))) for one, a, b in zip(value, low, high, strict=True)
    ]


def accuracy(confidences: NDArray[np.floating], tested: NDArray[np.floating], right: NDArray[np.bool_]) -> Figure:
    """Return the share of answers that are probably right, from the confidences (N,) of images in use, and of test images (M,)."""
    if not len(right):  # of no test image is it known whether its answer is right
        return Figure(np.nan, np.nan, np.nan)
    rng, confidences = np.random.default_rng(0), np.sort(confidences)  # whatever the order, the same draws
    errors = right - tested  # of each test image: how much its confidence promised too little
    value = float(np.mean(confidences) + errors.mean())
    draws = [
        confidences[rng.integers(0, len(confidences), len(confidences))].mean()
        + errors[rng.integers(0, len(errors), len(errors))].mean()
        for _ in range(_DRAWS)
    ]
    # what the images themselves add: each answer is right or wrong, whatever its confidence
    own = float(np.mean(confidences * (1 - confidences))) / len(confidences)
    unseen = 1 / (len(right) + 2)  # a kind of mistake that so many test images do not show
    spread = 1.96 * float(np.sqrt(np.var(draws) + own + unseen * (1 - unseen) / len(right)))
    return Figure(_share(value), _share(value - spread), _share(value + spread))


def _mix(probabilities: NDArray[np.floating], before: NDArray[np.floating], steps: int = _STEPS) -> NDArray[np.float64]:
    weights, now = np.asarray(probabilities, np.float64) / np.maximum(before, 1e-9), np.asarray(before, np.float64)
    for _ in range(steps):
        shares = weights * now
        shares /= np.maximum(shares.sum(axis=1, keepdims=True), 1e-300)
        after = shares.mean(axis=0)
        moved, now = float(np.abs(after - now).max()), after
        if moved < _LEAST_CHANGE:
            break
    return now


def _share(value: float) -> float:
    return min(1.0, max(0.0, value)) if value == value else value
