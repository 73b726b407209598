"""The figures of each label in parts of the images (such as views or hospitals), and how much of a label the part alone tells.

Where one part has a label far more often than another, a model can answer by the part and still look good over all images. So for
each label there are: how often the part has it, the area under the ROC curve within the part, and the area that is reached by
knowing the part and nothing of the image.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mirante.auroc import auroc
from mirante.evaluation.metrics import bootstrap

LEAST, MOST = 10, 30
"""The images with a label and without it that a part needs to have an area, and the most parts shown, the largest first."""


def figures_by_subgroup(
    parts: Sequence[str],
    probabilities: NDArray[np.floating],
    targets: NDArray[np.int64],
    classes: Sequence[str],
    judged: Sequence[int],
    groups: Sequence[str] | None = None,
) -> dict[str, Any]:
    """Return under `parts` part → its images and the figures of each judged label, under `alone` what the part alone tells of each."""
    names, numbers, counts = np.unique(np.array(parts), return_inverse=True, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:MOST]
    found: dict[str, Any] = {
        str(names[one]): {"images": int(counts[one]), "labels": {classes[number]: {} for number in judged}}
        for one in order
    }
    alone: dict[str, Any] = {}
    for number in judged:
        known, wanted = targets[:, number] >= 0, targets[:, number] > 0
        rates = np.bincount(numbers[known], wanted[known], len(names)) / np.maximum(
            np.bincount(numbers[known], minlength=len(names)), 1
        )
        for one in order:
            rows = np.flatnonzero(known & (numbers == one))
            has = wanted[rows]
            entry: dict[str, Any] = {"share": float(rates[one]) if len(rows) else math.nan, "images": int(has.sum())}
            if min(int(has.sum()), int((~has).sum())) >= LEAST:
                units = None if groups is None else [groups[row] for row in rows.tolist()]
                entry["roc_area"] = _area(probabilities[rows, number], has, units)
            found[str(names[one])]["labels"][classes[number]] = entry
        rows = np.flatnonzero(known)
        units = None if groups is None else [groups[row] for row in rows.tolist()]
        alone[classes[number]] = _area(rates[numbers[rows]], wanted[rows], units)
    return {"parts": found, "alone": alone}


def _area(scores: NDArray[np.floating], wanted: NDArray[np.bool_], groups: Sequence[str] | None) -> dict[str, float]:
    return bootstrap(lambda rows: auroc(scores[rows], wanted[rows]), len(scores), groups)
