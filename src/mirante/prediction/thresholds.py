"""The threshold of a probability from which the answer is yes, chosen on images that the model was not trained on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from mirante.evaluation.objectives import Aim


def choose_threshold(scores: NDArray[np.floating], wanted: NDArray[np.bool_], aim: Aim) -> float:
    """Return the threshold at or above which a probability counts as positive, chosen on these images.

    scores (N,) probabilities of the positive class, wanted (N,) whether an image is positive. For a sensitivity it is the highest
    threshold that reaches it, for a specificity the lowest, for costs the one of lowest mean cost; halfway between two scores.
    """
    distinct = np.unique(scores.astype(np.float64))
    # between adjacent scores, and below and above all of them
    places = np.concatenate([[0.0], (distinct[1:] + distinct[:-1]) / 2, [(distinct[-1] + 1.0) / 2]])
    found = len(scores[wanted]) - np.searchsorted(np.sort(scores[wanted]), places)
    alarms = len(scores[~wanted]) - np.searchsorted(np.sort(scores[~wanted]), places)
    positive, negative = max(1, int(wanted.sum())), max(1, int((~wanted).sum()))
    if aim.sensitivity is not None:
        return float(places[found >= aim.sensitivity * positive - 1e-9].max())
    if aim.specificity is not None:
        quiet = places[alarms <= (1 - aim.specificity) * negative + 1e-9]
        return float(quiet.min(initial=1.0))  # others with a probability of 1 raise an alarm at every threshold
    assert aim.miss is not None and aim.false_alarm is not None
    cost = aim.miss * (positive - found) + aim.false_alarm * alarms
    return float(places[int(cost.argmin())])
