"""Labels that other images contradict, and images unlike any other: what only a model can find in the data.

A classifier is fitted on features of most images and asked about the rest, until each was asked about once (out of fold); the
labels of the most similar images count equally. If the answer is surer of another class than is usual for that
class, the label is doubtful: confident learning, Northcutt, Jiang, Chuang, Journal of Artificial Intelligence Research 70 (2021).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mirante.auroc import auroc
from mirante.data.dataset import Dataset
from mirante.data.features import Features, unit_rows
from mirante.model_info import ModelInfo
from mirante.prediction.calibration import sigmoid, softmax

LEAST_OF_LABEL = 20
"""Images that must have a label, and lack it, for it to be checked where images have several."""

_LEAST_AREA, _SURE = (
    0.8,
    0.9,
)  # area under the ROC curve, and probability of the contrary, from which a label can be in doubt
_FOLDS = 5
_NEAR = 10  # neighbours that an image is compared with
_VOTES = 15  # neighbours whose labels vote
_SHARPNESS = 8.0  # a vote weighs exp(sharpness · cosine)
_SIDES = (
    (64, 160),
    (300, 224),
)  # (images up to this many pixels, are shown to the backbone at this many); larger ones at 320


@dataclass(frozen=True)
class LabelErrors:
    """What the model says about each of N images that it was not trained on.

    probabilities  (N, classes)
    doubtful       rows whose label is probably wrong, the surest first; of several labels, a row may be there more than once
    asked          (doubtful,) of several labels, which one is probably wrong; else None
    outliers       rows unlike any other image, the strangest first
    distances      (N,) distance to the nearest images, relative to the usual one
    accuracy       share of images whose own class came first: how far the doubts can be trusted
    """

    probabilities: NDArray[np.float64]
    doubtful: NDArray[np.int64]
    outliers: NDArray[np.int64]
    distances: NDArray[np.float64]
    accuracy: float
    asked: NDArray[np.int64] | None = None


def find_label_errors(dataset: Dataset, layers: str) -> tuple[Dataset, LabelErrors]:
    """Ask a pretrained network, `layers`, about every image; return the data set without the unreadable ones, and its doubts."""
    from mirante.experiment.transfer import backbone_features
    from mirante.model.network import build_network

    shorter = float(np.median(dataset.sizes.min(axis=1)))
    side = next((shown for largest, shown in _SIDES if shorter <= largest), 320)
    info = ModelInfo(dataset.task, dataset.classes, side, side, dataset.channels, "squash", layers, dataset.output)
    info = replace(info, window=str(dataset.rendering.window), page=dataset.rendering.page)
    dataset, pixels = dataset.load(info.size, info.channels, info.fit, info.rendering)
    network = build_network(layers, (side, side, info.channels), len(info.classes), False, "")
    features = backbone_features(network, dataset, pixels, info, np.arange(len(dataset)))
    units = dataset.groups or dataset.digests
    targets = dataset.targets
    votes, distances = _neighbours(features, targets, units, len(dataset.classes))
    probabilities = (out_of_fold(features, targets, units, len(dataset.classes)) + votes) / 2
    outliers = np.flatnonzero(distances > 1.6)
    strange = outliers[np.argsort(-distances[outliers], kind="stable")]
    if targets.ndim == 1:
        right = float((probabilities.argmax(axis=1) == targets).mean())
        return dataset, LabelErrors(probabilities, rank_doubtful(probabilities, targets)[0], strange, distances, right)
    doubtful, asked = _doubtful_labels(probabilities, targets)
    right = float(((probabilities > 0.5) == (targets > 0))[targets >= 0].mean())
    return dataset, LabelErrors(probabilities, doubtful, strange, distances, right, asked)


def _doubtful_labels(
    probabilities: NDArray[np.float64], targets: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows, and which of their labels is probably wrong, the surest first; each label is a question of its own.

    probabilities, targets (N, labels); labels that few images have, or lack, are not asked about, nor those that the features hardly
    tell: of them, every other image would be in doubt
    """
    found: list[tuple[float, int, int]] = []
    for label in range(targets.shape[1]):
        known = np.flatnonzero(targets[:, label] >= 0)
        wanted = targets[known, label]
        if np.bincount(wanted, minlength=2).min() < LEAST_OF_LABEL:
            continue
        share = probabilities[known, label]
        if auroc(share, wanted > 0) < _LEAST_AREA:
            continue
        wrong, score = rank_doubtful(np.stack([1 - share, share], axis=1), wanted)
        sure = np.where(wanted > 0, 1 - share, share) >= _SURE
        found += [(float(score[row]), int(known[row]), label) for row in wrong.tolist() if sure[row]]
    found.sort()
    return np.array([row for _, row, _ in found], np.int64), np.array([label for *_, label in found], np.int64)


