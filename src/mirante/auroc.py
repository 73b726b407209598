"""The area under the ROC curve, used by the figures and by the data check."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray


def auroc(scores: NDArray[np.floating], wanted: NDArray[np.bool_]) -> float:
    """Return the area under the ROC curve: how often a wanted image scores higher than an unwanted one (ties half).

    scores (N,), wanted (N,); NaN when there is only one kind.
    """
    from scipy.stats import rankdata

    positive, negative = int(wanted.sum()), int((~wanted).sum())
    if positive == 0 or negative == 0:
        return math.nan
    ranks = rankdata(scores)
    return float((ranks[wanted].sum() - positive * (positive + 1) / 2) / (positive * negative))
