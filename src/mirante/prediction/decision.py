"""From a probability to a decision: the threshold that a person's aim asks for, and what is answered at it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mirante.errors import RequestError
from mirante.runfolder import ModelInfo


@dataclass(frozen=True)
class Aim:
    """What a person wants of the decisions for one class, the positive one, against all others: one of three things.

    sensitivity  share of the positive images that must be found
    specificity  share of the others that must be left in peace
    miss, false_alarm  what each mistake costs, in any one unit; the mean cost is made least
    """

    sensitivity: float | None = None
    specificity: float | None = None
    miss: float | None = None
    false_alarm: float | None = None

    def __post_init__(self) -> None:
        costs = (self.miss, self.false_alarm)
        asked = (
            (self.sensitivity is not None) + (self.specificity is not None) + any(cost is not None for cost in costs)
        )
        if asked != 1:
            raise RequestError("a threshold has one aim: --sensitivity, --specificity or --cost.")
        for name in ("sensitivity", "specificity"):
            share = getattr(self, name)
            if share is not None and not 0 < share < 1:
                raise RequestError(f"--{name} {share:g}: it is a share between 0 and 1, as 0.9 or 90%.")
        if any(cost is not None for cost in costs) and not all(cost is not None and 0 < cost < 1e9 for cost in costs):
            raise RequestError("--cost needs both costs, each above 0: miss=10,false-alarm=1")


def choose_threshold(scores: NDArray[np.floating], wanted: NDArray[np.bool_], aim: Aim) -> float:
    """Return the threshold at or above which a probability counts as positive, chosen on these images.

    scores (N,) probabilities of the positive class, wanted (N,) whether an image is positive. For a sensitivity it is the highest
    threshold that reaches it, for a specificity the lowest, for costs the one of least mean cost; halfway between two scores.
    """
    distinct = np.unique(scores.astype(np.float64))
    # between each two scores, and below and above all of them
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


def even_out(counts: NDArray[np.int64]) -> tuple[float, ...]:
    """Return what to multiply probabilities by so that rare classes are answered more often; counts (classes,) of images.

    The square root of how much rarer than the mean a class is (Menon et al., "Long-tail learning via logit adjustment", ICLR
    2021, with a strength of one half): benchmarks/unequal.py compares strengths, and a training that is itself evened out.
    """
    weights: list[float] = np.sqrt(counts.mean() / np.maximum(counts, 1)).tolist()
    return tuple(weights)


def decide(probabilities: NDArray[np.floating], info: ModelInfo) -> NDArray[np.int64]:
    """Return the class number that a model answers for each row of probabilities (N, classes).

    The most probable one, or the one whose probability times its weight is largest; with a positive class that one from the
    threshold on, and below it the most probable of the others.
    """
    positive = info.positive_number
    if positive is None:
        best: NDArray[np.int64] = (probabilities * np.array(info.class_weights or 1.0)).argmax(axis=1)
        return best
    others = probabilities.astype(np.float64)
    others[:, positive] = -1
    return np.where(probabilities[:, positive] >= (info.threshold or 0.0), positive, others.argmax(axis=1))
