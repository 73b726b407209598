"""What is learned from a model's output for images it was not trained on (calibration, thresholds), and what it predicts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mirante.data.dataset import Dataset
from mirante.data.notes import unequal_classes
from mirante.evaluation.objectives import Objectives
from mirante.model_info import ModelInfo
from mirante.prediction.calibration import fit_calibration, softmax
from mirante.prediction.conformal import fit_thresholds
from mirante.prediction.onnx_model import Output
from mirante.prediction.out_of_distribution import fit_ood_threshold
from mirante.prediction.thresholds import choose_threshold
from mirante.predictions import Predictions
from mirante.tasks.classify.decision import ClassifyLearned, decide, even_out, learned_of

JUDGED_COVERAGES = (0.8, 0.9, 0.95, 0.99)
"""The coverages whose prediction sets are evaluated."""


def calibrate(
    output: Output, rows: NDArray[np.int64], dataset: Dataset, info: ModelInfo, objectives: Objectives
) -> ModelInfo:
    """Return the model calibrated on its output for these rows of the data set; unchanged if there are none."""
    targets = dataset.targets[rows]
    if not len(targets):
        return info
    one_network = not dataset.folds or bool(info.seen_with)
    temperature, vectors = fit_calibration(output.logits, targets, one_network)
    learned = ClassifyLearned(temperature)
    if vectors is not None:
        learned = replace(learned, scales=tuple(vectors[0].tolist()), shifts=tuple(vectors[1].tolist()))
    probabilities = output.with_calibration(replace(info, learned=learned)).probabilities
    groups = None if dataset.groups is None else [dataset.groups[row] for row in rows]
    learned = replace(learned, conformal_thresholds=fit_thresholds(probabilities, targets, groups))
    if output.ood_scores.any():
        limit = fit_ood_threshold(output.ood_scores)
        learned = replace(learned, ood_threshold=limit if limit < 1 else None)  # too few images to tell: then it cannot
    if objectives.aim is not None and objectives.positive is not None:
        number = info.classes.index(objectives.positive)
        threshold = choose_threshold(probabilities[:, number], targets == number, objectives.aim)
        learned = replace(learned, positive=objectives.positive, threshold=threshold)
    elif objectives.even and unequal_classes(info.classes, dataset.targets):
        counts = np.bincount(dataset.targets, minlength=len(info.classes))
        learned = replace(learned, class_weights=even_out(counts))
    return replace(info, learned=learned)


def predict(output: Output, rows: NDArray[np.int64], dataset: Dataset, info: ModelInfo) -> Predictions:
    """Return the predictions that a model's output gives for these rows of the data set."""
    learned, shares = learned_of(info), output.probabilities
    return Predictions(
        task=info.task,
        classes=info.classes,
        paths=tuple(dataset.paths[row] for row in rows),
        targets=dataset.targets[rows],
        predicted=shares.argmax(axis=1),
        confidences=shares.max(axis=1, initial=0),
        probabilities=shares,
        decided=decide(shares, info) if learned.decides else None,
        prediction_sets={one: learned.sets(shares, info.classes, one) for one in JUDGED_COVERAGES}
        if learned.promises_coverage
        else {},
        out_of_distribution=output.ood_scores > learned.ood_limit,
        subgroups=None if dataset.subgroups is None else tuple(dataset.subgroups[row] for row in rows),
        groups=None if dataset.groups is None else tuple(dataset.groups[row] for row in rows),
        uncalibrated=softmax(output.logits),
        rows=rows,
    )
