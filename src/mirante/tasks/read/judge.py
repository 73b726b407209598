"""Evaluate a model that reads texts: whole texts, letters, and how sure it can be.

Letters are compared position by position: if the model leaves one out, those after it count as wrong too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mirante.evaluation import metrics as figures
from mirante.evaluation.judgement import Judgement, Setting, curves_plot
from mirante.evaluation.plots.drawing import Plot, Sketch, draw
from mirante.evaluation.plots.probabilities import reliability_diagram
from mirante.images import Pixels
from mirante.locale import Language
from mirante.predictions import Predictions
from mirante.tasks.read.calibrate import ReadLearned, learned_of
from mirante.tasks.read.plots import confused_letters, reading_grid, text_samples

_MOST_PAIRS, _FEW_PAIRS = 20, 5


def judge(predictions: Predictions, setting: Setting) -> Judgement:
    """Measure labelled predictions, and draw."""
    say, images = setting.say, setting.pixels[predictions.rows]
    measured = measure(predictions, learned_of(setting.info))

    def plots() -> Iterator[Sketch | Plot]:
        if setting.history:
            yield from _training_plots(setting)
        yield from _answer_plots(predictions, images, measured, say)
        yield from setting.heatmaps_plot(say("Where the model looked for each letter of a few images."))

    return Judgement(measured, draw(plots(), ()))


def measure(predictions: Predictions, learned: ReadLearned) -> dict[str, Any]:
    """Return everything that metrics.json holds about texts."""
    count, letters, groups = len(predictions), len(predictions.classes), predictions.groups
    targets, read, right = predictions.targets, predictions.predicted, predictions.right
    uncalibrated = predictions.uncalibrated
    there = targets != letters - 1
    lengths = there.sum(axis=1)
    matrix = figures.confusion_matrix(targets.ravel(), read.ravel(), letters)
    sure = predictions.confidences >= learned.sure_from

    return {
        "images": count,
        "classes": list(predictions.classes),
        "accuracy": figures.share_right(right, groups),
        "letters": {
            "count": int(there.sum()),
            "accuracy": figures.wilson(int((read == targets)[there].sum()), int(there.sum())).to_dict(),
            "ece": figures.calibration_error(predictions.probabilities.ravel(), (read == targets).ravel()),
        },
        "ece": figures.bootstrap(
            lambda chosen: figures.calibration_error(predictions.confidences[chosen], right[chosen]),
            count,
            groups,
            biased=True,
        ),
        **(
            {}
            if uncalibrated is None
            else {
                "uncalibrated": {
                    "ece": figures.calibration_error(uncalibrated, right),
                    "reliability": figures.reliability(uncalibrated, right),
                }
            }
        ),
        "reliability": figures.reliability(predictions.confidences, right),
        "selective_accuracy": figures.selective_accuracy(predictions.confidences, right),
        "sure": {
            "from": learned.confidence_threshold,
            "share": figures.wilson(int(sure.sum()), count).to_dict(),
            "accuracy": figures.wilson(int(right[sure].sum()), int(sure.sum())).to_dict(),
        },
        "lengths": {
            str(length): {
                "images": int((lengths == length).sum()),
                **figures.wilson(int(right[lengths == length].sum()), int((lengths == length).sum())).to_dict(),
            }
            for length in np.unique(lengths)
        },
        "per_class": figures.answer_figures(read.ravel(), targets.ravel(), predictions.classes)["per_class"],
        "confusion": matrix.tolist(),
        "confused": _confused(matrix, predictions.classes),
        "intervals": "95%; Wilson for shares, otherwise percentile bootstrap over "
        f"{'images' if groups is None else 'groups'}",
    }


def _confused(matrix: NDArray[np.int64], classes: Sequence[str]) -> list[dict[str, Any]]:
    """Return the pairs of letters most often confused: letter, read as, how often, of how many.

    What happened once is not a pattern: such pairs are listed only if there are no others, and few of them.
    """
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[: _MOST_PAIRS if wrong.max() > 1 else _FEW_PAIRS]
    pairs = [divmod(int(one), len(classes)) for one in order]
    return [
        {
            "letter": classes[row],
            "read": classes[column],
            "count": int(wrong[row, column]),
            "of": int(matrix[row].sum()),
        }
        for row, column in pairs
        if wrong[row, column] >= min(2, wrong.max()) > 0
    ]


def _training_plots(setting: Setting) -> Iterator[Sketch | Plot]:
    dataset, pixels, say = setting.dataset, setting.pixels, setting.say
    sample = np.sort(np.random.default_rng(0).permutation(setting.trained)[:12])
    names = dataset.names
    figure = partial(text_samples, pixels[sample], [names[row] for row in sample], say)
    yield Sketch("samples", figure, say("Grid of training images, each under its text."))
    yield from curves_plot(setting.history, setting.watched, say)


def _answer_plots(
    predictions: Predictions, images: Pixels, measured: dict[str, Any], say: Language
) -> Iterator[Sketch | Plot]:
    right = predictions.right

    def grid(rows: NDArray[np.intp], title: str) -> Callable[[], Figure]:
        shown = predictions.targets[rows], predictions.predicted[rows], predictions.probabilities[rows]
        return partial(
            reading_grid, images[rows], *shown, predictions.confidences[rows], predictions.classes, title, say
        )

    some = np.random.default_rng(0).permutation(len(predictions))[:9]
    alt = say(
        "{right} of {count} images drawn at random are read correctly; bars show the probability of each letter.",
        right=int(right[some].sum()),
        count=len(some),
    )
    yield Sketch("predictions", grid(some, say("Readings of images never seen before")), alt)
    wrong = np.flatnonzero(~right)
    surest = wrong[np.argsort(-predictions.confidences[wrong], kind="stable")][:18]
    if len(surest):
        alt = say("The {count} wrong readings with the highest probability, letter by letter.", count=len(surest))
        yield Sketch("mistakes", grid(surest, say("The most confident mistakes")), alt)
    if measured["confused"]:
        worst = measured["confused"][0]
        alt = say(
            "The letters most often confused; first {letter}, read as {read} {count} times.",
            letter=worst["letter"] or "–",
            read=worst["read"] or "–",
            count=worst["count"],
        )
        yield Sketch("confusion", partial(confused_letters, measured["confused"], say), alt)
    ece, before = measured["ece"]["value"], measured.get("uncalibrated", {}).get("reliability")
    alt = say("Share of right answers against confidence; the calibration error is {ece}.", ece=say.percent(ece))
    yield Sketch("reliability", partial(reliability_diagram, measured["reliability"], ece, before, say), alt)
