"""The same figures for parts of the images (such as hospitals), and which parts differ from the others beyond chance."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirante.auroc import auroc
from mirante.evaluation.metrics import resampled_counts
from mirante.tasks.classify.contrasts import Contrast

LEAST, MOST = 10, 30
"""The least images that a part needs to be shown, and the most parts shown, the largest first."""


def figures_by_subgroup(
    parts: Sequence[str],
    right: NDArray[np.bool_],
    positive: Contrast | None,
    groups: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Return part → its images and figures, each with its interval and whether it differs from that of all others.

    A figure differs when the interval of the difference excludes 0, at 95% over all parts together (Bonferroni); intervals are
    percentile bootstraps, over groups if there are any. Parts with few images have no figures.
    """
    names, numbers, counts = np.unique(np.array(parts), return_inverse=True, return_counts=True)
    told = [int(one) for one in np.argsort(-counts, kind="stable") if counts[one] >= LEAST][:MOST]
    statistics: dict[str, Callable[[NDArray[np.int64]], float]] = {"accuracy": lambda rows: _mean(right[rows])}
    if positive is not None:
        wanted, scores, alarm = positive.wanted, positive.scores, positive.answered
        statistics["roc_area"] = lambda rows: auroc(scores[rows], wanted[rows])
        statistics["sensitivity"] = lambda rows: _mean(alarm[rows][wanted[rows]])
        statistics["specificity"] = lambda rows: _mean(~alarm[rows][~wanted[rows]])
    draws = [np.repeat(np.arange(len(right)), drawn) for drawn in resampled_counts(len(right), groups)]
    found: dict[str, Any] = {
        str(names[one]): {"images": int(counts[one])} for one in np.argsort(-counts, kind="stable") if one not in told
    }
    tail = 0.025 / max(1, len(told))
    for part in told:
        inside = numbers == part
        entry: dict[str, Any] = {"images": int(counts[part])}
        for name, statistic in statistics.items():
            pairs = np.array([(statistic(rows[inside[rows]]), statistic(rows[~inside[rows]])) for rows in draws])
            low, high = _quantiles(pairs[:, 0], 0.025)
            least, most = _quantiles(pairs[:, 0] - pairs[:, 1], tail)
            entry[name] = {
                "value": statistic(np.flatnonzero(inside)),
                "low": low,
                "high": high,
                "differs": bool(least > 0 or most < 0),
            }
        found[str(names[part])] = entry
    return dict(sorted(found.items(), key=lambda one: -one[1]["images"]))


def _quantiles(values: NDArray[np.float64], tail: float) -> tuple[float, float]:
    values = values[~np.isnan(values)]
    if not len(values):
        return math.nan, math.nan
    low, high = np.quantile(values, [tail, 1 - tail])
    return float(low), float(high)


def _mean(values: NDArray[np.bool_]) -> float:
    return float(values.mean()) if len(values) else math.nan
