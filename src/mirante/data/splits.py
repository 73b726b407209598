"""Which images train, which validate, which test: decided by a hash of the content, never by chance or by order.

An image whose hash falls below the test share always stays a test image: adding images moves none out, and copies of
an image are in the same split. Images of one group, and groups that share an image, stay together.

Where an image has several labels, each label is spread evenly instead (iterative stratification), and the hash only breaks ties:
added images can move others.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mirante.data.units import units_of

TEST_SHARE = 0.15

_SPELLINGS = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}


def split_of(name: str) -> str | None:
    """Return train, val or test for any of the usual spellings, else None.

    >>> [split_of(name) for name in ("Training", "valid", "TEST ", "holdout")]
    ['train', 'val', 'test', None]
    """
    return _SPELLINGS.get(name.strip().lower())


def assign_splits(
    labels: NDArray[np.int64],
    digests: Sequence[str],
    groups: Sequence[str] | None,
    given: Sequence[str | None],
    val_share: float,
    test_share: float = TEST_SHARE,
) -> NDArray[np.str_]:
    """Return 'train', 'val' or 'test' for each of N images.

    labels     (N,) class numbers; or (N, labels), above 0 where an image has a label
    digests    (N,) hex digests of the content
    groups     (N,) names of groups that belong together, or None
    given      (N,) the split given by the source, or None for each
    val_share  share of the training images used for validation, if the source gives none; 0 for none

    About `test_share` of each class is drawn when no test image is given. If the hash would leave a split without any image
    of a class, that split gets the nearest one: only in such a class can images change splits when others are added.
    """
    splits = np.array([split or "train" for split in given], dtype="<U5")
    keys = _unit_keys(digests, groups)
    wants_val = val_share > 0 and not (splits == "val").any()
    if labels.ndim == 2:
        test = 0.0 if (splits == "test").any() else test_share
        val = (1 - test) * val_share if wants_val else 0.0
        free = np.flatnonzero(splits == "train")
        drawn = _balanced(labels[free] > 0, keys[free], [1 - test - val, val, test], "split")
        splits[free] = np.array(["train", "val", "test"])[drawn]
        return splits
    if not (splits == "test").any():
        _draw(splits, "test", test_share, labels, keys, leave=2 if wants_val else 1)
    if wants_val:
        _draw(splits, "val", val_share, labels, keys, leave=1)
    return splits


def assign_validation(labels: NDArray[np.int64], digests: Sequence[str], share: float) -> NDArray[np.str_]:
    """Return 'train' or 'val' for each of N images, none for testing; labels (N,), digests and share as in `assign_splits`."""
    splits = np.full(len(labels), "train", dtype="<U5")
    if share > 0:
        _draw(splits, "val", share, labels, _unit_keys(digests, None), leave=1)
    return splits


def assign_folds(
    labels: NDArray[np.int64], digests: Sequence[str], groups: Sequence[str] | None, count: int, seed: int = 0
) -> NDArray[np.int64]:
    """Return the fold number, 0 to count - 1, of each of N images: classes are spread evenly, units never split.

    labels (N,), digests and groups as in `assign_splits`; another seed draws other folds. The largest units are assigned first,
    each to the fold with the fewest images of its class.
    """
    keys = _unit_keys(digests, groups)
    if labels.ndim == 2:
        return _balanced(labels > 0, keys, [1 / count] * count, f"fold {seed}")
    names, first, units, sizes = np.unique(keys, return_index=True, return_inverse=True, return_counts=True)
    numbers = np.array([_number(f"fold {seed}", name) for name in names])
    fold_of = np.empty(len(names), dtype=np.int64)
    for label in np.unique(labels[first]):
        mine = np.flatnonzero(labels[first] == label)
        filled = np.zeros(count, dtype=np.int64)
        for unit in mine[np.lexsort((numbers[mine], -sizes[mine]))]:
            fold_of[unit] = filled.argmin()
            filled[fold_of[unit]] += sizes[unit]
    found: NDArray[np.int64] = fold_of[units]
    return found


def _balanced(
    has: NDArray[np.bool_], keys: NDArray[np.str_], shares: Sequence[float], purpose: str
) -> NDArray[np.int64]:
    """Return the part, 0 to len(shares) - 1, of each of N images, so that each part gets its share of the images with each label.

    has (N, labels); units, images of one key, are never split. The rarest label is divided first, its largest units first, each to
    the part that lacks most of it (Sechidis et al., "On the stratification of multi-label data", 2011).
    """
    names, units, sizes = np.unique(keys, return_inverse=True, return_counts=True)
    counts = np.zeros((len(names), has.shape[1] + 1), np.int64)  # the last column counts the images
    np.add.at(counts, units, np.concatenate([has, np.ones((len(has), 1), bool)], axis=1))
    numbers = np.array([_number(purpose, name) for name in names])
    wanted = np.outer(shares, counts.sum(axis=0)).astype(float)  # (parts, labels + 1) that are still lacking
    part_of = np.full(len(names), -1)
    open_parts = np.flatnonzero(np.array(shares) > 0)
    while (left := part_of < 0).any():
        remaining = counts[left].sum(axis=0)
        label = int(np.where(remaining > 0, remaining, len(has) + 1).argmin())
        mine = np.flatnonzero(left & (counts[:, label] > 0))
        for unit in mine[np.lexsort((numbers[mine], -sizes[mine], -counts[mine, label]))]:
            part = max(open_parts, key=lambda one: (wanted[one, label], wanted[one, -1]))
            part_of[unit] = part
            wanted[part] -= counts[unit]
    return part_of[units].astype(np.int64)


def _draw(
    splits: NDArray[np.str_], split: str, share: float, labels: NDArray[np.int64], keys: NDArray[np.str_], leave: int
) -> None:
    """Move about `share` of each class from train to `split`: whole units, at least one, leaving at least `leave`."""
    names, units = np.unique(keys, return_inverse=True)
    numbers = np.array([_number(split, name) for name in names])
    pool = splits == "train"
    taken = pool & (numbers[units] < share)
    by_unit = np.argsort(units, kind="stable")
    starts = np.searchsorted(units[by_unit], np.arange(len(names) + 1))

    def rows_of(unit: int) -> NDArray[np.int64]:
        rows: NDArray[np.int64] = by_unit[starts[unit] : starts[unit + 1]]
        return rows

    for rows in _by_value(labels, np.flatnonzero(pool)):
        own = units[rows]
        mine = np.unique(own)
        mine = mine[np.argsort(numbers[mine])]
        first = rows_of(mine[0])
        if len(mine) > leave and not taken[first].any():
            taken[first] = pool[first]
        for unit in mine[::-1]:
            if len(np.unique(own[~taken[rows]])) >= min(leave, len(mine) - 1):
                break
            taken[rows_of(unit)] = False
    splits[taken] = split


def _by_value(values: NDArray[np.int64], rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the rows that share a value together, the smallest value first."""
    ordered = rows[np.argsort(values[rows], kind="stable")]
    starts = np.flatnonzero(np.diff(values[ordered])) + 1
    return np.split(ordered, starts) if len(rows) else []


def _unit_keys(digests: Sequence[str], groups: Sequence[str] | None) -> NDArray[np.str_]:
    """Return a key for what must stay together: the digest or, among groups that share images, the one that hashes lowest.

    The lowest, so that a unit that gains groups can only move into the test images, never out.
    """
    if groups is None:
        return np.array(digests)
    names, numbers = np.unique(np.array(groups), return_inverse=True)
    first: dict[str, int] = {}
    pairs = np.array(
        [[first.setdefault(one, number), number] for one, number in zip(digests, numbers.tolist(), strict=True)]
    )
    units = units_of(len(names), pairs.reshape(-1, 2))
    lowest: dict[int, str] = {}
    for name, unit in sorted(zip(names.tolist(), units.tolist(), strict=True), key=lambda one: _number("test", one[0])):
        lowest.setdefault(unit, name)
    return np.array([lowest[int(units[number])] for number in numbers])


def _number(purpose: str, key: str) -> float:
    """Return a number in [0, 1) that depends on the key alone; each purpose draws its own."""
    digest = hashlib.sha256(f"{purpose}\0{key}".encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:7]) / (1 << 56)
