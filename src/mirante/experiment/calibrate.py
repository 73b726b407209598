"""What is learned from the answers to images that a network was not trained on: its temperature, a threshold."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mirante import runfolder
from mirante.data.dataset import Dataset
from mirante.data.notes import unequal_classes
from mirante.errors import RunError
from mirante.evaluation.judge import Answers, set_column
from mirante.experiment.objectives import Objectives
from mirante.images import Pixels
from mirante.prediction.calibration import fit_calibration, softmax
from mirante.prediction.classifier import Classifier
from mirante.prediction.conformal import fit_thresholds, plausible
from mirante.prediction.decision import choose_threshold, decide, even_out
from mirante.prediction.onnx_model import Output
from mirante.prediction.out_of_distribution import fit_ood_threshold
from mirante.runfolder import ModelInfo

CALIBRATED = 5000
"""Validation images that are learned from, at most."""

PROMISED = (0.8, 0.9, 0.95, 0.99)
"""The coverages whose prediction sets are judged."""


@dataclass(frozen=True)
class HeldOut:
    """What networks say of images that they were not trained on.

    rows         (N,) of the data set
    logits       (N, classes)
    ood_score  (N,)
    folds        (N,) number of the fold of each image, where a network of its own answered each fold; else None
    """

    rows: NDArray[np.int64]
    logits: NDArray[np.float32]
    ood_score: NDArray[np.float32]
    folds: NDArray[np.int64] | None = None

    def only(self, chosen: NDArray[np.bool_]) -> HeldOut:
        """Return what is known of some of the images."""
        return HeldOut(self.rows[chosen], self.logits[chosen], self.ood_score[chosen])


def learn_from(known: HeldOut, dataset: Dataset, info: ModelInfo, plan: Objectives) -> ModelInfo:
    """Return the model with what these answers teach; unchanged without any."""
    labels = dataset.labels[known.rows]
    if not len(labels):
        return info
    temperature, vectors = fit_calibration(known.logits, labels)
    info = replace(info, temperature=temperature)
    if vectors is not None:
        info = replace(info, scales=tuple(vectors[0].tolist()), shifts=tuple(vectors[1].tolist()))
    probabilities = calibrated(known.logits, info)
    groups = None if dataset.groups is None else [dataset.groups[row] for row in known.rows]
    info = replace(info, conformal_thresholds=fit_thresholds(probabilities, labels, groups))
    if known.ood_score.any():
        info = replace(info, ood_threshold=fit_ood_threshold(known.ood_score))
    if plan.aim is not None and plan.positive is not None:
        number = info.classes.index(plan.positive)
        threshold = choose_threshold(probabilities[:, number], labels == number, plan.aim)
        info = replace(info, positive=plan.positive, threshold=threshold)
    elif plan.even and unequal_classes(info.classes, dataset.labels):
        info = replace(info, class_weights=even_out(np.bincount(dataset.labels, minlength=len(info.classes))))
    return info


def calibrated(logits: NDArray[np.float32], info: ModelInfo) -> NDArray[np.float32]:
    """Return the probabilities (N, classes) that a model gives for logits (N, classes)."""
    scales, shifts = info.calibration
    return softmax(logits * scales + shifts)


def answers_of(classifier: Classifier, dataset: Dataset, pixels: Pixels, rows: NDArray[np.int64]) -> Answers:
    """Return what a finished model answers for these rows of the data set."""
    return answers_from(classifier.run(pixels[rows]), rows, classifier.info)


def answers_from(found: Output, rows: NDArray[np.int64], info: ModelInfo) -> Answers:
    """Return what a model's output for these rows of the data set comes to."""
    return Answers(
        rows,
        found.probabilities,
        decide(found.probabilities, info),
        softmax(found.logits),
        found.ood_score > (1.0 if info.ood_threshold is None else info.ood_threshold),
        sets=sets_of(found.probabilities, info),
    )


def sets_of(probabilities: NDArray[np.float32], info: ModelInfo) -> dict[float, NDArray[np.bool_]]:
    """Return coverage promised → which classes (N, classes) are plausible; empty where nothing can be promised."""
    return (
        {one: plausible(probabilities, info.conformal_thresholds, one) for one in PROMISED}
        if info.conformal_thresholds
        else {}
    )


def answers_across(known: HeldOut, dataset: Dataset, info: ModelInfo, plan: Objectives) -> Answers:
    """Return the answers to all folds; what the answers of one fold are made with was learned from the other folds."""
    assert known.folds is not None
    raw = softmax(known.logits)
    probabilities, decided, strange = np.empty_like(raw), np.empty(len(raw), np.int64), np.zeros(len(raw), bool)
    sets = {one: np.empty(raw.shape, bool) for one in PROMISED}
    for fold in np.unique(known.folds):
        mine = known.folds == fold
        learned = learn_from(known.only(~mine), dataset, info, plan)
        probabilities[mine] = calibrated(known.logits[mine], learned)
        decided[mine] = decide(probabilities[mine], learned)
        strange[mine] = known.ood_score[mine] > (1.0 if learned.ood_threshold is None else learned.ood_threshold)
        for coverage, found in sets_of(probabilities[mine], learned).items():
            sets[coverage][mine] = found
    return Answers(known.rows, probabilities, decided, raw, strange, known.folds, sets)


def _members(text: str, classes: tuple[str, ...]) -> list[bool]:
    names = set(json.loads(text))
    return [name in names for name in classes]


def answers_read(run: Path, dataset: Dataset, info: ModelInfo) -> Answers:
    """Return the answers to all folds as the run's predictions.csv holds them: the networks that gave them are gone.

    Raises RunError when the file is missing or damaged, or does not hold the images of the data set.
    """
    lines = list(csv.DictReader(io.StringIO(runfolder.read_text(run, runfolder.PREDICTIONS))))
    numbers = {path: row for row, path in enumerate(dataset.paths)}
    try:
        rows = np.array([numbers[line["path"]] for line in lines])
        probabilities = np.array([[float(line[name]) for name in info.classes] for line in lines], dtype=np.float32)
        named = "decision" if info.decides else "predicted"
        decided = np.array([info.classes.index(line[named]) for line in lines])
        folds = np.array([int(line["fold"]) - 1 for line in lines])
        strange = np.array([line["none_of_these"] == "1" for line in lines])
        sets = {one: np.array([_members(line[set_column(one)], info.classes) for line in lines]) for one in PROMISED}
    except (KeyError, ValueError, TypeError) as error:
        raise RunError(
            f"{run / runfolder.PREDICTIONS}: damaged, or not of these data; restore it or train again."
        ) from error
    return Answers(rows, probabilities, decided, None, strange, folds, sets)
