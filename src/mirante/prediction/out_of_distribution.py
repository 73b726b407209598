"""None of these: how much of what a network sees in an image is unlike anything it saw in its training images.

The features before the last layer, as a direction, are split into what lies in the space that those of the training images span
and what lies outside; the share outside, 0 to 1, is the ood_score. The residual of Wang, Li, Feng, Zhang, "ViM:
out-of-distribution with virtual-logit matching", CVPR 2022, of normalised features that are not centred; benchmarks/RESULTS.md
lists the alternatives.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mirante.data.features import unit_rows

KEPT = 0.95
"""Share of images of known classes that should stay below the limit."""

_MOST_DIRECTIONS = 128


def fit_subspace(features: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """Return the directions (width, d) that hold most of the features (N, width) of training images; None for too few."""
    count, width = features.shape
    directions = min(_MOST_DIRECTIONS, width // 4, count // 4)
    if directions < 1:
        return None
    unit = unit_rows(features)
    _, vectors = np.linalg.eigh(unit.T @ unit)
    return np.ascontiguousarray(vectors[:, ::-1][:, :directions], dtype=np.float32)


def ood_score(features: NDArray[np.float32], space: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return how strange images are, (N,), by their features (N, width) and the familiar space (width, d)."""
    inside: NDArray[np.float32] = ((unit_rows(features) @ space) ** 2).sum(axis=1)
    return 1 - inside


def fit_ood_threshold(found: NDArray[np.floating]) -> float:
    """Return the ood_score that all but 5% of held-out images, (N,), stay below; 1 if there are too few to tell."""
    place = int(np.ceil((len(found) + 1) * KEPT))
    return 1.0 if place > len(found) else float(np.sort(found)[place - 1])
