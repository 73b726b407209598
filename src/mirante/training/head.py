"""The last layer alone: multinomial logistic regression on features that a pretrained backbone has computed once."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirante.data.partition import spread

_STRENGTHS = (3.0, 1.0, 0.3, 0.1, 0.03, 0.01, 0.003)
_UNCHOSEN = 0.3  # when all images belong together, and so none can be left out
_ROUNDS = 60
_ENOUGH = 100  # with fewer validation images the training images choose, in folds
_FOLDS, _DECIDING = 5, 1000  # how many folds, and at most of how many images


Slopes = Callable[[NDArray[np.floating], NDArray[np.int64]], tuple[float, NDArray[np.floating]]]
"""(logits, wanted), each (N, classes) → the mean loss, and its slopes."""


@dataclass(frozen=True)
class Head:
    """Weights (classes, width), biases (classes,), the chosen L2 strength, and how well it did.

    train and val are (mean log loss in nats, accuracy); val is None without validation images.
    """

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    strength: float
    train: tuple[float, float]
    val: tuple[float, float] | None


def fit_head(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    val_features: NDArray[np.float32],
    val_labels: NDArray[np.int64],
    classes: int,
    strength: float | None = None,
    one_scale: bool = True,
    units: Sequence[str] | None = None,
    slopes: Slopes | None = None,
    along: float = 1.0,
) -> Head:
    """Return the dense layer with the least log loss on the validation images, among several L2 strengths.

    features (N, width), labels (N,) class numbers; or (N, classes) of several labels: 1 yes, 0 no, -1 not known. Where there are
    few validation images or none, folds of the training images choose instead.
    strength   the only one to try; None tries several
    one_scale  all features are divided by one number, as suits those that are alike (the square roots of a Backbone); else each by
               its own, which few images do not know
    units      N names: images of one unit (a patient, a copy) are left out together; None takes each image by itself
    slopes     the loss of the training; None takes that of one class of several, or of yes or no for several labels
    along      for classes with an order: how many times larger weights that grow evenly from the first class to the last may be
               at the same penalty
    """
    slopes = slopes or (yes_or_no if labels.ndim == 2 else one_of_several)
    if strength is None and len(val_labels) < _ENOUGH:
        numbers = np.arange(len(labels)) if units is None else np.array(units)
        strength = _by_folds(features, labels, one_scale, numbers, slopes, along)
    tried = (strength,) if strength else _STRENGTHS
    heads = _heads(features, labels, val_features, val_labels, classes, tried, one_scale, slopes, along)
    return min(heads, key=lambda head: 0.0 if head.val is None else head.val[0])


def _heads(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    val_features: NDArray[np.float32],
    val_labels: NDArray[np.int64],
    classes: int,
    strengths: tuple[float, ...],
    one_scale: bool,
    slopes: Slopes,
    along: float,
) -> Iterator[Head]:
    """Yield the layer of each strength; the search for one begins where the one before ended."""
    mean = features.mean(0)
    spread = (features - mean).std(axis=None if one_scale else 0) + 1e-6
    scaled = (features - mean) / spread
    wanted = labels if labels.ndim == 2 else np.eye(classes, dtype=np.int64)[labels]
    freed = _freed(classes, along)

    def freed_slopes(logits: NDArray[np.floating], wanted: NDArray[np.int64]) -> tuple[float, NDArray[np.floating]]:
        lost, gap = slopes(logits @ freed, wanted)
        return lost, gap @ freed

    # the best weights are sums of the images' features, so that few images need few numbers
    axes = np.linalg.qr(scaled.T).Q if len(features) < features.shape[1] else None  # (width, N)
    scaled = scaled if axes is None else scaled @ axes
    weight, bias = np.zeros((classes, scaled.shape[1]), np.float32), np.zeros(classes, np.float32)
    for one in strengths:
        weight, bias = _minimise(scaled, wanted, weight, bias, one, slopes if along == 1 else freed_slopes)
        # the same layer for unscaled features
        plain = freed @ (weight if axes is None else weight @ axes.T) / spread
        shifted = freed @ bias - plain @ mean
        train = _measure(features, labels, plain, shifted)
        val = _measure(val_features, val_labels, plain, shifted) if len(val_labels) else None
        yield Head(plain, shifted, one, train, val)


def _by_folds(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    one_scale: bool,
    units: NDArray[Any],
    slopes: Slopes,
    along: float,
) -> float:
    """Return the strength with the least log loss on images that were left out in turn: a fifth of each class at a time.

    Of many images or classes, some decide.
    """
    if labels.ndim == 2:
        some = spread(np.arange(len(labels)), _DECIDING)
        features, labels, units = features[some], labels[some], units[some]
        kind = np.unique(labels, axis=0, return_inverse=True)[1].ravel()
        return _best_of_folds(features, labels, labels.shape[1], _folds(kind, units), one_scale, slopes, along)
    kinds = np.unique(labels)
    kinds = spread(kinds, _DECIDING // (2 * _FOLDS))  # so that each has enough images
    own = [np.flatnonzero(labels == kind) for kind in kinds]
    some = np.concatenate([spread(rows, max(1, _DECIDING // len(kinds))) for rows in own])
    features, labels = features[some], np.searchsorted(kinds, labels[some])
    return _best_of_folds(features, labels, len(kinds), _folds(labels, units[some]), one_scale, slopes, along)


def _folds(kinds: NDArray[np.int64], units: NDArray[Any]) -> NDArray[np.int64]:
    """Return the fold of each of N images: each kind is spread over all, and no unit is divided."""
    _, first, unit = np.unique(units, return_index=True, return_inverse=True)
    fold = np.empty(len(first), np.int64)
    fold[np.argsort(kinds[first], kind="stable")] = np.arange(len(first)) % _FOLDS
    found: NDArray[np.int64] = fold[unit]
    return found


def _best_of_folds(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    classes: int,
    fold: NDArray[np.int64],
    one_scale: bool,
    slopes: Slopes,
    along: float,
) -> float:
    """Return the strength with the least log loss on the folds (N,), each left out in turn."""
    paths, counts = [], []
    for held in np.unique(fold):
        known, asked = fold != held, fold == held
        if not known.any():
            return _UNCHOSEN if one_scale else _UNCHOSEN / 10
        parts = features[known], labels[known], features[asked], labels[asked]
        paths.append(_heads(*parts, classes, _STRENGTHS, one_scale, slopes, along))
        counts.append(int(asked.sum()))
    losses: dict[float, float] = {}
    for heads in zip(*paths, strict=True):
        losses[heads[0].strength] = sum(
            count * head.val[0] for count, head in zip(counts, heads, strict=True) if head.val is not None
        )
        if min(losses.values()) < min(list(losses.values())[-2:]):  # it has only got worse since
            break
    return min(losses, key=lambda one: losses[one])


def _freed(classes: int, along: float) -> NDArray[np.float32]:
    """Return what the outputs (classes,) of a layer are multiplied by, so that a penalty shrinks it less along their order."""
    if along == 1:
        return np.eye(classes, dtype=np.float32)
    ranks = np.arange(classes) - (classes - 1) / 2
    ranks /= np.linalg.norm(ranks)
    return (np.eye(classes) + (along - 1) * np.outer(ranks, ranks)).astype(np.float32)


def _minimise(
    features: NDArray[np.float32],
    wanted: NDArray[np.int64],
    weight: NDArray[np.float32],
    bias: NDArray[np.float32],
    strength: float,
    slopes: Slopes,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return weight and bias of the least loss with this penalty, searched for from these; `wanted` (N, classes) is 0 or 1."""
    from scipy.optimize import minimize

    def loss(values: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        here, shift = _parted(values.astype(np.float32), weight.shape)
        lost, gap = slopes(features @ here.T + shift, wanted)
        gap = gap / len(features)
        slope = gap.T @ features + strength * here
        penalty = strength / 2 * float(np.vdot(here, here))
        return lost + penalty, np.concatenate([slope.ravel(), gap.sum(axis=0)]).astype(np.float64)

    start = np.concatenate([weight.ravel(), bias]).astype(np.float64)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": _ROUNDS, "gtol": 1e-5}).x
    return _parted(found.astype(np.float32), weight.shape)


def one_of_several(logits: NDArray[np.floating], wanted: NDArray[np.int64]) -> tuple[float, NDArray[np.floating]]:
    """Return the mean loss of one class of several in nats, and the slope of each image's loss by its logits (N, classes)."""
    logits = logits - logits.max(axis=1, keepdims=True)
    shares = np.exp(logits)
    total = shares.sum(axis=1, keepdims=True)
    lost = float(np.mean(np.log(total[:, 0], dtype=np.float64) - (logits * wanted).sum(axis=1, dtype=np.float64)))
    return lost, (shares / total - wanted).astype(logits.dtype)


def yes_or_no(logits: NDArray[np.floating], wanted: NDArray[np.int64]) -> tuple[float, NDArray[np.floating]]:
    """Return the mean over images of their labels' losses in nats, what is not known costing nothing, and the slopes as above."""
    from scipy.special import expit

    losses = np.logaddexp(0, np.where(wanted > 0, -logits, logits)) * (wanted >= 0)
    slopes = (expit(logits) - (wanted > 0)) * (wanted >= 0)
    return float(losses.sum(axis=1, dtype=np.float64).mean()), slopes.astype(logits.dtype)


def mean_loss(logits: NDArray[np.floating], targets: NDArray[np.int64]) -> float:
    """Return the mean loss in nats of an image, or for several labels of each that is known; targets (N,) or (N, classes)."""
    if targets.ndim == 1:
        return one_of_several(logits, np.eye(logits.shape[1], dtype=np.int64)[targets])[0]
    return yes_or_no(logits, targets)[0] * len(targets) / max(1, int((targets >= 0).sum()))


def _parted(values: NDArray[np.float32], shape: tuple[int, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return weight, of this shape, and bias out of one row of numbers."""
    return values[: -shape[0]].reshape(shape), values[-shape[0] :]


def _measure(
    features: NDArray[np.float32], labels: NDArray[np.int64], weight: NDArray[np.float32], bias: NDArray[np.float32]
) -> tuple[float, float]:
    logits = (features @ weight.T + bias).astype(np.float64)
    if labels.ndim == 2:
        right = ((logits > 0) == (labels > 0)) | (labels < 0)
        return yes_or_no(logits, labels)[0] / labels.shape[1], float(right.all(axis=1).mean())
    logits -= logits.max(axis=1, keepdims=True)
    losses = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(len(labels)), labels]
    return float(losses.mean()), float((logits.argmax(axis=1) == labels).mean())
