"""From the probabilities of grades to one grade, and to the grades that are plausible: always some that follow one another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mirante.prediction.conformal import prediction_sets
from mirante.tasks.classify.decision import ClassifyLearned

if TYPE_CHECKING:
    from mirante.model_info import ModelInfo


@dataclass(frozen=True)
class GradeLearned(ClassifyLearned):
    """What was learned about a model of grades from held-out images.

    boundaries  for each grade but the lowest, the probability of it or a higher one from which it is answered: the highest grade that
                reaches its own; empty to answer the most probable grade
    conformal_thresholds  as of a classifier, but of `plausibility` instead of probability
    """

    boundaries: tuple[float, ...] = ()

    @property
    def decides(self) -> bool:
        return bool(self.boundaries)

    def decide(self, probabilities: NDArray[np.floating], classes: Sequence[str]) -> NDArray[np.int64]:
        if not self.boundaries:
            return super().decide(probabilities, classes)
        reached = at_least(probabilities) >= np.array(self.boundaries)
        numbers = np.arange(1, len(classes))
        highest: NDArray[np.int64] = np.where(reached, numbers, 0).max(axis=1)
        return highest

    def in_python(self, classes: Sequence[str]) -> str:
        listed = ", ".join(f"{one:.6g}" for one in self.boundaries)
        return f"max([0, *(n for n, least in enumerate([{listed}], 1) if probabilities[n:].sum() >= least)])"

    def sets(self, probabilities: NDArray[np.floating], classes: Sequence[str], coverage: float) -> NDArray[np.bool_]:
        inside = prediction_sets(plausibility(probabilities), self.conformal_thresholds, coverage)
        if self.decides:  # what is answered is plausible
            inside[np.arange(len(inside)), self.decide(probabilities, classes)] = True
        # thresholds differ by class, so one in the middle may be missing: with it, the set holds the true grade all the more
        begun = np.maximum.accumulate(inside, axis=1)
        to_come = np.maximum.accumulate(inside[:, ::-1], axis=1)[:, ::-1]
        filled: NDArray[np.bool_] = begun & to_come
        return filled

    def listed(self, probabilities: NDArray[np.floating]) -> NDArray[np.int64]:
        return np.arange(len(probabilities))

    def is_sound(self, classes: Sequence[str]) -> bool:
        fits = len(self.boundaries) in (0, len(classes) - 1) and all(0 <= one <= 1 for one in self.boundaries)
        return fits and super().is_sound(classes)


def grades_learned(info: ModelInfo) -> GradeLearned:
    """Return what was learned about a model of grades; empty before anything was."""
    return info.learned if isinstance(info.learned, GradeLearned) else GradeLearned()


def at_least(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return, for each grade but the lowest, the probability (N, grades - 1) of it or a higher one.

    >>> at_least(np.array([[0.5, 0.3, 0.2]])).tolist()
    [[0.5, 0.2]]
    """
    upper: NDArray[np.float64] = probabilities[:, ::-1].astype(np.float64).cumsum(axis=1)[:, -2::-1]
    return upper


def plausibility(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return how plausible each grade is (N, grades): 1 for the most probable one, and less by what lies between it and the others.

    From the most probable grade the neighbour with the greater probability is taken in, again and again; a grade's plausibility is
    1 minus the probability of all that were taken in before it. Grades above any limit are therefore neighbours (ordinal adaptive
    prediction sets: Lu, Angelopoulos, Pomerantz, "Improving trustworthiness of AI disease severity rating in medical imaging with
    ordinal conformal prediction sets", MICCAI 2022).

    >>> plausibility(np.array([[0.1, 0.5, 0.3, 0.1]])).round(3).tolist()
    [[0.2, 1.0, 0.5, 0.1]]
    """
    wide = probabilities.astype(np.float64)
    count, grades = wide.shape
    rows = np.arange(count)
    low = high = wide.argmax(axis=1)
    found = np.zeros_like(wide)
    found[rows, low] = 1.0
    inside = wide[rows, low].copy()
    padded = np.pad(wide, ((0, 0), (1, 1)), constant_values=-1.0)
    for _ in range(grades - 1):
        below, above = padded[rows, low], padded[rows, high + 2]
        down = below >= above
        taken = np.where(down, low - 1, high + 1)
        found[rows, taken] = np.maximum(1 - inside, 0)
        inside += np.where(down, below, above)
        low, high = np.where(down, taken, low), np.where(down, high, taken)
    return found
