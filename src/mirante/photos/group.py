"""Photos grouped by what they show, without any label; bursts and copies count as one.

Features of a pretrained network, their square roots as directions, 64 principal components, k-means; how many groups is what
has the best silhouette (Rousseeuw 1987) among sensible numbers. benchmarks/photos.py says what else was tried: HDBSCAN calls
most photos noise or puts all of them in one group.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from mirante.data.check.copies import join
from mirante.data.features import Features, unit_rows
from mirante.photos.features import FeatureExtractor

_COMPONENTS = 64
_COMPARED = 2000  # photos among which the silhouette is measured
_BURST_SECONDS = 5.0
_BURST_ALIKE = 0.9  # least cosine of the square roots of features within a burst
_COPY_ALIKE = 0.99
_LEAST_SHARE = 0.05  # mean probability of a thing, below which a group is not named after it


@dataclass(frozen=True)
class Groups:
    """The result of grouping.

    groups   rows of each group, the largest group first, its most typical photo first
    stacks   (N,) rows of one burst, or copies of each other, have the same number
    names    what each group could be called
    """

    groups: tuple[tuple[int, ...], ...]
    stacks: NDArray[np.int64]
    names: tuple[str, ...]


def group(features: Features, extractor: FeatureExtractor, taken: Sequence[float | None]) -> Groups:
    """Group N photos by their features (N, width), as `extractor` sees them.

    taken  when each was taken, in seconds, where known
    """
    directions = unit_rows(np.sqrt(np.maximum(features, 0)))
    stacks = find_stacks(directions, taken)
    ones = np.unique(stacks, return_index=True)[1]
    reduced = _reduce(directions)
    numbers = _cluster(reduced[ones])[np.unique(stacks, return_inverse=True)[1]]
    found = []
    for number in np.unique(numbers):
        rows = np.flatnonzero(numbers == number)
        typical = ((reduced[rows] - reduced[rows].mean(axis=0)) ** 2).sum(axis=1)
        found.append(tuple(rows[np.argsort(typical, kind="stable")].tolist()))
    found.sort(key=lambda rows: (-len(rows), rows))
    return Groups(tuple(found), stacks, _names([features[list(rows)] for rows in found], extractor))


def find_stacks(directions: Features, taken: Sequence[float | None]) -> NDArray[np.int64]:
    """Return (N,) numbers that photos of one burst share: alike and taken within seconds; or so alike that they are copies."""
    pairs: list[tuple[int, int]] = []
    timed = sorted((time, row) for row, time in enumerate(taken) if time is not None)
    for (before, one), (after, other) in pairwise(timed):
        if after - before <= _BURST_SECONDS and float(directions[one] @ directions[other]) >= _BURST_ALIKE:
            pairs.append((one, other))
    for start in range(0, len(directions), 1024):
        alike = directions[start : start + 1024] @ directions.T
        near = np.argwhere(alike >= _COPY_ALIKE)
        pairs += [(start + int(one), int(other)) for one, other in near if start + one < other]
    stacks = np.arange(len(directions))
    for rows in join(len(directions), np.array(pairs, np.int64).reshape(-1, 2)):
        stacks[rows] = rows[0]
    return stacks


def _reduce(directions: Features) -> NDArray[np.float32]:
    from sklearn.decomposition import PCA

    count = min(_COMPONENTS, len(directions) - 1, directions.shape[1])
    if count < 1:
        return np.zeros((len(directions), 1), np.float32)
    found: NDArray[np.float32] = PCA(count, random_state=0).fit_transform(directions)
    return found


def _cluster(points: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return (N,) group numbers; about the cube root of N of them, whichever number has the best silhouette."""
    from sklearn.cluster import KMeans
    from sklearn.metrics import silhouette_score

    usual = len(points) ** (1 / 3)
    tried = sorted({max(2, round(usual * share)) for share in (0.5, 0.7, 1.0, 1.4, 2.0)})
    tried = [number for number in tried if number < len(points)]
    if not tried:
        return np.zeros(len(points), np.int64)
    some = np.random.default_rng(0).permutation(len(points))[:_COMPARED]
    best: tuple[float, NDArray[np.int64]] | None = None
    for number in tried:
        found = KMeans(number, n_init=3, random_state=0).fit_predict(points).astype(np.int64)
        if 1 < len(np.unique(found[some])) < len(some):
            score = float(silhouette_score(points[some], found[some]))
            if best is None or score > best[0]:
                best = score, found
    return np.zeros(len(points), np.int64) if best is None else best[1]


def _names(groups: list[Features], extractor: FeatureExtractor) -> tuple[str, ...]:
    """Return what the network would call each group and not the others; "" where it knows no word for it.

    A repeated name gets a number.
    """
    means = []
    for features in groups:
        logits = extractor.logits(features).astype(np.float64)
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        means.append((shares / shares.sum(axis=1, keepdims=True)).mean(axis=0))
    usual = np.mean(means, axis=0)
    names: list[str] = []
    taken: Counter[str] = Counter()
    for mean in means:
        best = int((mean - usual).argmax())
        name = extractor.names[best] if mean[best] >= _LEAST_SHARE or len(groups) == 1 else ""
        taken[name] += 1
        names.append(name if taken[name] == 1 or not name else f"{name} {taken[name]}")
    return tuple(names)
