"""Images laid out in a plane by what the network sees in them, similar ones beside each other.

By t-SNE (van der Maaten and Hinton 2008), which keeps neighbours together; distances between far groups mean nothing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_PERPLEXITY = 30  # about how many neighbours each image has
_COMPONENTS = 50  # the features are brought to so many first, as the authors do


def two_dimensions(features: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return features (N, F) as places (N, 2) from 0 to 1 that keep neighbours together; the same places each time."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE

    count = len(features)
    if count < 4:
        return np.stack([np.linspace(0, 1, count), np.full(count, 0.5)], axis=1)
    found = np.asarray(features, np.float64)
    if min(found.shape) > _COMPONENTS:
        found = PCA(_COMPONENTS, random_state=0).fit_transform(found)
    spread = min(_PERPLEXITY, (count - 1) / 3)
    laid = TSNE(2, perplexity=spread, init="pca" if min(found.shape) >= 2 else "random", random_state=0).fit_transform(
        found
    )
    low, high = laid.min(0), laid.max(0)
    return np.asarray((laid - low) / np.maximum(high - low, 1e-9), np.float64)
