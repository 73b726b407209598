"""What is counted of a classifier's answers, in use and among the test images."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mirante.model_info import ModelInfo
from mirante.predictions import Predictions
from mirante.task import Counted
from mirante.tasks.classify.decision import learned_of

_COVERAGE = 0.95


def count(predictions: Predictions, kinds: Mapping[str, NDArray[np.bool_]], info: ModelInfo) -> Counted:
    """Return the kinds of answers, these ones and empty or large prediction sets; how often each class was answered; their mix."""
    learned, classes, found = learned_of(info), info.classes, dict(kinds)
    if learned.promises_coverage:
        sizes = learned.sets(predictions.probabilities, classes, _COVERAGE).sum(axis=1)
        found |= {"an empty prediction set": sizes == 0, "a prediction set of several classes": sizes > 1}
    answers = {name: predictions.given == number for number, name in enumerate(classes)}
    return Counted(found, answers, [(classes, predictions.probabilities, predictions.targets)])
