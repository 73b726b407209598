"""What is learned from readings of images a model was not trained on (temperature, power, when it is sure), and what it predicts.

A text is right when all of its characters are, which are not independent: so the product of their probabilities is raised to a power.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mirante.data.dataset import Dataset
from mirante.model_info import ModelInfo
from mirante.prediction.calibration import fit_power, fit_temperature, softmax
from mirante.prediction.onnx_model import Output
from mirante.predictions import Predictions
from mirante.task import Learned
from mirante.tasks.read.texts import without_gaps

SURE_WITHOUT_PROOF = 0.99
"""The confidence from which a text counts as sure when held-out images are too few to tell."""


@dataclass(frozen=True)
class ReadLearned(Learned):
    """What was learned about a model that reads texts from held-out images.

    power                 the exponent that turns the product of the characters' probabilities into that of the text
    confidence_threshold  a text with a lower probability is unsure; None if not known
    """

    power: float = 1.0
    confidence_threshold: float | None = None

    @property
    def sure_from(self) -> float:
        """The probability from which a text is sure; none is below 0."""
        return 0.0 if self.confidence_threshold is None else self.confidence_threshold

    def is_sound(self, classes: Sequence[str]) -> bool:
        return self.power > 0 and classes[-1] == "" and super().is_sound(classes)


def learned_of(info: ModelInfo) -> ReadLearned:
    """Return what was learned about a model that reads texts; empty before anything was."""
    return info.learned if isinstance(info.learned, ReadLearned) else ReadLearned()


def calibrate(output: Output, rows: NDArray[np.int64], dataset: Dataset, info: ModelInfo) -> ModelInfo:
    """Return the model calibrated on its output for these rows of the data set; unchanged if there are none."""
    targets = dataset.targets[rows]
    if not len(targets):
        return info
    letters = output.logits.reshape(-1, len(info.classes))
    temperature = fit_temperature(letters, targets.ravel())
    shares = softmax(output.logits / temperature)
    found, each = read(shares, info)
    right = (found == targets).all(axis=1)
    products = each.prod(axis=1)
    power = fit_power(products, right)
    threshold = fit_confidence_threshold(products**power, right)
    return replace(info, learned=ReadLearned(temperature, power=power, confidence_threshold=threshold))


def predict(output: Output, rows: NDArray[np.int64], dataset: Dataset, info: ModelInfo) -> Predictions:
    """Return the predictions that a model's output gives for these rows of the data set."""
    confidences = output.values["confidence"]
    predicted, probabilities = read(output.probabilities, info)
    return Predictions(
        task=info.task,
        classes=info.classes,
        paths=tuple(dataset.paths[row] for row in rows),
        targets=dataset.targets[rows],
        predicted=predicted,
        confidences=confidences,
        probabilities=probabilities,
        unsure=confidences < learned_of(info).sure_from,
        groups=None if dataset.groups is None else tuple(dataset.groups[row] for row in rows),
        subgroups=None if dataset.subgroups is None else tuple(dataset.subgroups[row] for row in rows),
        uncalibrated=softmax(output.logits).max(axis=2).prod(axis=1),
        rows=rows,
    )


def read(shares: NDArray[np.floating], info: ModelInfo) -> tuple[NDArray[np.int64], NDArray[np.floating]]:
    """Return the numbers (N, characters) of the texts that the probabilities of each place's letters say, and those letters'."""
    found = shares.argmax(axis=2)
    order = without_gaps(found, info.classes)
    return np.take_along_axis(found, order, axis=1), np.take_along_axis(shares.max(axis=2), order, axis=1)


def fit_confidence_threshold(confidences: NDArray[np.floating], right: NDArray[np.bool_]) -> float:
    """Return the confidence above which at most one in a hundred held-out texts is wrong; 0.99 if too few to tell.

    confidences (N,), right (N,). The text in question counts as one more that may be wrong.
    """
    order = np.argsort(-confidences, kind="stable")
    wrong = np.cumsum(~right[order])
    good = np.flatnonzero((wrong + 1) / (np.arange(len(order)) + 2) <= 0.01)
    return float(confidences[order[good[-1]]]) if len(good) else SURE_WITHOUT_PROOF
