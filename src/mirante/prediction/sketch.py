"""A short version of the features of an image, by which images can be compared later without keeping them.

Wide features are multiplied by one fixed matrix of random signs, which keeps distances (Johnson and Lindenstrauss 1984; Achlioptas,
"Database-friendly random projections", 2003); the picture cannot be drawn from it again. Narrow ones are kept as they are.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

WIDTH = 64


def sketch(features: NDArray[np.floating]) -> NDArray[np.float16]:
    """Return features (N, width) as (N, at most WIDTH)."""
    width = features.shape[1]
    short = features if width <= WIDTH else features @ _signs(width)
    return np.clip(short, -65000, 65000).astype(np.float16)


@lru_cache(maxsize=4)
def _signs(width: int) -> NDArray[np.float32]:
    signs = np.random.RandomState(0).randint(0, 2, (width, WIDTH))  # its numbers never change
    return np.asarray((2 * signs - 1) / np.sqrt(WIDTH), np.float32)
