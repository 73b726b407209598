"""What is learned from a model's output for images it was not trained on (calibration, thresholds, sets), and what it predicts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mirante.data.dataset import Dataset
from mirante.data.several import fully_known
from mirante.evaluation.objectives import Objectives
from mirante.model_info import ModelInfo
from mirante.prediction.calibration import fit_power, fit_yes_or_no, sigmoid
from mirante.prediction.conformal import fit_risk_thresholds, labels_in_sets
from mirante.prediction.onnx_model import Output
from mirante.prediction.out_of_distribution import fit_ood_threshold
from mirante.prediction.thresholds import choose_threshold
from mirante.predictions import Predictions
from mirante.task import Learned

JUDGED_COVERAGES = (0.8, 0.9, 0.95, 0.99)
"""The coverages whose sets are evaluated."""

_HALF = 0.5
_LEAST = 5  # held-out images with a label, below which no threshold is chosen for it


@dataclass(frozen=True)
class TagLearned(Learned):
    """What was learned about a model of several labels from held-out images.

    thresholds       by label, the probability from which an image is said to have it; empty for one half
    risk_thresholds  by coverage (mirante.prediction.conformal), the probability from which a label is in the set; or empty
    power            the exponent that turns the product of the labels' probabilities into that of all being right
    ood_threshold    images with a higher score are unlike the training images; None if not known
    """

    thresholds: tuple[float, ...] = ()
    risk_thresholds: tuple[float, ...] = ()
    power: float = 1.0
    ood_threshold: float | None = None

    @property
    def ood_limit(self) -> float:
        """The OOD score above which an image is unlike the training images; no score is above 1."""
        return 1.0 if self.ood_threshold is None else self.ood_threshold

    def is_sound(self, classes: Sequence[str]) -> bool:
        fits = len(self.thresholds) in (0, len(classes)) and all(0 <= one <= 1 for one in self.thresholds)
        return fits and self.power > 0 and super().is_sound(classes)


def learned_of(info: ModelInfo) -> TagLearned:
    """Return what was learned about a model of several labels; empty before anything was."""
    return info.learned if isinstance(info.learned, TagLearned) else TagLearned()


def thresholds_of(info: ModelInfo) -> tuple[float, ...]:
    """Return, by label, the probability from which an image is said to have it."""
    return learned_of(info).thresholds or (_HALF,) * len(info.classes)


def decide(probabilities: NDArray[np.floating], info: ModelInfo) -> NDArray[np.int64]:
    """Return 1 for each label (N, labels) that an image is said to have, else 0."""
    return (probabilities >= np.array(thresholds_of(info))).astype(np.int64)


def confidence_of(
    probabilities: NDArray[np.floating], decided: NDArray[np.int64], info: ModelInfo
) -> NDArray[np.float32]:
    """Return the probability (N,) that all labels are decided rightly."""
    return (_products(probabilities, decided) ** learned_of(info).power).astype(np.float32)


def calibrate(
    output: Output, rows: NDArray[np.int64], dataset: Dataset, info: ModelInfo, objectives: Objectives
) -> ModelInfo:
    """Return the model calibrated on its output for these rows of the data set; unchanged if there are none."""
    targets = dataset.targets[rows]
    if not len(targets):
        return info
    scales, shifts = fit_yes_or_no(output.logits, targets)
    learned = TagLearned(scales=tuple(scales.tolist()), shifts=tuple(shifts.tolist()))
    probabilities = output.with_calibration(replace(info, learned=learned)).probabilities
    groups = None if dataset.groups is None else [dataset.groups[row] for row in rows]
    if objectives.aim is not None or objectives.aims:
        thresholds, own = [], dict(objectives.aims)
        for number, name in enumerate(info.classes):
            aim = own.get(name, objectives.aim)
            judged = targets[:, number] >= 0
            scores, wanted = probabilities[judged, number], targets[judged, number] > 0
            few = min(int(wanted.sum()), int((~wanted).sum())) < _LEAST
            thresholds.append(_HALF if few or aim is None else choose_threshold(scores, wanted, aim))
        learned = replace(learned, thresholds=tuple(thresholds))
    learned = replace(learned, risk_thresholds=fit_risk_thresholds(probabilities, targets, groups))
    if output.ood_scores.any():
        limit = fit_ood_threshold(output.ood_scores)
        learned = replace(learned, ood_threshold=limit if limit < 1 else None)  # too few images to tell: then it cannot
    decided = decide(probabilities, replace(info, learned=learned))
    known, told = np.flatnonzero(fully_known(targets)), (targets >= 0).any(axis=0)
    right = ((decided == targets) | ~told)[known].all(axis=1)
    products = _products(probabilities[:, told], decided[:, told])[known]
    return replace(info, learned=replace(learned, power=fit_power(products, right)))


def predict(output: Output, rows: NDArray[np.int64], dataset: Dataset, info: ModelInfo) -> Predictions:
    """Return the predictions that a model's output gives for these rows of the data set."""
    learned, shares = learned_of(info), output.probabilities
    predicted = decide(shares, info)
    return Predictions(
        task=info.task,
        classes=info.classes,
        paths=tuple(dataset.paths[row] for row in rows),
        targets=dataset.targets[rows],
        predicted=predicted,
        confidences=confidence_of(shares, predicted, info),
        probabilities=shares,
        prediction_sets={one: labels_in_sets(shares, learned.risk_thresholds, one) for one in JUDGED_COVERAGES}
        if learned.risk_thresholds
        else {},
        out_of_distribution=output.ood_scores > learned.ood_limit,
        subgroups=None if dataset.subgroups is None else tuple(dataset.subgroups[row] for row in rows),
        groups=None if dataset.groups is None else tuple(dataset.groups[row] for row in rows),
        uncalibrated=sigmoid(output.logits),
        rows=rows,
    )


def _products(probabilities: NDArray[np.floating], decided: NDArray[np.int64]) -> NDArray[np.float64]:
    wide = probabilities.astype(np.float64)
    products: NDArray[np.float64] = np.where(decided > 0, wide, 1 - wide).prod(axis=1)
    return products