def out_of_fold(
    features: Features, labels: NDArray[np.int64], units: tuple[str, ...], classes: int
) -> NDArray[np.float64]:
    """Return the probabilities (N, classes) that images get from a classifier fitted without them.

    features (N, width), labels (N,), or (N, classes) of several; images of one unit (a patient, a copy) are never in both parts
    """
    from mirante.training.head import fit_head

    numbers = np.unique(np.array(units), return_inverse=True)[1]
    folds = np.random.default_rng(0).permutation(numbers.max() + 1)[numbers] % _FOLDS
    found = np.empty((len(labels), classes))
    for fold in range(_FOLDS):
        asked, held = folds == fold, folds == (fold + 1) % _FOLDS
        taught = ~asked & ~held
        own = [units[row] for row in np.flatnonzero(taught)]
        head = fit_head(features[taught], labels[taught], features[held], labels[held], classes, units=own)
        found[asked] = (softmax if labels.ndim == 1 else sigmoid)(features[asked] @ head.weight.T + head.bias)
    return found


def rank_doubtful(
    probabilities: NDArray[np.floating], labels: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.floating]]:
    """Return the rows whose label is probably wrong, the surest first, and the score of every image, (N,).

    The score is the label's probability over that of the best other class, in logarithms: low is doubtful. A label counts as
    wrong when another class has at least the probability that images of that class get on average, and the label has less
    than is usual for it.
    """
    rows = np.arange(len(labels))
    given = probabilities[rows, labels]
    others = probabilities.copy()
    others[rows, labels] = -1
    best = others.argmax(axis=1)
    score = np.log(np.maximum(given, 1e-12)) - np.log(np.maximum(others[rows, best], 1e-12))
    classes = probabilities.shape[1]
    usual = np.array(
        [probabilities[labels == one, one].mean() if (labels == one).any() else 1.0 for one in range(classes)]
    )
    wrong = np.flatnonzero((others[rows, best] >= usual[best]) & (given < usual[labels]))
    return wrong[np.argsort(score[wrong], kind="stable")], score


def _neighbours(
    features: Features, labels: NDArray[np.int64], units: tuple[str, ...], classes: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return what the labels of each image's nearest ones say, (N, classes), and how far those are, over the usual distance, (N,).

    Distance is 1 - cosine. Images of one unit are not asked about each other.
    """
    centred = unit_rows(features - features.mean(axis=0))
    numbers = np.unique(np.array(units), return_inverse=True)[1]
    near, asked = (min(count, len(features) - 1) for count in (_NEAR, _VOTES))
    if near < 1:
        return np.full((len(features), classes), 1 / classes), np.ones(len(features))
    several = labels.ndim == 2
    votes, distance = np.full((len(features), classes), 0.02), np.empty(len(features))
    against = votes.copy()
    for start in range(0, len(features), 1024):
        alike = centred[start : start + 1024] @ centred.T
        mine = np.arange(len(alike))
        alike[mine, start + mine] = -2
        distance[start : start + 1024] = 1 - np.partition(alike, -near, axis=1)[:, -near:].mean(axis=1)
        alike[numbers[start : start + 1024, None] == numbers] = -2
        nearest = np.argpartition(alike, -asked, axis=1)[:, -asked:]
        weights = np.exp(_SHARPNESS * np.take_along_axis(alike, nearest, 1))
        if several:
            votes[start + mine] += (weights[..., None] * (labels[nearest] > 0)).sum(axis=1)
            against[start + mine] += (weights[..., None] * (labels[nearest] == 0)).sum(axis=1)
        else:
            np.add.at(votes, ((start + mine)[:, None], labels[nearest]), weights)
    shares = votes / (votes + against) if several else votes / votes.sum(axis=1, keepdims=True)
    return shares, distance / max(float(np.median(distance)), 1e-9)
