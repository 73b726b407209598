"""Near duplicates: images that show the same picture in different files: recompressed, resized, slightly cropped or mirrored.

Two steps. The coarse pattern of each image (its lowest cosine frequencies) finds the few that could be the same; those pairs
are then aligned by the two scales and two shifts that fit best, and the remaining difference decides.
The alignment is Lucas and Kanade's (IJCAI 1981), inverse compositional (Baker and Matthews, IJCV 2004).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.fft import dctn

from mirante.data.features import unit_rows
from mirante.data.units import units_of
from mirante.progress import track

Small = NDArray[np.uint8]
"""(N, side, side), grey."""

_FREQUENCIES = 8  # per axis that make up the pattern
_CLOSE = 0.80  # least correlation after the first, coarse alignment
_SAME = 0.985  # least correlation in the end
_TINY = 64  # pixels on the shorter side, up to which compression and shrinking spoil fine detail
_BY_NATURE = (
    0.02  # share of tiny images that are nearly mirrors of others, above which copies among them cannot be recognised
)
_SAME_TINY = 0.90  # least correlation of tiny images, and of their slopes, at half the size of the copies
_BLOCK = 1024
_PAIRS = 256  # aligned at a time: more do not fit into the processor's cache


def _neighbours(count: int) -> tuple[int, float]:
    """Return how many candidates each of `count` images gets, and the least similarity of their patterns.

    With few images, less is known about what they share, so the patterns of copies can be less alike (benchmarks/check.py).
    """
    return (6 if count <= 20_000 else 3), (0.4 if count <= 3000 else 0.5)


@dataclass(frozen=True)
class Copies:
    """Pairs of rows that show the same picture.

    pairs     (P, 2) int64, the smaller row first
    mirrored  (P,) bool
    """

    pairs: NDArray[np.int64]
    mirrored: NDArray[np.bool_]


def find_copies(small: Small, sides: NDArray[np.int64], splits: NDArray[np.str_] | None = None) -> Copies:
    """Return the pairs among N small grey copies of whole images; featureless images are ignored.

    sides   (N,) the shorter sides of the images themselves, in pixels
    splits  (N,) when only pairs across splits are wanted
    """
    wide = small.astype(np.float32)
    rows = np.flatnonzero(wide.std(axis=(1, 2)) >= 4)
    if len(rows) < 2:
        return Copies(np.empty((0, 2), np.int64), np.empty(0, bool))
    plain, turned = _patterns(wide[rows])
    half = wide.reshape(len(wide), wide.shape[1] // 2, 2, -1, 2).mean(axis=(2, 4))
    joined = []
    for mirrored in (False, True):
        pairs = rows[_candidates(plain, turned if mirrored else plain)]
        if splits is not None:
            pairs = pairs[splits[pairs[:, 0]] != splits[pairs[:, 1]]]
        tiny = sides[pairs].min(axis=1) <= _TINY
        joined.append((pairs, _compare(wide, half, pairs, mirrored, tiny), tiny, np.full(len(pairs), mirrored)))
    pairs, likeness, tiny, flags = (np.concatenate(parts) for parts in zip(*joined, strict=True))
    # mirrors as control: if many images are nearly mirrors of others, the images are similar by nature (digits)
    nearly = tiny & flags & (likeness >= _SAME_TINY) & (likeness < _SAME)
    told = nearly.sum() <= _BY_NATURE * (sides <= _TINY).sum()
    kept = likeness >= np.where(tiny, _SAME_TINY if told else np.inf, _SAME)
    pairs, likeness, flags = pairs[kept], likeness[kept], flags[kept]
    # copies of a symmetric image also match mirrored: such a pair counts once
    order = np.lexsort((-likeness, pairs[:, 1], pairs[:, 0]))
    pairs, flags = pairs[order], flags[order]
    first = np.ones(len(pairs), bool)
    first[1:] = (np.diff(pairs, axis=0) != 0).any(axis=1)
    return Copies(pairs[first], flags[first])


def join(count: int, pairs: NDArray[np.int64]) -> list[list[int]]:
    """Return the sets of two or more rows joined by pairs, each sorted, ordered by first row.

    >>> join(6, np.array([[0, 3], [3, 5], [1, 2]]))
    [[0, 3, 5], [1, 2]]
    """
    units = units_of(count, pairs)
    sets: dict[int, list[int]] = {}
    for row in sorted(set(pairs.ravel().tolist())):
        sets.setdefault(int(units[row]), []).append(row)
    return list(sets.values())


def _patterns(wide: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the lowest cosine frequencies except the mean, of the images and of their mirrors, each (N, _FREQUENCIES² - 1).

    Whitened: what all images of a set share (the chest on every X-ray) weighs little, what distinguishes them weighs more.
    """
    found = dctn(wide, axes=(1, 2), norm="ortho")[:, :_FREQUENCIES, :_FREQUENCIES].reshape(len(wide), -1)[:, 1:]
    found = unit_rows(found)
    odd = np.tile(np.arange(_FREQUENCIES) % 2 == 1, _FREQUENCIES)[1:]
    mean = found.mean(axis=0)
    strengths, directions = np.linalg.eigh(np.cov(found.T))
    # with few images, less is known about what they share
    least = (0.1 + len(strengths) / len(found)) * max(float(strengths.mean()), 1e-9)
    scale = directions / np.sqrt(np.maximum(strengths, 0) + least)
    both = []
    for one in (found, np.where(odd, -found, found)):
        white = (one - mean) @ scale
        both.append(unit_rows(white).astype(np.float32))
    return both[0], both[1]


