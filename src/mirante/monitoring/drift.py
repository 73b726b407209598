"""Do images still look like those that a model was tested on? A two-sample test for each period, and an alarm with a known error.

The test compares means of random Fourier features of the images' sketches, at three widths of a Gaussian kernel: an approximation of
the maximum mean discrepancy (Gretton et al. 2012; Rahimi and Recht 2007). What is usual is known from samples of the same size that
are drawn from the test images and compared with the others. benchmarks/RESULTS.md lists what else was tried.

Each period's p-value becomes an e-value, and e-values are added up as Shiryaev and Roberts do: before anything changes, the sum grows
by one a period on average, so that it reaches PERIODS / ALPHA within that many periods with a probability of at most ALPHA (Doob's
inequality; Shin, Ramdas, Rinaldo, "E-detectors", 2024). A change that comes late is found as soon as one that comes at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

ALPHA = 0.05
"""The probability of an alarm within PERIODS periods in which nothing changes."""
PERIODS = 30
LEAST = 20  # images in a period, below which it is not tested
_DRAWS = 9_999
_SMALLEST = 1e-9  # p-value that is claimed
_SAFETY = 10.0  # a p-value beyond what was drawn is taken so many times as large: the tail is only approximately known
_FEATURES = 128  # random ones for each width
_WIDTHS = (0.5, 1.0, 2.0)  # of the kernel, by the median distance
_SHARE = (
    4  # a sample is at most this part of the reference: else the reference's own chance would be taken for a change
)


@dataclass(frozen=True, eq=False)
class Reference:
    """What test images look like, in the space that the test compares: means and spread of their sketches, and their features."""

    centre: NDArray[np.float64]
    scale: NDArray[np.float64]
    directions: NDArray[np.float64]
    offsets: NDArray[np.float64]
    points: NDArray[np.float32]

    @classmethod
    def of(cls, sketches: NDArray[np.floating]) -> Reference:
        """Learn it from the sketches (N, width) of test images."""
        wide = np.asarray(sketches, np.float64)
        centre, scale = wide.mean(axis=0), wide.std(axis=0)
        scale = np.where(scale > 1e-6 * max(scale.max(), 1e-30), scale, np.inf)  # what never changes says nothing
        rng = np.random.default_rng(0)
        few = ((wide - centre) / scale)[rng.permutation(len(wide))[:400]]
        apart = np.sqrt(np.maximum(((few[:, None] - few[None]) ** 2).sum(axis=2), 0))
        median = float(np.median(apart[np.triu_indices(len(few), 1)])) if len(few) > 1 else 1.0
        shape = (wide.shape[1], _FEATURES)
        directions = np.concatenate([rng.normal(size=shape) / (width * (median or 1.0)) for width in _WIDTHS], axis=1)
        offsets = np.asarray(rng.uniform(0, 2 * np.pi, directions.shape[1]), np.float64)
        made = cls(centre, scale, directions, offsets, np.zeros((0, 0), np.float32))
        return replace(made, points=made.mapped(sketches))

    def mapped(self, sketches: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return the random Fourier features (N, D) of sketches (N, width)."""
        wide = (np.asarray(sketches, np.float64) - self.centre) / self.scale
        return np.cos(wide @ self.directions + self.offsets).astype(np.float32)

    def size(self, count: int) -> int:
        """Return how many of so many images are compared at once."""
        return min(count, max(LEAST, len(self.points) // _SHARE))

    def p_value(self, sketches: NDArray[np.floating], rng: np.random.Generator) -> tuple[float, NDArray[np.float32]]:
        """Return how probable it is that test images would look as different as these (N, width) do, and how different each one is.

        The second, (N,), is higher for images of a kind of which there are more now than there were (the witness function).
        """
        points = self.mapped(sketches)
        size = self.size(len(points))
        chosen = points[rng.permutation(len(points))[:size]]
        gap = chosen.mean(axis=0) - self.points.mean(axis=0)
        usual = self._usual(size)
        reached = int((usual >= float(gap @ gap)).sum())
        p_value = (reached + 1) / (len(usual) + 1)
        if not reached:  # further away than any sample: how far tells more
            p_value = min(p_value, max(_SMALLEST, _SAFETY * _tail(float(gap @ gap), usual)))
        return p_value, (points @ gap).astype(np.float32)

    def _usual(self, size: int) -> NDArray[np.float64]:
        """Return the distances of samples of this size, drawn from the test images, from the others."""
        known: dict[int, NDArray[np.float64]] = self.__dict__.setdefault("_known", {})
        if size not in known:
            rng, count = np.random.default_rng(1), len(self.points)
            total, found = self.points.sum(axis=0, dtype=np.float64), np.empty(_DRAWS)
            for start in range(0, _DRAWS, 500):
                stop = min(start + 500, _DRAWS)
                drawn = np.argpartition(rng.random((stop - start, count)), size - 1, axis=1)[:, :size]
                which = np.zeros((stop - start, count), np.float32)
                np.put_along_axis(which, drawn, 1.0, axis=1)
                sums = (which @ self.points).astype(np.float64)
                gap = sums / size - (total - sums) / (count - size)
                found[start:stop] = (gap**2).sum(axis=1)
            known[size] = found
        return known[size]


def _tail(value: float, usual: NDArray[np.float64]) -> float:
    """Return the probability of such a distance or a larger one, if distances have a gamma distribution (Wilson and Hilferty 1931)."""
    mean, spread = float(usual.mean()), float(usual.var())
    if mean <= 0 or spread <= 0:
        return 1.0
    shape = mean**2 / spread
    z = ((value / mean) ** (1 / 3) - (1 - 1 / (9 * shape))) * 3 * math.sqrt(shape)
    return 0.5 * math.erfc(z / math.sqrt(2))


def e_value(p_value: float) -> float:
    """Return the evidence against "nothing has changed" in a p-value: at most 1 on average while nothing has.

    The mean of k p^(k - 1) over all k from 0 to 1 (Shafer 2021; Vovk and Wang, "E-values", 2021).

    >>> round(e_value(0.5), 2), round(e_value(0.001), 1)
    (0.64, 20.8)
    """
    if p_value >= 1:
        return 0.5
    log = np.log(p_value)
    return float((1 - p_value + p_value * log) / (p_value * log**2))


def evidence(p_values: list[float | None]) -> list[float]:
    """Return the evidence that something has changed by the end of each period; None is a period without enough images.

    At LIMIT it is an alarm.
    """
    found, sum_ = [], 0.0
    for one in p_values:
        sum_ = sum_ if one is None else (1 + sum_) * e_value(one)
        found.append(sum_)
    return found


LIMIT = PERIODS / ALPHA
ONE_PERIOD = 1 / ALPHA
"""The limit when the whole log is looked at once, as one period."""
