"""What belongs together through pairs, directly or over several of them: the connected components of a graph."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def units_of(count: int, pairs: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the unit number of each of `count` rows, joined by pairs (P, 2).

    >>> units_of(5, np.array([[0, 3], [3, 4]])).tolist()
    [0, 1, 2, 0, 0]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ones = np.ones(len(pairs), dtype=bool)
    graph = coo_array((ones, (pairs[:, 0], pairs[:, 1])), shape=(count, count))
    units: NDArray[np.int64] = connected_components(graph, directed=False)[1].astype(np.int64)
    return units
