"""From the probabilities of leaves to the deepest node of a tree that can be promised to hold the true one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mirante.prediction.conformal import COVERAGES
from mirante.tasks.classify.decision import ClassifyLearned
from mirante.tasks.tree.paths import Nodes, nodes_of


@dataclass(frozen=True)
class TreeLearned(ClassifyLearned):
    """What was learned about a model of a tree from held-out images.

    doubt_limits  for each coverage (mirante.prediction.conformal), the greatest doubt, 1 minus its probability, of a node that is
                  answered; or empty
    """

    doubt_limits: tuple[float, ...] = ()

    @property
    def promises_coverage(self) -> bool:
        return bool(self.doubt_limits)

    def sets(self, probabilities: NDArray[np.floating], classes: Sequence[str], coverage: float) -> NDArray[np.bool_]:
        """Return the leaves (N, classes) of the deepest node that holds the true class in `coverage` of the cases."""
        column = int(np.searchsorted(COVERAGES, coverage - 1e-9))
        limit = 0.0 if column == len(COVERAGES) else self.doubt_limits[column]
        nodes = nodes_of(tuple(classes))
        path, shares = descend(probabilities, nodes)
        answered = path >= 0
        answered &= np.take_along_axis(shares, np.maximum(path, 0), axis=1) > 1 - limit + _MARGIN
        everything = np.ones(len(classes), bool)
        deep = answered.sum(axis=1)
        return (
            np.stack(
                [nodes.holds[path[row, depth - 1]] if depth else everything for row, depth in enumerate(deep.tolist())]
            )
            if len(deep)
            else np.zeros((0, len(classes)), bool)
        )

    def is_sound(self, classes: Sequence[str]) -> bool:
        return len(self.doubt_limits) in (0, len(COVERAGES)) and super().is_sound(classes)


_MARGIN = 1e-6  # of rounding: what was at the limit when it was learned stays out


def descend(probabilities: NDArray[np.floating], nodes: Nodes) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Return the way down from the root, always to the most probable node below, and the probability of each node.

    probabilities (N, leaves) → numbers (N, depth) of nodes, -1 below a leaf, and probabilities (N, nodes)
    """
    shares = probabilities.astype(np.float64) @ nodes.holds.T
    path = np.full((len(shares), nodes.depth), -1, np.int64)
    here = np.full(len(shares), len(nodes.names))  # the root
    for depth in range(nodes.depth):
        open_rows = np.flatnonzero(nodes.below[here].any(axis=1))
        if not len(open_rows):
            break
        below = np.where(nodes.below[here[open_rows]], shares[open_rows], -1.0)
        here[open_rows] = path[open_rows, depth] = below.argmax(axis=1)
    return path, shares


def doubts_at_fault(
    probabilities: NDArray[np.floating], targets: NDArray[np.int64], classes: tuple[str, ...]
) -> NDArray[np.float64]:
    """Return the doubt (N,) of the first node on the way down that does not hold the true leaf; 1 where all do."""
    nodes = nodes_of(classes)
    path, shares = descend(probabilities, nodes)
    found = np.ones(len(targets))
    for depth in range(nodes.depth - 1, -1, -1):
        node = np.maximum(path[:, depth], 0)
        wrong = (path[:, depth] >= 0) & ~nodes.holds[node, targets]
        found[wrong] = 1 - shares[np.arange(len(targets)), node][wrong]
    return found
