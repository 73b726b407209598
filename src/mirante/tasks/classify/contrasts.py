"""Images of one side against those of the other, where a threshold decides between them: a class and all others, for example."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mirante.evaluation.judgement import Setting
from mirante.predictions import Predictions
from mirante.tasks.classify.decision import learned_of


@dataclass(frozen=True)
class Contrast:
    """One side of N images against the other.

    scores    (N,) probability that an image is on this side
    wanted    (N,) whether it is
    answered  (N,) whether the model says so
    """

    scores: NDArray[np.floating]
    wanted: NDArray[np.bool_]
    answered: NDArray[np.bool_]


@dataclass(frozen=True)
class Contrasts:
    """By name; `positive` names the one that decisions are about, if there is one, and `threshold` is its threshold."""

    by_name: dict[str, Contrast]
    positive: str | None = None
    threshold: float | None = None


def one_against_rest(predictions: Predictions, setting: Setting) -> Contrasts:
    """Return each class against all others; of two, only the positive one."""
    classes, positive, learned = predictions.classes, setting.objectives.positive, learned_of(setting.info)
    answers = predictions.given
    found = {
        name: Contrast(predictions.probabilities[:, number], predictions.targets == number, answers == number)
        for number, name in enumerate(classes)
        if len(classes) > 2 or name == positive
    }
    return Contrasts(found, learned.positive or positive, None if learned.positive is None else learned.threshold)


Contrasting = Callable[[Predictions, Setting], Contrasts]
"""What a task contrasts."""
