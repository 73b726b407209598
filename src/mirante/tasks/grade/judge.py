"""Evaluate a model of grades: what is measured of a classifier, and how far its answers are from the truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mirante.evaluation import metrics as figures
from mirante.evaluation.judgement import Judgement, Setting
from mirante.evaluation.plots.drawing import Plot, Sketch, draw
from mirante.evaluation.plots.style import BLUE, GREY, new_figure, tidy
from mirante.evaluation.roc import decisions
from mirante.locale import Language
from mirante.predictions import Predictions
from mirante.tasks.classify.contrasts import Contrast, Contrasts
from mirante.tasks.classify.judge import measure, plots
from mirante.tasks.grade.decision import at_least, grades_learned


def boundary(grade: str) -> str:
    """Return the name of a grade and those above it."""
    return f"≥ {grade}"


def boundaries_of(predictions: Predictions, setting: Setting) -> Contrasts:
    """Return, for each grade but the lowest, it and those above it against those below."""
    classes, positive = predictions.classes, setting.objectives.positive
    upper, answers = at_least(predictions.probabilities), predictions.given
    found = {
        boundary(name): Contrast(upper[:, number - 1], predictions.targets >= number, answers >= number)
        for number, name in enumerate(classes)
        if number
    }
    thresholds = grades_learned(setting.info).boundaries
    chosen = thresholds[classes.index(positive) - 1] if positive is not None and thresholds else None
    return Contrasts(found, None if positive is None else boundary(positive), chosen)


def judge(predictions: Predictions, setting: Setting) -> Judgement:
    """Measure labelled predictions, and draw."""
    metrics, told = measure(predictions, setting, boundaries_of)
    targets, groups, say = predictions.targets, predictions.groups, setting.say
    answers = predictions.given
    metrics["grades"] = {
        **distance_figures(predictions.predicted, targets, len(predictions.classes), groups),
        "by_distance": by_distance(predictions.predicted, targets, len(predictions.classes), groups),
    }
    learned = grades_learned(setting.info)
    if learned.boundaries:
        contrasts = boundaries_of(predictions, setting)
        metrics["grades"]["answers"] = {
            "accuracy": figures.share_right(answers == targets, groups),
            **distance_figures(answers, targets, len(predictions.classes), groups),
        }
        metrics["grades"]["boundaries"] = {
            name: {"threshold": threshold, **_sides(one)}
            for (name, one), threshold in zip(contrasts.by_name.items(), learned.boundaries, strict=True)
        }
    own = _own_plots(metrics, say)
    return Judgement(metrics, draw(plots(predictions, setting, boundaries_of, metrics, told, own), predictions.classes))


def distance_figures(
    answers: NDArray[np.int64], targets: NDArray[np.int64], grades: int, groups: Sequence[str] | None
) -> dict[str, dict[str, float]]:
    """Return quadratic weighted kappa and the mean absolute error in grades, each with its interval."""
    gaps = np.abs(answers - targets)
    return {
        "quadratic_weighted_kappa": figures.bootstrap(
            lambda rows: quadratic_weighted_kappa(answers[rows], targets[rows], grades), len(targets), groups
        ),
        "mean_absolute_error": figures.bootstrap(lambda rows: float(gaps[rows].mean()), len(targets), groups),
    }


def quadratic_weighted_kappa(answers: NDArray[np.int64], targets: NDArray[np.int64], grades: int) -> float:
    """Return the agreement beyond chance, mistakes weighing as the square of their distance (Cohen 1968); 1 is perfect.

    Not a number where chance alone would make no mistake: all answers and all labels are of one grade.

    >>> quadratic_weighted_kappa(np.array([0, 1, 2, 2]), np.array([0, 1, 2, 2]), 3)
    1.0
    """
    counts = figures.confusion_matrix(targets, answers, grades).astype(np.float64)
    weights = (np.arange(grades)[:, None] - np.arange(grades)) ** 2
    chance = np.outer(counts.sum(axis=1), counts.sum(axis=0)) / max(1.0, counts.sum())
    expected = float((weights * chance).sum())
    return 1 - float((weights * counts).sum()) / expected if expected else float("nan")


def by_distance(
    answers: NDArray[np.int64], targets: NDArray[np.int64], grades: int, groups: Sequence[str] | None
) -> dict[str, dict[str, Any]]:
    """Return how many grades too low (-) or too high (+) → images, and their share with its interval."""
    gaps = answers - targets
    return {
        f"{gap:+d}" if gap else "0": {"images": int((gaps == gap).sum()), **figures.share_right(gaps == gap, groups)}
        for gap in range(1 - grades, grades)
    }


def _sides(one: Contrast) -> dict[str, Any]:
    if one.wanted.all() or not one.wanted.any():
        return {}
    found = decisions(one.answered, one.wanted, None)
    return {key: found[key] for key in ("sensitivity", "specificity")}


def _own_plots(metrics: dict[str, Any], say: Language) -> Iterator[Sketch | Plot]:
    found = metrics["grades"]["by_distance"]
    near = sum(found[one]["value"] for one in ("-1", "0", "+1") if one in found)
    alt = say(
        "Share of images by how many grades the answer is too low or too high; {share} are at most one off.",
        share=say.percent(near),
    )
    yield Sketch("distances", partial(_distances, found, say), alt)


def _distances(found: dict[str, dict[str, float]], say: Language) -> Figure:
    figure = new_figure(7.0, 3.6)
    axes = figure.subplots()
    names, values = list(found), [one["value"] for one in found.values()]
    spread = [
        [one["value"] - one["low"] for one in found.values()],
        [one["high"] - one["value"] for one in found.values()],
    ]
    colours = [BLUE if name == "0" else GREY for name in names]
    axes.bar(names, values, color=colours, yerr=np.maximum(spread, 0), ecolor="black", capsize=3)
    axes.set_xlabel(say("Grades too low (−) or too high (+)"))
    axes.set_ylabel(say("Share of the images"))
    axes.yaxis.set_major_formatter(lambda value, _: say.percent(value, 0))
    tidy(axes)
    return figure
