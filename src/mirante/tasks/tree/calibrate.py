"""What a model of a tree learns from images it was not trained on: what a classifier does, and how deep it may answer."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mirante.data.dataset import Dataset
from mirante.evaluation.objectives import Objectives
from mirante.model_info import ModelInfo
from mirante.prediction.conformal import fit_common_thresholds
from mirante.prediction.onnx_model import Output
from mirante.tasks.classify.calibrate import calibrate as calibrate_classes
from mirante.tasks.classify.decision import learned_of
from mirante.tasks.tree.decision import TreeLearned, doubts_at_fault


def calibrate(
    output: Output, rows: NDArray[np.int64], dataset: Dataset, info: ModelInfo, objectives: Objectives
) -> ModelInfo:
    """Return the model calibrated on its output for these rows of the data set; unchanged if there are none."""
    targets = dataset.targets[rows]
    if not len(targets):
        return info
    plain = calibrate_classes(output, rows, dataset, info, objectives)
    probabilities = output.with_calibration(plain).probabilities
    groups = None if dataset.groups is None else [dataset.groups[row] for row in rows]
    limits = fit_common_thresholds(doubts_at_fault(probabilities, targets, info.classes), groups)
    return replace(plain, learned=TreeLearned.extending(learned_of(plain), doubt_limits=limits))
