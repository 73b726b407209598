"""What a model of grades learns from images it was not trained on: what a classifier does, sets of neighbours, and boundaries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mirante.data.dataset import Dataset
from mirante.evaluation.objectives import Aim, Objectives
from mirante.model_info import ModelInfo
from mirante.prediction.conformal import fit_thresholds
from mirante.prediction.onnx_model import Output
from mirante.prediction.thresholds import choose_threshold
from mirante.tasks.classify.calibrate import calibrate as calibrate_classes
from mirante.tasks.classify.decision import learned_of
from mirante.tasks.grade.decision import GradeLearned, at_least, plausibility

_HALF = 0.5


def calibrate(
    output: Output, rows: NDArray[np.int64], dataset: Dataset, info: ModelInfo, objectives: Objectives
) -> ModelInfo:
    """Return the model calibrated on its output for these rows of the data set; unchanged if there are none."""
    targets = dataset.targets[rows]
    if not len(targets):
        return info
    # thresholds between grades take the place of those of one class, and of weights of rare ones
    plain = calibrate_classes(output, rows, dataset, info, replace(objectives, aim=None, positive=None, even=False))
    probabilities = output.with_calibration(plain).probabilities
    groups = None if dataset.groups is None else [dataset.groups[row] for row in rows]
    thresholds = fit_thresholds(plausibility(probabilities), targets, groups)
    learned = GradeLearned.extending(learned_of(plain), conformal_thresholds=thresholds)
    if objectives.aim is not None:
        upper = at_least(probabilities)
        learned = replace(learned, boundaries=tuple(_boundaries(upper, targets, info.classes, objectives)))
    return replace(plain, learned=learned)


def _boundaries(
    upper: NDArray[np.float64], targets: NDArray[np.int64], classes: Sequence[str], objectives: Objectives
) -> list[float]:
    """Return the threshold of each boundary, none smaller than the one before: then a grade is reached just where its own is.

    upper (N, grades - 1) probability of each grade but the lowest, or a higher one
    """
    assert objectives.aim is not None
    if objectives.positive is not None:
        grade = classes.index(objectives.positive)
        own = _threshold(upper, targets, grade, objectives.aim)
        return [min(own, _HALF)] * (grade - 1) + [own] + [max(own, _HALF)] * (len(classes) - 1 - grade)
    chosen = np.array([_threshold(upper, targets, grade, objectives.aim) for grade in range(1, len(classes))])
    # moved the way that keeps the aim: down for a sensitivity, else up
    if objectives.aim.sensitivity is not None:
        return list(np.minimum.accumulate(chosen[::-1])[::-1].tolist())
    return list(np.maximum.accumulate(chosen).tolist())


def _threshold(upper: NDArray[np.float64], targets: NDArray[np.int64], grade: int, aim: Aim) -> float:
    wanted = targets >= grade
    return choose_threshold(upper[:, grade - 1], wanted, aim) if wanted.any() and not wanted.all() else _HALF
