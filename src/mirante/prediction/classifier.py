"""A trained model that answers: model.onnx in ONNX Runtime, for paths, PIL images and arrays.

Nothing is known here of how it was trained.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mirante.errors import RunError
from mirante.images import Pixels
from mirante.prediction.conformal import plausible
from mirante.prediction.decision import decide
from mirante.prediction.onnx_model import OnnxModel, OtherKindError, Output

if TYPE_CHECKING:
    from mirante.prediction.onnx_model import Picture


@dataclass(frozen=True)
class Prediction:
    """The answer for one image.

    classes        names in the order of the probabilities
    probabilities  (classes,) float, summing to 1
    path           of the image, where it has one
    answered       number of the class that is the answer, where a threshold or unequal classes decide; None is the most probable one
    ood_score    how unlike the training images it is, 0 to 1
    none_of_these  whether that is more than 95% of images of the known classes have: probably it shows something else
    plausible      the classes that a promised coverage asks for (mirante.prediction.conformal), or None without such a promise
    """

    classes: tuple[str, ...]
    probabilities: NDArray[np.float32]
    path: str | None = None
    answered: int | None = None
    ood_score: float = 0.0
    none_of_these: bool = False
    plausible: tuple[str, ...] | None = None

    @property
    def unsure(self) -> bool:
        """Whether the plausible classes are not one: none, or several."""
        return self.plausible is not None and len(self.plausible) != 1

    @property
    def order(self) -> NDArray[np.int64]:
        """Class numbers, the most probable first."""
        return np.argsort(-self.probabilities, kind="stable")

    @property
    def number(self) -> int:
        """The number of the class that is the answer."""
        return int(self.order[0]) if self.answered is None else self.answered

    @property
    def label(self) -> str:
        return self.classes[self.number]

    @property
    def confidence(self) -> float:
        """The probability of the answer; perhaps not the largest, where a threshold or unequal classes decided so."""
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

    def to_dict(self) -> dict[str, object]:
        return {
            "path": self.path,
            "label": self.label,
            "confidence": round(self.confidence, 6),
            "runner_up": self.runner_up,
            "runner_up_confidence": round(self.runner_up_confidence, 6),
            "none_of_these": self.none_of_these,
            "ood_score": round(self.ood_score, 6),
            **({} if self.plausible is None else {"plausible": list(self.plausible), "unsure": self.unsure}),
            "probabilities": {
                name: round(float(share), 6) for name, share in zip(self.classes, self.probabilities, strict=True)
            },
        }


class Classifier(OnnxModel):
    """A model of Mirante, opened from a run folder or from its model.onnx.

    classifier = Classifier("runs/flowers-fast")
    classifier.predict("photo.jpg").label
    """

    def __init__(self, run: str | Path, threads: int = 0) -> None:
        """Open it; raises RunError when it is missing, damaged, of a newer version, or no model of Mirante that knows classes."""
        super().__init__(run, threads)
        if self.info.characters:
            raise OtherKindError(
                f"{self.path}: a model that reads texts, and knows no classes; mirante predict and mirante.Reader open it."
            )

    @property
    def classes(self) -> tuple[str, ...]:
        return self.info.classes

    def predict(self, picture: Picture, coverage: float | None = None) -> Prediction:
        """Return the answer for one image: a path, encoded bytes, a PIL image, or an array uint8 (H, W[, 1, 3 or 4]).

        coverage  also tell the plausible classes, among which the true one is with this probability

        Raises ImageError when it cannot be read, RunError when the model can promise no coverage.
        """
        return next(self.predict_many([picture], coverage))

    def predict_many(self, pictures: Iterable[Picture], coverage: float | None = None) -> Iterator[Prediction]:
        """Yield the answer for each image, in order, in batches; see `predict`. Raises ImageError at the first unreadable one."""
        self.require_coverage(coverage)
        for batch in self.batches(pictures):
            yield from self.answer(batch, coverage)

    def set_threshold(self, threshold: float) -> None:
        """Decide from another probability on than the one that the training chose. Raises RunError for a model without any."""
        if self.info.positive is None:
            raise RunError(
                f"{self.path}: no class of it has a threshold; train it with --sensitivity, --specificity or --cost."
            )
        self.info = replace(self.info, threshold=threshold)

    def require_coverage(self, coverage: float | None) -> None:
        """Raise RunError when a coverage is wanted and the model can promise none."""
        if coverage is not None and not self.info.conformal_thresholds:
            raise RunError(
                f"{self.path}: no coverage can be promised: no images were kept apart when it was trained. Train it again with "
                "validation images, or with --folds."
            )

    def answer(self, batch: list[tuple[str | None, Pixels]], coverage: float | None = None) -> Iterator[Prediction]:
        """Yield the answers for images that already have the input size, each with its path."""
        if batch:
            found = self.run(np.stack([pixels for _, pixels in batch]))
            yield from self.tell(found, [path for path, _ in batch], coverage)

    def tell(self, found: Output, paths: Sequence[str | None], coverage: float | None = None) -> Iterator[Prediction]:
        """Yield what the network's output comes to for each image, with its path."""
        decided = decide(found.probabilities, self.info)
        limit = 1.0 if self.info.ood_threshold is None else self.info.ood_threshold
        sets = None if coverage is None else plausible(found.probabilities, self.info.conformal_thresholds, coverage)
        for row, path in enumerate(paths):
            shares, strange = found.probabilities[row], float(found.ood_score[row])
            names = None
            if sets is not None:
                names = tuple(
                    self.classes[number] for number in np.argsort(-shares, kind="stable") if sets[row, number]
                )
            yield Prediction(self.classes, shares, path, int(decided[row]), strange, strange > limit, names)
