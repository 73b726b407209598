"""The size at which images are shown to a network, chosen from their own sizes."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def input_size(sizes: NDArray[np.int64], largest: int, least: int = 24) -> tuple[int, int]:
    """Choose the (height, width) in pixels at which images are shown to a network.

    sizes    (N, 2) heights and widths of the images
    largest  the largest side that the recipe allows

    If all images have one size within the recipe's limits, they keep it; otherwise they become squares of their median shorter
    side, at most `largest`. Nothing is shown at fewer than `least` pixels: smaller images are shown at that, or at 32.
    """
    side = int(np.median(sizes.min(axis=1)))
    if (sizes == sizes[0]).all() and sizes[0].min() >= least and sizes[0].max() <= largest:
        return int(sizes[0, 0]), int(sizes[0, 1])
    side = max(32, least) if side < least else min(side, largest)
    return side, side
