"""From probabilities to one class: the most probable, or another that a threshold or very unequal classes call for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mirante.prediction.conformal import prediction_sets
from mirante.task import Learned

if TYPE_CHECKING:
    from mirante.model_info import ModelInfo


@dataclass(frozen=True)
class ClassifyLearned(Learned):
    """What was learned about a classifier from held-out images.

    conformal_thresholds  the lowest probability of a class in the prediction set, by class and coverage
                  (mirante.prediction.conformal); or empty
    ood_threshold  images with a higher score are probably none of the classes; None if not known
    positive       the class that is answered whenever its probability reaches `threshold`; None answers the most probable class
    threshold      threshold of its probability
    class_weights  by class, factors applied to probabilities before the largest is chosen, if classes are very
                   unequal; else empty. The reported probabilities are unchanged
    """

    conformal_thresholds: tuple[tuple[float, ...], ...] = ()
    ood_threshold: float | None = None
    positive: str | None = None
    threshold: float | None = None
    class_weights: tuple[float, ...] = ()

    @property
    def ood_limit(self) -> float:
        """The OOD score above which an image is none of the classes; no score is above 1."""
        return 1.0 if self.ood_threshold is None else self.ood_threshold

    @property
    def decides(self) -> bool:
        """Whether something other than the most probable class can be the answer."""
        return self.positive is not None or bool(self.class_weights)

    def decide(self, probabilities: NDArray[np.floating], classes: Sequence[str]) -> NDArray[np.int64]:
        """Return the class number that is answered for each row of probabilities (N, classes).

        The most probable one, or the one whose probability times its weight is largest; with a positive class, that one at or above
        the threshold, and below it the most probable of the others.
        """
        if self.positive is None:
            best: NDArray[np.int64] = (probabilities * np.array(self.class_weights or 1.0)).argmax(axis=1)
            return best
        positive = classes.index(self.positive)
        others = probabilities.astype(np.float64)
        others[:, positive] = -1
        return np.where(probabilities[:, positive] >= (self.threshold or 0.0), positive, others.argmax(axis=1))

    def in_python(self, classes: Sequence[str]) -> str:
        """Return the number of the answered class as a Python expression, given `probabilities` (classes,) of one image."""
        if self.positive is None:
            weights = ", ".join(f"{one:.6g}" for one in self.class_weights)
            return f"int((probabilities * [{weights}]).argmax())"
        number = classes.index(self.positive)
        best = f"max(range({len(classes)}), key=lambda n: probabilities[n] if n != {number} else -1)"
        return f"{number} if probabilities[{number}] >= {self.threshold!r} else {best}"

    @property
    def promises_coverage(self) -> bool:
        """Whether prediction sets with guaranteed coverage are available."""
        return bool(self.conformal_thresholds)

    def sets(self, probabilities: NDArray[np.floating], classes: Sequence[str], coverage: float) -> NDArray[np.bool_]:
        """Return which classes (N, classes) are in each prediction set, so that the true one is in `coverage` of the cases."""
        return prediction_sets(probabilities, self.conformal_thresholds, coverage)

    def listed(self, probabilities: NDArray[np.floating]) -> NDArray[np.int64]:
        """Return the class numbers of one image (classes,) in the order in which a prediction set lists them."""
        order: NDArray[np.int64] = np.argsort(-probabilities, kind="stable")
        return order

    def is_sound(self, classes: Sequence[str]) -> bool:
        sound = all(len(one) in (0, len(classes)) for one in (self.conformal_thresholds, self.class_weights))
        if self.positive is not None:
            sound = sound and self.positive in classes and 0 <= float(self.threshold or 0) <= 1
        return sound and super().is_sound(classes)


def learned_of(info: ModelInfo) -> ClassifyLearned:
    """Return what was learned about a classifier; empty before anything was."""
    return info.learned if isinstance(info.learned, ClassifyLearned) else ClassifyLearned()


def even_out(counts: NDArray[np.int64]) -> tuple[float, ...]:
    """Return the factors for probabilities that make rare classes be answered more often; counts (classes,) of images.

    The square root of how much rarer than the mean a class is (Menon et al., "Long-tail learning via logit adjustment", ICLR
    2021, with a strength of one half): benchmarks/unequal.py compares strengths, and a training that is itself balanced.
    """
    weights: list[float] = np.sqrt(counts.mean() / np.maximum(counts, 1)).tolist()
    return tuple(weights)


def decide(probabilities: NDArray[np.floating], info: ModelInfo) -> NDArray[np.int64]:
    """Return the class number that a model answers for each row of probabilities (N, classes)."""
    return learned_of(info).decide(probabilities, info.classes)
