"""What a model says about the labels of one image: each with its probability, and which of them it has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirante.data.several import join
from mirante.model_info import ModelInfo
from mirante.prediction.conformal import labels_in_sets
from mirante.prediction.onnx_model import Output
from mirante.tasks.tag.calibrate import confidence_of, decide, learned_of, thresholds_of
from mirante.timeline import Track


@dataclass(frozen=True, eq=False)
class Tags:
    """The answer for one image.

    classes        names of the labels, in the order of the probabilities
    probabilities  (labels,) float, each from 0 to 1: that the image has the label
    decided        (labels,) 1 for the labels that it is said to have
    confidence     the probability that all labels are decided rightly
    path           of the image, if it has one
    ood_score      how unlike the training images it is, 0 to 1
    none_of_these  whether that is more than for 95% of images like them: it probably shows something else
    prediction_set  labels that include the given share of those that the image has, on average; None if no coverage was asked for
    """

    classes: tuple[str, ...]
    probabilities: NDArray[np.float32]
    decided: NDArray[np.int64]
    confidence: float
    path: str | None = None
    ood_score: float = 0.0
    none_of_these: bool = False
    prediction_set: tuple[str, ...] | None = None

    @property
    def order(self) -> NDArray[np.int64]:
        """Numbers of the labels, the most probable first."""
        return np.argsort(-self.probabilities, kind="stable")

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels that the image is said to have, the most probable first."""
        return tuple(self.classes[number] for number in self.order if self.decided[number])

    @property
    def label(self) -> str:
        """Its labels as one text: `cat|dog`; empty when it has none."""
        return join(self.labels)

    def share_of(self, label: str) -> float:
        """Return the probability of a label."""
        return float(self.probabilities[self.classes.index(label)])

    def _repr_html_(self) -> str:
        """Return how it shows itself in a notebook: a bar for each label."""
        from mirante import notebook
        from mirante.locale import language

        say = language(None)
        unlike = [notebook.text(say("unlike the training images"), strong=True)] if self.none_of_these else []
        shares = [(self.classes[number], float(self.probabilities[number])) for number in self.order[:10]]
        return notebook.block(*unlike, notebook.bars(shares, self.labels, say))

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as JSON and the server give it."""
        sets = {} if self.prediction_set is None else {"prediction_set": list(self.prediction_set)}
        return {
            "path": self.path,
            "labels": list(self.labels),
            "confidence": round(self.confidence, 6),
            "none_of_these": self.none_of_these,
            "ood_score": round(self.ood_score, 6),
            **sets,
            "probabilities": {
                name: round(float(share), 6) for name, share in zip(self.classes, self.probabilities, strict=True)
            },
        }


def tags_of(output: Output, info: ModelInfo, paths: Sequence[str | None], coverage: float | None) -> Iterator[Tags]:
    """Yield the answer from a network's output for each image, with its path."""
    learned, shares = learned_of(info), output.probabilities
    decided = decide(shares, info)
    sure = confidence_of(shares, decided, info)
    sets = None if coverage is None else labels_in_sets(shares, learned.risk_thresholds, coverage)
    for row, path in enumerate(paths):
        names = None
        if sets is not None:
            order = np.argsort(-shares[row], kind="stable")
            names = tuple(info.classes[number] for number in order if sets[row, number])
        score = float(output.ood_scores[row])
        strange = score > learned.ood_limit
        yield Tags(info.classes, shares[row], decided[row], float(sure[row]), path, score, strange, names)


def tracks_of(answers: Sequence[Tags], info: ModelInfo) -> list[Track]:
    """Return what the answers for the frames of a film say: of each label, whether it is there.

    They are weighed so that the threshold of a label counts as one half.
    """
    tracks = []
    for number, (name, threshold) in enumerate(zip(info.classes, thresholds_of(info), strict=True)):
        shares = np.array([one.probabilities[number] for one in answers], np.float64)
        middle = min(max(threshold, 1e-3), 1 - 1e-3)
        odds = shares / np.maximum(1 - shares, 1e-9) * (1 - middle) / middle
        there = odds / (1 + odds)
        both = (np.stack([one, 1 - one], axis=1) for one in (shares, there))
        tracks.append(Track((name, None), *both))
    return tracks
