"""The area under the ROC curve, used by the figures and by the data check."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def auroc(scores: NDArray[np.floating], wanted: NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve: how often a wanted image scores higher than an unwanted one (ties half).

    scores (N,), wanted (N,); NaN when there is only one kind, or a score is NaN.
    """
    found, others = scores[wanted], np.sort(scores[~wanted])
    if not len(found) or not len(others) or np.isnan(scores).any():
        return math.nan
    beaten = np.searchsorted(others, found, "left") + np.searchsorted(others, found, "right")
    return float(beaten.mean() / 2 / len(others))
