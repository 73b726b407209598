"""Evaluate a model of a tree: what is measured of a classifier, level by level, and how deep its answers are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirante.evaluation import metrics as figures
from mirante.evaluation.judgement import Judgement, Setting
from mirante.evaluation.plots.drawing import draw
from mirante.predictions import Predictions
from mirante.tasks.classify.contrasts import one_against_rest
from mirante.tasks.classify.judge import measure, plots
from mirante.tasks.tree.paths import at_level, distances, nodes_of


def judge(predictions: Predictions, setting: Setting) -> Judgement:
    """Measure labelled predictions, and draw."""
    metrics, told = measure(predictions, setting, one_against_rest)
    metrics["tree"] = tree_figures(predictions)
    return Judgement(metrics, draw(plots(predictions, setting, one_against_rest, metrics, told), predictions.classes))


def tree_figures(predictions: Predictions) -> dict[str, Any]:
    """Return what metrics.json holds about the tree.

    levels     level → how many nodes it has, and the share of images whose most probable node at this level is the true one
    severity   the mean over images of how far up the node that holds both answer and truth is, as a share of the way to the root
    wrong      wrong answers; of these siblings, whose class lies right below the same node as the true one, and wrong_at_top, which
               differ from the first level on and are no siblings
    promises   coverage → what it kept, and how deep it was answered
    """
    classes, targets, groups = predictions.classes, predictions.targets, predictions.groups
    depth = nodes_of(classes).depth
    levels = {}
    for level in range(1, depth + 1):
        names, number = np.unique([at_level(name, level) for name in classes], return_inverse=True)
        shares = predictions.probabilities.astype(np.float64) @ np.eye(len(names))[number]
        right = shares.argmax(axis=1) == number[targets]
        confidences = shares.max(axis=1)
        levels[str(level)] = {
            "nodes": len(names),
            "accuracy": figures.share_right(right, groups),
            "ece": figures.calibration_error(np.minimum(confidences, 1.0), right),
        }
    apart = distances(classes)[targets, predictions.predicted]
    deep = np.array([name.count("/") + 1 for name in classes])[targets]
    severity = apart / deep
    parents = np.unique([name.rpartition("/")[0] for name in classes], return_inverse=True)[1]
    siblings = (apart > 0) & (parents[targets] == parents[predictions.predicted])
    return {
        "levels": levels,
        "severity": figures.bootstrap(lambda rows: float(severity[rows].mean()), len(targets), groups),
        "wrong_at_top": int(((apart == deep) & ~siblings).sum()),
        "wrong": int((apart > 0).sum()),
        "siblings": int(siblings.sum()),
        "promises": {
            f"{coverage:g}": _promise(sets, targets, classes, depth, groups)
            for coverage, sets in predictions.prediction_sets.items()
        },
    }


def _promise(
    sets: NDArray[np.bool_],
    targets: NDArray[np.int64],
    classes: tuple[str, ...],
    depth: int,
    groups: Sequence[str] | None,
) -> dict[str, Any]:
    """Return how often the node holds the truth; and by level of the answer, 0 for the root, on how many images and how often."""
    kept = sets[np.arange(len(targets)), targets]
    level, whole = answered_levels(sets, classes)
    by_level = {}
    for one in range(depth + 1):
        here = level == one
        by_level[str(one)] = {
            "images": int(here.sum()),
            "kept": figures.wilson(int(kept[here].sum()), int(here.sum())).to_dict(),
        }
    return {
        "kept": figures.share_right(kept, groups),
        "by_level": by_level,
        "leaves": figures.share_right(whole, groups),
    }


def answered_levels(sets: NDArray[np.bool_], classes: tuple[str, ...]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Return the level (N,) of the deepest node that holds each set, 0 for the root, and whether it is a single class."""
    nodes = nodes_of(classes)
    holding = (nodes.holds.astype(np.float32) @ sets.T.astype(np.float32)) == sets.sum(axis=1)  # (nodes, N)
    level = np.where(holding, nodes.depths[:, None], 0).max(axis=0)
    return level.astype(np.int64), sets.sum(axis=1) == 1
