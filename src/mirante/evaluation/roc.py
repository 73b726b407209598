"""How well one class is distinguished from the others at every threshold and at the chosen one: ROC, precision and recall, costs.

Images are `wanted` (of the class) or not; `scores` are the probabilities of the class. Bands and intervals are percentile bootstraps
over images, or over groups if there are any; figures at a chosen threshold have exact intervals of the binomial
distribution (Clopper and Pearson 1934).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirante.evaluation.figure import Figure
from mirante.evaluation.metrics import exact, resampled_counts, widened

GRID = np.linspace(0, 1, 101)
ASKED = (0.8, 0.9, 0.95)
"""Sensitivities and specificities at which the other one is given."""

PREVALENCES = (0.01, 0.05, 0.1, 0.2, 0.5)


@dataclass(frozen=True)
class Discrimination:
    """The ROC curve and the precision-recall curve, with their bands.

    false_alarms, sensitivity  the points of the ROC curve, from (0, 0) to (1, 1)
    recall, precision          the points of the other curve
    roc_band, precision_band   (2, 101) the 95% band of sensitivity over GRID of false alarms, of precision over GRID of recall
    figures                    area under the ROC curve, average precision and the like, as metrics.json holds them
    """

    false_alarms: NDArray[np.float64]
    sensitivity: NDArray[np.float64]
    recall: NDArray[np.float64]
    precision: NDArray[np.float64]
    roc_band: NDArray[np.float64]
    precision_band: NDArray[np.float64]
    figures: dict[str, Any]


def discriminate(
    scores: NDArray[np.floating], wanted: NDArray[np.bool_], groups: Sequence[str] | None = None
) -> Discrimination | None:
    """Return how well the scores (N,) distinguish wanted images from the others; None if there is only one kind."""
    if wanted.all() or not wanted.any():
        return None
    order = np.argsort(-scores, kind="stable")
    ends = np.flatnonzero(
        np.append(np.diff(scores[order]) != 0, True)
    )  # images with equal scores cannot be distinguished
    hits, alarms = wanted[order].astype(np.int64), (~wanted[order]).astype(np.int64)

    def look(counts: NDArray[np.int64]) -> tuple[NDArray[np.float64], ...] | None:
        """Return the curves, counting each image this many times, and the values read from them."""
        found, false = np.cumsum(hits * counts[order])[ends], np.cumsum(alarms * counts[order])[ends]
        if found[-1] == 0 or false[-1] == 0:
            return None
        tpr = np.concatenate([[0.0], found / found[-1]])
        fpr = np.concatenate([[0.0], false / false[-1]])
        precision = found / np.maximum(found + false, 1)
        best = np.maximum.accumulate(precision[::-1])[::-1]  # at this recall or more
        roc = tpr[np.searchsorted(fpr, GRID + 1e-12, side="right") - 1]
        curve = best[np.minimum(np.searchsorted(tpr[1:], GRID - 1e-12), len(best) - 1)]
        values = [
            float((np.diff(fpr) * (tpr[1:] + tpr[:-1]) / 2).sum()),
            float((np.diff(tpr) * precision).sum()),
            *(float(tpr[np.searchsorted(fpr, 1 - asked + 1e-12, side="right") - 1]) for asked in ASKED),
            *(float(1 - fpr[np.searchsorted(tpr, asked - 1e-12)]) for asked in ASKED),
        ]
        return tpr, fpr, tpr[1:], precision, roc, curve, np.array(values)

    whole = look(np.ones(len(scores), dtype=np.int64))
    assert whole is not None
    tpr, fpr, recall, precision, _, _, values = whole
    again = [one for counts in resampled_counts(len(scores), groups) if (one := look(counts)) is not None]
    low, high = np.quantile([one[6] for one in again], [0.025, 0.975], axis=0)
    sides = len(ASKED)
    found, others = (_units(groups, rows) for rows in (wanted, ~wanted))
    units = [min(found, others), found, *[found] * sides, *[others] * sides]
    figures = [
        widened(Figure(*map(float, one)), count).to_dict() for *one, count in zip(values, low, high, units, strict=True)
    ]
    return Discrimination(
        fpr,
        tpr,
        recall,
        precision,
        np.quantile([one[4] for one in again], [0.025, 0.975], axis=0),
        np.quantile([one[5] for one in again], [0.025, 0.975], axis=0),
        {
            "images": int(wanted.sum()),
            "others": int((~wanted).sum()),
            "roc_area": figures[0],
            "average_precision": figures[1],
            "sensitivity_at_specificity": {
                f"{asked:g}": one for asked, one in zip(ASKED, figures[2 : 2 + sides], strict=True)
            },
            "specificity_at_sensitivity": {
                f"{asked:g}": one for asked, one in zip(ASKED, figures[2 + sides :], strict=True)
            },
        },
    )


def _units(groups: Sequence[str] | None, rows: NDArray[np.bool_]) -> int:
    return int(rows.sum()) if groups is None else len(set(np.array(groups)[rows]))


def decisions(decided: NDArray[np.bool_], wanted: NDArray[np.bool_], prevalence: float | None) -> dict[str, Any]:
    """Return the results of the decisions (N,): the four counts, shares with exact intervals, predictive values by prevalence.

    prevalence  share of wanted images where the model will be used; added to the usual ones if given
    """
    found, missed = int((decided & wanted).sum()), int((~decided & wanted).sum())
    alarms, peace = int((decided & ~wanted).sum()), int((~decided & ~wanted).sum())
    sensitivity, specificity = exact(found, found + missed), exact(peace, peace + alarms)
    asked = PREVALENCES if prevalence is None else sorted({*PREVALENCES, prevalence})
    return {
        "true_positives": found,
        "false_negatives": missed,
        "false_positives": alarms,
        "true_negatives": peace,
        "sensitivity": sensitivity.to_dict(),
        "specificity": specificity.to_dict(),
        "positive_predictive_value": exact(found, found + alarms).to_dict(),
        "negative_predictive_value": exact(peace, peace + missed).to_dict(),
        "by_prevalence": [
            {"prevalence": share, **predictive_values(sensitivity.value, specificity.value, share)} for share in asked
        ],
    }


def predictive_values(sensitivity: float, specificity: float, prevalence: float) -> dict[str, float]:
    """Return the predictive values of a positive and a negative answer at this prevalence (Bayes).

    >>> values = predictive_values(0.9, 0.9, 0.01)
    >>> round(values["positive"], 3), round(values["negative"], 3)
    (0.083, 0.999)
    """
    found, alarms = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    peace, missed = specificity * (1 - prevalence), (1 - sensitivity) * prevalence
    return {
        "positive": found / (found + alarms) if found + alarms else math.nan,
        "negative": peace / (peace + missed) if peace + missed else math.nan,
    }


def net_benefit(
    scores: NDArray[np.floating], wanted: NDArray[np.bool_], thresholds: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the net benefit of deciding at each threshold, in found images per image (Vickers and Elkin 2006).

    At a threshold t, a false alarm costs t / (1 - t) of what a found image is worth. Scores of 1 mean deciding for all.
    """
    count = len(scores)
    positive = np.sort(scores[wanted]), int(wanted.sum())
    negative = np.sort(scores[~wanted]), int((~wanted).sum())
    found = positive[1] - np.searchsorted(positive[0], thresholds)
    alarms = negative[1] - np.searchsorted(negative[0], thresholds)
    benefit: NDArray[np.float64] = found / count - alarms / count * thresholds / (1 - thresholds)
    return benefit
