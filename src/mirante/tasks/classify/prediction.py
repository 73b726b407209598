"""What a classifier says about one image: every class with its probability, and how far to rely on that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirante.model_info import ModelInfo
from mirante.prediction.onnx_model import Output
from mirante.tasks.classify.decision import decide, learned_of
from mirante.timeline import Track


@dataclass(frozen=True, eq=False)
class Prediction:
    """The answer for one image.

    classes        names in the order of the probabilities
    probabilities  (classes,) float, summing to 1
    path           of the image, if it has one
    answered       number of the answered class, if a threshold or unequal classes decide; None for the most probable one
    ood_score    how unlike the training images it is, 0 to 1
    none_of_these  whether that is more than for 95% of images of the known classes: it probably shows something else
    prediction_set  classes that include the true one with the coverage asked for; None if none was asked for
    """

    classes: tuple[str, ...]
    probabilities: NDArray[np.float32]
    path: str | None = None
    answered: int | None = None
    ood_score: float = 0.0
    none_of_these: bool = False
    prediction_set: tuple[str, ...] | None = None

    @property
    def unsure(self) -> bool:
        """Whether the prediction set is not one class: none, or several."""
        return self.prediction_set is not None and len(self.prediction_set) != 1

    @property
    def order(self) -> NDArray[np.int64]:
        """Class numbers, the most probable first."""
        return np.argsort(-self.probabilities, kind="stable")

    @property
    def number(self) -> int:
        """The number of the nearest class."""
        return int(self.order[0]) if self.answered is None else self.answered

    @property
    def label(self) -> str | None:
        """The answer; None when the image seems to be none of the classes."""
        return None if self.none_of_these else self.nearest

    @property
    def confidence(self) -> float | None:
        """The probability of the answer; None without one. Not always the largest, if a threshold or unequal classes decided."""
        return None if self.none_of_these else self.nearest_confidence

    @property
    def nearest(self) -> str:
        """The class that is the answer, or would be if the image were one of them."""
        return self.classes[self.number]

    @property
    def nearest_confidence(self) -> float:
        """The probability of the nearest class, given that the image is one of the classes."""
        return float(self.probabilities[self.number])

    @property
    def _second(self) -> int:
        return int(next(number for number in self.order if number != self.number))

    @property
    def runner_up(self) -> str:
        return self.classes[self._second]

    @property
    def runner_up_confidence(self) -> float:
        return float(self.probabilities[self._second])

    def _repr_html_(self) -> str:
        """Return how it shows itself in a notebook: a bar for each class."""
        from mirante import notebook
        from mirante.locale import language

        say = language(None)
        unlike = say("It looks unlike any training image: probably none of these classes.")
        shares = [(self.classes[number], float(self.probabilities[number])) for number in self.order[:10]]
        return notebook.block(
            *([notebook.text(unlike, strong=True)] if self.none_of_these else []),
            notebook.bars(shares, [] if self.none_of_these else [self.nearest], say),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as JSON and the server give it."""
        return {
            "path": self.path,
            "label": self.label,
            "confidence": None if self.confidence is None else round(self.confidence, 6),
            "nearest": self.nearest,
            "nearest_confidence": round(self.nearest_confidence, 6),
            "runner_up": self.runner_up,
            "runner_up_confidence": round(self.runner_up_confidence, 6),
            "none_of_these": self.none_of_these,
            "ood_score": round(self.ood_score, 6),
            **(
                {}
                if self.prediction_set is None
                else {"prediction_set": list(self.prediction_set), "unsure": self.unsure}
            ),
            "probabilities": {
                name: round(float(share), 6) for name, share in zip(self.classes, self.probabilities, strict=True)
            },
        }


def predictions_of(
    output: Output,
    info: ModelInfo,
    paths: Sequence[str | None],
    coverage: float | None,
    kind: type[Prediction] = Prediction,
) -> Iterator[Prediction]:
    """Yield the prediction from a network's output for each image, with its path; of another kind for tasks with their own."""
    learned, shares = learned_of(info), output.probabilities
    decided = decide(shares, info)
    strange = output.ood_scores > learned.ood_limit
    sets = None if coverage is None else learned.sets(shares, info.classes, coverage)
    for row, path in enumerate(paths):
        names = None
        if sets is not None:
            names = tuple(info.classes[number] for number in learned.listed(shares[row]) if sets[row, number])
        score = float(output.ood_scores[row])
        yield kind(info.classes, shares[row], path, int(decided[row]), score, bool(strange[row]), names)


_STRANGE = 0.8  # how probable it is that a frame shows none of the classes, when it looks so
_FAMILIAR = 0.02  # and when it does not


def track_of(answers: Sequence[Prediction]) -> Track:
    """Return what the predictions for the frames of a film say: each class, or none of them.

    Where a threshold or weights answer another class than the most probable one, the two are weighed as if they had changed places.
    """
    shares = np.stack([one.probabilities for one in answers])
    strange = np.array([[one.none_of_these] for one in answers], shares.dtype)
    weighed, rows = shares.copy(), np.arange(len(shares))
    answered, likely = np.array([one.number for one in answers]), shares.argmax(axis=1)
    weighed[rows, answered], weighed[rows, likely] = shares[rows, likely], shares[rows, answered]
    none = np.where(strange > 0, _STRANGE, _FAMILIAR)
    return Track(
        (*answers[0].classes, None),
        np.concatenate([shares, strange], axis=1),
        np.concatenate([weighed * (1 - none), none], axis=1),
    )
