"""Fit the last layer of a run again: on its own training images and the photos that a person confirmed.

Of a run with folds each fold is answered by a last layer that saw neither its images nor answers about them, as when it was trained.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence, Set
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mirante.data.dataset import Dataset
from mirante.data.features import Features
from mirante.data.partition import spread
from mirante.evaluation.objectives import Objectives
from mirante.model.last_layer import replace_head
from mirante.model_info import ModelInfo
from mirante.photos.features import FeatureExtractor
from mirante.prediction.onnx_model import Output
from mirante.prediction.out_of_distribution import fit_subspace, ood_score
from mirante.predictions import Predictions

_FAMILIAR = 5000
_MANY = 50  # photos of a new class that say by themselves how far its images lie apart
_FIRM = 0.1  # the least L2 strength where a class is known from a few photos (benchmarks/update.py)
_WEIGHTS = (1, 3, 10)
"""How many training images a confirmed photo may count as: chosen on held-out answers and validation images."""
_UNCHOSEN_WEIGHT, _CHOOSABLE = 3, 30


@dataclass(frozen=True)
class Known:
    """Confirmed photos: digests, targets (N,) or of several labels (N, labels), and the features of each view (N, views, width)."""

    digests: tuple[str, ...]
    targets: NDArray[np.int64]
    features: Features

    def without(self, digests: Set[str]) -> Known:
        """Return them without some photos."""
        return self.only(np.array([one not in digests for one in self.digests], bool))

    def only(self, kept: NDArray[np.bool_]) -> Known:
        """Return some of them, kept (N,)."""
        names = tuple(one for one, stays in zip(self.digests, kept, strict=True) if stays)
        return Known(names, self.targets[kept], self.features[kept])


@dataclass(frozen=True)
class View:
    """How a network sees.

    number  its place in the features of confirmed photos
    seen    (N, looks, width) of the images of a data set
    """

    number: int
    extractor: FeatureExtractor
    seen: Features


@dataclass(frozen=True)
class Candidate:
    """A model that may take the place of a run's.

    extractor    with the new last layer, and all that held-out images teach of it
    space        the directions that are familiar to it, (width, d), or None
    predictions  for the images that the run is judged on, none of which the network that answered has seen
    ood_scores   (N,) of these images
    """

    extractor: FeatureExtractor
    space: Features | None
    predictions: Predictions
    ood_scores: NDArray[np.float32]

    @property
    def info(self) -> ModelInfo:
        return self.extractor.info

    def answer(self, seen: Features) -> Output:
        """Return what it answers to images of which each look sees this, (N, looks, width)."""
        return _answer(self.extractor, self.space, seen)


@dataclass(frozen=True)
class _Fitted:
    """A last layer: how its network sees, the familiar directions (width, d) or None, the weight of a photo, the L2 strength."""

    extractor: FeatureExtractor
    space: Features | None
    weight: int
    strength: float

    def answer(self, seen: Features) -> Output:
        """Return what it answers, before it is calibrated, to images of which each look sees this, (N, looks, width)."""
        return _answer(self.extractor, self.space, seen)


def fit(views: Sequence[View], dataset: Dataset, taught: Known, objectives: Objectives) -> Candidate:
    """Return the run's network with a new last layer, calibrated, and what it answers.

    views  of the run's network; and of that of each fold, where those see differently
    """
    from mirante.experiment.fit_network import CALIBRATED

    whole = views[0]
    objectives = whole.extractor.info.asks.require_objectives(objectives, dataset.classes)
    if dataset.folds:
        return _fit_folds(whole, views[1:] or [whole] * len(dataset.folds), dataset, taught, objectives)
    fitted = _fit_layer(whole, dataset, taught)
    held, rows = spread(dataset.rows("val"), CALIBRATED), dataset.rows("test")
    info = _calibrated(fitted, fitted.answer(whole.seen[held]), held, dataset, objectives)
    output = fitted.answer(whole.seen[rows]).with_calibration(info)
    predictions = info.asks.predict(output, rows, dataset, info)
    return Candidate(replace(fitted.extractor, info=info), fitted.space, predictions, output.ood_scores)


def _fit_folds(
    view: View, of_folds: Sequence[View], dataset: Dataset, taught: Known, objectives: Objectives
) -> Candidate:
    from mirante.experiment.cross_validation import OutOfFold, predict_folds
    from mirante.experiment.fit_network import Choices

    layers, parts = [], []
    for number, (fold, its) in enumerate(zip(dataset.folds, of_folds, strict=True)):
        asking = dataset.asking(fold)
        rows, held = asking.rows("test"), np.concatenate([asking.rows("test"), asking.rows("val")])
        own = taught.without({dataset.digests[row] for row in held})
        layers.append(_fit_layer(its, asking, own))
        parts.append((rows, np.full(len(rows), number), layers[-1].answer(its.seen[rows])))
    rows, folds = (np.concatenate([part[place] for part in parts]) for place in (0, 1))
    order = np.argsort(rows)
    logits, scores = (
        np.concatenate([getattr(part[2], name) for part in parts])[order] for name in ("logits", "ood_scores")
    )
    weight = Counter(one.weight for one in layers).most_common(1)[0][0]
    strength = float(np.exp(np.median(np.log([one.strength for one in layers]))))
    whole = _fit_layer(view, dataset.asking(""), taught, (weight, strength))
    output = output_of(logits, whole.extractor.info, scores)
    info = _calibrated(whole, output, rows[order], dataset, objectives)
    known = OutOfFold(rows[order], output, folds[order], Choices(strength, False))
    predictions = predict_folds(known, dataset, whole.extractor.info, objectives)
    return Candidate(replace(whole.extractor, info=info), whole.space, predictions, scores)


def _calibrated(
    fitted: _Fitted, output: Output, rows: NDArray[np.int64], dataset: Dataset, objectives: Objectives
) -> ModelInfo:
    info = fitted.extractor.info
    return info.asks.calibrate(output, rows, dataset, info, objectives)


def _fit_layer(view: View, dataset: Dataset, taught: Known, chosen: tuple[int, float] | None = None) -> _Fitted:
    """Fit the last layer on the `train` images and the photos.

    chosen  the weight of a photo and the L2 strength; None lets held-out answers and the `val` images choose
    """
    from mirante.training.head import Head, fit_head, mean_loss

    extractor, classes = view.extractor, dataset.classes
    seen, photos = view.seen.mean(axis=1), taught.features[:, view.number]
    own, own_targets = _not_confirmed(dataset, taught)
    val = dataset.rows("val")

    def fitted(which: NDArray[np.int64], weight: int, strength: float | None) -> Head:
        often = np.repeat(which, weight)
        imagined, imagined_targets = _imagined(photos[which], taught.targets[which], seen[own], own_targets)
        features = np.concatenate([seen[own], photos[often], imagined])
        targets = np.concatenate([own_targets, taught.targets[often], imagined_targets])
        units = [
            *(dataset.digests[row] for row in own),
            *(taught.digests[row] for row in often),
            *(f"imagined {number}" for number in range(len(imagined))),
        ]

        def head_of(strength: float | None) -> Head:
            known = seen[val], dataset.targets[val]
            return fit_head(features, targets, *known, len(classes), strength, extractor.info.rooted, units)

        head = head_of(strength)
        return head_of(_FIRM) if len(imagined) and head.strength < _FIRM else head

    everything = np.arange(len(taught.digests))
    weight, strength = chosen or (_UNCHOSEN_WEIGHT, None)
    if chosen is None and len(everything) >= _CHOOSABLE:
        held = everything % 3 == 0
        losses = []
        for tried in _WEIGHTS:
            head = fitted(everything[~held], tried, strength)
            strength = head.strength
            parts = ((photos[held], taught.targets[held]), (seen[val], dataset.targets[val]))
            losses.append(
                sum(mean_loss(one @ head.weight.T + head.bias, wanted) for one, wanted in parts if len(wanted))
            )
        weight = _WEIGHTS[int(np.argmin(losses))]
    head = fitted(everything, weight, strength)
    tells = any(output.name == "ood_score" for output in extractor.model.graph.output)
    space = fit_subspace(np.concatenate([photos, seen[own]])[:_FAMILIAR]) if tells else None
    asks = extractor.info.asks
    plain = replace(extractor.info, classes=classes, output=(len(classes),), learned=asks.read_learned({}))
    model = replace_head(extractor.model, head.weight, head.bias, space)
    changed = replace(extractor, weight=head.weight, bias=head.bias, names=classes, model=model, info=plain)
    return _Fitted(changed, space, weight, head.strength)


def _imagined(
    taught: Features, taught_targets: NDArray[np.int64], own: Features, own_targets: NDArray[np.int64]
) -> tuple[Features, NDArray[np.int64]]:
    """Return features and class numbers of images that classes without training images may look like; of several labels, none.

    A few photos say where a class lies, and not how far its images lie apart. That is taken from the other classes: the distances of
    their images from the means of their classes, around the mean of the new one, as many as a class has images (Yang, Liu, Xu, "Free
    lunch for few-shot learning: distribution calibration", ICLR 2021).
    """
    if taught_targets.ndim > 1 or not len(own):
        return own[:0], own_targets[:0]
    known = np.unique(own_targets)
    means = {number: own[own_targets == number].mean(axis=0) for number in known.tolist()}
    apart = own - np.stack([means[number] for number in own_targets.tolist()])
    each, chance = len(own) // len(known), np.random.default_rng(0)
    features, targets = [own[:0]], [own_targets[:0]]
    for number in sorted(set(taught_targets.tolist()) - set(means)):
        if (taught_targets == number).sum() >= _MANY:
            continue
        centre = taught[taught_targets == number].mean(axis=0)
        drawn = centre + apart[chance.integers(0, len(own), each)]
        features.append(np.maximum(drawn, own.min()).astype(own.dtype))
        targets.append(np.full(each, number))
    return np.concatenate(features), np.concatenate(targets)


def _not_confirmed(dataset: Dataset, taught: Known) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows to train on and their targets, without what a person has confirmed otherwise."""
    own, targets = dataset.rows("train"), dataset.targets
    confirmed = dict(zip(taught.digests, taught.targets, strict=True))
    known = np.array([dataset.digests[row] in confirmed for row in own], dtype=bool)
    if targets.ndim == 1:
        return own[~known], targets[own[~known]]
    changed = targets[own].copy()
    for place in np.flatnonzero(known):
        changed[place, confirmed[dataset.digests[own[place]]] >= 0] = -1
    return own, changed


def _answer(extractor: FeatureExtractor, space: Features | None, seen: Features) -> Output:
    """Return what a model answers, as its graph does: the mean of the logits and of the ood_scores of each look."""
    scores = [ood_score(seen[:, look], space) for look in range(seen.shape[1])] if space is not None else []
    strange = np.asarray(np.mean(scores, axis=0), np.float32) if scores else None
    return output_of(extractor.logits(seen.mean(axis=1)), extractor.info, strange)


def output_of(logits: NDArray[np.float32], info: ModelInfo, scores: NDArray[np.float32] | None = None) -> Output:
    """Return what a model answers for logits (N, classes); scores (N,) how unlike the training images they are, or None."""
    return Output.of_logits(logits, np.zeros(len(logits), np.float32) if scores is None else scores, info)
