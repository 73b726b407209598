"""Do images still look like those that a model was tested on? Two-sample tests for each period, and an alarm with a known error.

Four tests, each good at what the others miss: of the sketches of images, the mean of random Fourier features at three widths of a
Gaussian kernel, an approximation of the maximum mean discrepancy (Gretton et al. 2012; Rahimi and Recht 2007), and the mean of
their main components; and the means of the ood_scores and of the confidences. What is usual is known from samples of the same size
that are drawn from the test images and compared with the others. benchmarks/RESULTS.md lists what else was tried.

Each p-value becomes an e-value; their mean, an e-value again however much they depend on each other, is the evidence of the period. It
is added up as Shiryaev and Roberts do: before anything changes, the sum grows by one a period on average, so that it reaches PERIODS /
ALPHA within that many periods with a probability of at most ALPHA (Doob's inequality; Shin, Ramdas, Rinaldo, "E-detectors", 2024). A
change that comes late is found as soon as one that comes at once.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

ALPHA = 0.05
"""The probability of an alarm within PERIODS periods in which nothing changes."""
PERIODS = 30
LEAST = 20  # images in a period, below which it is not tested
LEAST_TESTED = 30  # test images, below which nothing is: of 20, one in eight months without a change had an alarm
_DRAWS = 9_999
_SMALLEST = 1e-9  # p-value that is claimed
_MOST = 1e300  # evidence that is added up
_STEP = 1.12  # from one size of sample to the next
_SAFETY = 10.0  # a p-value beyond what was drawn is taken so many times as large: the tail is only approximately known
_FEATURES = 128  # random ones for each width
_WIDTHS = (0.5, 1.0, 2.0)  # of the kernel, by the median distance
_SHARE = (
    4  # of many looks a sample is at most one in so many test images: else their own chance would look like a change
)
_ENOUGH, _MOST_AT_ONCE = (
    500,
    2_000,
)  # images that tell enough; of one look where the test images are few, at most so many
_TIMES = 4  # and at most so many times as many as there are test images

_COMPONENTS, _FOR_A_COMPONENT = 32, 10  # at most so many, and one for so many test images


class Images(NamedTuple):
    """What the tests look at: sketches (N, width), ood_scores (N,), and the confidences of the answers (N,).

    The last two are None for test images that were answered by other networks; then images are compared by their sketches alone.
    """

    sketches: NDArray[np.floating]
    ood_scores: NDArray[np.floating] | None = None
    confidences: NDArray[np.floating] | None = None

    def and_some_of(self, others: Images, rows: NDArray[np.integer]) -> Images:
        """Return these and some others behind them, with what is known of both."""
        both = [
            None if one is None or other is None else np.concatenate([one, other[rows]])
            for one, other in zip(self, others, strict=True)
        ]
        return Images(*both)  # type: ignore[arg-type]


@dataclass(frozen=True, eq=False)
class Look:
    """How different some images are. p_values of each test; witness (N,), higher for images of a kind that the test had fewer of."""

    p_values: tuple[float, ...]
    witness: NDArray[np.float32]

    @property
    def p_value(self) -> float:
        """How probable it is, at most, that test images would look as different in any of the tests (Bonferroni)."""
        return min(1.0, len(self.p_values) * min(self.p_values))

    @property
    def e_value(self) -> float:
        """The evidence that something has changed: at most 1 on average while nothing has."""
        return float(np.mean([e_value(one) for one in self.p_values]))


class Reference:
    """What test images look like, in the spaces that the tests compare."""

    def __init__(self, images: Images) -> None:
        """Learn it from test images."""
        wide = np.asarray(images.sketches, np.float64)
        self._centre, scale = wide.mean(axis=0), wide.std(axis=0)
        # what never changes says nothing
        self._scale = np.where(scale > 1e-6 * max(scale.max(initial=0), 1e-30), scale, np.inf)
        rng, normed = np.random.default_rng(0), self._normed(wide)
        few = normed[rng.permutation(len(normed))[:400]]
        apart = np.sqrt(np.maximum(((few[:, None] - few[None]) ** 2).sum(axis=2), 0))
        median = float(np.median(apart[np.triu_indices(len(few), 1)])) or 1.0
        shape = (wide.shape[1], _FEATURES)
        self._directions = np.concatenate([rng.normal(size=shape) / (width * median) for width in _WIDTHS], axis=1)
        self._offsets = rng.uniform(0, 2 * np.pi, self._directions.shape[1])
        values, vectors = np.linalg.eigh(np.cov(normed, rowvar=False).reshape(wide.shape[1], -1))
        # of few images only the first are really there: on the others they themselves look nearer than any new image
        kept = np.argsort(-values)[: max(1, min(_COMPONENTS, len(wide) // _FOR_A_COMPONENT))]
        kept = kept[values[kept] > 1e-6 * values.max()]
        self._components = vectors[:, kept] / np.sqrt(values[kept])
        self._views = [View(one) for one in self._points(images)]
        self._images = images

    def __len__(self) -> int:
        return len(self._views[0].points)

    def look(self, images: Images, rng: np.random.Generator) -> Look:
        """Compare images with the test images, as one look of many: with a part of them where the test images are few."""
        points = self._points(images)[: len(self._views)]
        size = _rounded(min(len(points[0]), len(self) // _SHARE))
        chosen = rng.permutation(len(points[0]))[:size]
        gaps = [one[chosen].mean(axis=0) - view.mean for one, view in zip(points, self._views, strict=True)]
        p_values = tuple(view.p_value(gap, size) for gap, view in zip(gaps, self._views, strict=True))
        return Look(p_values, (points[0] @ gaps[0]).astype(np.float32))

    def look_once(self, images: Images) -> Look:
        """Compare images with the test images in a single look.

        Where the test images are few, all of both are mixed: if nothing has changed, any part of them that large looks as different as
        these images (a permutation test). That takes the test images' own chance into account; in many looks it would be the
        same chance each time.
        """
        count = len(images.sketches)
        if min(count, _ENOUGH) <= len(self) // _SHARE:
            return self.look(images, np.random.default_rng(0))
        few = np.random.default_rng(0).permutation(count)[: min(_TIMES * len(self), _MOST_AT_ONCE)]
        both = Reference(self._images.and_some_of(images, few))
        size = len(few)
        gaps = [view.gap(size) for view in both._views]
        p_values = tuple(view.p_value(gap, size) for gap, view in zip(gaps, both._views, strict=True))
        return Look(p_values, (both._points(images)[0] @ gaps[0]).astype(np.float32))

    def _normed(self, sketches: NDArray[np.floating]) -> NDArray[np.float64]:
        normed: NDArray[np.float64] = (np.asarray(sketches, np.float64) - self._centre) / self._scale
        return normed

    def _points(self, images: Images) -> list[NDArray[np.float32]]:
        normed = self._normed(images.sketches)
        found = [np.cos(normed @ self._directions + self._offsets), normed @ self._components]
        if images.ood_scores is not None:
            found.append(np.asarray(images.ood_scores).reshape(-1, 1))
        if images.confidences is not None:
            shares = np.clip(images.confidences, 1e-6, 1 - 1e-6)
            found.append(np.log(shares / (1 - shares)).reshape(-1, 1))
        return [np.asarray(one, np.float32) for one in found]


def _rounded(size: int) -> int:
    """Return a size at most so large, and few of them: what is usual is drawn anew for each size.

    >>> [_rounded(one) for one in (7, 20, 21, 100)]
    [7, 19, 19, 96]
    """
    found = size if size < 10 else int(10 * _STEP ** int(math.log(size / 10) / math.log(_STEP) + 1e-9))
    return max(1, found)


class View:
    """One space in which test images (N, D) are compared with others by their means."""

    def __init__(self, points: NDArray[np.float32]) -> None:
        self.points = points
        self.mean = points.mean(axis=0)
        self._usual: dict[int, NDArray[np.float64]] = {}

    def gap(self, size: int) -> NDArray[np.float32]:
        """Return how far the mean of the last images, so many, lies from that of the others."""
        found: NDArray[np.float32] = self.points[-size:].mean(axis=0) - self.points[:-size].mean(axis=0)
        return found

    def p_value(self, gap: NDArray[np.floating], size: int) -> float:
        """Return how probable it is that the mean of so many test images lies as far from that of the others."""
        usual = self.usual(size)
        distance = float(gap @ gap)
        reached = int((usual >= distance).sum())
        found = (reached + 1) / (len(usual) + 1)
        if not reached:  # further away than any sample: how far tells more
            found = min(found, max(_SMALLEST, _SAFETY * _tail(distance, usual)))
        return found

    def usual(self, size: int) -> NDArray[np.float64]:
        """Return the squared distances of samples of this size, drawn from the test images, from the others."""
        if size not in self._usual:
            rng, count = np.random.default_rng(1), len(self.points)
            total, found = self.points.sum(axis=0, dtype=np.float64), np.empty(_DRAWS)
            for start in range(0, _DRAWS, 500):
                stop = min(start + 500, _DRAWS)
                drawn = np.argpartition(rng.random((stop - start, count)), size - 1, axis=1)[:, :size]
                which = np.zeros((stop - start, count), np.float32)
                np.put_along_axis(which, drawn, 1.0, axis=1)
                sums = (which @ self.points).astype(np.float64)
                gaps = sums / size - (total - sums) / (count - size)
                found[start:stop] = (gaps**2).sum(axis=1)
            self._usual[size] = found
        return self._usual[size]


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


def evidence(e_values: Sequence[float | None]) -> list[float]:
    """Return the evidence that something has changed by the end of each period; None is a period without enough images.

    At LIMIT it is an alarm.
    """
    found, total = [], 0.0
    for one in e_values:
        total = total if one is None else min((1 + total) * one, _MOST)
        found.append(total)
    return found


LIMIT = PERIODS / ALPHA
ONE_PERIOD = 1 / ALPHA
"""The limit when the whole log is looked at once, as one period."""
