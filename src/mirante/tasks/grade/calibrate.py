"""What a model of grades learns from images it was not trained on: what a classifier does, sets of neighbours, and boundaries."""

from __future__ import annotations

from dataclasses import asdict, replace

import numpy as np
from numpy.typing import NDArray

from mirante.data.dataset import Dataset
from mirante.evaluation.objectives import Objectives
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
    learned = GradeLearned(
        **{
            **{name: value for name, value in asdict(learned_of(plain)).items() if name != "boundaries"},
            "conformal_thresholds": fit_thresholds(plausibility(probabilities), targets, groups),
        }
    )
    if objectives.aim is not None:
        wanted = (
            range(1, len(info.classes)) if objectives.positive is None else [info.classes.index(objectives.positive)]
        )
        upper, boundaries = at_least(probabilities), [_HALF] * (len(info.classes) - 1)
        for grade in wanted:
            boundaries[grade - 1] = choose_threshold(upper[:, grade - 1], targets >= grade, objectives.aim)
        learned = replace(learned, boundaries=tuple(boundaries))
    return replace(plain, learned=learned)