def _candidates(plain: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the pairs (row of `plain`, row of `other`) whose patterns are most alike, the smaller row first."""
    most, least = _neighbours(len(plain))
    count = min(most, len(plain) - 1)
    found = []
    for start in track(range(0, len(plain), _BLOCK), "Comparing images", len(plain) // _BLOCK + 1):
        alike = plain[start : start + _BLOCK] @ other.T
        mine = np.arange(len(alike))
        alike[mine, start + mine] = -1
        best = np.argpartition(alike, -count, axis=1)[:, -count:]
        good = np.take_along_axis(alike, best, 1) >= least
        found.append(np.stack([(start + mine)[:, None].repeat(count, 1)[good], best[good]], axis=1))
    return np.unique(np.sort(np.concatenate(found), axis=1), axis=0)


def _compare(
    wide: NDArray[np.float32],
    half: NDArray[np.float32],
    pairs: NDArray[np.int64],
    mirrored: bool,
    tiny: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Return how alike the images of each pair are once aligned: coarsely first, then finely for close pairs.

    half  the images at half their size
    tiny  (P,) pairs that stay at half size: their likeness is the lower of the correlations of pixels and of slopes
    """
    likeness = np.zeros(len(pairs))
    turn = slice(None, None, -1 if mirrored else 1)
    for start in track(range(0, len(pairs), _PAIRS), "Aligning images", len(pairs) // _PAIRS + 1):
        part = pairs[start : start + _PAIRS]
        coarse, _ = overlay(half[part[:, 0]], half[part[:, 1]][:, :, turn], 5)
        close = start + np.flatnonzero(coarse >= _CLOSE)
        small, large = close[tiny[close]], close[~tiny[close]]
        likeness[small] = np.minimum(*overlay(half[pairs[small, 0]], half[pairs[small, 1]][:, :, turn], 12))
        likeness[large] = overlay(wide[pairs[large, 0]], wide[pairs[large, 1]][:, :, turn], 12)[0]
    return likeness


def overlay(
    one: NDArray[np.float32], two: NDArray[np.float32], rounds: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Align each of P images with its partner, (P, side, side) grey; return the correlations of pixels and of slopes, each (P,).

    What overlaps counts. Pixels are those of the best round, slopes (differences of neighbours) those of the last one: a bright
    sky correlates with every bright sky, its slopes do not.

    Finds x' = x + a + b·x, y' = y + c + d·y, where `two` at (x', y') is most like `one` at (x, y).

    Coordinates run from -1 to 1 across the image. Each step solves for the change that the slopes of `one` imply.
    """
    count, side, _ = one.shape
    if count == 0:
        return np.empty(0), np.empty(0)
    template = one - one.mean(axis=(1, 2), keepdims=True)
    template /= np.maximum(template.std(axis=(1, 2), keepdims=True), 1e-3)
    axis = np.linspace(-1, 1, side, dtype=np.float32)
    step = axis[1] - axis[0]
    down, across = np.gradient(template, step, axis=(1, 2))
    slopes = np.stack([across, across * axis, down, down * axis[:, None]], axis=1).reshape(count, 4, -1)
    weights = np.linalg.inv(slopes @ slopes.transpose(0, 2, 1) + 1e-2 * np.eye(4, dtype=np.float32)) @ slopes
    move = np.zeros((count, 4), np.float32)
    best = np.full(count, -1.0)
    for _ in range(rounds):
        x = (1 + move[:, 1, None]) * axis + move[:, 0, None]
        y = (1 + move[:, 3, None]) * axis + move[:, 2, None]
        inside = ((abs(y) <= 1 + step / 2)[:, :, None] & (abs(x) <= 1 + step / 2)[:, None, :]).astype(np.float32)
        moved = _hats((y + 1) / step, side) @ two @ _hats((x + 1) / step, side).transpose(0, 2, 1)
        area = np.maximum(inside.sum(axis=(1, 2)), 1)[:, None, None]
        centred = (moved - (moved * inside).sum(axis=(1, 2), keepdims=True) / area) * inside
        centred /= np.maximum(np.sqrt((centred**2).sum(axis=(1, 2), keepdims=True) / area), 1e-3)
        target = (template - (template * inside).sum(axis=(1, 2), keepdims=True) / area) * inside
        target /= np.maximum(np.sqrt((target**2).sum(axis=(1, 2), keepdims=True) / area), 1e-3)
        alike = (centred * target).sum(axis=(1, 2)) / area[:, 0, 0]
        best = np.maximum(best, np.where(area[:, 0, 0] >= 0.6 * side * side, alike, -1.0))
        # `one` moved by the change looks like what was sampled: so the sample moves the other way
        change = (weights @ (centred - target).reshape(count, -1, 1))[:, :, 0]
        move = np.clip(move - change, -0.35, 0.35)
    return best, _correlation_of_slopes(template, moved, inside)


def _hats(places: NDArray[np.float32], side: int) -> NDArray[np.float32]:
    """Return the weight of each of `side` pixels of a line in linear interpolation at places (P, side): (P, side, side)."""
    inside = np.clip(places, 0, side - 1)
    weights: NDArray[np.float32] = np.maximum(0, 1 - abs(inside[:, :, None] - np.arange(side, dtype=np.float32)))
    return weights


def _correlation_of_slopes(
    one: NDArray[np.floating], two: NDArray[np.floating], inside: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return the correlation (P,) of the slopes of images (P, side, side), where they and all their neighbours are inside."""
    well = np.zeros_like(inside)
    well[:, 1:-1, 1:-1] = (
        inside[:, 1:-1, 1:-1]
        * inside[:, :-2, 1:-1] * inside[:, 2:, 1:-1]
        * inside[:, 1:-1, :-2] * inside[:, 1:-1, 2:]
    )  # fmt: skip
    ours, theirs = (np.stack([*np.gradient(image, axis=(1, 2))], axis=1) * well[:, None] for image in (one, two))
    scale = np.sqrt((ours**2).sum(axis=(1, 2, 3)) * (theirs**2).sum(axis=(1, 2, 3)))
    found: NDArray[np.float64] = (ours * theirs).sum(axis=(1, 2, 3)) / np.maximum(scale, 1e-6)
    return found
